//! Writing down what became of a call.

use std::{sync::Arc, time::Duration};

use skillhost_core::{Effect, Failure, FailureKind, Reply};
use skillhost_journal::{Afterwards, Ending, Lease, Left, Problem, SagaLease, Settled, Timestamp, Token};
use skillhost_policy::{
    RedeliveryPolicy,
    redelivery::{FailedRun, Next, next},
};
use tracing::Instrument as _;

use super::{Before, Flight, POLL, Recovery, standing};
use crate::Standing;

/// How a run ended.
pub(crate) struct Ended<'a> {
    pub(crate) result: Result<&'a Reply, &'a Failure>,
    /// Whether its own guest can have changed the world, in any attempt.
    pub(crate) effect: Effect,
    /// Whether it, or what it made others do, has changed something.
    pub(crate) changed: bool,
    /// Whether its own effects can be taken back.
    pub(crate) undoable: bool,
    /// Whether it made others change something.
    pub(crate) steps: bool,
    /// What it left behind to be taken back by.
    pub(crate) token: Option<Token>,
    /// Attempts that certainly took no effect.
    pub(crate) void: Vec<u32>,
    /// Whether another call made it.
    pub(crate) nested: bool,
}

impl<'a> Ended<'a> {
    /// One that was turned away before it began.
    pub(crate) fn refused(failure: &'a Failure) -> Self {
        Self {
            result: Err(failure),
            effect: Effect::None,
            changed: false,
            undoable: false,
            steps: false,
            token: None,
            void: vec![],
            nested: false,
        }
    }
}

/// What follows from a run's end.
#[derive(Default)]
pub(crate) struct Settlement {
    /// Where the call is, unless that is its end.
    pub(crate) standing: Option<Standing>,
    /// It is to be taken back, with this lease.
    pub(crate) rollback: Option<SagaLease>,
    /// It is to be taken back, once the journal can be written again.
    pub(crate) later: bool,
}

impl Recovery {
    /// Write down what became of a run.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        lease: Lease,
        before: Before,
        policy: &RedeliveryPolicy,
        ended: Ended<'_>,
        flight: Flight,
    ) -> Settlement {
        let now = self.now();
        let (ending, standing) = match ended.result {
            Ok(reply) => {
                let outcome = serde_json::to_string(reply).unwrap_or_default();
                (Ending::Done { outcome, token: ended.token, void: ended.void }, None)
            }
            Err(failure) => self.ending(lease, before, policy, failure, ended, now),
        };
        told(lease, &ending);
        match self.journal.settle(lease, ending.clone(), now).await {
            Ok(Settled::Yes) => {
                let standing = self.consulted(lease.id, standing).await;
                if matches!(ending, Ending::Again { .. }) {
                    self.due.notify_one();
                }
                Settlement { standing, ..Settlement::default() }
            }
            Ok(Settled::RollBack(rollback)) => {
                Settlement { standing, rollback: Some(rollback), later: false }
            }
            Ok(Settled::Fenced) => {
                tracing::warn!(call_id = %lease.id, "recovery: the call was taken over by another process meanwhile");
                Settlement::default()
            }
            Err(error) => {
                tracing::error!(call_id = %lease.id, %error, "the journal cannot be written; what became of the call is kept until it can");
                // That it is done matters more than its result: less may still fit.
                if let Ending::Done { token, void, .. } = &ending
                    && let Ok(outcome) = serde_json::to_string(&standing::too_large())
                    && let short = (Ending::Done { outcome, token: token.clone(), void: void.clone() })
                    && let Ok(settled) = self.journal.settle(lease, short, now).await
                {
                    tracing::warn!(call_id = %lease.id, "its result did not fit into the journal; that it succeeded is kept");
                    let rollback = match settled {
                        Settled::RollBack(rollback) => Some(rollback),
                        Settled::Yes | Settled::Fenced => None,
                    };
                    return Settlement { rollback, ..Settlement::default() };
                }
                let later = matches!(ending, Ending::RollBack { .. });
                tokio::spawn(
                    Arc::clone(self).settle_later(lease, ending, flight).instrument(tracing::Span::current()),
                );
                Settlement { standing, rollback: None, later }
            }
        }
    }

    fn ending(
        &self,
        lease: Lease,
        before: Before,
        policy: &RedeliveryPolicy,
        failure: &Failure,
        ended: Ended<'_>,
        now: Timestamp,
    ) -> (Ending, Option<Standing>) {
        let id = lease.id;
        let own = if before.unknown_effect { Effect::Unknown } else { ended.effect };
        // What may run twice need not be taken back before it does.
        let harmless = before.durable && before.safe;
        // The client of its task is asked in a round of its own. This one has done nothing, and those before it may run twice.
        if failure.kind == FailureKind::InputRequired && harmless && !ended.steps {
            return (Ending::Failed(Problem::of(failure, Effect::None)), None);
        }
        let own_is_due = ended.undoable && own == Effect::Unknown && !harmless;
        let judge = |effect| {
            let run = FailedRun {
                failure,
                effect,
                safe: before.safe,
                durable: before.durable,
                tries: before.tries,
                max_tries: before.max_tries,
                age: now.since(before.begun),
                max_age: before.gives_up.since(before.begun),
                attended: before.attended,
                park_unknown: self.settings.park_unknown && !ended.nested,
            };
            (next(&run, &policy.retry, fastrand::f64()), Problem::of(failure, effect))
        };
        if ended.steps || own_is_due {
            let problem = Problem::of(failure, Effect::Unknown);
            let left = |effect| {
                let (next, problem) = judge(effect);
                match next {
                    Next::Fail => Left::Failed(problem),
                    Next::Unknown => Left::Unknown(problem),
                    Next::Park => Left::Parked(problem),
                    Next::Again { after, spent } => Left::Again { problem, due: now.plus(after), spent },
                }
            };
            // What is harmless stays possible, and is no reason to keep the call from running again.
            let nothing = if harmless { own } else { Effect::None };
            let stained = match left(Effect::Unknown) {
                // Not before what it made others do is taken back.
                Left::Again { problem, .. } => Left::Parked(problem),
                other => other,
            };
            let afterwards = Box::new(Afterwards { clean: left(nothing), stained });
            let effect = own == Effect::Unknown && !harmless;
            let standing = Standing::rolling_back(id, problem.clone());
            return (Ending::RollBack { problem, effect, void: ended.void, afterwards }, Some(standing));
        }
        // What tools it called have changed is not taken back by its saying that it failed.
        let (next, problem) = judge(if ended.changed { Effect::Unknown } else { own });
        match next {
            Next::Fail => (Ending::Failed(problem), None),
            Next::Unknown => (Ending::Unknown(problem.clone()), Some(Standing::unknown(id, problem))),
            Next::Park => (Ending::Parked(problem.clone()), Some(Standing::parked(id, problem))),
            Next::Again { after, spent } => {
                let standing = Standing::waiting(id, problem.clone(), after);
                (Ending::Again { problem, due: now.plus(after), spent }, Some(standing))
            }
        }
    }

    /// The disk was full, say. Until it is not, the call counts as running here, so nobody runs it a second time.
    async fn settle_later(self: Arc<Self>, lease: Lease, ending: Ending, _flight: Flight) {
        let mut pause = Duration::from_millis(500);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL);
            match self.journal.settle(lease, ending.clone(), self.now()).await {
                Ok(settled) => {
                    tracing::info!(call_id = %lease.id, "the journal can be written again; what became of the call is kept");
                    self.due.notify_one();
                    if let Settled::RollBack(rollback) = settled {
                        self.compensate(rollback).await;
                    }
                    return;
                }
                Err(error) => tracing::debug!(call_id = %lease.id, %error, "still not"),
            }
        }
    }
}

/// The log's line on what becomes of a call.
fn told(lease: Lease, ending: &Ending) {
    let id = lease.id;
    match ending {
        Ending::Done { .. } => {}
        Ending::Failed(problem) => {
            tracing::debug!(call_id = %id, step = "failed", kind = problem.kind, "recovery");
        }
        Ending::Unknown(problem) => {
            tracing::warn!(call_id = %id, step = "unknown", kind = problem.kind, "recovery: nobody knows whether it took effect");
        }
        Ending::Again { problem, due, spent } => {
            let step = if *spent { "failed" } else { "refused" };
            tracing::info!(call_id = %id, step, kind = problem.kind, "recovery");
            tracing::info!(call_id = %id, step = "scheduled", %due, "recovery: it will be run again");
        }
        Ending::Parked(problem) => {
            tracing::warn!(call_id = %id, step = "parked", kind = problem.kind, reason = problem.message, "recovery: somebody must judge it");
        }
        Ending::RollBack { problem, .. } => {
            tracing::info!(call_id = %id, step = "rolling-back", kind = problem.kind, "recovery: it failed; what it did is taken back");
        }
    }
}
