//! Circuit breakers: a skill that is ill is left alone for a while, then tried with few calls.
//!
//! ```text
//!             too many failures, or slow calls
//!   CLOSED ────────────────────────────────────> OPEN
//!     ^                                          │  ^
//!     │ enough probes succeed       time is over │  │ a probe too many fails,
//!     │                                          v  │ or they do not come back
//!     └────────────────────────────────────── HALF-OPEN
//! ```
//!
//! Every permit carries the generation of the state that gave it. A result from an older state is counted and changes
//! nothing: neither does a straggler's success close what has opened since, nor does its failure stretch the time, nor
//! does it free a probe's slot. A permit that is dropped is neither success nor failure. Half-open has a deadline, so
//! that a probe that never comes back blocks nothing.

mod machine;
mod settings;
mod window;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use machine::{NotPermitted, Snapshot, Transition};
pub use settings::{BreakerSettings, Mode, State, Window};
use skillhost_core::Verdict;

use crate::sync::{Mutex, lock};
use machine::Machine;

/// A breaker that calls share. Its lock is held for a few instructions, never across a call.
///
/// ```
/// use std::{sync::Arc, time::{Duration, Instant}};
/// use skillhost_core::Verdict;
/// use skillhost_policy::{BreakerSettings, CircuitBreaker};
///
/// # #[allow(clippy::disallowed_methods, reason = "an example")]
/// let now = Instant::now();
/// let settings = BreakerSettings { consecutive: Some(2), jitter: 0.0, ..BreakerSettings::default() };
/// let breaker = Arc::new(CircuitBreaker::new(settings, now, 0));
/// for _ in 0..2 {
///     let (permit, _) = breaker.admit(now);
///     permit.unwrap().record(Verdict::Failure, Duration::from_millis(1), now);
/// }
/// let refused = breaker.admit(now + Duration::from_secs(20)).0.unwrap_err();
/// assert_eq!(refused.retry_after, Some(Duration::from_secs(40)));
/// ```
#[derive(Debug)]
pub struct CircuitBreaker {
    machine: Mutex<Machine>,
}

impl CircuitBreaker {
    /// A closed breaker. `seed` is what its jitter is drawn from.
    #[must_use]
    pub fn new(settings: BreakerSettings, now: Instant, seed: u64) -> Self {
        Self { machine: Mutex::new(Machine::new(settings, now, seed)) }
    }

    /// Whether a call would be let through, without taking a permit: asked before a call queues for anything.
    ///
    /// # Errors
    /// [`NotPermitted`], with what is left of the time.
    pub fn look(&self, now: Instant) -> Result<(), NotPermitted> {
        lock(&self.machine).look(now)
    }

    /// Let a call through, or refuse it with what is left of the time. It may be the one that finds the open time
    /// over: hence the transitions, in their order.
    pub fn admit(self: &Arc<Self>, now: Instant) -> (Result<Permit, NotPermitted>, Vec<Transition>) {
        let (admitted, transitions) = lock(&self.machine).admit(now);
        let permit = |generation| Permit { breaker: Some(Arc::clone(self)), generation };
        (admitted.map(permit), transitions)
    }

    /// Go on in the mode an operator chose.
    pub fn set_mode(&self, mode: Mode) -> Option<Transition> {
        lock(&self.machine).set_mode(mode)
    }

    /// Start anew: there is another version of the skill.
    pub fn reset(&self) -> Option<Transition> {
        lock(&self.machine).reset()
    }

    /// How it stands.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        lock(&self.machine).snapshot(now)
    }
}

/// Leave for one call. Dropped without a word it counts as neither success nor failure.
#[derive(Debug)]
pub struct Permit {
    breaker: Option<Arc<CircuitBreaker>>,
    generation: u64,
}

impl Permit {
    /// Tell how the call went and how long it `took`. Answers whether the breaker changed its state.
    pub fn record(mut self, verdict: Verdict, took: Duration, now: Instant) -> Option<Transition> {
        let breaker = self.breaker.take()?;
        lock(&breaker.machine).record(self.generation, verdict, took, now)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(breaker) = self.breaker.take() {
            lock(&breaker.machine).release(self.generation);
        }
    }
}

#[cfg(all(test, not(skillhost_loom)))]
mod tests;
