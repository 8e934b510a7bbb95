//! The decisions around a call. Each is pure: what it needs, time included, is a parameter.
//!
//! One policy a file, with its own state and its tests. What waits and what reads clocks is the pipeline's.
#![deny(missing_docs)]

pub mod arguments;
mod cache_policy;
pub mod circuit_breaker;
mod concurrency_limit;
pub mod content_filter;
mod control;
pub mod deadline;
mod fallback;
pub mod form;
mod json;
pub mod playbook;
pub mod rate_limit;
pub mod redelivery;
pub mod result;
pub mod retry;
pub mod secret;
mod sync;
mod undo;
mod verdict;

pub use arguments::ArgumentBounds;
pub use cache_policy::{CachePolicy, cacheable, keeps, weight};
pub use circuit_breaker::{
    BreakerSettings, CircuitBreaker, Mode, NotPermitted, Permit, State, Transition, Window,
};
pub use concurrency_limit::ConcurrencyLimit;
pub use content_filter::{FilterMode, Findings};
pub use control::ControlCharacters;
pub use deadline::Deadline;
pub use fallback::stands_in;
pub use json::{canonical, compact};
pub use rate_limit::{Counts, Rate, RateLimit, RateLimiter, RateStats, Refused, TokenBucket};
pub use redelivery::RedeliveryPolicy;
pub use retry::{Delays, Failed, RetryBudget, RetryBudgetSettings, RetryPolicy, is_safe};
pub use undo::{Taken, UndoPolicy, taken};
pub use verdict::Counting;

/// Cases of a property: more at night (`just nightly`), millions of steps.
#[cfg(test)]
pub(crate) fn cases(by_day: u32) -> u32 {
    if std::env::var_os("SKILLHOST_NIGHTLY").is_some() { by_day * 100 } else { by_day }
}
