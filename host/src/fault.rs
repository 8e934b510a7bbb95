//! Planted faults, for tests of those who watch a host. Not in a release.

use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;

/// Says what is to go wrong at SIGUSR1: `block-guests` or `block-io`.
const VARIABLE: &str = "SKILLHOST_FAULT";

/// Be ready for the fault that the environment asks for.
pub(crate) fn plant(app: &App) {
    let Ok(fault) = std::env::var(VARIABLE) else { return };
    let Ok(mut asked) = signal(SignalKind::user_defined1()) else { return };
    let engine = app.engine.clone();
    tokio::spawn(async move {
        asked.recv().await;
        tracing::warn!(fault, "a planted fault begins");
        match &*fault {
            "block-guests" => engine.block(),
            "block-io" => {
                let runtime = tokio::runtime::Handle::current();
                for _ in 0..runtime.metrics().num_workers() {
                    runtime.spawn(async {
                        loop {
                            std::thread::park();
                        }
                    });
                }
            }
            _ => {}
        }
    });
}
