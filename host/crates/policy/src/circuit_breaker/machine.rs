//! The state machine. Pure: the time comes in, the next state goes out.

use std::time::{Duration, Instant};

use skillhost_core::Verdict;

use super::{
    BreakerSettings, Mode, State,
    window::{Sliding, Totals},
};

/// How long to stay away when all probes are under way: nobody knows when they come back.
const PROBING: Duration = Duration::from_secs(1);

/// A breaker refuses a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotPermitted {
    /// What is left of the open time; none when an operator opened it.
    pub retry_after: Option<Duration>,
    /// Where it stands.
    pub state: State,
}

/// A breaker went from one state to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Where it stood.
    pub from: State,
    /// Where it stands.
    pub to: State,
    /// Why, for people.
    pub reason: String,
    /// How long it stays open.
    pub open_for: Option<Duration>,
}

/// How a breaker stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Where.
    pub state: State,
    /// Why it opened last; kept while it is closed again.
    pub reason: Option<String>,
    /// What is left of the open time.
    pub remaining: Option<Duration>,
    /// Failures in a row.
    pub consecutive: u32,
    /// Calls in the window.
    pub calls: u32,
    /// Failures in the window.
    pub failures: u32,
    /// Slow calls in the window.
    pub slow: u32,
    /// Calls refused since the start.
    pub not_permitted: u64,
    /// Times it opened since the start.
    pub opened: u64,
    /// Results that came after the state that had let them through.
    pub late: u64,
    /// How long ago the last call failed.
    pub last_failure: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Machine {
    settings: BreakerSettings,
    at: At,
    /// Grows with each transition. Results of older generations change nothing.
    generation: u64,
    window: Sliding,
    consecutive: u32,
    /// Times it opened since it was last closed.
    reopened: u32,
    random: fastrand::Rng,
    reason: Option<String>,
    last_failure: Option<Instant>,
    not_permitted: u64,
    opened: u64,
    late: u64,
}

#[derive(Debug, Clone, Copy)]
enum At {
    Closed,
    Open { until: Instant },
    HalfOpen { since: Instant, in_flight: u32, succeeded: u32, failed: u32 },
}

impl Machine {
    pub(super) fn new(settings: BreakerSettings, now: Instant, seed: u64) -> Self {
        Self {
            window: Sliding::new(settings.window, now),
            at: At::Closed,
            generation: 0,
            consecutive: 0,
            reopened: 0,
            random: fastrand::Rng::with_seed(seed),
            reason: None,
            last_failure: None,
            not_permitted: 0,
            opened: 0,
            late: 0,
            settings,
        }
    }

    /// Whether a call would be let through.
    pub(super) fn look(&mut self, now: Instant) -> Result<(), NotPermitted> {
        let refused = match (self.settings.mode, self.at) {
            (Mode::Disabled | Mode::MetricsOnly, _) => return Ok(()),
            (Mode::ForcedOpen, _) => NotPermitted { retry_after: None, state: State::ForcedOpen },
            (Mode::Normal, At::Closed) => return Ok(()),
            (Mode::Normal, At::Open { until }) if now >= until => return Ok(()),
            (Mode::Normal, At::Open { until }) => self.open(until, now),
            (Mode::Normal, At::HalfOpen { since, in_flight, succeeded, failed }) => {
                let deadline = since + self.settings.probe_deadline;
                if in_flight + succeeded + failed < self.settings.probes {
                    return Ok(());
                }
                // Past the deadline the next permit settles what follows.
                if now >= deadline {
                    return Ok(());
                }
                NotPermitted { retry_after: Some(PROBING.min(deadline - now)), state: State::HalfOpen }
            }
        };
        self.not_permitted += 1;
        Err(refused)
    }

    fn open(&self, until: Instant, now: Instant) -> NotPermitted {
        NotPermitted { retry_after: Some(until.saturating_duration_since(now)), state: State::Open }
    }

    /// Let a call through, with the generation of its permit.
    pub(super) fn admit(&mut self, now: Instant) -> (Result<u64, NotPermitted>, Vec<Transition>) {
        // Allocates only when there are some.
        let mut transitions = vec![];
        if self.settings.mode == Mode::Normal {
            // Probes that have not come back in time: as if they had failed, at that moment.
            if let At::HalfOpen { since, in_flight: 1.., .. } = self.at
                && now >= since + self.settings.probe_deadline
            {
                let deadline = since + self.settings.probe_deadline;
                transitions.push(self.trip("probes did not come back in time".into(), deadline));
            }
            if let At::Open { until } = self.at
                && now >= until
            {
                let at = At::HalfOpen { since: now, in_flight: 0, succeeded: 0, failed: 0 };
                transitions.push(self.go(at, "the open time is over".into(), None));
            }
            if let At::HalfOpen { since, in_flight, .. } = &mut self.at {
                // The deadline is that of probes, not of the wait for some.
                if *in_flight == 0 {
                    *since = now;
                }
            }
        }
        let admitted = self.look(now);
        if admitted.is_ok()
            && let At::HalfOpen { in_flight, .. } = &mut self.at
        {
            *in_flight += 1;
        }
        (admitted.map(|()| self.generation), transitions)
    }

    /// A call that was let through has ended.
    pub(super) fn record(
        &mut self,
        generation: u64,
        verdict: Verdict,
        took: Duration,
        now: Instant,
    ) -> Option<Transition> {
        if generation != self.generation {
            self.late += 1;
            return None;
        }
        if self.settings.mode == Mode::Disabled || verdict == Verdict::Neutral {
            self.release(generation);
            return None;
        }
        let failed = verdict == Verdict::Failure;
        if failed {
            self.last_failure = Some(now);
        }
        let slow = self.settings.slow_rate.is_some() && took >= self.settings.slow_call;
        match &mut self.at {
            // No permit is of an open generation.
            At::Open { .. } => None,
            At::Closed => {
                self.window.record(failed, slow, now);
                self.consecutive = if failed { self.consecutive.saturating_add(1) } else { 0 };
                if self.settings.mode != Mode::Normal {
                    return None;
                }
                let reason = self.too_ill(failed, slow, now)?;
                Some(self.trip(reason, now))
            }
            At::HalfOpen { in_flight, succeeded, failed: failures, .. } => {
                *in_flight = in_flight.saturating_sub(1);
                if failed || slow {
                    *failures += 1;
                } else {
                    *succeeded += 1;
                }
                let (succeeded, failures) = (*succeeded, *failures);
                let (needed, probes) = (self.settings.needed(), self.settings.probes);
                if succeeded >= needed {
                    self.reopened = 0;
                    let reason = format!("{succeeded} of {probes} probes succeeded");
                    Some(self.go(At::Closed, reason, None))
                } else if failures > probes - needed {
                    Some(self.trip(format!("{failures} of {probes} probes failed or were slow"), now))
                } else {
                    None
                }
            }
        }
    }

    /// A permit that says nothing: a probe's slot is free again.
    pub(super) fn release(&mut self, generation: u64) {
        if generation == self.generation
            && let At::HalfOpen { in_flight, .. } = &mut self.at
        {
            *in_flight = in_flight.saturating_sub(1);
        }
    }

    /// Why the breaker must open, after one more call.
    fn too_ill(&mut self, failed: bool, slow: bool, now: Instant) -> Option<String> {
        if !failed && !slow {
            return None;
        }
        let settings = &self.settings;
        if failed && settings.consecutive.is_some_and(|most| self.consecutive >= most) {
            return Some(format!("{} failures in a row", self.consecutive));
        }
        let totals = self.window.totals(now);
        if totals.calls < settings.min_calls {
            return None;
        }
        let over = |count: u32, rate: Option<f64>| {
            rate.is_some_and(|rate| f64::from(count) >= rate * f64::from(totals.calls))
        };
        if failed && over(totals.failures, settings.failure_rate) {
            return Some(format!("{} of the last {} calls failed", totals.failures, totals.calls));
        }
        if slow && over(totals.slow, settings.slow_rate) {
            let limit = settings.slow_call.as_secs_f64();
            return Some(format!(
                "{} of the last {} calls took {limit} s or more",
                totals.slow, totals.calls
            ));
        }
        None
    }

    /// Open at `now`.
    fn trip(&mut self, reason: String, now: Instant) -> Transition {
        let settings = &self.settings;
        let growth = settings.growth.powi(i32::try_from(self.reopened).unwrap_or(i32::MAX));
        // `f64::min` also takes the bound where the product is infinite.
        let seconds = (settings.open.as_secs_f64() * growth).min(settings.max_open.as_secs_f64());
        let open = Duration::from_secs_f64(seconds * (1.0 + settings.jitter * self.random.f64()));
        self.reopened = self.reopened.saturating_add(1);
        self.opened += 1;
        self.reason = Some(reason.clone());
        self.go(At::Open { until: now + open }, reason, Some(open))
    }

    fn go(&mut self, at: At, reason: String, open_for: Option<Duration>) -> Transition {
        let from = self.state();
        self.at = at;
        self.generation += 1;
        self.window.clear();
        self.consecutive = 0;
        Transition { from, to: self.state(), reason, open_for }
    }

    pub(super) fn set_mode(&mut self, mode: Mode) -> Option<Transition> {
        let from = self.state();
        if self.settings.mode == mode {
            return None;
        }
        self.settings.mode = mode;
        // What was counted under other rules counts no more; an open time goes on, unless calls are to pass.
        let stays = matches!(self.at, At::Open { .. }) && matches!(mode, Mode::Normal | Mode::ForcedOpen);
        let at = if stays { self.at } else { At::Closed };
        Some(Transition { from, ..self.go(at, "the operator's word".into(), None) })
    }

    pub(super) fn reset(&mut self) -> Option<Transition> {
        let stood = !matches!(self.at, At::Closed) && self.settings.mode == Mode::Normal;
        self.reopened = 0;
        let transition = self.go(At::Closed, "there is another version of the skill".into(), None);
        stood.then_some(transition)
    }

    fn state(&self) -> State {
        match (self.settings.mode, self.at) {
            (Mode::ForcedOpen, _) => State::ForcedOpen,
            (Mode::Disabled, _) => State::Disabled,
            (Mode::MetricsOnly, _) => State::MetricsOnly,
            (Mode::Normal, At::Closed) => State::Closed,
            (Mode::Normal, At::Open { .. }) => State::Open,
            (Mode::Normal, At::HalfOpen { .. }) => State::HalfOpen,
        }
    }

    pub(super) fn snapshot(&mut self, now: Instant) -> Snapshot {
        let Totals { calls, failures, slow } = self.window.totals(now);
        let remaining = match (self.settings.mode, self.at) {
            (Mode::Normal, At::Open { until }) => Some(until.saturating_duration_since(now)),
            _ => None,
        };
        Snapshot {
            state: self.state(),
            reason: self.reason.clone(),
            remaining,
            consecutive: self.consecutive,
            calls,
            failures,
            slow,
            not_permitted: self.not_permitted,
            opened: self.opened,
            late: self.late,
            last_failure: self.last_failure.map(|at| now.saturating_duration_since(at)),
        }
    }
}
