//! What outlives a call: its key, its outcome, its dead letter. Between the dispatcher and the journal.
//!
//! What a call does to the journal:
//! - keyed, durable, undoable, or in a saga: its intent before the guest starts, its ending after, on a task of its own that
//!   no client can drop; the same for what it makes others change, and what it made others change is taken back when it fails;
//! - none of that: nothing, unless it may have changed something and nobody knows: then a parked letter.

mod arguments;
mod compensate;
mod keys;
mod letters;
mod playbooks;
mod rolled_back;
mod rounds;
mod sagas;
mod settings;
mod settle;
mod standing;
mod worker;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use serde::{Deserialize as _, Serialize, de::DeserializeOwned};
use skillhost_core::{
    Call, CallId, Clock, Effect, Entry, Failure, FailureKind, KeyValue, Reply, SagaId, TaskId, Versions,
};
use skillhost_journal::{
    Begun, Delivery, Figures, Intent, Journal, JournalError, Key, Lease, NotOpen, Priority, Problem, Record,
    Sealer, Settled, State, StepOf, Timestamp, Token,
};
use skillhost_policy::is_safe;
use skillhost_telemetry::{Metrics, trace::Place};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{Dispatcher, ToolPolicy, Wellness, stopping::Stopping};
pub(crate) use keys::Held;
pub use letters::{Explained, Letters, LettersError, Restored, Shown};
pub use playbooks::{Foreseen, Passed};
pub use rolled_back::{RolledBack, Stays};
pub use sagas::{SagaShown, Sagas, SagasError};
pub use settings::{RecoverySettings, SagaSettings, TaskSettings};
pub(crate) use settle::Ended;
pub use standing::Standing;
pub(crate) use standing::asks;

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
    /// Who knows how the host is. Weak: it knows this, too.
    wellness: OnceLock<Weak<dyn Wellness>>,
    stopping: Stopping,
    /// What an operator has decided beforehand.
    rules: playbooks::Rules,
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
    /// Whether it may have ended with questions before.
    pub(crate) again: bool,
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
            wellness: OnceLock::new(),
            stopping: Stopping::default(),
            rules: playbooks::Rules::default(),
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

    /// Who knows how the host is, for agents that ask. Said once.
    pub fn use_wellness(&self, wellness: Weak<dyn Wellness>) {
        let _ = self.wellness.set(wellness);
    }

    pub(crate) fn wellness(&self) -> Option<Arc<dyn Wellness>> {
        self.wellness.get()?.upgrade()
    }

    /// How far the host's end is.
    pub(crate) fn stopping(&self) -> &Stopping {
        &self.stopping
    }

    /// End every call that runs here.
    pub(crate) fn cancel_all(&self) {
        for aloft in self.flights.lock().unwrap_or_else(PoisonError::into_inner).values() {
            aloft.cancel.cancel();
        }
    }

    /// Whether something could be written down now.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self) -> Result<(), JournalError> {
        self.journal.check().await
    }

    /// Answers when everything that was asked of the journal until now is written down.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub async fn flush(&self) -> Result<(), JournalError> {
        self.journal.flush().await
    }

    /// What is counted for those who watch.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn figures(&self) -> Result<Figures, JournalError> {
        self.journal.figures().await
    }

    /// Who serves. None before and after that.
    pub(crate) fn dispatcher(&self) -> Option<Arc<Dispatcher>> {
        self.dispatcher.get()?.upgrade()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall().into()
    }

    pub(crate) fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.settings.metrics
    }

    pub(crate) fn task_settings(&self) -> TaskSettings {
        self.settings.tasks
    }

    /// Something of a task's, so that nobody reads it at rest.
    pub(crate) fn seal_task(&self, id: TaskId, what: &impl Serialize) -> Result<Vec<u8>, Failure> {
        let text = serde_json::to_vec(what).map_err(|error| unavailable(&error))?;
        self.sealer.seal_for(id.as_bytes(), &text).map_err(|error| unavailable(&error))
    }

    /// What was sealed for a task.
    pub(crate) fn open_task<T: DeserializeOwned>(&self, id: TaskId, sealed: &[u8]) -> Result<T, Failure> {
        let text = self.sealer.open_for(id.as_bytes(), sealed).map_err(|error| unavailable(&error))?;
        serde_json::from_slice(&text).map_err(|error| unavailable(&error))
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
            again: plan.again,
            tool: (*tool).to_owned(),
            skill: entry.skill.as_str().to_owned(),
            digest: entry.digest,
            caller: call.caller.clone(),
            correlation_id: call.correlation_id.to_string(),
            arguments: arguments::kept(&self.sealer, call, entry, policy)?,
            // A run of it later says in its trace where it began.
            meta: match Place::current() {
                Some(place) => Some(place.in_meta(call.meta.as_deref())),
                None => call.meta.as_deref().map(ToOwned::to_owned),
            },
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
        self: &Arc<Self>,
        plan: &Plan<'_>,
        failure: &Failure,
    ) -> impl Future<Output = Option<Standing>> + use<> {
        let now = self.now();
        let problem = Problem::of(failure, Effect::Unknown);
        let left = self.intent(plan, now).map(|intent| self.journal.leave(intent, problem.clone(), now));
        let (id, kind, this) = (plan.call.id, failure.kind, Arc::clone(self));
        async move {
            let error = match left {
                Err(failure) => failure.message,
                Ok(left) => match left.await {
                    Ok(()) => {
                        tracing::warn!(call_id = %id, kind = kind.code(), step = "parked", "recovery: it may have taken effect; left as a dead letter");
                        return this.consulted(id, Some(Standing::parked(id, problem))).await;
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
