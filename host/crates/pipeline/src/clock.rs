//! The clock of the pipeline.

use std::time::{Instant, SystemTime};

use skillhost_core::Clock;

/// tokio's clock, which tests can pause.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioClock;

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
impl Clock for TokioClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}
