//! What each policy costs a call.
#![expect(clippy::disallowed_methods, reason = "a benchmark's own clock")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use skillhost_core::Verdict;
use skillhost_policy::{
    BreakerSettings, CircuitBreaker, Rate, RateLimit, RateLimiter, RetryBudget, RetryBudgetSettings,
};

fn policies(criterion: &mut Criterion) {
    let now = Instant::now();
    let mut group = criterion.benchmark_group("policies");
    let rate = Rate::per_second(1_000_000.0).expect("a rate");
    let limit = RateLimit { max: 1_000_000, rate, burst: 0, wait: Duration::ZERO, shadow: false };
    let limiter = RateLimiter::new(limit, now);
    let mut passed = Duration::ZERO;
    group.bench_function("rate limit, allowed", |bencher| {
        bencher.iter(|| {
            passed += Duration::from_micros(1);
            black_box(limiter.take(now + passed, 1)).is_ok()
        });
    });
    let empty =
        RateLimiter::new(RateLimit { max: 1, rate: Rate::per_second(0.001).expect("a rate"), ..limit }, now);
    let _ = empty.take(now, 1);
    group.bench_function("rate limit, refused", |bencher| {
        bencher.iter(|| black_box(empty.take(now, 1)).is_err());
    });
    let breaker = Arc::new(CircuitBreaker::new(BreakerSettings::default(), now, 0));
    group.bench_function("circuit breaker, look, permit and success", |bencher| {
        bencher.iter(|| {
            breaker.look(now).is_ok().then(|| {
                let permit = breaker.admit(now).0.expect("closed");
                permit.record(Verdict::Success, Duration::from_millis(1), now)
            })
        });
    });
    let budget = RetryBudget::new(RetryBudgetSettings::default(), now);
    group.bench_function("retry budget, deposit", |bencher| bencher.iter(|| budget.deposit(now)));
    group.finish();
}

criterion_group!(benches, policies);
criterion_main!(benches);
