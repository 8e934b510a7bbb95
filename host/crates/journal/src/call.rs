//! A call as it is written down.

use serde::{Deserialize, Serialize};
use skillhost_core::{CallId, Caller, Digest, Effect, Failure, FailureKind};

use crate::{Afterwards, Priority, SagaState, StepOf, Timestamp, Token, UndoState};

/// Where a call is. Every transition is a compare-and-set under a lease, but for those a person makes.
///
/// ```text
///            begin            claim
///   (none) --------> running <------ waiting <--+
///                      |  |  +-------> again ---+  replay
///                      |  +----------> parked -----------> waiting
///                      v                  |
///           done | failed | unknown       +--> discarded <-- waiting
///
///   running --> rolling-back --> failed | unknown | parked | waiting
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A process holds its lease and runs it.
    Running,
    /// A letter that is run when it is due.
    Waiting,
    /// A letter that waits for somebody to judge it.
    Parked,
    /// It answered; the outcome is kept. A letter that got here has recovered.
    Done,
    /// It failed without an effect.
    Failed,
    /// Whether it took effect is not known, and it never runs again.
    Unknown,
    /// A letter that somebody gave up.
    Discarded,
    /// It failed; what it did, or made others do, is being taken back.
    RollingBack,
}

impl State {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Running,
        Self::Waiting,
        Self::Parked,
        Self::Done,
        Self::Failed,
        Self::Unknown,
        Self::Discarded,
        Self::RollingBack,
    ];

    /// Whether nothing more will come of it by itself or by a replay.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Unknown | Self::Discarded)
    }

    /// The word for it, of a letter or of a call that is none.
    #[must_use]
    pub fn as_str(self, letter: bool) -> &'static str {
        match self {
            Self::Running if letter => "leased",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
            Self::Done if letter => "recovered",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Discarded => "discarded",
            Self::RollingBack => "rolling-back",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str(true) == word || state.as_str(false) == word)
    }
}

/// What the host owes to a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// To try.
    #[default]
    Plain,
    /// That it happens: what fails is kept and run again, or parked.
    Durable,
}

/// Arguments as they are kept. What is secret in them is only in `sealed`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// A JSON object, with something else in the place of each secret; none when the client sent none.
    pub shown: Option<String>,
    /// The secrets, encrypted by a [`Sealer`](crate::Sealer).
    pub sealed: Option<Vec<u8>>,
}

/// A key under which a caller makes a call at most once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The client's own text.
    pub key: String,
    /// Of the arguments, so that the same key with others is known.
    pub fingerprint: Digest,
    /// Until when it is held, unless the call goes on for longer.
    pub expires: Timestamp,
}

/// A call that is about to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// The call.
    pub id: CallId,
    /// Whether it may have ended with questions before, and is made again: what was written down of it then is replaced.
    pub again: bool,
    /// The tool's full name.
    pub tool: String,
    /// The skill's name.
    pub skill: String,
    /// The version of the skill.
    pub digest: Digest,
    /// Who calls.
    pub caller: Caller,
    /// Stands in each log line of the call.
    pub correlation_id: String,
    /// What it is called with.
    pub arguments: Arguments,
    /// The client's `_meta`.
    pub meta: Option<String>,
    /// What is owed to it.
    pub delivery: Delivery,
    /// Whether running it twice does no harm.
    pub safe: bool,
    /// Before which others it is run again.
    pub priority: Priority,
    /// Runs until it is parked, 1 to 1,000; counted anew after a replay.
    pub max_tries: u32,
    /// From when on it is parked instead of run again.
    pub gives_up: Timestamp,
    /// Whether it is parked when nobody knows whether it took effect and it must not run again.
    pub park_unknown: bool,
    /// Under which it is made at most once.
    pub key: Option<Key>,
    /// How it takes part in what may be taken back; none when there can be nothing to take back.
    pub step: Option<StepOf>,
}

/// The right to run a call and to say what became of it, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The call.
    pub id: CallId,
    /// The process, by the number of its registration.
    pub owner: u64,
    /// Grows with every lease of this call: who comes with an older one is turned away.
    pub epoch: u64,
}

/// Why a run of a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The code of the failure's kind.
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Whether the world can have changed by then.
    pub unknown_effect: bool,
}

impl Problem {
    /// This failure, with the worst effect of all attempts up to it.
    #[must_use]
    pub fn of(failure: &Failure, effect: Effect) -> Self {
        Self {
            kind: failure.kind.code().to_owned(),
            message: failure.message.clone(),
            unknown_effect: effect == Effect::Unknown,
        }
    }

    /// The failure again, as far as it is kept.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let kind = FailureKind::from_code(&self.kind).unwrap_or(FailureKind::Internal);
        Failure::new(kind, self.message.clone())
    }

    pub(crate) fn interrupted() -> Self {
        Self {
            kind: FailureKind::Internal.code().to_owned(),
            message: "the host ended while the call ran".to_owned(),
            unknown_effect: true,
        }
    }
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// It answered.
    Done {
        /// The reply, as JSON.
        outcome: String,
        /// What the last attempt left behind, in the place of what it had prepared.
        token: Option<Token>,
        /// Attempts that certainly took no effect: what they left behind is of no use.
        void: Vec<u32>,
    },
    /// It failed without an effect and is not run again. Its key is free again.
    Failed(Problem),
    /// Nobody knows whether it took effect, and it is never run again.
    Unknown(Problem),
    /// To be run again when due.
    Again {
        /// Why.
        problem: Problem,
        /// When.
        due: Timestamp,
        /// Whether the run counts; one that was refused before it began does not.
        spent: bool,
    },
    /// Left for somebody to judge.
    Parked(Problem),
    /// It failed, and is to be taken back with what it made others do.
    RollBack {
        /// Why it failed.
        problem: Problem,
        /// Whether its own guest may have changed the world.
        effect: bool,
        /// As above.
        void: Vec<u32>,
        /// What becomes of it then.
        afterwards: Box<Afterwards>,
    },
}

/// A call with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The call.
    pub id: CallId,
    /// The tool's full name.
    pub tool: String,
    /// The skill's name.
    pub skill: String,
    /// The version of the skill that it was written down with.
    pub digest: Digest,
    /// Whether a replay must use just that version.
    pub pinned: bool,
    /// Who called.
    pub caller: Caller,
    /// Stands in each log line of the call.
    pub correlation_id: String,
    /// What it is called with.
    pub arguments: Arguments,
    /// The client's `_meta`.
    pub meta: Option<String>,
    /// The client's key.
    pub key: Option<String>,
    /// What is owed to it.
    pub delivery: Delivery,
    /// Whether running it twice does no harm.
    pub safe: bool,
    /// Before which others it is run again.
    pub priority: Priority,
    /// Where it is.
    pub state: State,
    /// The number of its newest lease.
    pub epoch: u64,
    /// Runs that counted, in all.
    pub attempts: u32,
    /// Runs that counted since it was last replayed by hand.
    pub tries: u32,
    /// How many those may be.
    pub max_tries: u32,
    /// From when on it is parked instead of run again.
    pub gives_up: Timestamp,
    /// When it began.
    pub begun: Timestamp,
    /// When it came to its end.
    pub ended: Option<Timestamp>,
    /// When it became a letter.
    pub enqueued: Option<Timestamp>,
    /// When it was parked last.
    pub dead: Option<Timestamp>,
    /// When it is run next.
    pub due: Option<Timestamp>,
    /// Why the last run did not succeed.
    pub problem: Option<Problem>,
    /// The reply, as JSON.
    pub outcome: Option<String>,
    /// Where taking it back is, as a step of whatever it belongs to.
    pub undo: Option<UndoState>,
    /// What taking it back, with what it made others do, came to.
    pub rollback: Option<SagaState>,
}

impl Record {
    /// Whether it is, or was, a letter.
    #[must_use]
    pub fn is_letter(&self) -> bool {
        self.enqueued.is_some()
    }

    /// The word for where it is.
    #[must_use]
    pub fn status(&self) -> &'static str {
        self.state.as_str(self.is_letter())
    }
}
