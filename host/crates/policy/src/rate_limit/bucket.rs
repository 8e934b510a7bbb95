//! The bucket itself.

use std::time::{Duration, Instant};

use super::RateLimit;
use crate::sync::{AtomicU64, Ordering};

/// Threads read the clock at different moments: a theoretical arrival time may lie this much further ahead, as the
/// slowest of them sees it, than it can by the limit alone.
const SKEW: Duration = Duration::from_secs(60);

/// Why tokens are not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// They will be there after this long, if nobody else takes them.
    After(Duration),
    /// More than the bucket ever holds.
    Never,
}

impl Refused {
    /// When to come back; never, when the bucket does not hold as many.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::After(wait) => Some(wait),
            Self::Never => None,
        }
    }
}

/// Tokens that refill over time. Lock-free.
///
/// The arrival time is stored modulo 2^64 units, at least 213 days. Nothing but a time within `horizon` ahead of now
/// can have been stored, so that everything else is the past; a bucket that was idle for exactly such a round, to within
/// its horizon, may seem less full than it is, never fuller.
#[derive(Debug)]
pub struct TokenBucket {
    origin: Instant,
    /// The theoretical arrival time in units since `origin`.
    arrival: AtomicU64,
    units_per_token: u64,
    units_per_microsecond: u64,
    capacity: u32,
    horizon: u64,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(limit: &RateLimit, now: Instant) -> Self {
        const UNITS: u64 = 1_000_000_000;
        // A token takes 10^9 / thousandths microseconds.
        let common = gcd(UNITS, limit.rate.thousandths);
        let (units_per_token, units_per_microsecond) = (UNITS / common, limit.rate.thousandths / common);
        let units = |time: Duration| micros(time).saturating_mul(units_per_microsecond);
        let capacity = limit.capacity();
        let horizon = u64::from(capacity) * units_per_token + units(limit.wait) + units(SKEW);
        Self {
            origin: now,
            arrival: AtomicU64::new(0),
            units_per_token,
            units_per_microsecond,
            capacity,
            horizon,
        }
    }

    /// Take `cost` tokens, now or by a reservation at most `wait` ahead. Answers how long to wait for them.
    ///
    /// # Errors
    /// [`Refused`], and nothing was taken.
    pub fn take(&self, now: Instant, cost: u32, wait: Duration) -> Result<Duration, Refused> {
        if cost > self.capacity {
            return Err(Refused::Never);
        }
        let now = self.units(now);
        let cost = self.tokens_units(cost);
        let wait = micros(wait).saturating_mul(self.units_per_microsecond);
        let mut due = 0;
        let taken = self.arrival.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |arrival| {
            let ahead = self.ahead(arrival, now) + cost;
            due = ahead.saturating_sub(self.tokens_units(self.capacity));
            (due <= wait).then(|| now.wrapping_add(ahead))
        });
        // Up, so that whoever comes back then is not too early.
        let due = Duration::from_micros(due.div_ceil(self.units_per_microsecond));
        match taken {
            Ok(_) => Ok(due),
            Err(_) => Err(Refused::After(due)),
        }
    }

    /// Give tokens back that were just taken, or that are still waited for. Later, the bucket may have been full in
    /// between, and the tokens would be counted twice.
    pub fn give_back(&self, cost: u32) {
        self.arrival.fetch_sub(self.tokens_units(cost), Ordering::Relaxed);
    }

    /// Tokens there are; negative while calls wait for theirs.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub fn tokens(&self, now: Instant) -> f64 {
        let used = self.ahead(self.arrival.load(Ordering::Relaxed), self.units(now));
        f64::from(self.capacity) - used as f64 / self.units_per_token as f64
    }

    fn tokens_units(&self, tokens: u32) -> u64 {
        u64::from(tokens) * self.units_per_token
    }

    fn units(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.origin)).wrapping_mul(self.units_per_microsecond)
    }

    /// How far the arrival time lies ahead; zero when it has passed.
    fn ahead(&self, arrival: u64, now: u64) -> u64 {
        let ahead = arrival.wrapping_sub(now);
        if ahead <= self.horizon { ahead } else { 0 }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
