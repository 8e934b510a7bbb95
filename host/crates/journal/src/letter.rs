//! Dead letters: what may be asked of them, and done to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skillhost_core::CallId;

use crate::{Arguments, Record, SagaState, State, Timestamp};

/// Which letter is run first among those that are due. Waiting long makes up for it: see
/// [`Bounds::ageing`](crate::Bounds::ageing).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Last.
    Low,
    /// As most.
    #[default]
    Normal,
    /// Before most.
    High,
    /// First.
    Urgent,
}

impl Priority {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Urgent];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    /// The priority with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == word)
    }
}

/// Which letters are meant. Everything that is said must hold; a filter that says nothing means all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// These alone.
    pub ids: Vec<CallId>,
    /// In one of these states.
    pub states: Vec<State>,
    /// Of this skill.
    pub skill: Option<String>,
    /// Of this tool, by its full name.
    pub tool: Option<String>,
    /// Whose last failure has this code.
    pub kind: Option<String>,
    /// Of this caller.
    pub caller: Option<String>,
    /// With this priority.
    pub priority: Option<Priority>,
    /// Whose last failure's message holds this text, in any case of ASCII letters.
    pub text: Option<String>,
    /// That became letters before this.
    pub before: Option<Timestamp>,
    /// That became letters at this time or later.
    pub since: Option<Timestamp>,
}

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageOf {
    /// After this one.
    pub after: Option<CallId>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// A part of a list, oldest call first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Letters, without what may be large: arguments, `_meta`, and of an outcome only that there is one.
    pub letters: Vec<Record>,
    /// Ask with this for the next part; none at the end.
    pub next: Option<CallId>,
    /// Letters that cannot be read back, which are left out.
    pub damaged: Vec<CallId>,
}

/// What somebody changes of a letter that waits or is parked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edit {
    /// Other arguments.
    pub arguments: Option<Arguments>,
    /// Another priority.
    pub priority: Option<Priority>,
}

/// What became of a change that somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Done.
    Yes,
    /// There is no such letter.
    Missing,
    /// It is in a state in which that cannot be.
    Not(State),
}

/// A step in the life of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A run failed.
    Failed,
    /// A run was refused before it began: a limit, an open breaker, a skill that is not there.
    Refused,
    /// It will be run again.
    Scheduled,
    /// It is run again.
    Retried,
    /// The process that ran it is dead.
    TakenOver,
    /// It waits for somebody to judge it.
    Parked,
    /// It succeeded.
    Recovered,
    /// Somebody changed it.
    Edited,
    /// Somebody asked for another run.
    Replayed,
    /// Somebody gave it up.
    Discarded,
    /// It came back from an archive.
    Restored,
    /// What a run did was taken back, as far as it could be.
    RolledBack,
    /// A rule acted.
    Playbook,
}

impl Step {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Failed,
        Self::Refused,
        Self::Scheduled,
        Self::Retried,
        Self::TakenOver,
        Self::Parked,
        Self::Recovered,
        Self::Edited,
        Self::Replayed,
        Self::Discarded,
        Self::Restored,
        Self::RolledBack,
        Self::Playbook,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Scheduled => "scheduled",
            Self::Retried => "retried",
            Self::TakenOver => "taken-over",
            Self::Parked => "parked",
            Self::Recovered => "recovered",
            Self::Edited => "edited",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
            Self::Restored => "restored",
            Self::RolledBack => "rolled-back",
            Self::Playbook => "playbook",
        }
    }
}

/// A line in the history of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub step: Step,
    /// Runs that counted by then.
    pub attempt: u32,
    /// What there is to say: why it failed, when it is due, who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What is counted for those who watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Letters, by state and priority.
    pub queues: Vec<Queue>,
    /// Sagas, and calls that were taken back on their own, by state.
    pub sagas: Vec<(SagaState, u64)>,
    /// Letters that are open: they wait, run, or are parked.
    pub open: u64,
    /// How many there may be.
    pub capacity: u64,
    /// Bytes of the file.
    pub size: u64,
}

/// Letters of one state and priority.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Their state.
    pub state: State,
    /// Their priority.
    pub priority: Priority,
    /// How many there are.
    pub letters: u64,
    /// When the oldest became a letter.
    pub oldest: Option<Timestamp>,
}

/// All letters together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Letters now, by the word for their state.
    pub states: BTreeMap<String, u64>,
    /// Those that wait or are parked, by priority.
    pub priorities: BTreeMap<String, u64>,
    /// Those that wait or are parked, by the code of their last failure.
    pub kinds: BTreeMap<String, u64>,
    /// Those that wait or are parked, by skill.
    pub skills: BTreeMap<String, u64>,
    /// Steps so far, by their word; they only grow.
    pub steps: BTreeMap<String, u64>,
    /// Letters that were archived so far.
    pub archived: u64,
    /// When the oldest of those that wait or are parked became a letter.
    pub oldest: Option<Timestamp>,
    /// When the next one is due.
    pub next_due: Option<Timestamp>,
    /// Letters that are open: they wait, run, or are parked.
    pub open: u64,
    /// How many there may be.
    pub capacity: u64,
}
