//! What outlives a call: its key, its outcome, its dead letter. Between the dispatcher and the journal.
//!
//! What a call does to the journal:
//! - keyed or durable: its intent before the guest starts, its ending after, on a task of its own that no client can drop;
//! - neither: nothing, unless it may have changed something and nobody knows: then a parked letter.

mod arguments;
mod letters;
mod standing;
mod status;
mod worker;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize as _;
use skillhost_core::{Call, CallId, Clock, Digest, Effect, Entry, Failure, FailureKind, Reply};
use skillhost_journal::{
    Begun, Delivery, Ending, Intent, Journal, JournalError, Key, Known, Lease, Priority, Problem, Record,
    Sealer, Settled, State, Timestamp,
};
use skillhost_policy::{
    RedeliveryPolicy, is_safe,
    redelivery::{FailedRun, Next, next},
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{ToolPolicy, cancelled};
pub use letters::{Explained, Letters, LettersError, Restored, Shown};
pub use standing::Standing;
pub use status::call_status;

/// What is told of recovery at start.
#[derive(Debug, Clone)]
pub struct RecoverySettings {
    /// How long a key is held. Default 24 h.
    pub key_ttl: Duration,
    /// How long a call waits for the one that runs under the same key. Default 10 s.
    pub key_wait: Duration,
    /// Whether a call that may have changed something, and nobody knows, leaves a parked letter. Default true.
    pub park_unknown: bool,
    /// Letters that are run at once, 1 to 1,000. Default 4.
    pub concurrency: usize,
    /// How long a call that is no letter can be asked for after its end. Default 24 h.
    pub keep: Duration,
    /// How long a letter stays after its end; then it goes to the archive. Default 30 days.
    pub archive_after: Duration,
    /// The folder of archives.
    pub archive: PathBuf,
}

impl RecoverySettings {
    /// The defaults, with archives in this folder.
    #[must_use]
    pub fn new(archive: PathBuf) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3_600);
        Self {
            key_ttl: DAY,
            key_wait: Duration::from_secs(10),
            park_unknown: true,
            concurrency: 4,
            keep: DAY,
            archive_after: DAY * 30,
            archive,
        }
    }
}

/// How long to sleep before a process that may have been idle looks what others have left.
const POLL: Duration = Duration::from_secs(15);
/// How often a call that runs in another process is asked for.
const ELSEWHERE: Duration = Duration::from_millis(200);

/// Keeps calls that must not be lost.
pub struct Recovery {
    journal: Arc<dyn Journal>,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    settings: RecoverySettings,
    /// Calls that run here, for those who wait for them.
    flights: Mutex<HashMap<CallId, watch::Receiver<()>>>,
    /// Notified when a letter may be due earlier than was known.
    due: Notify,
}

/// A call that is about to be written down.
pub(crate) struct Plan<'a> {
    /// The tool's full name.
    pub(crate) tool: &'a str,
    pub(crate) call: &'a Call,
    pub(crate) entry: &'a Entry,
    pub(crate) policy: &'a ToolPolicy,
    pub(crate) durable: bool,
    pub(crate) priority: Option<Priority>,
    pub(crate) key: Option<Key>,
}

/// What a call was before the run that has ended now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    pub(crate) durable: bool,
    pub(crate) safe: bool,
    pub(crate) unknown_effect: bool,
    pub(crate) tries: u32,
    pub(crate) max_tries: u32,
    pub(crate) begun: Timestamp,
    pub(crate) gives_up: Timestamp,
    /// Whether somebody waits for the answer.
    pub(crate) attended: bool,
}

/// What a key that is held gives.
pub(crate) enum Held {
    /// The outcome that was kept.
    Outcome(CallId, Reply),
    /// Where the call is.
    At(Standing),
}

impl Recovery {
    /// With this journal. Secret arguments are sealed by `sealer`.
    #[must_use]
    pub fn new(
        journal: Arc<dyn Journal>,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
        settings: RecoverySettings,
    ) -> Arc<Self> {
        Arc::new(Self { journal, sealer, clock, settings, flights: Mutex::default(), due: Notify::new() })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall().into()
    }

    /// A key as it is kept. `canonical` are the arguments.
    pub(crate) fn key(&self, key: &str, canonical: Option<&str>) -> Result<Key, Failure> {
        let fingerprint: Digest =
            self.sealer.fingerprint(canonical.unwrap_or_default()).map_err(|error| unavailable(&error))?;
        Ok(Key { key: key.to_owned(), fingerprint, expires: self.now().plus(self.settings.key_ttl) })
    }

    /// What is known of a key that is held. A call that runs under it is waited for, within bounds.
    pub(crate) async fn held(
        &self,
        call: &Call,
        tool: &str,
        key: &Key,
        cancel: &CancellationToken,
    ) -> Result<Option<Held>, Failure> {
        let patience = self.clock.now() + self.settings.key_wait;
        loop {
            let now = self.now();
            let known = self.journal.known(call.caller.as_str(), tool, &key.key, now).await;
            let Some(known) = known.map_err(|error| unavailable(&error))? else { return Ok(None) };
            if known.fingerprint != key.fingerprint {
                return Err(Failure::new(
                    FailureKind::KeyConflict,
                    format!(
                        "the key `{}` was used before with other arguments, for the call {}",
                        key.key, known.id
                    ),
                ));
            }
            let runs = known.record.as_ref().is_some_and(|record| record.state == State::Running);
            if !runs || self.clock.now() >= patience {
                return Ok(Some(self.answer(known)));
            }
            let flight = self.flights.lock().unwrap_or_else(PoisonError::into_inner).get(&known.id).cloned();
            let ended = async {
                match flight {
                    // It is dropped when the call has ended.
                    Some(mut flight) => while flight.changed().await.is_ok() {},
                    None => {
                        // Its process may be dead, and nobody have seen it yet.
                        if let Err(error) = self.take_over().await {
                            tracing::warn!(%error, "recovery: the journal cannot be used now");
                        }
                        tokio::time::sleep(ELSEWHERE).await;
                    }
                }
            };
            tokio::select! {
                () = ended => {}
                () = tokio::time::sleep_until(patience.into()) => {}
                () = cancel.cancelled() => return Err(cancelled()),
            }
        }
    }

    /// Look after what dead processes left.
    async fn take_over(&self) -> Result<(), JournalError> {
        let taken = self.journal.take_over(self.now()).await?;
        for record in &taken {
            tracing::warn!(call_id = %record.id, correlation_id = record.correlation_id, tool = record.tool, step = "taken-over", state = record.status(), "recovery: the process that ran it is dead");
        }
        if !taken.is_empty() {
            self.due.notify_one();
        }
        Ok(())
    }

    fn answer(&self, known: Known) -> Held {
        let Some(record) = known.record else {
            return Held::At(Standing::archived(known.id));
        };
        match outcome(&record) {
            Some(reply) => Held::Outcome(record.id, reply),
            None => Held::At(Standing::of(&record, self.now())),
        }
    }

    /// Write the intent of a call down. None when its key is held by now.
    pub(crate) async fn begin(&self, plan: &Plan<'_>) -> Result<Option<(Lease, Before)>, Failure> {
        let now = self.now();
        let intent = self.intent(plan, now)?;
        let before = Before {
            durable: plan.durable,
            safe: intent.safe,
            unknown_effect: false,
            tries: 0,
            max_tries: intent.max_tries,
            begun: now,
            gives_up: intent.gives_up,
            attended: true,
        };
        match self.journal.begin(intent, now).await.map_err(|error| unavailable(&error))? {
            Begun::Yes(lease) => Ok(Some((lease, before))),
            Begun::Known(_) => Ok(None),
            Begun::Full => Err(Failure::new(
                FailureKind::Overloaded,
                "there are as many dead letters as there may be; no durable call is taken until some are gone",
            )
            .retry_after(Duration::from_secs(60))),
        }
    }

    fn intent(&self, plan: &Plan<'_>, now: Timestamp) -> Result<Intent, Failure> {
        let Plan { tool, call, entry, policy, .. } = plan;
        Ok(Intent {
            id: call.id,
            tool: (*tool).to_owned(),
            skill: entry.skill.as_str().to_owned(),
            digest: entry.digest,
            caller: call.caller.clone(),
            correlation_id: call.correlation_id.to_string(),
            arguments: arguments::kept(&self.sealer, call, entry, policy)?,
            meta: call.meta.as_deref().map(ToOwned::to_owned),
            delivery: if plan.durable { Delivery::Durable } else { Delivery::Plain },
            safe: is_safe(&entry.spec.annotations),
            priority: plan.priority.unwrap_or(policy.priority),
            max_tries: policy.redelivery.retry.attempts,
            gives_up: now.plus(policy.redelivery.max_age),
            park_unknown: self.settings.park_unknown,
            key: plan.key.clone(),
        })
    }

    /// Whether a call that is not written down leaves a letter when nobody knows what it did.
    pub(crate) fn parks(&self, entry: &Entry) -> bool {
        self.settings.park_unknown && !is_safe(&entry.spec.annotations)
    }

    /// Leave a parked letter for a call that was not written down. It is under way when this returns.
    pub(crate) fn leave(
        &self,
        plan: &Plan<'_>,
        failure: &Failure,
    ) -> impl Future<Output = Option<Standing>> + use<> {
        let now = self.now();
        let problem = Problem::of(failure, Effect::Unknown);
        let left = self.intent(plan, now).map(|intent| self.journal.leave(intent, problem.clone(), now));
        let (id, kind) = (plan.call.id, failure.kind);
        async move {
            let error = match left {
                Err(failure) => failure.message,
                Ok(left) => match left.await {
                    Ok(()) => {
                        tracing::warn!(call_id = %id, kind = kind.code(), step = "parked", "recovery: it may have taken effect; left as a dead letter");
                        return Some(Standing::parked(id, problem));
                    }
                    Err(error) => error.to_string(),
                },
            };
            tracing::error!(call_id = %id, error, "a call whose effect is unknown could not be left as a dead letter");
            None
        }
    }

    /// Tells those who wait for this call when it is dropped.
    pub(crate) fn flight(self: &Arc<Self>, id: CallId) -> Flight {
        let (landed, waiting) = watch::channel(());
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).insert(id, waiting);
        Flight { recovery: Arc::clone(self), id, _landed: landed }
    }

    /// Write down what became of a run. Answers where the call is, unless that is its end.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        lease: Lease,
        before: Before,
        policy: &RedeliveryPolicy,
        ended: Result<&Reply, (&Failure, Effect)>,
        flight: Flight,
    ) -> Option<Standing> {
        let now = self.now();
        let (ending, standing) = match ended {
            Ok(reply) => (Ending::Done(serde_json::to_string(reply).unwrap_or_default()), None),
            Err((failure, effect)) => self.ending(lease.id, before, policy, failure, effect, now),
        };
        let again = matches!(ending, Ending::Again { .. });
        told(lease.id, &ending);
        match self.journal.settle(lease, ending.clone(), now).await {
            Ok(Settled::Yes) => {
                if again {
                    self.due.notify_one();
                }
                standing
            }
            Ok(Settled::Fenced) => {
                tracing::warn!(call_id = %lease.id, "recovery: the call was taken over by another process meanwhile");
                None
            }
            Err(error) => {
                tracing::error!(call_id = %lease.id, %error, "the journal cannot be written; what became of the call is kept until it can");
                // That it is done matters more than its result: less may still fit.
                if let Ending::Done(_) = &ending
                    && let Ok(short) = serde_json::to_string(&standing::too_large())
                    && let Ok(Settled::Yes) = self.journal.settle(lease, Ending::Done(short), now).await
                {
                    tracing::warn!(call_id = %lease.id, "its result did not fit into the journal; that it succeeded is kept");
                    return None;
                }
                tokio::spawn(Arc::clone(self).settle_later(lease, ending, flight));
                standing
            }
        }
    }

    fn ending(
        &self,
        id: CallId,
        before: Before,
        policy: &RedeliveryPolicy,
        failure: &Failure,
        effect: Effect,
        now: Timestamp,
    ) -> (Ending, Option<Standing>) {
        let effect = if before.unknown_effect { Effect::Unknown } else { effect };
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
            park_unknown: self.settings.park_unknown,
        };
        let problem = Problem::of(failure, effect);
        match next(&run, &policy.retry, fastrand::f64()) {
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
                Ok(_) => {
                    tracing::info!(call_id = %lease.id, "the journal can be written again; what became of the call is kept");
                    self.due.notify_one();
                    return;
                }
                Err(error) => tracing::debug!(call_id = %lease.id, %error, "still not"),
            }
        }
    }
}

/// The log's line on what becomes of a call.
fn told(id: CallId, ending: &Ending) {
    match ending {
        Ending::Done(_) => {}
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
    }
}

/// The reply that was kept. One that cannot be read any more is none.
fn outcome(record: &Record) -> Option<Reply> {
    // As deep as a skill's result may be, and then in a reply: one level over what serde_json reads by itself.
    let mut json = serde_json::Deserializer::from_str(record.outcome.as_deref()?);
    json.disable_recursion_limit();
    Reply::deserialize(&mut json)
        .inspect_err(|error| tracing::error!(call_id = %record.id, %error, "a kept reply cannot be read"))
        .ok()
}

/// For whoever called. What exactly is wrong goes to the log: it may name files.
fn unavailable(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "the journal cannot be used");
    Failure::new(
        FailureKind::JournalUnavailable,
        "the host cannot write this call down now, which it must before the call begins",
    )
    .retry_after(Duration::from_secs(5))
}

/// A call that runs here. See [`Recovery::flight`].
pub(crate) struct Flight {
    recovery: Arc<Recovery>,
    id: CallId,
    _landed: watch::Sender<()>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.recovery.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl From<JournalError> for LettersError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}
