use std::time::Instant;

use proptest::prelude::*;
use skillhost_core::FailureKind;

use super::*;

fn policy() -> RetryPolicy {
    RetryPolicy { jitter: false, ..RetryPolicy::default() }
}

fn again(
    policy: &RetryPolicy,
    kind: FailureKind,
    safe: bool,
    attempt: u32,
    remaining: Duration,
) -> Option<Duration> {
    let failure = Failure::new(kind, "");
    let failed = Failed { failure: &failure, effect: kind.effect(true), safe, remaining };
    policy.again(&failed, attempt, 1.0)
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn what_is_not_worth_it_runs_exactly_once() {
    for kind in FailureKind::ALL {
        let expected = match kind.retry() {
            Retry::Always => [true, true],
            Retry::IfSafe => [false, true],
            Retry::Never => [false, false],
        };
        let actual = [false, true].map(|safe| again(&policy(), kind, safe, 1, HOUR).is_some());
        assert_eq!(actual, expected, "{kind}");
    }
}

#[test]
fn the_presets_are_those_of_the_floor() {
    let shown: Vec<_> = RetryPolicy::PRESETS
        .iter()
        .map(|name| {
            let policy = RetryPolicy { jitter: false, ..RetryPolicy::preset(name).unwrap() };
            (*name, policy.attempts, policy.delay(1, 1.0).as_secs_f64(), policy.delay(20, 1.0).as_secs_f64())
        })
        .collect();
    let expected = [
        ("default", 3, 1.0, 10.0),
        ("fs", 3, 0.5, 2.0),
        ("network", 5, 1.0, 30.0),
        ("api", 3, 1.0, 10.0),
        ("off", 1, 1.0, 10.0),
    ];
    assert_eq!(shown, expected);
    assert_eq!(RetryPolicy::preset("none"), None);
}

#[test]
fn listed_delays_come_one_after_the_other() {
    let delays = Delays::Listed([1, 5].map(Duration::from_secs).into());
    let policy = RetryPolicy { delays, ..policy() };
    assert_eq!([1, 2, 3, 99].map(|attempt| policy.delay(attempt, 1.0).as_secs()), [1, 5, 5, 5]);
    let none = RetryPolicy { delays: Delays::Listed([].into()), ..policy };
    assert_eq!(none.delay(1, 1.0), Duration::ZERO);
}

#[test]
fn jitter_spreads_over_the_whole_delay() {
    let policy = RetryPolicy::default();
    let delays = [0.0, 0.25, 1.0].map(|random| policy.delay(2, random).as_millis());
    assert_eq!(delays, [0, 500, 2_000]);
}

#[test]
fn nothing_comes_past_the_deadline() {
    let transient = FailureKind::Transient;
    assert_eq!(again(&policy(), transient, false, 1, Duration::from_secs(1)), None);
    let left = Duration::from_millis(1_001);
    assert_eq!(again(&policy(), transient, false, 1, left), Some(Duration::from_secs(1)));
}

proptest! {
    #[test]
    fn a_delay_is_never_over_its_cap_nor_short_of_what_the_skill_says(
        attempt in 1u32..50, random in 0.0..=1.0f64, says in 0u64..100_000, remaining in 0u64..200_000,
    ) {
        let says = Duration::from_millis(says);
        let policy = RetryPolicy { attempts: 50, ..RetryPolicy::default() };
        prop_assert!(policy.delay(attempt, random) <= Duration::from_secs(10));
        let failure = Failure::new(FailureKind::Transient, "").retry_after(says);
        let remaining = Duration::from_millis(remaining);
        let failed = Failed { failure: &failure, effect: Effect::None, safe: false, remaining };
        if let Some(delay) = policy.again(&failed, attempt, random) {
            prop_assert!(delay >= says && delay < remaining);
        }
    }

    // At any moment: no more retries than the reserve, one a second, and the ratio of the calls.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "an origin for arithmetic")]
    fn a_budget_is_never_overdrawn(steps in prop::collection::vec((0u64..3_000, any::<bool>()), 1..300)) {
        let (mut now, start) = (Instant::now(), Instant::now());
        let budget = RetryBudget::new(RetryBudgetSettings { ratio: 0.2, reserve: 3 }, now);
        let (mut calls, mut retries) = (0.0, 0.0);
        for (ms, is_call) in steps {
            now += Duration::from_millis(ms);
            if is_call {
                budget.deposit(now);
                calls += 1.0;
            } else if budget.withdraw(now) {
                retries += 1.0;
            }
            let most = 3.0 + now.duration_since(start).as_secs_f64() + calls * 0.2;
            prop_assert!(retries <= most + 1e-6, "{retries} retries, {most} allowed");
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an origin for arithmetic")]
fn a_busy_skill_saves_up_and_a_quiet_one_has_a_few() {
    let start = Instant::now();
    let budget = RetryBudget::new(RetryBudgetSettings::default(), start);
    for _ in 0..1_000 {
        budget.deposit(start);
    }
    assert!((budget.left(start) - 110.0).abs() < 1e-6);
    while budget.withdraw(start) {}
    assert!((budget.left(start + HOUR) - 10.0).abs() < 1e-6);
}
