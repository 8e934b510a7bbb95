use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::*;

#[expect(clippy::disallowed_methods, reason = "an origin for arithmetic")]
fn start() -> Instant {
    Instant::now()
}

fn settings() -> BreakerSettings {
    BreakerSettings { jitter: 0.0, ..BreakerSettings::default() }
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// A breaker with a clock.
struct Bench {
    breaker: Arc<CircuitBreaker>,
    now: Instant,
}

impl Bench {
    fn new(settings: BreakerSettings) -> Self {
        let now = start();
        Self { breaker: Arc::new(CircuitBreaker::new(settings, now, 7)), now }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn permit(&self) -> Permit {
        self.breaker.admit(self.now).0.expect("a permit")
    }

    fn refused(&self) -> NotPermitted {
        self.breaker.admit(self.now).0.expect_err("refused")
    }

    fn record(&self, permit: Permit, verdict: Verdict) -> Option<Transition> {
        permit.record(verdict, Duration::ZERO, self.now)
    }

    fn calls(&self, verdict: Verdict, n: u32) {
        for _ in 0..n {
            self.record(self.permit(), verdict);
        }
    }

    fn state(&self) -> State {
        self.breaker.snapshot(self.now).state
    }
}

use Verdict::{Failure, Neutral, Success};

#[test]
fn the_presets_are_those_of_the_floor() {
    let default = BreakerSettings::preset("default").unwrap();
    assert_eq!((default.consecutive, default.open, default.probes), (Some(5), seconds(60), 1));
    let remote = BreakerSettings::preset("remote").unwrap();
    assert_eq!((remote.consecutive, remote.open), (Some(3), seconds(60)));
    assert_eq!(BreakerSettings::preset("off").unwrap().mode, Mode::Disabled);
    assert_eq!(BreakerSettings::preset("none"), None);
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
    let bench = Bench::new(settings());
    bench.calls(Failure, 4);
    bench.calls(Success, 1);
    bench.calls(Failure, 4);
    bench.calls(Neutral, 3);
    assert_eq!(bench.state(), State::Closed);
    let opened = bench.record(bench.permit(), Failure).unwrap();
    assert_eq!((opened.from, opened.to, opened.open_for), (State::Closed, State::Open, Some(seconds(60))));
    assert_eq!(opened.reason, "5 failures in a row");
}

// Fault: "retry after" names the full time instead of what is left.
#[test]
fn a_refusal_names_what_is_left() {
    let mut bench = Bench::new(settings());
    bench.calls(Failure, 5);
    for left in [60, 59, 30, 1] {
        bench.now = bench.now + bench.breaker.snapshot(bench.now).remaining.unwrap() - seconds(left);
        assert_eq!(bench.refused(), NotPermitted { retry_after: Some(seconds(left)), state: State::Open });
    }
}

// Fault: a straggler's success while open zeroes the count, so that a failed probe does not reopen.
#[test]
fn a_straggler_changes_nothing_whatever_it_says() {
    for verdict in [Success, Failure, Neutral] {
        let mut bench = Bench::new(settings());
        let before = [bench.permit(), bench.permit(), bench.permit()];
        let [one, two, three] = before;
        bench.calls(Failure, 5);
        assert!(bench.record(one, verdict).is_none());
        assert_eq!(bench.state(), State::Open);
        // Fault: late failures stretch the cooldown.
        bench.pass(seconds(30));
        assert!(bench.record(two, verdict).is_none());
        assert_eq!(bench.refused().retry_after, Some(seconds(30)));
        bench.pass(seconds(30));
        let probe = bench.permit();
        // Fault: a straggler frees half-open slots it never took.
        assert!(bench.record(three, verdict).is_none());
        assert_eq!(bench.refused().state, State::HalfOpen);
        let reopened = bench.record(probe, Failure).unwrap();
        assert_eq!(reopened.to, State::Open);
        assert_eq!(bench.breaker.snapshot(bench.now).late, 3);
    }
}

// Fault of Resilience4j: results count for the state of the moment, whoever gave the permit.
#[test]
fn results_of_a_probe_do_not_count_once_closed() {
    let mut bench = Bench::new(BreakerSettings { probes: 3, probe_ratio: 0.3, ..settings() });
    bench.calls(Failure, 5);
    bench.pass(seconds(60));
    let (one, two, three) = (bench.permit(), bench.permit(), bench.permit());
    assert_eq!(bench.record(one, Success).unwrap().to, State::Closed);
    bench.record(two, Failure);
    bench.record(three, Failure);
    assert_eq!(bench.breaker.snapshot(bench.now).consecutive, 0);
}

// Fault of Polly: a cancelled probe closes the circuit.
#[test]
fn a_probe_that_is_dropped_says_nothing_and_leaves_its_slot() {
    let mut bench = Bench::new(settings());
    bench.calls(Failure, 5);
    bench.pass(seconds(60));
    for _ in 0..10 {
        let probe = bench.permit();
        assert_eq!(bench.refused().state, State::HalfOpen);
        drop(probe);
        assert_eq!(bench.state(), State::HalfOpen);
    }
    bench.record(bench.permit(), Neutral);
    assert_eq!(bench.state(), State::HalfOpen);
    assert_eq!(bench.record(bench.permit(), Success).unwrap().to, State::Closed);
}

// Fault of Polly and Resilience4j: a probe that hangs blocks for ever.
#[test]
fn a_probe_that_hangs_blocks_nothing_for_ever() {
    let mut bench = Bench::new(settings());
    bench.calls(Failure, 5);
    bench.pass(seconds(60));
    let hangs = bench.permit();
    bench.pass(seconds(59));
    assert_eq!(bench.refused().retry_after, Some(seconds(1)));
    bench.pass(seconds(2));
    // It opened at its deadline, a second ago, for twice as long.
    let (refused, transitions) = bench.breaker.admit(bench.now);
    assert_eq!(refused.unwrap_err().retry_after, Some(seconds(119)));
    assert_eq!(transitions[0].reason, "probes did not come back in time");
    bench.pass(seconds(119));
    let probe = bench.permit();
    assert!(bench.record(hangs, Success).is_none());
    assert_eq!(bench.record(probe, Success).unwrap().to, State::Closed);
}

#[test]
fn probes_that_hung_long_ago_are_told_as_both_transitions() {
    let mut bench = Bench::new(settings());
    bench.calls(Failure, 5);
    bench.pass(seconds(60));
    let _hangs = bench.permit();
    bench.pass(seconds(3_600));
    let (permit, transitions) = bench.breaker.admit(bench.now);
    assert!(permit.is_ok());
    let states: Vec<_> = transitions.iter().map(|transition| transition.to).collect();
    assert_eq!(states, [State::Open, State::HalfOpen]);
}

#[test]
fn half_open_without_calls_waits_for_them() {
    let mut bench = Bench::new(settings());
    bench.calls(Failure, 5);
    bench.pass(seconds(60));
    drop(bench.permit());
    // Longer than the probes' deadline, but there were none.
    bench.pass(seconds(3_600));
    assert_eq!(bench.record(bench.permit(), Success).unwrap().to, State::Closed);
}

#[test]
fn the_open_time_grows_to_its_cap_and_starts_anew_once_closed() {
    let mut bench = Bench::new(settings());
    let mut times = vec![];
    bench.calls(Failure, 4);
    for _ in 0..6 {
        let open = bench.record(bench.permit(), Failure).unwrap().open_for.unwrap();
        times.push(open.as_secs());
        bench.pass(open);
    }
    assert_eq!(times, [60, 120, 240, 480, 600, 600]);
    assert_eq!(bench.record(bench.permit(), Success).unwrap().to, State::Closed);
    bench.calls(Failure, 4);
    assert_eq!(bench.record(bench.permit(), Failure).unwrap().open_for, Some(seconds(60)));
}

#[test]
fn jitter_only_lengthens_and_differs() {
    let times: Vec<_> = (0..50)
        .map(|seed| {
            let now = start();
            let breaker = CircuitBreaker::new(BreakerSettings { jitter: 0.5, ..settings() }, now, seed);
            let bench = Bench { breaker: Arc::new(breaker), now };
            bench.calls(Failure, 4);
            bench.record(bench.permit(), Failure).unwrap().open_for.unwrap()
        })
        .collect();
    assert!(times.iter().all(|time| (seconds(60)..=seconds(90)).contains(time)));
    let (shortest, longest) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*longest - *shortest > seconds(15), "{shortest:?} to {longest:?}");
}

#[test]
fn a_rate_counts_from_enough_calls_on() {
    let rates = BreakerSettings { consecutive: None, min_calls: 10, ..settings() };
    let bench = Bench::new(rates.clone());
    for _ in 0..4 {
        bench.calls(Failure, 1);
        bench.calls(Success, 1);
    }
    bench.calls(Success, 1);
    // 4 of 9; the tenth makes it 5 of 10.
    let opened = bench.record(bench.permit(), Failure).unwrap();
    assert_eq!(opened.reason, "5 of the last 10 calls failed");
    let bench = Bench::new(rates);
    bench.calls(Success, 100);
    bench.calls(Failure, 49);
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(bench.record(bench.permit(), Failure).unwrap().reason, "50 of the last 100 calls failed");
}

#[test]
fn slow_calls_open_it_where_that_is_asked_for() {
    let slow = BreakerSettings { slow_rate: Some(0.5), slow_call: seconds(2), min_calls: 4, ..settings() };
    let bench = Bench::new(slow);
    for took in [1, 2, 1] {
        bench.permit().record(Success, seconds(took), bench.now);
    }
    let opened = bench.permit().record(Success, seconds(2), bench.now).unwrap();
    assert_eq!(opened.reason, "2 of the last 4 calls took 2 s or more");
    let mut bench = Bench { now: bench.now, breaker: bench.breaker };
    bench.pass(seconds(60));
    // A probe that is as slow as before is no sign of health.
    assert_eq!(bench.permit().record(Success, seconds(2), bench.now).unwrap().to, State::Open);
    let off = Bench::new(settings());
    for _ in 0..100 {
        assert!(off.permit().record(Success, seconds(3_600), off.now).is_none());
    }
}

#[test]
fn a_window_of_time_forgets() {
    let window = Window::Time(seconds(10));
    let rates = BreakerSettings { consecutive: None, min_calls: 4, window, ..settings() };
    let mut bench = Bench::new(rates);
    bench.calls(Failure, 3);
    bench.pass(seconds(10));
    bench.calls(Failure, 3);
    assert_eq!((bench.state(), bench.breaker.snapshot(bench.now).calls), (State::Closed, 3));
    bench.calls(Failure, 1);
    assert_eq!(bench.state(), State::Open);
}

#[test]
fn half_open_asks_as_many_probes_as_it_is_told() {
    for (ratio, verdicts, to) in [
        (1.0, vec![Success, Success, Success], State::Closed),
        (1.0, vec![Success, Failure], State::Open),
        (0.6, vec![Failure, Success, Success], State::Closed),
        (0.6, vec![Failure, Success, Failure], State::Open),
    ] {
        let mut bench = Bench::new(BreakerSettings { probes: 3, probe_ratio: ratio, ..settings() });
        bench.calls(Failure, 5);
        bench.pass(seconds(60));
        let probes: Vec<_> = (0..3).map(|_| bench.permit()).collect();
        assert_eq!(bench.refused().state, State::HalfOpen);
        let last =
            probes.into_iter().zip(&verdicts).map(|(probe, verdict)| bench.record(probe, *verdict)).last();
        assert_eq!(last.flatten().unwrap().to, to, "{ratio} {verdicts:?}");
    }
}

#[test]
fn an_operator_decides_and_what_was_counted_before_does_not() {
    let bench = Bench::new(settings());
    bench.calls(Failure, 4);
    assert_eq!(bench.breaker.set_mode(Mode::Normal), None);
    assert_eq!(bench.breaker.set_mode(Mode::ForcedOpen).unwrap().to, State::ForcedOpen);
    assert_eq!(bench.refused(), NotPermitted { retry_after: None, state: State::ForcedOpen });
    assert_eq!(bench.breaker.set_mode(Mode::Normal).unwrap().to, State::Closed);
    bench.calls(Failure, 4);
    assert_eq!(bench.state(), State::Closed);
    bench.calls(Failure, 1);
    // Forced open and back again, the open time goes on; let through and back, it is over.
    bench.breaker.set_mode(Mode::ForcedOpen);
    assert_eq!(bench.breaker.set_mode(Mode::Normal).unwrap().to, State::Open);
    bench.breaker.set_mode(Mode::MetricsOnly);
    bench.calls(Failure, 50);
    assert_eq!(bench.breaker.snapshot(bench.now).failures, 50);
    assert_eq!(bench.breaker.set_mode(Mode::Normal).unwrap().to, State::Closed);
}

#[test]
fn a_reset_makes_every_permit_a_straggler() {
    let bench = Bench::new(settings());
    let late = bench.permit();
    bench.calls(Failure, 5);
    assert_eq!(bench.breaker.reset().unwrap().to, State::Closed);
    assert_eq!(bench.breaker.reset(), None);
    bench.calls(Failure, 4);
    bench.record(late, Failure);
    assert_eq!(bench.state(), State::Closed);
}

/// The breaker as everybody would write it down: every permit in a list, every call of the state in another.
#[derive(Debug, Clone)]
struct Model {
    settings: BreakerSettings,
    now: u64,
    era: u64,
    at: At,
    /// (era, still out)
    permits: Vec<(u64, bool)>,
    /// Verdicts of this era.
    calls: Vec<bool>,
    reopened: u32,
}

#[derive(Debug, Clone, PartialEq)]
enum At {
    Closed,
    Open { until: u64 },
    HalfOpen { since: u64 },
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Admit,
    Record(usize, bool),
    Drop(usize),
}

impl Model {
    fn go(&mut self, at: At) {
        self.at = at;
        self.era += 1;
        self.calls.clear();
    }

    fn trip(&mut self, at: u64) {
        let open = (60_000.0 * 2f64.powi(i32::try_from(self.reopened).unwrap())).min(600_000.0);
        self.reopened += 1;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most ten minutes")]
        self.go(At::Open { until: at + open as u64 });
    }

    fn out(&self) -> usize {
        self.permits.iter().filter(|(era, out)| *out && *era == self.era).count()
    }

    /// Whether a call is let through now; takes a permit if so.
    fn admit(&mut self) -> bool {
        if let At::HalfOpen { since } = self.at {
            if self.out() == 0 {
                self.at = At::HalfOpen { since: self.now };
            } else if self.now >= since + 60_000 {
                self.trip(since + 60_000);
            }
        }
        if let At::Open { until } = self.at
            && self.now >= until
        {
            self.go(At::HalfOpen { since: self.now });
        }
        let permitted = match self.at {
            At::Closed => true,
            At::Open { .. } => false,
            At::HalfOpen { .. } => self.out() + self.calls.len() < self.settings.probes as usize,
        };
        if permitted {
            self.permits.push((self.era, true));
        }
        permitted
    }

    fn record(&mut self, permit: usize, failed: bool) {
        let (era, out) = &mut self.permits[permit];
        *out = false;
        if *era != self.era {
            return;
        }
        self.calls.push(failed);
        let failures = u32::try_from(self.calls.iter().filter(|failed| **failed).count()).unwrap();
        match self.at {
            At::Open { .. } => unreachable!(),
            At::Closed => {
                let most = self.settings.consecutive.unwrap_or(u32::MAX) as usize;
                let row = self.calls.iter().rev().take_while(|failed| **failed).count();
                let Window::Calls(window) = self.settings.window else { unreachable!() };
                let last: Vec<_> = self.calls.iter().rev().take(window as usize).collect();
                let ill = last.iter().filter(|failed| ***failed).count();
                let rate = self.settings.failure_rate.unwrap_or(2.0);
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let over =
                    last.len() >= self.settings.min_calls as usize && ill as f64 >= rate * last.len() as f64;
                if failed && (row >= most || over) {
                    self.trip(self.now);
                }
            }
            At::HalfOpen { .. } => {
                let needed = self.settings.needed();
                let successes = u32::try_from(self.calls.len()).unwrap() - failures;
                if successes >= needed {
                    self.reopened = 0;
                    self.go(At::Closed);
                } else if failures > self.settings.probes - needed {
                    self.trip(self.now);
                }
            }
        }
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let consecutive = prop::option::of(1u32..6);
        (consecutive, 1u32..12, 1u32..8, prop::option::of(0.1..=1.0f64), 1u32..5, 0.1..=1.0f64)
            .prop_map(|(consecutive, window, min_calls, failure_rate, probes, probe_ratio)| {
                let min_calls = min_calls.min(window);
                let window = Window::Calls(window);
                let settings = BreakerSettings {
                    consecutive,
                    window,
                    min_calls,
                    failure_rate,
                    probes,
                    probe_ratio,
                    ..settings()
                };
                Self { settings, now: 0, era: 0, at: At::Closed, permits: vec![], calls: vec![], reopened: 0 }
            })
            .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        prop_oneof![
            3 => (0u64..40_000).prop_map(Step::Pass),
            1 => (0u64..700_000).prop_map(Step::Pass),
            6 => Just(Step::Admit),
            6 => (any::<usize>(), prop::bool::weighted(0.6)).prop_map(|(n, failed)| Step::Record(n, failed)),
            1 => any::<usize>().prop_map(Step::Drop),
        ]
        .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        let out: Vec<_> = (0..state.permits.len()).filter(|n| state.permits[*n].1).collect();
        match *step {
            Step::Pass(ms) => state.now += ms,
            Step::Admit => {
                state.admit();
            }
            Step::Record(n, failed) if !out.is_empty() => state.record(out[n % out.len()], failed),
            Step::Drop(n) if !out.is_empty() => state.permits[out[n % out.len()]].1 = false,
            Step::Record(..) | Step::Drop(_) => {}
        }
        state
    }
}

struct Real {
    bench: Bench,
    permits: Vec<Option<Permit>>,
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        Self { bench: Bench::new(model.settings.clone()), permits: vec![] }
    }

    fn apply(mut real: Self, after: &Model, step: Step) -> Self {
        let out: Vec<_> = (0..real.permits.len()).filter(|n| real.permits[*n].is_some()).collect();
        match step {
            Step::Pass(ms) => real.bench.pass(Duration::from_millis(ms)),
            Step::Admit => {
                if let Ok(permit) = real.bench.breaker.admit(real.bench.now).0 {
                    real.permits.push(Some(permit));
                }
                assert_eq!(real.permits.len(), after.permits.len(), "a permit was given or refused wrongly");
            }
            Step::Record(n, failed) if !out.is_empty() => {
                let permit = real.permits[out[n % out.len()]].take().unwrap();
                real.bench.record(permit, if failed { Failure } else { Success });
            }
            Step::Drop(n) if !out.is_empty() => drop(real.permits[out[n % out.len()]].take()),
            Step::Record(..) | Step::Drop(_) => {}
        }
        let snapshot = real.bench.breaker.snapshot(real.bench.now);
        let (state, remaining) = match after.at {
            At::Closed => (State::Closed, None),
            At::Open { until } => (State::Open, Some(Duration::from_millis(until.saturating_sub(after.now)))),
            At::HalfOpen { .. } => (State::HalfOpen, None),
        };
        assert_eq!((snapshot.state, snapshot.remaining), (state, remaining));
        real
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: crate::cases(4_000), ..ProptestConfig::default() })]
    #[test]
    fn the_breaker_is_the_model(sequential 1..400 => Real);
}
