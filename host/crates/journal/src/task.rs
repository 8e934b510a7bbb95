//! Tasks: handles of calls, with what they ask and how they ended.

use skillhost_core::{CallId, Caller, TaskId};

use crate::{Answer, Timestamp};

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its handle.
    pub id: TaskId,
    /// Whose it is.
    pub caller: Caller,
    /// The call that it runs.
    pub call: CallId,
    /// The tool's full name.
    pub tool: String,
    /// What is needed to make the call again with answers: sealed.
    pub request: Vec<u8>,
    /// Where it is.
    pub state: TaskState,
    /// Grows with each change: who changes an older one is turned away.
    pub epoch: u64,
    /// What it asks, and the answers so far: sealed. Only while it asks.
    pub asking: Option<Vec<u8>>,
    /// How it ended, as its client is told.
    pub end: Option<String>,
    /// When it began.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// From when on it may be forgotten, once it has ended.
    pub expires: Timestamp,
    /// Whether the process that last worked on it lives, as far as is known.
    pub attended: bool,
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Its call runs, or will.
    Working,
    /// It waits for answers.
    Asking,
    /// It has ended.
    Ended,
    /// Its client gave it up.
    Cancelled,
}

impl TaskState {
    /// All of them, in the order of their numbers at rest.
    pub const ALL: [Self; 4] = [Self::Working, Self::Asking, Self::Ended, Self::Cancelled];

    /// Whether nothing changes it any more.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Ended | Self::Cancelled)
    }
}

/// What becomes of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskChange {
    /// It asks this.
    Ask(Vec<u8>),
    /// Some of what it asks is answered.
    Answer(Vec<u8>),
    /// Its call is made in this process, as this says.
    GoOn(Vec<u8>),
    /// It has ended so.
    End(String),
    /// Its client gave it up.
    Cancel,
}

/// Keeps tasks. The same promises as [`Journal`](crate::Journal)'s.
pub trait Tasks: Send + Sync {
    /// A new task of this process, unless its caller has `max` that have not ended.
    fn add_task(&self, task: Task, max: u32) -> Answer<bool>;

    /// A task.
    fn task(&self, id: TaskId) -> Answer<Option<Task>>;

    /// The task whose call this is, when it has not ended.
    fn task_of(&self, call: CallId) -> Answer<Option<Task>>;

    /// Change a task that has not ended and is of this epoch. False when it is not.
    fn change_task(&self, id: TaskId, epoch: u64, change: TaskChange, now: Timestamp) -> Answer<bool>;
}
