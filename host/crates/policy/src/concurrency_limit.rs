//! Concurrency limits: how many calls run at once, and how many may wait for their turn.

use std::time::Duration;

/// Calls at once, with a bounded first-come-first-served queue before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcurrencyLimit {
    /// Calls that run at once, 1 to 10,000.
    pub max: u32,
    /// Calls that may wait, up to 100,000; a further one is refused at once.
    pub queue: u32,
    /// How long one may wait, up to 24 h.
    pub wait: Duration,
}

impl ConcurrencyLimit {
    /// For one skill, unless something else is said: 32 at once, 1,000 waiting up to 10 s. Half of the host's instances,
    /// so that one slow skill leaves room for the others.
    #[must_use]
    pub fn of_a_skill() -> Self {
        Self { max: 32, queue: 1_000, wait: Duration::from_secs(10) }
    }
}
