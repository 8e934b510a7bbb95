//! No policy allocates for a plain call.
#![cfg(not(skillhost_loom))]
#![expect(clippy::disallowed_methods, reason = "an origin for arithmetic")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use skillhost_core::{Effect, Failure, FailureKind, Reply, Verdict};
use skillhost_policy::{
    BreakerSettings, CircuitBreaker, Counting, Failed, FilterMode, RateLimit, RateLimiter, RetryBudget,
    RetryBudgetSettings, RetryPolicy, Window, content_filter,
};

fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn the_measure_measures() {
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1);
}

#[test]
fn a_rate_limit_allocates_nothing() {
    let now = Instant::now();
    let limiter = RateLimiter::new(RateLimit::preset("mcp_tools").unwrap(), now);
    assert_eq!(
        allocations(|| {
            for _ in 0..100 {
                let _ = black_box(limiter.take(now, 1));
            }
            limiter.give_back(1);
        }),
        0
    );
}

#[test]
fn a_breaker_allocates_nothing_while_it_does_not_turn() {
    for window in [Window::Calls(100), Window::Time(Duration::from_secs(60))] {
        let now = Instant::now();
        let breaker =
            Arc::new(CircuitBreaker::new(BreakerSettings { window, ..BreakerSettings::default() }, now, 0));
        assert_eq!(
            allocations(|| {
                for n in 0..1_000 {
                    let permit = breaker.admit(now).0.unwrap();
                    let verdict = if n % 3 == 0 { Verdict::Failure } else { Verdict::Success };
                    permit.record(verdict, Duration::from_millis(1), now);
                }
                drop(breaker.admit(now));
            }),
            0
        );
    }
}

#[test]
fn deciding_to_try_again_allocates_nothing() {
    let now = Instant::now();
    let (policy, budget) = (RetryPolicy::default(), RetryBudget::new(RetryBudgetSettings::default(), now));
    let failure = Failure::new(FailureKind::Transient, "");
    let remaining = Duration::from_secs(30);
    assert_eq!(
        allocations(|| {
            budget.deposit(now);
            let failed = Failed { failure: &failure, effect: Effect::None, safe: false, remaining };
            black_box(policy.again(&failed, 1, 0.5));
            black_box(budget.withdraw(now));
            black_box(Counting::default().of(failure.kind));
        }),
        0
    );
}

#[test]
fn a_clean_text_is_not_copied() {
    let mut reply =
        Reply { content: vec![skillhost_core::Block::text("Grüße, it is 5 °C.")], ..Reply::default() };
    // The patterns are compiled once, and have room of their own for each thread.
    for _ in 0..3 {
        let _ = content_filter::filter_reply(&mut reply, FilterMode::Strip);
    }
    assert_eq!(
        allocations(|| {
            let _ = black_box(content_filter::filter_reply(&mut reply, FilterMode::Strip));
        }),
        0
    );
}
