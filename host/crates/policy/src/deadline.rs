//! One deadline over everything a call waits for.

use std::time::{Duration, Instant};

/// When a call must be over: queueing, every attempt and the waits between them included.
///
/// ```
/// use std::time::{Duration, Instant};
/// use skillhost_policy::Deadline;
///
/// # #[allow(clippy::disallowed_methods, reason = "an example")]
/// let now = Instant::now();
/// let deadline = Deadline::after(now, Duration::from_secs(30));
/// assert_eq!(deadline.remaining(now + Duration::from_secs(10)), Duration::from_secs(20));
/// assert!(deadline.passed(now + Duration::from_secs(30)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at: Instant,
    limit: Duration,
    by: By,
}

/// Whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Timeout,
    Caller,
    AttemptTimeout,
}

impl Deadline {
    /// A deadline `limit` after `now`. A limit beyond what the clock can hold is cut to 100 years.
    #[must_use]
    pub fn after(now: Instant, limit: Duration) -> Self {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Self { at: now.checked_add(limit).unwrap_or(now + CENTURY), limit, by: By::Timeout }
    }

    /// The same, but not later than the deadline of the call that makes this one.
    #[must_use]
    pub fn no_later_than(self, callers: Instant) -> Self {
        if callers < self.at { Self { at: callers, by: By::Caller, ..self } } else { self }
    }

    /// Whether the caller has left it less than half of its own time: then that it passes says little of the callee.
    #[must_use]
    pub fn leaves_little(self, now: Instant) -> bool {
        self.by == By::Caller && self.remaining(now) < self.limit / 2
    }

    /// The same for one attempt that begins `now` and may take `limit`.
    #[must_use]
    pub fn of_attempt(self, now: Instant, limit: Duration) -> Self {
        match now.checked_add(limit) {
            Some(at) if at < self.at => Self { at, limit, by: By::AttemptTimeout },
            _ => self,
        }
    }

    /// How long it was, for people, and which key says so.
    #[must_use]
    pub fn told(self) -> String {
        let limit = self.limit.as_secs_f64();
        match self.by {
            By::Timeout => format!("its {limit} s (`timeout`)"),
            By::AttemptTimeout => format!("its {limit} s (`attempt_timeout`)"),
            By::Caller => "the time its caller had left".into(),
        }
    }

    /// The moment.
    #[must_use]
    pub fn at(self) -> Instant {
        self.at
    }

    /// What is left of it; zero once it has passed.
    #[must_use]
    pub fn remaining(self, now: Instant) -> Duration {
        self.at.saturating_duration_since(now)
    }

    /// Whether it has passed.
    #[must_use]
    pub fn passed(self, now: Instant) -> bool {
        now >= self.at
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for arithmetic")]
mod tests {
    use super::*;

    #[test]
    fn an_endless_limit_does_not_overflow() {
        let now = Instant::now();
        assert!(!Deadline::after(now, Duration::MAX).passed(now + Duration::from_secs(1_000_000)));
    }

    #[test]
    fn passes_at_its_moment_not_before() {
        let now = Instant::now();
        let deadline = Deadline::after(now, Duration::from_millis(5));
        assert!(!deadline.passed(now + Duration::from_micros(4_999)));
        assert!(deadline.passed(now + Duration::from_millis(5)));
        assert_eq!(deadline.remaining(now + Duration::from_secs(1)), Duration::ZERO);
    }
}
