//! What outlives a call: its key, its outcome, its dead letter. Between the dispatcher and the journal.
//!
//! What a call does to the journal:
//! - keyed, durable, undoable, or in a saga: its intent before the guest starts, its ending after, on a task of its own that
//!   no client can drop; the same for what it makes others change, and what it made others change is taken back when it fails;
//! - none of that: nothing, unless it may have changed something and nobody knows: then a parked letter.

mod arguments;
mod compensate;
mod letters;
mod rolled_back;
mod sagas;
mod settle;
mod standing;
mod worker;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use serde::Deserialize as _;
use skillhost_core::{
    Call, CallId, Caller, Clock, Digest, Effect, Entry, Failure, FailureKind, KeyValue, Reply, SagaId,
    Versions,
};
use skillhost_journal::{
    Begun, Delivery, Intent, Journal, JournalError, Key, Known, Lease, NotOpen, OnExpiry, Priority, Problem,
    Record, Saga, SagaFilter, SagaState, SagaStep, Sealer, Settled, State, StepOf, Timestamp, Token,
};
use skillhost_policy::is_safe;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{Dispatcher, ToolPolicy, cancelled};
pub use letters::{Explained, Letters, LettersError, Restored, Shown};
pub use rolled_back::{RolledBack, Stays};
pub use sagas::{SagaShown, Sagas, SagasError};
pub(crate) use settle::Ended;
pub use standing::Standing;

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
    /// How long the client of a call that failed, or of an undo, is kept waiting while something is taken back. Default 10 s.
    pub undo_patience: Duration,
    /// Sagas that agents hold.
    pub sagas: SagaSettings,
}

/// What counts for sagas that agents hold.
#[derive(Debug, Clone, PartialEq)]
pub struct SagaSettings {
    /// Whether agents have the tools for them. Default true.
    pub tools: bool,
    /// How long one is open when its agent does not say. Default 1 h.
    pub ttl: Duration,
    /// The longest that an agent may say. Default 24 h.
    pub max_ttl: Duration,
    /// Open ones of a caller at once, 1 to 10,000. Default 100.
    pub max_open: u32,
    /// What becomes of one that is not ended in time, when its agent does not say. Default keep.
    pub on_expiry: OnExpiry,
}

impl Default for SagaSettings {
    fn default() -> Self {
        Self {
            tools: true,
            ttl: Duration::from_secs(3_600),
            max_ttl: Duration::from_secs(24 * 3_600),
            max_open: 100,
            on_expiry: OnExpiry::Keep,
        }
    }
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
            undo_patience: Duration::from_secs(10),
            sagas: SagaSettings::default(),
        }
    }
}

/// How long to sleep before a process that may have been idle looks what others have left.
const POLL: Duration = Duration::from_secs(15);
/// How long to leave a journal alone that cannot be used.
const AILING: Duration = Duration::from_secs(2);
/// How often a call that runs in another process is asked for.
const ELSEWHERE: Duration = Duration::from_millis(200);

/// Keeps calls that must not be lost.
pub struct Recovery {
    journal: Arc<dyn Journal>,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    settings: RecoverySettings,
    /// Calls that run here, for those who wait for them.
    flights: Mutex<HashMap<CallId, Aloft>>,
    /// What is taken back here, for those who wait for it.
    rolling: Mutex<HashMap<SagaId, watch::Receiver<()>>>,
    /// Where versions of skills are found; set once they are.
    versions: OnceLock<Arc<dyn Versions>>,
    /// What skills keep; set where they can.
    keyvalue: OnceLock<Arc<dyn KeyValue>>,
    dispatcher: OnceLock<Weak<Dispatcher>>,
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
    pub(crate) step: Option<StepOf>,
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
        Arc::new(Self {
            journal,
            sealer,
            clock,
            settings,
            flights: Mutex::default(),
            rolling: Mutex::default(),
            versions: OnceLock::new(),
            keyvalue: OnceLock::new(),
            dispatcher: OnceLock::new(),
            due: Notify::new(),
        })
    }

    /// Where versions of skills are found, to take back what they did. Said once; until then nothing is taken back.
    pub fn use_versions(&self, versions: Arc<dyn Versions>) {
        let _ = self.versions.set(versions);
    }

    /// Where skills keep what they need to take back calls: it is removed with the calls.
    pub fn use_keyvalue(&self, keyvalue: Arc<dyn KeyValue>) {
        let _ = self.keyvalue.set(keyvalue);
    }

    /// Whose policies count. Said once.
    pub(crate) fn serve(&self, dispatcher: Weak<Dispatcher>) {
        let _ = self.dispatcher.set(dispatcher);
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
                    Some(mut flight) => while flight.ended.changed().await.is_ok() {},
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
        let taken_back = record.undo.is_some() || record.rollback.is_some();
        match outcome(&record).filter(|_| !taken_back) {
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
            Begun::NotOpen(why) => Err(not_open(plan, why)),
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
            // What a tool calls is judged with the call at the top.
            park_unknown: self.settings.park_unknown
                && plan.step.as_ref().is_none_or(|step| step.parent.is_none()),
            key: plan.key.clone(),
            step: plan.step.clone(),
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

    /// Tells those who wait for this call when it is dropped. `cancel` ends it.
    pub(crate) fn flight(
        self: &Arc<Self>,
        id: CallId,
        saga: Option<SagaId>,
        cancel: CancellationToken,
    ) -> Flight {
        let (landed, ended) = watch::channel(());
        let aloft = Aloft { ended, saga, cancel };
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).insert(id, aloft);
        Flight { recovery: Arc::clone(self), id, _landed: landed }
    }

    /// Make an undo token durable.
    pub(crate) async fn prepare(&self, lease: Lease, token: Token, void: Vec<u32>) -> Result<(), Failure> {
        match self.journal.prepare(lease, token, void).await {
            Ok(Settled::Fenced) => Err(Failure::new(
                FailureKind::JournalUnavailable,
                "another process has taken the call for lost; it must do nothing any more",
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Where a call is, when that is not simply its end.
    pub(crate) async fn standing(&self, id: CallId) -> Option<Standing> {
        let record = self.journal.get(id).await.ok()??;
        let plain_end = matches!(record.state, State::Done | State::Failed);
        (!plain_end).then(|| Standing::of(&record, self.now()))
    }

    /// A call that is written down.
    pub(crate) async fn record(&self, id: CallId) -> Result<Option<Record>, JournalError> {
        self.journal.get(id).await
    }

    pub(crate) async fn calls_of(
        &self,
        caller: Caller,
        saga: Option<SagaId>,
        before: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<SagaStep>, JournalError> {
        self.journal.calls_of(caller, saga, before, limit).await
    }

    pub(crate) async fn open_sagas(&self, caller: &Caller) -> Result<Vec<Saga>, JournalError> {
        let states = vec![SagaState::Open, SagaState::RollingBack, SagaState::Stuck];
        let caller = Some(caller.as_str().to_owned());
        self.journal.sagas(SagaFilter { states, caller, held: Some(true) }, None, 100).await
    }

    pub(crate) async fn begin_saga(&self, saga: Saga) -> Result<bool, JournalError> {
        self.journal.begin_saga(saga, self.settings.sagas.max_open).await
    }

    pub(crate) async fn commit_saga(
        &self,
        id: SagaId,
        caller: Caller,
    ) -> Result<Option<SagaState>, JournalError> {
        self.journal.commit_saga(id, caller, self.now()).await
    }

    pub(crate) async fn saga(&self, id: SagaId) -> Result<Option<Saga>, JournalError> {
        self.journal.saga(id).await
    }

    pub(crate) fn saga_settings(&self) -> &SagaSettings {
        &self.settings.sagas
    }

    /// Whether agents have the tools for sagas.
    pub(crate) fn saga_tools(&self) -> bool {
        self.settings.sagas.tools
    }

    /// How long those who wait for something to be taken back are kept waiting.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.undo_patience
    }
}

/// Why a call cannot be made as part of something else.
fn not_open(plan: &Plan<'_>, why: NotOpen) -> Failure {
    let nested = plan.step.as_ref().is_some_and(|step| step.parent.is_some());
    let what = match plan.step.as_ref().and_then(|step| step.saga) {
        Some(saga) => format!("the saga {saga}"),
        None => "the call that makes it".to_owned(),
    };
    let text = match why {
        NotOpen::Missing => format!("there is no such saga as {what} of this caller; `saga_begin` makes one"),
        NotOpen::Full => format!("{what} has as many calls as it may; commit it and begin another"),
        NotOpen::Is(state) if nested => format!("{what} is {}: nothing more is done for it", state.as_str()),
        NotOpen::Is(state) => {
            format!("{what} is {}: it takes no calls any more; `saga_begin` makes another", state.as_str())
        }
    };
    Failure::new(if nested { FailureKind::Cancelled } else { FailureKind::Conflict }, text)
}

/// The reply that was kept. One that cannot be read any more is none.
pub(crate) fn outcome(record: &Record) -> Option<Reply> {
    // As deep as a skill's result may be, and then in a reply: one level over what serde_json reads by itself.
    let mut json = serde_json::Deserializer::from_str(record.outcome.as_deref()?);
    json.disable_recursion_limit();
    Reply::deserialize(&mut json)
        .inspect_err(|error| tracing::error!(call_id = %record.id, %error, "a kept reply cannot be read"))
        .ok()
}

/// For whoever called. What exactly is wrong goes to the log: it may name files.
pub(crate) fn unavailable(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "the journal cannot be used");
    Failure::new(
        FailureKind::JournalUnavailable,
        "the host cannot write this call down now, which it must before the call begins",
    )
    .retry_after(Duration::from_secs(5))
}

/// A call that runs here, for others.
#[derive(Clone)]
struct Aloft {
    /// Closed when it has ended.
    ended: watch::Receiver<()>,
    saga: Option<SagaId>,
    cancel: CancellationToken,
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
