//! The seam between the pipeline and what keeps sagas.

use skillhost_core::{CallId, Caller, Digest, SagaId};

use crate::{
    Answer, Lease, OpenOf, RollBack, Rolling, Saga, SagaFilter, SagaLease, SagaState, SagaStep, Settled,
    Timestamp, ToUndo, Token, UndoEnd,
};

/// Keeps sagas. The same promises as [`Journal`](crate::Journal)'s.
pub trait Sagas: Send + Sync {
    /// Keep what an attempt leaves behind to be taken back by. `void` are earlier attempts that took no effect.
    fn prepare(&self, lease: Lease, token: Token, void: Vec<u32>) -> Answer<Settled>;

    /// A new saga of an agent, unless it has `max` open ones.
    fn begin_saga(&self, saga: Saga, max: u32) -> Answer<bool>;

    /// What was done stays. Answers where the saga is then; none when this caller has no such saga.
    fn commit_saga(&self, id: SagaId, caller: Caller, now: Timestamp) -> Answer<Option<SagaState>>;

    /// Have a saga, or a call, taken back. A saga takes no calls from then on, and its letters are given up.
    fn roll_back(&self, id: SagaId, how: RollBack, now: Timestamp) -> Answer<Rolling>;

    /// Take the lease of up to `max` sagas that are to be taken back and that nobody takes back.
    fn claim_sagas(&self, max: u32) -> Answer<Vec<SagaLease>>;

    /// End open sagas whose time is over.
    fn expire_sagas(&self, now: Timestamp) -> Answer<Vec<Saga>>;

    /// When the time of the next open saga is over.
    fn next_expiry(&self) -> Answer<Option<Timestamp>>;

    /// Give up what is in conflict or stuck. None when there is no such saga.
    fn abandon(&self, id: SagaId, by: String, now: Timestamp) -> Answer<Option<SagaState>>;

    /// A saga.
    fn saga(&self, id: SagaId) -> Answer<Option<Saga>>;

    /// Sagas by filter, the newest first, after one of them; at most `limit`.
    fn sagas(&self, filter: SagaFilter, after: Option<SagaId>, limit: u32) -> Answer<Vec<Saga>>;

    /// The steps of a saga, or of a call and what it made others do, in the order they began.
    fn steps(&self, id: SagaId) -> Answer<Vec<SagaStep>>;

    /// Calls of a caller that are steps and stand at the top, newest first; at most `limit`.
    fn calls_of(
        &self,
        caller: Caller,
        saga: Option<SagaId>,
        before: Option<CallId>,
        limit: u32,
    ) -> Answer<Vec<SagaStep>>;

    /// Whether taking the saga back has to wait: for calls that run, and for parts that are taken back on their own.
    fn is_busy(&self, id: SagaId) -> Answer<bool>;

    /// Begin to take a step back. None when that is done, or somebody else has the saga by now.
    fn begin_undo(&self, lease: SagaLease, call: CallId, now: Timestamp) -> Answer<Option<ToUndo>>;

    /// Say how it ended.
    fn end_undo(&self, lease: SagaLease, call: CallId, end: UndoEnd, now: Timestamp) -> Answer<Settled>;

    /// Every step was tried: say what the roll-back came to, and go on with the call that failed. None when somebody else
    /// has the saga by now.
    fn rolled_back(&self, lease: SagaLease, now: Timestamp) -> Answer<Option<SagaState>>;

    /// Versions of skills that something may still be taken back with, or run again with.
    fn versions_needed(&self) -> Answer<Vec<Digest>>;

    /// What is still open of a skill.
    fn open_of(&self, skill: String) -> Answer<OpenOf>;

    /// Forget up to `limit` calls that ended before `ended_before` and can be undone until then; answers each with its skill.
    fn purge_steps(
        &self,
        ended_before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Answer<Vec<(String, CallId)>>;
}
