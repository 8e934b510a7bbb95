use std::num::NonZeroU32;

use governor::{Quota, clock::FakeRelativeClock};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::*;

#[expect(clippy::disallowed_methods, reason = "an origin for arithmetic")]
fn start() -> Instant {
    Instant::now()
}

fn limit(max: u32, per_second: f64, burst: u32) -> RateLimit {
    RateLimit { max, rate: Rate::per_second(per_second).unwrap(), burst, wait: Duration::ZERO, shadow: false }
}

#[test]
fn the_presets_are_those_of_the_floor() {
    let shown = RateLimit::PRESETS.map(|name| {
        let limit = RateLimit::preset(name).unwrap();
        (limit.max, limit.rate.get(), limit.burst)
    });
    assert_eq!(shown, [(60, 1.0, 10), (80, 1.33, 20), (30, 0.5, 10), (100, 2.0, 20), (200, 5.0, 50)]);
    assert_eq!(RateLimit::preset("unknown"), None);
}

#[test]
fn rates_that_are_none_are_refused() {
    for rate in [0.0, -1.0, 0.000_9, 1_000_001.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Rate::per_second(rate), None, "{rate}");
    }
    assert_eq!(Rate::per_second(0.001).unwrap().get(), 0.001);
    assert_eq!(Rate::per_second(1_000_000.0).unwrap().get(), 1_000_000.0);
    assert_eq!(Rate::per_second(1_234.567).unwrap().get(), 1_235.0);
}

// A fixed window lets twice as many through around its edge.
#[test]
fn there_is_no_edge_to_crowd_at() {
    let start = start();
    let limiter = RateLimiter::new(limit(60, 1.0, 0), start);
    let mut allowed = 0;
    for ms in (59_000..61_000).step_by(10) {
        allowed += u32::from(limiter.take(start + Duration::from_millis(ms), 1).is_ok());
    }
    assert_eq!(allowed, 60 + 1);
}

#[test]
fn more_than_there_ever_is_is_refused_at_once_and_for_good() {
    let start = start();
    let limiter = RateLimiter::new(RateLimit { wait: Duration::from_secs(3_600), ..limit(3, 1.0, 1) }, start);
    assert_eq!(limiter.take(start, 5), Err(Refused::Never));
    assert_eq!(limiter.take(start, 5).unwrap_err().retry_after(), None);
    assert_eq!(limiter.take(start, 4), Ok(Duration::ZERO));
}

// 1.33 a second is no whole number of nanoseconds a token: rounded, a year brings thousands too many or too few.
#[test]
fn fractions_do_not_drift_over_a_year() {
    for (rate, per_day) in [(1.33, 114_912.0), (0.7, 60_480.0), (0.001, 86.4), (999.999, 86_399_913.6)] {
        let start = start();
        let bucket = TokenBucket::new(&limit(1_000_000, rate, 1_000_000), start);
        // Empty it, and take whatever is there every half hour.
        bucket.take(start, 2_000_000, Duration::ZERO).unwrap();
        let mut taken = 0u64;
        for half_hour in 1..=365 * 48u64 {
            let now = start + Duration::from_secs(half_hour * 1_800);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tokens")]
            let there = (bucket.tokens(now) + 1e-6).floor() as u32;
            bucket.take(now, there, Duration::ZERO).unwrap();
            taken += u64::from(there);
        }
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let off = per_day * 365.0 - taken as f64;
        assert!((-1e-3..1.0).contains(&off), "{rate}/s: off by {off}");
    }
}

#[test]
fn a_bucket_is_full_after_any_time_away() {
    let start = start();
    let limit = RateLimit { max: 7, ..limit(7, 999.999, 0) };
    for days in [1, 100, 213, 214, 400, 3_650] {
        let bucket = TokenBucket::new(&limit, start);
        bucket.take(start, 7, Duration::ZERO).unwrap();
        let later = start + Duration::from_secs(days * 86_400 + 1_234);
        assert_eq!(bucket.tokens(later), 7.0, "after {days} days");
    }
}

// Threads read the clock before they take: one may come with a time that has passed for the others.
#[test]
fn a_clock_that_is_read_early_gives_nothing_away() {
    let start = start();
    let at = |ms| start + Duration::from_millis(ms);
    let bucket = TokenBucket::new(&RateLimit { wait: Duration::from_secs(2), ..limit(1, 1.0, 0) }, start);
    assert_eq!(bucket.take(at(5_000), 1, Duration::from_secs(2)), Ok(Duration::ZERO));
    assert_eq!(bucket.take(at(5_000), 1, Duration::from_secs(2)), Ok(Duration::from_secs(1)));
    assert_eq!(bucket.take(at(5_000), 1, Duration::from_secs(2)), Ok(Duration::from_secs(2)));
    for ms in [4_999, 4_000, 0] {
        assert!(bucket.take(at(ms), 1, Duration::ZERO).is_err(), "at {ms} ms");
    }
}

#[test]
fn who_waits_is_served_in_order_and_at_the_rate() {
    let start = start();
    let bucket = TokenBucket::new(&RateLimit { wait: Duration::from_secs(9), ..limit(2, 2.0, 0) }, start);
    let waits: Vec<_> =
        (0..6).map(|_| bucket.take(start, 1, Duration::from_secs(9)).unwrap().as_millis()).collect();
    assert_eq!(waits, [0, 0, 500, 1_000, 1_500, 2_000]);
    bucket.give_back(1);
    assert_eq!(bucket.take(start, 1, Duration::from_secs(9)).unwrap().as_millis(), 2_000);
}

#[test]
fn the_figures_tell_what_was_decided() {
    let start = start();
    let limiter = RateLimiter::new(RateLimit { wait: Duration::from_secs(1), ..limit(1, 1.0, 0) }, start);
    assert!(limiter.take(start, 1).is_ok());
    assert!(limiter.take(start, 1).is_ok());
    assert!(limiter.take(start, 1).is_err());
    let stats = limiter.stats(start);
    assert_eq!((stats.allowed, stats.rejected, stats.waited), (2, 1, 1));
    assert_eq!((stats.average_wait, stats.tokens), (Duration::from_secs(1), Some(-1.0)));
    assert!((stats.rejection_rate() - 1.0 / 3.0).abs() < 1e-9);
    limiter.give_back(1);
    assert_eq!((limiter.stats(start).allowed, limiter.stats(start).tokens), (1, Some(0.0)));
}

// governor is the oracle where a token takes a whole number of nanoseconds, and of microseconds.
proptest! {
    #[test]
    fn decides_as_governor_does(
        interval_us in prop::sample::select(vec![1_000u64, 2_000, 8_000, 10_000, 125_000, 1_000_000, 2_000_000]),
        capacity in 1u32..50,
        arrivals in prop::collection::vec((0u64..3_000_000, 1u32..4), 1..400),
    ) {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let limit = limit(capacity, 1e6 / interval_us as f64, 0);
        let clock = FakeRelativeClock::default();
        let quota = Quota::with_period(Duration::from_micros(interval_us)).unwrap()
            .allow_burst(NonZeroU32::new(capacity).unwrap());
        let oracle = governor::RateLimiter::direct_with_clock(quota, clock.clone());
        let start = start();
        let (bucket, mut passed) = (TokenBucket::new(&limit, start), Duration::ZERO);
        for (us, cost) in arrivals {
            let step = Duration::from_micros(us % (interval_us * 3));
            clock.advance(step);
            passed += step;
            let expected = oracle.check_n(NonZeroU32::new(cost).unwrap());
            let actual = bucket.take(start + passed, cost, Duration::ZERO);
            match expected {
                Ok(Ok(())) => prop_assert_eq!(actual, Ok(Duration::ZERO)),
                Ok(Err(_)) => prop_assert!(matches!(actual, Err(Refused::After(_)))),
                Err(_) => prop_assert_eq!(actual, Err(Refused::Never)),
            }
        }
    }
}

/// The bucket as everybody would write it down: a level that rises with time, in exact fractions.
#[derive(Debug, Clone)]
struct Model {
    limit: RateLimit,
    /// Microseconds since the start.
    now: u64,
    /// Tokens times 10^9; falls below zero while calls wait.
    level: i128,
}

const SCALE: i128 = 1_000_000_000;

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Take { cost: u32, wait_ms: u64 },
    GiveBackWaiting,
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        (1u32..100, 1u64..5_000_000, 0u32..50)
            .prop_map(|(max, thousandths, burst)| {
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let limit = limit(max, thousandths as f64 / 1_000.0, burst);
                let limit = RateLimit { wait: Duration::from_secs(3_600), ..limit };
                Self { limit, now: 0, level: i128::from(limit.capacity()) * SCALE }
            })
            .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        prop_oneof![
            4 => (0u64..3_000_000).prop_map(Step::Pass),
            1 => (0u64..86_400_000_000).prop_map(Step::Pass),
            8 => (0u32..160, prop_oneof![Just(0u64), 0u64..100_000])
                .prop_map(|(cost, wait_ms)| Step::Take { cost, wait_ms }),
            1 => Just(Step::GiveBackWaiting),
        ]
        .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        match *step {
            Step::Pass(us) => {
                state.now += us;
                // Thousandths a second are 10^-9 tokens a microsecond.
                let rise = i128::from(us) * i128::from(state.limit.rate.thousandths);
                state.level = (state.level + rise).min(i128::from(state.limit.capacity()) * SCALE);
            }
            Step::Take { cost, wait_ms } => {
                if state.decide(cost, wait_ms).is_ok() {
                    state.level -= i128::from(cost) * SCALE;
                }
            }
            Step::GiveBackWaiting => {
                if state.level < 0 {
                    state.level += SCALE;
                }
            }
        }
        state
    }
}

impl Model {
    fn decide(&self, cost: u32, wait_ms: u64) -> Result<u64, Refused> {
        if cost > self.limit.capacity() {
            return Err(Refused::Never);
        }
        let missing = i128::from(cost) * SCALE - self.level;
        let rate = i128::from(self.limit.rate.thousandths);
        let us = if missing <= 0 { 0 } else { (missing + rate - 1) / rate };
        let us = u64::try_from(us).unwrap();
        // Compared in tokens, not in rounded time.
        let may = missing <= i128::from(wait_ms) * 1_000 * rate;
        if may { Ok(us) } else { Err(Refused::After(Duration::from_micros(us))) }
    }
}

struct Real {
    bucket: TokenBucket,
    start: Instant,
    passed: u64,
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        let start = start();
        Self { bucket: TokenBucket::new(&model.limit, start), start, passed: 0 }
    }

    fn apply(mut real: Self, after: &Model, step: Step) -> Self {
        let now = |real: &Self| real.start + Duration::from_micros(real.passed);
        match step {
            Step::Pass(us) => real.passed += us,
            Step::Take { cost, wait_ms } => {
                let decision = real.bucket.take(now(&real), cost, Duration::from_millis(wait_ms));
                // The model has taken them already: undo that to ask it.
                let mut before = after.clone();
                if decision.is_ok() {
                    before.level += i128::from(cost) * SCALE;
                }
                assert_eq!(decision, before.decide(cost, wait_ms).map(Duration::from_micros));
            }
            Step::GiveBackWaiting => {
                if real.bucket.tokens(now(&real)) < 0.0 {
                    real.bucket.give_back(1);
                }
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "compared roughly")]
        let expected = after.level as f64 / SCALE as f64;
        assert!((real.bucket.tokens(now(&real)) - expected).abs() < 1e-3);
        real
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: crate::cases(2_000), ..ProptestConfig::default() })]
    #[test]
    fn the_bucket_is_the_model(sequential 1..400 => Real);
}
