//! What is taken back: steps, the sagas they belong to, and the order in which they go.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use skillhost_core::{CallId, Caller, Digest, SagaId};

use crate::{Answer, Lease, Problem, Record, Settled, Timestamp};

/// How a call takes part in what may be taken back. Said with its intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepOf {
    /// The saga an agent makes it in.
    pub saga: Option<SagaId>,
    /// The call at the top of the tree: itself, or the one whose tool made it, however far up.
    pub root: CallId,
    /// The call whose tool makes it; none at the top.
    pub parent: Option<CallId>,
    /// Whether its tool changes the world.
    pub changes: bool,
    /// Whether its skill can take that back.
    pub undoable: bool,
}

/// Where taking a step back is.
///
/// ```text
///   done | unknown -> undoing -> undone | conflict | stuck
///                        ^                  |         |
///                        +----- resume -----+---------+--> abandoned
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndoState {
    /// It is being taken back, or was when its process died: it is begun again.
    Undoing,
    /// It was.
    Undone,
    /// The world has changed since; nothing was touched.
    Conflict,
    /// It could not be, however often it was tried.
    Stuck,
    /// Somebody gave it up.
    Abandoned,
}

impl UndoState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Undoing, Self::Undone, Self::Conflict, Self::Stuck, Self::Abandoned];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Conflict => "conflict",
            Self::Stuck => "stuck",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A call, as far as taking it back goes.
#[derive(Debug, Clone, PartialEq)]
pub struct SagaStep {
    /// The call without what may be large: arguments, `_meta`, and of an outcome only that there is one.
    pub call: Record,
    /// What was said with its intent.
    pub of: StepOf,
    /// Whether its own guest can have changed the world, its callees' effects not counted.
    pub effect: bool,
    /// Where taking it back is; none when nobody has begun.
    pub undo: Option<UndoState>,
    /// Why it is in conflict or stuck.
    pub why: Option<String>,
    /// How often it was tried.
    pub tries: u32,
    /// When `undo` changed last.
    pub at: Option<Timestamp>,
}

impl SagaStep {
    /// Whether there is something that has to be taken back, and can be.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.of.undoable && self.effect && matches!(self.undo, None | Some(UndoState::Undoing))
    }

    /// Whether something of it stays in the world, or may.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.effect && self.undo != Some(UndoState::Undone)
    }

    /// The word for where it is, whichever way it goes.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.undo {
            Some(undo) => undo.as_str(),
            None => self.call.status(),
        }
    }
}

/// The order in which steps are taken back: the newest call of an agent first; of a call first its own effects, then those
/// of what it made others do, the last of them first. `steps` are in the order they began.
#[must_use]
pub fn undo_order(steps: &[SagaStep]) -> Vec<CallId> {
    let here: HashMap<CallId, ()> = steps.iter().map(|step| (step.call.id, ())).collect();
    let mut children: HashMap<Option<CallId>, Vec<CallId>> = HashMap::new();
    for step in steps {
        // One whose maker is not among them stands at the top.
        let parent = step.of.parent.filter(|parent| here.contains_key(parent));
        children.entry(parent).or_default().push(step.call.id);
    }
    let mut order = vec![];
    // What was pushed last is taken first: the newest of each.
    let mut open = children.remove(&None).unwrap_or_default();
    while let Some(id) = open.pop() {
        order.push(id);
        open.extend(children.remove(&Some(id)).unwrap_or_default());
    }
    order
}

/// Those of `steps` that belong to `saga`: all of an agent's; of a call itself and what it made others do.
#[must_use]
pub fn within(saga: SagaId, steps: Vec<SagaStep>) -> Vec<SagaStep> {
    let top = saga.call();
    let parents: HashMap<CallId, Option<CallId>> =
        steps.iter().map(|step| (step.call.id, step.of.parent)).collect();
    let belongs = |step: &SagaStep| {
        let mut at = Some(step.call.id);
        while let Some(id) = at {
            if id == top {
                return true;
            }
            at = parents.get(&id).copied().flatten();
        }
        step.of.saga == Some(saga)
    };
    let (mine, _): (Vec<_>, Vec<_>) = steps.into_iter().partition(belongs);
    mine
}

/// Where a saga is.
///
/// ```text
///   open --> committed | expired
///     \                                        +--> rolled-back
///      +--> rolling-back --------------------- +--> partial
///               ^                              +--> stuck --> abandoned
///               +------------ resume -------------------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SagaState {
    /// Its agent may add calls.
    Open,
    /// What was done stays. Each call can still be taken back on its own.
    Committed,
    /// As committed, because nobody came back in time.
    Expired,
    /// Its steps are being taken back.
    RollingBack,
    /// Nothing of it stays.
    RolledBack,
    /// What can be taken back was; the rest stays.
    Partial,
    /// Something that should have been taken back is in conflict or stuck: somebody has to look.
    Stuck,
    /// Somebody gave up what was stuck.
    Abandoned,
}

impl SagaState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::Committed,
        Self::Expired,
        Self::RollingBack,
        Self::RolledBack,
        Self::Partial,
        Self::Stuck,
        Self::Abandoned,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Committed => "committed",
            Self::Expired => "expired",
            Self::RollingBack => "rolling-back",
            Self::RolledBack => "rolled-back",
            Self::Partial => "partial",
            Self::Stuck => "stuck",
            Self::Abandoned => "abandoned",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// What a roll-back comes to that left its steps so.
    #[must_use]
    pub fn of(steps: &[SagaStep]) -> Self {
        let is = |wanted| steps.iter().any(|step| step.undo == Some(wanted));
        if is(UndoState::Conflict) || is(UndoState::Stuck) {
            Self::Stuck
        } else if is(UndoState::Abandoned) {
            Self::Abandoned
        } else if steps.iter().any(SagaStep::stays) {
            Self::Partial
        } else {
            Self::RolledBack
        }
    }
}

/// What becomes of a saga that nobody ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnExpiry {
    /// What was done stays.
    #[default]
    Keep,
    /// It is taken back.
    Rollback,
}

/// Calls that are kept or taken back together.
#[derive(Debug, Clone, PartialEq)]
pub struct Saga {
    /// A random handle, or the id of the call that it is about.
    pub id: SagaId,
    /// Whether an agent holds it; otherwise it is one call with all that it made others do.
    pub held: bool,
    /// Whose it is.
    pub caller: Caller,
    /// What its agent calls it.
    pub label: Option<String>,
    /// Where it is.
    pub state: SagaState,
    /// When it began; of a call, when taking it back began.
    pub begun: Timestamp,
    /// Until when its agent may use it.
    pub expires: Option<Timestamp>,
    /// What becomes of it then.
    pub on_expiry: OnExpiry,
    /// When it came to an end.
    pub ended: Option<Timestamp>,
    /// Who or what had it taken back.
    pub reason: Option<String>,
    /// Whether what has changed since is overwritten.
    pub force: bool,
}

/// The right to take a saga back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SagaLease {
    /// Which.
    pub id: SagaId,
    /// The process, by the number of its registration.
    pub owner: u64,
    /// Grows with every lease: who comes with an older one is turned away.
    pub epoch: u64,
}

/// Why a call cannot be made in a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpen {
    /// This caller has no such saga.
    Missing,
    /// It is at an end, or being taken back.
    Is(SagaState),
    /// It has as many calls as it may.
    Full,
}

/// A call that failed and is taken back, and what becomes of it after that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Afterwards {
    /// When nothing of it stays.
    pub clean: Left,
    /// When something does.
    pub stained: Left,
}

impl Afterwards {
    /// Of a call that somebody wants taken back: it is not run again, and nobody has to judge it.
    pub(crate) fn never_again(problem: &Problem) -> Self {
        let clean = Problem { unknown_effect: false, ..problem.clone() };
        Self { clean: Left::Failed(clean), stained: Left::Unknown(problem.clone()) }
    }
}

/// What is left of a call that was taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// A failure without an effect. Its key stays held: whoever asks is told that it was taken back.
    Failed(Problem),
    /// A failure of which something may stay.
    Unknown(Problem),
    /// A letter for somebody to judge.
    Parked(Problem),
    /// A letter that is run again.
    Again {
        /// Why.
        problem: Problem,
        /// When.
        due: Timestamp,
        /// Whether the run counts.
        spent: bool,
    },
}

/// Who wants something taken back, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RollBack {
    /// Only what belongs to this caller; none for operators.
    pub caller: Option<Caller>,
    /// Overwrite what has changed since.
    pub force: bool,
    /// Try again what is in conflict or stuck.
    pub resume: bool,
    /// For the record.
    pub reason: String,
}

/// What became of that wish.
#[derive(Debug, Clone, PartialEq)]
pub enum Rolling {
    /// It begins; go on with this lease. Calls that run are to be ended.
    Yes(SagaLease),
    /// It is under way already.
    Already,
    /// The call still runs; it is taken back as soon as it has ended.
    WhenEnded,
    /// It was over before, so.
    Is(SagaState),
    /// There is no such saga or call, or none of this caller.
    Missing,
    /// It cannot be: why.
    No(String),
}

/// What an attempt left behind to be taken back by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its number, over all runs of the call.
    pub attempt: u32,
    /// The version of the skill that made it, and can read it.
    pub digest: Digest,
    /// JSON.
    pub token: String,
}

/// What is needed to take one step back.
#[derive(Debug, Clone, PartialEq)]
pub struct ToUndo {
    /// The call, whole.
    pub call: Record,
    /// What each attempt left behind, the newest first.
    pub tokens: Vec<Token>,
    /// How often it was tried before.
    pub tries: u32,
    /// Whether what has changed since is overwritten.
    pub force: bool,
}

/// How a try to take a step back ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndoEnd {
    /// It is taken back.
    Undone,
    /// The world has changed since: how.
    Conflict(String),
    /// It cannot be taken back: why.
    Stuck(String),
    /// Not yet: why.
    Again(String),
}

/// Which sagas.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SagaFilter {
    /// In one of these states.
    pub states: Vec<SagaState>,
    /// Of this caller.
    pub caller: Option<String>,
    /// Whether an agent holds it.
    pub held: Option<bool>,
}

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

    /// Forget up to `limit` calls that ended before `ended_before` and can be undone until then; answers each with its skill.
    fn purge_steps(
        &self,
        ended_before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Answer<Vec<(String, CallId)>>;
}
