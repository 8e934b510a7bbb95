//! What is told of a task, and how a call ended that nobody wrote an end down for.

use skillhost_core::{Failure, FailureKind, Question, Reply, TaskId};
use skillhost_journal::{Record, State, Task, Timestamp};

use crate::{Response, Standing, recovery::outcome};

/// A task, as its client is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskShown {
    /// Its handle.
    pub id: TaskId,
    /// When it began.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// From when on it may be forgotten.
    pub expires: Timestamp,
    /// Where it is.
    pub state: TaskShownState,
}

/// Where a task is.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskShownState {
    /// It goes on; with a word on it, where there is one.
    Working(Option<String>),
    /// It waits for these.
    Asking(Vec<Question>),
    /// It has ended so, in the words of the one who wrote it down.
    Ended(String),
    /// Its client gave it up.
    Cancelled,
}

pub(super) fn shown(task: &Task, state: TaskShownState) -> TaskShown {
    TaskShown { id: task.id, created: task.created, updated: task.updated, expires: task.expires, state }
}

/// How a call ended whose task nobody ended.
pub(super) fn ended(record: Option<&Record>, now: Timestamp) -> (Result<Reply, Failure>, Option<Standing>) {
    let Some(record) = record else {
        return (
            Err(Failure::new(FailureKind::Internal, "what became of the call is not known any more")),
            None,
        );
    };
    match (record.state, outcome(record)) {
        (State::Done, Some(reply)) => (Ok(reply), None),
        (State::Failed, _) if record.rollback.is_none() => {
            let problem = record.problem.as_ref();
            let kind = problem.and_then(|problem| FailureKind::from_code(&problem.kind));
            let message = problem.map(|problem| problem.message.clone()).unwrap_or_default();
            (Err(Failure::new(kind.unwrap_or(FailureKind::Internal), message)), None)
        }
        _ => {
            let standing = Standing::of(record, now);
            (Ok(standing.reply(true)), Some(standing))
        }
    }
}

pub(super) fn told(task: &Task, result: Result<Reply, Failure>, standing: Option<Standing>) -> Response {
    let response = Response::new(task.call, task.call.to_string().into(), result);
    Response { standing, ..response }
}
