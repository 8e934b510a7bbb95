//! Rate limits: a token bucket, kept as the generic cell rate algorithm (GCRA, ITU-T I.371) in one atomic.
//!
//! What is stored is the *theoretical arrival time*: the moment at which the bucket would be full again. A bucket that
//! is `capacity` tokens behind that moment is empty. Nothing has to be refilled, no lock is held, and waiting is a
//! reservation: the token is taken now, the caller sleeps until it is due.
//!
//! Time is counted in fractions of a microsecond of which a whole number makes a token, so that 1.33 tokens a second are
//! exactly that after a year: a token takes 100,000,000/133 µs, hence a microsecond is 133 units and a token is
//! 100,000,000. Were it rounded to nanoseconds, each token would bring its own error.

mod bucket;

use std::time::{Duration, Instant};

pub use bucket::{Refused, TokenBucket};

use crate::sync::{AtomicU64, Ordering};

/// Tokens a second: thousandths below 1,000, whole above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    thousandths: u64,
}

impl Rate {
    /// The highest, in tokens a second.
    pub const MAX: u32 = 1_000_000;

    /// So many tokens a second, from 0.001 to 1,000,000. Rounded to thousandths below 1,000, else to whole tokens.
    ///
    /// ```
    /// use skillhost_policy::Rate;
    ///
    /// assert_eq!(Rate::per_second(1.33).unwrap().get(), 1.33);
    /// assert!(Rate::per_second(0.0).is_none());
    /// assert!(Rate::per_second(f64::NAN).is_none());
    /// ```
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    pub fn per_second(tokens: f64) -> Option<Self> {
        if !(0.001..=f64::from(Self::MAX)).contains(&tokens) {
            return None;
        }
        let thousandths =
            if tokens < 1_000.0 { (tokens * 1_000.0).round() as u64 } else { tokens.round() as u64 * 1_000 };
        Some(Self { thousandths })
    }

    /// Tokens a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most 1e9")]
    pub fn get(self) -> f64 {
        self.thousandths as f64 / 1_000.0
    }
}

/// A rate limit as it was configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Tokens of the bucket, 1 to 1,000,000.
    pub max: u32,
    /// How fast it refills.
    pub rate: Rate,
    /// Tokens it has on top of `max`, up to 1,000,000.
    pub burst: u32,
    /// How long a call may wait for its tokens, up to 24 h. Default 0: it is refused at once.
    pub wait: Duration,
    /// Count what would be refused, and let it through.
    pub shadow: bool,
}

impl RateLimit {
    /// Names of [`RateLimit::preset`].
    pub const PRESETS: [&str; 5] =
        ["mcp_tools", "external_api", "web_research", "skill_operations", "filesystem"];

    /// A limit by name.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        let (max, rate, burst) = match name {
            "mcp_tools" => (60, 1.0, 10),
            "external_api" => (80, 1.33, 20),
            "web_research" => (30, 0.5, 10),
            "skill_operations" => (100, 2.0, 20),
            "filesystem" => (200, 5.0, 50),
            _ => return None,
        };
        Some(Self { max, rate: Rate::per_second(rate)?, burst, wait: Duration::ZERO, shadow: false })
    }

    /// The most tokens there can be: `max` and `burst`. A full bucket is where it starts.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.max.saturating_add(self.burst)
    }
}

/// A limit with its bucket and its figures.
///
/// ```
/// use std::time::Instant;
/// use skillhost_policy::{RateLimit, RateLimiter};
///
/// # #[allow(clippy::disallowed_methods, reason = "an example")]
/// let now = Instant::now();
/// let limiter = RateLimiter::new(RateLimit::preset("mcp_tools").unwrap(), now);
/// assert!(limiter.take(now, 70).is_ok());
/// let refused = limiter.take(now, 1).unwrap_err();
/// assert_eq!(refused.retry_after().unwrap().as_secs(), 1);
/// ```
#[derive(Debug)]
pub struct RateLimiter {
    limit: RateLimit,
    bucket: TokenBucket,
    counts: Counts,
}

/// How often a limit decided which way.
#[derive(Debug, Default)]
pub struct Counts {
    allowed: AtomicU64,
    rejected: AtomicU64,
    waited: AtomicU64,
    waited_us: AtomicU64,
}

/// What a limit did so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateStats {
    /// Calls let through, those in shadow mode included.
    pub allowed: u64,
    /// Calls refused, or that would have been in shadow mode.
    pub rejected: u64,
    /// Calls that waited.
    pub waited: u64,
    /// How long those waited on average.
    pub average_wait: Duration,
    /// Tokens there are; negative while calls wait for theirs. For one bucket only.
    pub tokens: Option<f64>,
}

impl RateStats {
    /// The part of all calls that was refused, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn rejection_rate(&self) -> f64 {
        self.rejected as f64 / (self.allowed + self.rejected).max(1) as f64
    }
}

impl Counts {
    /// Note what became of a call.
    pub fn note(&self, decision: &Result<Duration, Refused>, shadow: bool) {
        match decision {
            Ok(wait) => {
                self.allowed.fetch_add(1, Ordering::Relaxed);
                if !wait.is_zero() {
                    self.waited.fetch_add(1, Ordering::Relaxed);
                    let wait = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
                    self.waited_us.fetch_add(wait, Ordering::Relaxed);
                }
            }
            Err(_) => {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                if shadow {
                    self.allowed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Take back one that was let through: another limit refused it.
    pub fn forget(&self) {
        self.allowed.fetch_sub(1, Ordering::Relaxed);
    }

    /// The figures.
    #[must_use]
    pub fn stats(&self, tokens: Option<f64>) -> RateStats {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let waited = get(&self.waited);
        RateStats {
            allowed: get(&self.allowed),
            rejected: get(&self.rejected),
            waited,
            average_wait: Duration::from_micros(get(&self.waited_us).checked_div(waited).unwrap_or(0)),
            tokens,
        }
    }
}

impl RateLimiter {
    /// A limiter with a full bucket.
    #[must_use]
    pub fn new(limit: RateLimit, now: Instant) -> Self {
        Self { limit, bucket: TokenBucket::new(&limit, now), counts: Counts::default() }
    }

    /// What it was configured to.
    #[must_use]
    pub fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Take `cost` tokens; answers how long to wait until they are there, usually not at all. In shadow mode the
    /// answer is for the record: let the call through whatever it is.
    ///
    /// # Errors
    /// [`Refused`] when they are not there within the limit's `wait`; nothing was taken then.
    pub fn take(&self, now: Instant, cost: u32) -> Result<Duration, Refused> {
        let decision = self.bucket.take(now, cost, self.limit.wait);
        self.counts.note(&decision, self.limit.shadow);
        decision
    }

    /// Give the tokens of a call back that does not take place: another limit refused it, or it gave up waiting.
    pub fn give_back(&self, cost: u32) {
        self.bucket.give_back(cost);
        self.counts.forget();
    }

    /// The figures.
    #[must_use]
    pub fn stats(&self, now: Instant) -> RateStats {
        self.counts.stats(Some(self.bucket.tokens(now)))
    }
}

#[cfg(all(test, not(skillhost_loom)))]
mod tests;
