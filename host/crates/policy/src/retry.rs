//! Retry: whether a failed call is attempted again, and when.
//!
//! Only what certainly had no effect, or does no harm when it runs twice, is attempted again; never past the call's
//! deadline; never when the skill's retry budget is used up, so that retries do not make an outage worse.

mod budget;

use std::{sync::Arc, time::Duration};

use skillhost_core::{Annotations, Effect, Failure, Retry};

pub use budget::{RetryBudget, RetryBudgetSettings};

/// How often and after how long.
///
/// ```
/// use std::time::Duration;
/// use skillhost_policy::RetryPolicy;
///
/// let policy = RetryPolicy { jitter: false, ..RetryPolicy::preset("default").unwrap() };
/// assert_eq!([1, 2, 9].map(|attempt| policy.delay(attempt, 0.5).as_secs()), [1, 2, 10]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, 1 to 20; 1 is no retry. Default 3.
    pub attempts: u32,
    /// The delays between them. Default exponential, from 1 s to 10 s.
    pub delays: Delays,
    /// Full jitter: each delay is drawn from zero to its length, so that calls that failed together do not come back
    /// together. Default true.
    pub jitter: bool,
    /// How long one attempt may take, beside the deadline of the whole call. Default none.
    pub attempt_timeout: Option<Duration>,
}

/// The delay before each further attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Delays {
    /// `first`, then twice as long each time, up to `cap`.
    Exponential {
        /// Before the second attempt.
        first: Duration,
        /// The longest.
        cap: Duration,
    },
    /// One after the other; the last one stays. A single one is a fixed delay.
    Listed(Arc<[Duration]>),
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::exponential(3, 1_000, 10_000)
    }
}

impl RetryPolicy {
    /// Names of [`RetryPolicy::preset`].
    pub const PRESETS: [&str; 5] = ["default", "fs", "network", "api", "off"];

    /// A policy by name.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "default" => Self::default(),
            "fs" => Self::exponential(3, 500, 2_000),
            "network" => Self::exponential(5, 1_000, 30_000),
            "api" => Self::exponential(3, 1_000, 10_000),
            "off" => Self { attempts: 1, ..Self::default() },
            _ => return None,
        })
    }

    fn exponential(attempts: u32, first_ms: u64, cap_ms: u64) -> Self {
        let (first, cap) = (Duration::from_millis(first_ms), Duration::from_millis(cap_ms));
        Self { attempts, delays: Delays::Exponential { first, cap }, jitter: true, attempt_timeout: None }
    }

    /// The delay after the attempt with this number, from 1 on. `random` is from 0 to 1.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let done = attempt.saturating_sub(1);
        let delay = match &self.delays {
            Delays::Exponential { first, cap } => {
                first.saturating_mul(2u32.checked_pow(done).unwrap_or(u32::MAX)).min(*cap)
            }
            Delays::Listed(delays) => {
                let at = (done as usize).min(delays.len().saturating_sub(1));
                delays.get(at).copied().unwrap_or_default()
            }
        };
        if self.jitter { delay.mul_f64(random.clamp(0.0, 1.0)) } else { delay }
    }

    /// Whether, by the failure and the tool alone, another attempt may follow the one with this number, and after how
    /// long. A skill that says when is not asked earlier.
    #[must_use]
    pub fn again(&self, failed: &Failed<'_>, attempt: u32, random: f64) -> Option<Duration> {
        if attempt >= self.attempts || !may_run_again(failed.failure, failed.effect, failed.safe) {
            return None;
        }
        let delay = self.delay(attempt, random).max(failed.failure.retry_after.unwrap_or_default());
        (delay < failed.remaining).then_some(delay)
    }
}

/// What is known of a failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    /// Why it failed.
    pub failure: &'a Failure,
    /// Whether the world can have changed.
    pub effect: Effect,
    /// Whether the tool does no harm when it runs twice.
    pub safe: bool,
    /// What the call has left of its time.
    pub remaining: Duration,
}

/// Whether the host may run the call again by itself.
fn may_run_again(failure: &Failure, effect: Effect, safe: bool) -> bool {
    match failure.kind.retry() {
        Retry::Always => true,
        Retry::IfSafe => safe || effect == Effect::None,
        Retry::Never => false,
    }
}

/// Whether a tool does no harm when it runs twice: by its own word, or the operator's over it.
#[must_use]
pub fn is_safe(annotations: &Annotations) -> bool {
    annotations.read_only == Some(true) || annotations.idempotent == Some(true)
}

#[cfg(all(test, not(skillhost_loom)))]
mod tests;
