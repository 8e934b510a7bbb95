//! The retry budget: what part of a skill's calls may be retries.

use std::time::Instant;

use crate::sync::{Mutex, lock};

/// How large a budget is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudgetSettings {
    /// What each call adds, 0 to 10: 0.2 is a retry for every five calls. Default 0.2.
    pub ratio: f64,
    /// Retries there are in any case, at the start and again one a second, 0 to 1,000. Default 10.
    pub reserve: u32,
}

impl Default for RetryBudgetSettings {
    fn default() -> Self {
        Self { ratio: 0.2, reserve: 10 }
    }
}

/// The most a busy skill saves up, in retries beyond the reserve.
const SAVED: f64 = 100.0;

/// Retries that are left to a skill.
///
/// ```
/// # use std::time::Instant;
/// use skillhost_policy::{RetryBudget, RetryBudgetSettings};
///
/// # #[allow(clippy::disallowed_methods, reason = "an example")]
/// let now = Instant::now();
/// let budget = RetryBudget::new(RetryBudgetSettings { ratio: 0.5, reserve: 1 }, now);
/// assert!(budget.withdraw(now));
/// assert!(!budget.withdraw(now));
/// budget.deposit(now);
/// budget.deposit(now);
/// assert!(budget.withdraw(now));
/// ```
#[derive(Debug)]
pub struct RetryBudget {
    settings: RetryBudgetSettings,
    balance: Mutex<(f64, Instant)>,
}

impl RetryBudget {
    /// A budget with its reserve.
    #[must_use]
    pub fn new(settings: RetryBudgetSettings, now: Instant) -> Self {
        Self { settings, balance: Mutex::new((f64::from(settings.reserve), now)) }
    }

    /// A call begins.
    pub fn deposit(&self, now: Instant) {
        let most = f64::from(self.settings.reserve) + SAVED;
        self.refilled(now, |balance| *balance = (*balance + self.settings.ratio).min(most));
    }

    /// Take one retry, if there is one.
    pub fn withdraw(&self, now: Instant) -> bool {
        self.refilled(now, |balance| {
            let there = *balance >= 1.0;
            *balance -= f64::from(u8::from(there));
            there
        })
    }

    /// Retries that are left.
    #[must_use]
    pub fn left(&self, now: Instant) -> f64 {
        self.refilled(now, |balance| *balance)
    }

    fn refilled<T>(&self, now: Instant, then: impl FnOnce(&mut f64) -> T) -> T {
        let mut state = lock(&self.balance);
        let (balance, at) = &mut *state;
        let reserve = f64::from(self.settings.reserve);
        // One a second, up to the reserve; what was saved beyond it stays.
        let passed = now.saturating_duration_since(*at).as_secs_f64();
        *balance = (*balance + passed).min(reserve).max(*balance);
        *at = now.max(*at);
        then(balance)
    }
}
