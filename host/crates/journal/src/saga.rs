//! What is kept or taken back as one.

use serde::{Deserialize, Serialize};
use skillhost_core::{Caller, SagaId};

use crate::{Problem, SagaStep, Timestamp, UndoState};

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

/// What is still open of a skill: a call may count more than once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenOf {
    /// Calls that run, or are taken back, and are no letters.
    pub running: u64,
    /// Dead letters that are run again, or wait for somebody to judge them.
    pub letters: u64,
    /// Calls that can still be taken back.
    pub undoable: u64,
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
