//! What becomes of a journalled call that did not succeed: run again from the queue, parked, or at its end.
//!
//! Only what certainly had no effect, or does no harm when it runs twice, is run again. A run that was refused before it
//! began spends no try. Whatever else a durable call ends with is left for somebody to judge.

use std::time::Duration;

use skillhost_core::{Effect, Failure, FailureKind};

use crate::RetryPolicy;

/// When a durable call is run again, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct RedeliveryPolicy {
    /// Runs and the delays between them; the call's first run is one of them. Default 5 runs, 60 s apart and twice as
    /// long each time, up to an hour, with jitter.
    pub retry: RetryPolicy,
    /// From this age on it is parked instead. Default 24 h.
    pub max_age: Duration,
}

impl Default for RedeliveryPolicy {
    fn default() -> Self {
        let (first, cap) = (Duration::from_secs(60), Duration::from_secs(3_600));
        let delays = crate::Delays::Exponential { first, cap };
        let retry = RetryPolicy { attempts: 5, delays, jitter: true, attempt_timeout: None };
        Self { retry, max_age: Duration::from_secs(24 * 3_600) }
    }
}

/// A run of a journalled call that did not succeed.
#[derive(Debug, Clone, Copy)]
pub struct FailedRun<'a> {
    /// Why.
    pub failure: &'a Failure,
    /// Whether this run, or one before it, can have changed the world.
    pub effect: Effect,
    /// Whether the tool does no harm when it runs twice.
    pub safe: bool,
    /// Whether it must happen.
    pub durable: bool,
    /// Runs that counted before this one.
    pub tries: u32,
    /// How many there may be.
    pub max_tries: u32,
    /// How old the call is.
    pub age: Duration,
    /// From which age on it is parked.
    pub max_age: Duration,
    /// Whether somebody waits for the answer, who can mend the arguments.
    pub attended: bool,
    /// Whether calls that nobody can judge are parked, though they need not happen.
    pub park_unknown: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It ends; it took no effect.
    Fail,
    /// It ends; nobody knows whether it took effect.
    Unknown,
    /// It waits for somebody to judge it.
    Park,
    /// It is run again.
    Again {
        /// After this long.
        after: Duration,
        /// Whether the run counts.
        spent: bool,
    },
}

/// What becomes of a run that failed. `random` is from 0 to 1, for the jitter.
#[must_use]
pub fn next(run: &FailedRun<'_>, retry: &RetryPolicy, random: f64) -> Next {
    let unknown = run.effect == Effect::Unknown;
    if !run.durable {
        return match (unknown, run.park_unknown && !run.safe) {
            (false, _) => Next::Fail,
            (true, true) => Next::Park,
            (true, false) => Next::Unknown,
        };
    }
    if run.attended && !unknown && is_callers_to_mend(run.failure.kind) {
        return Next::Fail;
    }
    if (unknown && !run.safe) || is_final(run.failure.kind) {
        return Next::Park;
    }
    let refused = is_refusal(run.failure.kind);
    let spent = run.tries.saturating_add(u32::from(!refused));
    if run.age >= run.max_age || (!refused && spent >= run.max_tries) {
        return Next::Park;
    }
    // A refusal that says when is taken at its word; others come back as after a first failure.
    let after = match (run.failure.retry_after, refused) {
        (Some(told), true) => told,
        (told, _) => retry.delay(spent.max(1), random).max(told.unwrap_or_default()),
    };
    Next::Again { after, spent: !refused }
}

/// The host turned the run away, or ended it before its guest began: the tool never heard of it.
#[must_use]
pub fn is_refusal(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::UnknownTool
            | FailureKind::NotReady
            | FailureKind::RateLimited
            | FailureKind::Overloaded
            | FailureKind::CircuitOpen
            | FailureKind::ShuttingDown
            | FailureKind::JournalUnavailable
    )
}

/// Another run would end the same way until somebody does something.
fn is_final(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::InvalidInput
            | FailureKind::Denied
            | FailureKind::MissingCapability
            | FailureKind::InputRequired
            | FailureKind::InvalidAnswers
            | FailureKind::KeyConflict
            | FailureKind::Conflict
            | FailureKind::Permanent
            | FailureKind::Unsupported
    )
}

/// Who called is told, and calls again with what was wrong put right, or with the answers: a letter would make it happen twice.
fn is_callers_to_mend(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::InvalidInput
            | FailureKind::Denied
            | FailureKind::MissingCapability
            | FailureKind::InputRequired
            | FailureKind::InvalidAnswers
    )
}

#[cfg(all(test, not(skillhost_loom)))]
mod tests {
    use super::*;

    fn run(failure: &Failure) -> FailedRun<'_> {
        FailedRun {
            failure,
            effect: failure.kind.effect(true),
            safe: false,
            durable: true,
            tries: 0,
            max_tries: 3,
            age: Duration::ZERO,
            max_age: Duration::from_secs(3_600),
            attended: false,
            park_unknown: true,
        }
    }

    fn word(next: Next) -> &'static str {
        match next {
            Next::Fail => "fail",
            Next::Unknown => "unknown",
            Next::Park => "park",
            Next::Again { spent: true, .. } => "again",
            Next::Again { spent: false, .. } => "unspent",
        }
    }

    // Every kind: durable and not safe; durable and safe; durable with somebody waiting; not durable; not durable, safe.
    #[test]
    fn the_table_row_by_row() {
        let table = "\
            unknown-tool       unspent unspent unspent fail fail
            not-ready          unspent unspent unspent fail fail
            invalid-input      park    park    fail    fail fail
            denied             park    park    fail    fail fail
            missing-capability park    park    fail    fail fail
            input-required     park    park    fail    fail fail
            invalid-answers    park    park    fail    fail fail
            key-conflict       park    park    park    fail fail
            conflict           park    park    park    fail fail
            rate-limited       unspent unspent unspent fail fail
            overloaded         unspent unspent unspent fail fail
            circuit-open       unspent unspent unspent fail fail
            journal-unavailable unspent unspent unspent fail fail
            transient          again   again   again   fail fail
            permanent          park    park    park    fail fail
            invalid-output     park    again   park    park unknown
            trap               park    again   park    park unknown
            out-of-fuel        park    again   park    park unknown
            out-of-memory      park    again   park    park unknown
            timeout            park    again   park    park unknown
            cancelled          park    again   park    park unknown
            shutting-down      unspent unspent unspent fail fail
            unsupported        park    park    park    fail fail
            internal           park    again   park    park unknown";
        for (kind, line) in FailureKind::ALL.into_iter().zip(table.lines()) {
            let failure = Failure::new(kind, "");
            let plain = run(&failure);
            let all = [
                plain,
                FailedRun { safe: true, ..plain },
                FailedRun { attended: true, ..plain },
                FailedRun { durable: false, ..plain },
                FailedRun { durable: false, safe: true, ..plain },
            ];
            let words = all.map(|run| word(next(&run, &RetryPolicy::default(), 0.5)));
            let row = format!("{kind} {}", words.join(" "));
            assert_eq!(row, line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        assert_eq!(table.lines().count(), FailureKind::ALL.len());
    }

    #[test]
    fn what_may_have_happened_once_never_runs_again_by_itself() {
        let failure = Failure::new(FailureKind::CircuitOpen, "");
        let run = FailedRun { effect: Effect::Unknown, ..run(&failure) };
        assert_eq!(next(&run, &RetryPolicy::default(), 0.5), Next::Park);
        assert_eq!(word(next(&FailedRun { safe: true, ..run }, &RetryPolicy::default(), 0.5)), "unspent");
    }

    #[test]
    fn tries_and_age_have_an_end_and_refusals_spend_none() {
        let failure = Failure::new(FailureKind::Transient, "");
        let policy = RetryPolicy { jitter: false, ..RedeliveryPolicy::default().retry };
        let after = |tries| next(&FailedRun { tries, ..run(&failure) }, &policy, 0.5);
        assert_eq!(after(0), Next::Again { after: Duration::from_secs(60), spent: true });
        assert_eq!(after(1), Next::Again { after: Duration::from_secs(120), spent: true });
        assert_eq!(after(2), Next::Park);
        let old = FailedRun { age: Duration::from_secs(3_600), ..run(&failure) };
        assert_eq!(next(&old, &policy, 0.5), Next::Park);
        let refused = Failure::new(FailureKind::CircuitOpen, "").retry_after(Duration::from_secs(7));
        let many = FailedRun { tries: 2, ..run(&refused) };
        assert_eq!(next(&many, &policy, 0.5), Next::Again { after: Duration::from_secs(7), spent: false });
        let old = FailedRun { age: Duration::from_secs(3_600), ..many };
        assert_eq!(next(&old, &policy, 0.5), Next::Park);
    }

    #[test]
    fn a_skill_that_says_when_is_not_asked_earlier() {
        let failure = Failure::new(FailureKind::Transient, "").retry_after(Duration::from_secs(600));
        let after = next(&run(&failure), &RetryPolicy::default(), 0.5);
        assert_eq!(after, Next::Again { after: Duration::from_secs(600), spent: true });
    }
}
