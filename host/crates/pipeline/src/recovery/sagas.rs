//! Having something taken back, and what operators see of it. The same for agents, the command line and the admin API.

use std::{sync::Arc, time::Duration};

use skillhost_core::{CallId, Caller, SagaId};
use skillhost_journal::{
    JournalError, OnExpiry, OpenOf, Record, RollBack, Rolling, Saga, SagaFilter, SagaState, SagaStep, State,
};
use tracing::Instrument as _;

use super::{Recovery, RolledBack, SagaSettings};

/// Looks at sagas, and has them taken back.
#[derive(Clone)]
pub struct Sagas {
    recovery: Arc<Recovery>,
}

/// A saga with its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct SagaShown {
    /// The saga.
    pub saga: Saga,
    /// In the order they began.
    pub steps: Vec<SagaStep>,
}

/// Why something cannot be done with a saga.
#[derive(Debug, thiserror::Error)]
pub enum SagasError {
    /// The journal cannot be used.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// There is none.
    #[error("there is no saga, and no call that could be taken back, with the id {0}")]
    Missing(SagaId),
    /// Not in the state that it is in.
    #[error("{0}")]
    Refused(String),
}

impl Sagas {
    /// Those that `recovery` keeps.
    #[must_use]
    pub fn new(recovery: Arc<Recovery>) -> Self {
        Self { recovery }
    }

    /// By filter, the newest first, after one of them; at most `limit`.
    ///
    /// # Errors
    /// [`SagasError::Journal`].
    pub async fn list(
        &self,
        filter: SagaFilter,
        after: Option<SagaId>,
        limit: u32,
    ) -> Result<Vec<Saga>, SagasError> {
        Ok(self.recovery.journal.sagas(filter, after, limit).await?)
    }

    /// One, with its steps; or a call with what it made others do.
    ///
    /// # Errors
    /// [`SagasError::Missing`], [`SagasError::Journal`].
    pub async fn show(&self, id: SagaId) -> Result<SagaShown, SagasError> {
        let steps = self.recovery.journal.steps(id).await?;
        let saga = match self.recovery.journal.saga(id).await? {
            Some(saga) => saga,
            // Nobody has had it taken back.
            None => of_call(id, &steps).ok_or(SagasError::Missing(id))?,
        };
        Ok(SagaShown { saga, steps })
    }

    /// What is still open of a skill, whether it is there or not.
    ///
    /// # Errors
    /// [`SagasError::Journal`].
    pub async fn open_of(&self, skill: &str) -> Result<OpenOf, SagasError> {
        Ok(self.recovery.journal.open_of(skill.to_owned()).await?)
    }

    /// Have a saga, or a call, taken back. Waits for the end of that as long as is bearable. `resume` tries again what was in
    /// conflict or stuck; `force` overwrites what has changed since.
    ///
    /// # Errors
    /// [`SagasError`].
    pub async fn roll_back(
        &self,
        id: SagaId,
        resume: bool,
        force: bool,
        by: &str,
    ) -> Result<RolledBack, SagasError> {
        let how = RollBack { caller: None, force, resume, reason: format!("asked for by {by}") };
        self.recovery.take_back_for(id, how).await
    }

    /// Give up what is in conflict or stuck: somebody has looked after it.
    ///
    /// # Errors
    /// [`SagasError`].
    pub async fn abandon(&self, id: SagaId, by: &str) -> Result<(), SagasError> {
        let recovery = &self.recovery;
        match recovery.journal.abandon(id, by.to_owned(), recovery.now()).await? {
            None => Err(SagasError::Missing(id)),
            Some(SagaState::Abandoned) => {
                tracing::warn!(saga = %id, by, "what could not be taken back was given up");
                Ok(())
            }
            Some(state) => Err(SagasError::Refused(format!(
                "the saga {id} is {}; only one that is stuck can be abandoned",
                state.as_str()
            ))),
        }
    }
}

impl Recovery {
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
        let begun = self.journal.begin_saga(saga, self.settings.sagas.max_open).await;
        // It may expire before anything else is due.
        self.due.notify_one();
        begun
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

    /// Have something taken back, and wait for it as long as is bearable.
    pub(crate) async fn take_back_for(
        self: &Arc<Self>,
        id: SagaId,
        how: RollBack,
    ) -> Result<RolledBack, SagasError> {
        match self.journal.roll_back(id, how, self.now()).await? {
            Rolling::Missing => return Err(SagasError::Missing(id)),
            Rolling::No(why) => return Err(SagasError::Refused(why)),
            Rolling::Is(SagaState::Open) => {
                return Err(SagasError::Refused(format!(
                    "the saga {id} is open: there is nothing to resume; roll it back instead"
                )));
            }
            Rolling::Is(state @ (SagaState::Committed | SagaState::Expired)) => {
                return Err(SagasError::Refused(format!(
                    "the saga {id} is {}: what was done stays; single calls of it can still be taken back",
                    state.as_str()
                )));
            }
            // Said again.
            Rolling::Is(_) => return Ok(self.rolled_back(id).await?),
            Rolling::Yes(lease) => {
                let work = Arc::clone(self).compensate(lease).instrument(tracing::Span::current());
                match self.dispatcher.get().and_then(std::sync::Weak::upgrade) {
                    Some(dispatcher) => drop(dispatcher.track(work)),
                    None => drop(tokio::spawn(work)),
                }
                self.cancel(id);
            }
            Rolling::WhenEnded => self.cancel(id),
            Rolling::Already => {}
        }
        Ok(self.rolled_back_within(id, self.patience()).await?)
    }
}

/// A call that nobody has had taken back, as a saga of its own.
fn of_call(id: SagaId, steps: &[SagaStep]) -> Option<Saga> {
    let top = &steps.iter().find(|step| step.call.id == id.call())?.call;
    let state = match top.state {
        State::Running => SagaState::Open,
        State::RollingBack => SagaState::RollingBack,
        _ => SagaState::Committed,
    };
    Some(Saga {
        id,
        held: false,
        caller: top.caller.clone(),
        label: None,
        state,
        begun: top.begun,
        expires: None,
        on_expiry: OnExpiry::Keep,
        ended: top.ended,
        reason: None,
        force: false,
    })
}
