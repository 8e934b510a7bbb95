//! How the host ends: first nothing new begins, then calls in flight end, then everything is closed, each stage within a bound
//! of its own. A second signal ends it at once (`cli::stop_on_signal`).

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use skillhost_core::Clock;
use tokio::time::timeout;

use crate::{app::App, config::ShutdownSettings};

/// The end of a host, and how far it is.
pub(crate) struct Shutdown {
    settings: ShutdownSettings,
    clock: Arc<dyn Clock>,
    /// When everything must be closed; known once that begins.
    until: Option<Instant>,
    failed: bool,
}

impl Shutdown {
    pub(crate) fn new(settings: ShutdownSettings, clock: Arc<dyn Clock>) -> Self {
        Self { settings, clock, until: None, failed: false }
    }

    /// Refuse what is new, once what was `read` before has begun; let go on what runs, and end it when its time is over.
    pub(crate) async fn drain(&self, app: &App, read: impl Future<Output = ()>) {
        let began = self.clock.now();
        app.health.drain();
        let idle = async {
            read.await;
            app.dispatcher.close();
            app.dispatcher.idle().await;
        };
        let (calls, tasks) = (app.dispatcher.in_flight(), app.dispatcher.tasks());
        tracing::info!(
            stage = "drain",
            calls,
            tasks,
            "shutdown: new calls are refused, those in flight go on"
        );
        if timeout(self.settings.drain, idle).await.is_ok() {
            tracing::info!(stage = "drain", took_ms = self.since(began), "shutdown: no call is in flight");
            return;
        }
        let (began, calls) = (self.clock.now(), app.dispatcher.in_flight());
        let tasks = app.dispatcher.tasks();
        tracing::warn!(stage = "cancel", calls, tasks, after = ?self.settings.drain, "shutdown: calls still in flight are ended");
        app.dispatcher.cut();
        let left = match timeout(self.settings.cancel, app.dispatcher.idle()).await {
            Ok(()) => 0,
            Err(_) => app.dispatcher.tasks(),
        };
        let took_ms = self.since(began);
        if left == 0 {
            tracing::info!(stage = "cancel", took_ms, "shutdown: all are ended");
        } else {
            tracing::warn!(
                stage = "cancel",
                took_ms,
                left,
                "shutdown: not all have ended; the next host takes over what was written down"
            );
        }
    }

    /// One thing that is closed, and without which something may be lost. What does not end in time is left; the next still has
    /// its turn.
    pub(crate) async fn close(&mut self, what: &'static str, work: impl Future<Output = Result<(), String>>) {
        self.failed |= !self.ended(what, work).await;
    }

    /// One that blocks its thread, and without which nothing is lost but what was measured. It is left in time all the same, and
    /// ends with the process.
    pub(crate) async fn close_blocking(
        &mut self,
        what: &'static str,
        work: impl FnOnce(Duration) -> Result<(), String> + Send + 'static,
    ) {
        let bound = self.bound();
        let work = tokio::task::spawn_blocking(move || work(bound));
        self.ended(what, async { work.await.map_err(|error| error.to_string())? }).await;
    }

    async fn ended(&mut self, what: &'static str, work: impl Future<Output = Result<(), String>>) -> bool {
        let began = self.clock.now();
        let ended = timeout(self.bound(), work).await;
        let took_ms = self.since(began);
        match ended {
            Ok(Ok(())) => tracing::info!(stage = what, took_ms, "shutdown"),
            Ok(Err(ref error)) => tracing::error!(stage = what, took_ms, error, "shutdown: it failed"),
            Err(_) => {
                tracing::error!(stage = what, took_ms, "shutdown: it does not end in time and is left");
            }
        }
        matches!(ended, Ok(Ok(())))
    }

    /// Half of what is left, so that one that hangs leaves some to the next.
    fn bound(&mut self) -> Duration {
        let now = self.clock.now();
        let until = *self.until.get_or_insert(now + self.settings.cleanup);
        until.saturating_duration_since(now) / 2
    }

    /// What the process says at its end: that all was in order.
    pub(crate) fn code(&self) -> ExitCode {
        if self.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn since(&self, began: Instant) -> u64 {
        u64::try_from(self.clock.now().saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX)
    }
}
