//! Every interleaving of threads on the bucket and the breaker:
//! `RUSTFLAGS="--cfg skillhost_loom" cargo test -p skillhost-policy --test loom --release`
#![cfg(skillhost_loom)]
#![expect(clippy::disallowed_methods, reason = "an origin for arithmetic")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use loom::thread;
use skillhost_core::Verdict;
use skillhost_policy::{BreakerSettings, CircuitBreaker, Rate, RateLimit, State, TokenBucket};

fn limit(max: u32) -> RateLimit {
    RateLimit { max, rate: Rate::per_second(1.0).unwrap(), burst: 0, wait: Duration::ZERO, shadow: false }
}

#[test]
fn no_token_is_given_twice() {
    loom::model(|| {
        let now = Instant::now();
        let bucket = Arc::new(TokenBucket::new(&limit(2), now));
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let bucket = Arc::clone(&bucket);
                thread::spawn(move || u32::from(bucket.take(now, 1, Duration::ZERO).is_ok()))
            })
            .collect();
        let taken: u32 = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
        assert_eq!(taken, 2);
    });
}

#[test]
fn what_is_given_back_beside_others_is_there_again() {
    loom::model(|| {
        let now = Instant::now();
        let bucket = Arc::new(TokenBucket::new(&limit(2), now));
        bucket.take(now, 1, Duration::ZERO).unwrap();
        let beside = Arc::clone(&bucket);
        let gives_back = thread::spawn(move || beside.give_back(1));
        let taken = bucket.take(now, 1, Duration::ZERO).is_ok();
        gives_back.join().unwrap();
        assert!(taken);
        assert_eq!(bucket.tokens(now), 1.0);
    });
}

fn half_open(probes: u32) -> (Arc<CircuitBreaker>, Instant) {
    let now = Instant::now();
    let settings =
        BreakerSettings { consecutive: Some(1), probes, jitter: 0.0, ..BreakerSettings::default() };
    let breaker = Arc::new(CircuitBreaker::new(settings, now, 0));
    breaker.admit(now).0.unwrap().record(Verdict::Failure, Duration::ZERO, now);
    (breaker, now + Duration::from_secs(60))
}

#[test]
fn as_many_probes_as_there_are_permits() {
    loom::model(|| {
        let (breaker, now) = half_open(1);
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let breaker = Arc::clone(&breaker);
                thread::spawn(move || breaker.admit(now).0.ok())
            })
            .collect();
        let permits: Vec<_> = callers.into_iter().filter_map(|caller| caller.join().unwrap()).collect();
        assert_eq!(permits.len(), 1);
        assert_eq!(breaker.snapshot(now).state, State::HalfOpen);
    });
}

#[test]
fn a_straggler_beside_a_probe_changes_nothing() {
    loom::model(|| {
        let now = Instant::now();
        let settings = BreakerSettings { consecutive: Some(1), jitter: 0.0, ..BreakerSettings::default() };
        let breaker = Arc::new(CircuitBreaker::new(settings, now, 0));
        let straggler = breaker.admit(now).0.unwrap();
        breaker.admit(now).0.unwrap().record(Verdict::Failure, Duration::ZERO, now);
        let later = now + Duration::from_secs(60);
        let late = thread::spawn(move || straggler.record(Verdict::Failure, Duration::ZERO, later));
        let probe = breaker.admit(later).0.unwrap();
        let closed = probe.record(Verdict::Success, Duration::ZERO, later);
        late.join().unwrap();
        assert_eq!(closed.unwrap().to, State::Closed);
        assert_eq!(breaker.snapshot(later).late, 1);
    });
}

#[test]
fn a_probe_dropped_beside_others_leaves_its_slot_once() {
    loom::model(|| {
        let (breaker, now) = half_open(1);
        let probe = breaker.admit(now).0.unwrap();
        let dropping = thread::spawn(move || drop(probe));
        let first = breaker.admit(now).0;
        dropping.join().unwrap();
        let second = breaker.admit(now).0;
        assert_eq!(u32::from(first.is_ok()) + u32::from(second.is_ok()), 1);
    });
}
