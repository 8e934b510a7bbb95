//! Where a call is that did not simply end, in words that a model can follow.

use std::time::Duration;

use skillhost_core::{Block, CallId, FailureKind, Reply};
use skillhost_journal::{Problem, Record, SagaState, State, Timestamp, UndoState};

/// Where a call is.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The call.
    pub id: CallId,
    /// Where it is.
    pub state: State,
    /// The word for that.
    pub word: &'static str,
    /// How long until it is run again.
    pub due_in: Option<Duration>,
    /// Why its last run did not succeed.
    pub problem: Option<Problem>,
    /// What taking it back came to, if anybody has begun.
    pub rollback: Option<SagaState>,
}

/// Whether a run ended with questions: it goes on with their answers.
pub(crate) fn asks(problem: Option<&Problem>) -> bool {
    problem.is_some_and(|problem| problem.kind == FailureKind::InputRequired.code())
}

impl Standing {
    fn new(id: CallId, state: State, letter: bool, problem: Option<Problem>) -> Self {
        Self { id, state, word: state.as_str(letter), due_in: None, problem, rollback: None }
    }

    pub(crate) fn of(record: &Record, now: Timestamp) -> Self {
        Self {
            due_in: record.due.map(|due| due.since(now)),
            rollback: record.rollback.or(match record.undo {
                Some(UndoState::Undone) => Some(SagaState::RolledBack),
                Some(UndoState::Undoing) => Some(SagaState::RollingBack),
                Some(UndoState::Conflict | UndoState::Stuck) => Some(SagaState::Stuck),
                Some(UndoState::Abandoned) => Some(SagaState::Abandoned),
                None => None,
            }),
            ..Self::new(record.id, record.state, record.is_letter(), record.problem.clone())
        }
    }

    pub(crate) fn running(id: CallId) -> Self {
        Self::new(id, State::Running, false, None)
    }

    pub(super) fn parked(id: CallId, problem: Problem) -> Self {
        Self::new(id, State::Parked, true, Some(problem))
    }

    pub(super) fn unknown(id: CallId, problem: Problem) -> Self {
        Self::new(id, State::Unknown, false, Some(problem))
    }

    pub(super) fn rolling_back(id: CallId, problem: Problem) -> Self {
        Self::new(id, State::RollingBack, false, Some(problem))
    }

    pub(super) fn waiting(id: CallId, problem: Problem, due_in: Duration) -> Self {
        Self { due_in: Some(due_in), ..Self::new(id, State::Waiting, true, Some(problem)) }
    }

    /// Its key is held, but what became of it is in an archive.
    pub(super) fn archived(id: CallId) -> Self {
        Self { word: "archived", ..Self::new(id, State::Unknown, true, None) }
    }

    /// Whether it may still succeed without anybody doing anything.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        matches!(self.state, State::Running | State::Waiting)
    }

    /// What it means, and what to do.
    #[must_use]
    pub fn told(&self) -> String {
        let id = self.id;
        let ask = format!("Ask `call_status` with {{\"id\": \"{id}\"}} what became of it.");
        let why = self
            .problem
            .as_ref()
            .map_or(String::new(), |problem| format!(" ({}: {})", problem.kind, problem.message));
        let unknown = self.problem.as_ref().is_some_and(|problem| problem.unknown_effect);
        let effect = if unknown { "It may have taken effect." } else { "Nothing took effect." };
        let taken_back = match self.rollback {
            None => "",
            Some(SagaState::RolledBack) => " What it had done was taken back: nothing of it stays.",
            Some(SagaState::RollingBack) => " What it did is being taken back.",
            Some(SagaState::Partial) => " What can be undone of it was taken back; the rest stays.",
            Some(_) => " It was to be taken back, and something of it stays until somebody looks at it.",
        };
        match self.state {
            State::Running => {
                format!(
                    "Accepted: the call {id} is in progress and goes on by itself. Do not repeat it. {ask}"
                )
            }
            State::Waiting => {
                let when = match self.due_in.filter(|due| !due.is_zero()) {
                    Some(due) => format!("in {} s", due.as_secs_f64().ceil()),
                    None => "soon".to_owned(),
                };
                format!(
                    "Accepted: the call {id} has not succeeded yet{why}. {effect} The host runs it again {when}, by itself. Do not repeat it. {ask}"
                )
            }
            State::Parked => format!(
                "The call {id} did not succeed{why}. {effect}{taken_back} It is kept as a dead letter until somebody decides. Do not repeat it without looking at the present state. {ask}"
            ),
            State::Done => format!("The call {id} has succeeded.{taken_back}"),
            State::Failed if self.rollback.is_some() => {
                format!(
                    "The call {id} failed{why}.{taken_back} It is never made again under its key, if it had one."
                )
            }
            State::Failed if asks(self.problem.as_ref()) => format!(
                "The call {id} waits for answers to what it asked its client, and goes on with them. {effect} Do not repeat it."
            ),
            State::Failed => format!("The call {id} failed{why}. {effect}"),
            State::RollingBack => {
                format!("The call {id} failed{why}. What it did is being taken back. Do not repeat it. {ask}")
            }
            State::Unknown if self.word == "archived" => format!(
                "The call {id} was made before under this key, and its record is in an archive. It is never made again under this key: use a new one for a new call."
            ),
            State::Unknown => format!(
                "The call {id} was begun, and nobody knows whether it took effect{why}.{taken_back} It is never run again. Look at the present state before you decide; a new call needs a new key."
            ),
            State::Discarded => {
                format!(
                    "The call {id} did not succeed{why}, and somebody gave it up. {effect} It is not run again."
                )
            }
        }
    }

    /// What to add to the failure that was told already.
    #[must_use]
    pub fn kept(&self) -> String {
        let id = self.id;
        match self.state {
            State::Parked => format!(
                "The call is kept as the dead letter {id} until somebody decides; `call_status` tells what became of it."
            ),
            State::Unknown => format!("It is known as {id}, and is never run again under its key."),
            _ => self.told(),
        }
    }

    /// As a reply in the place of the tool's own. One that goes on is no error, unless its tool promises structured
    /// results: clients refuse a success without one.
    pub(crate) fn reply(&self, promises: bool) -> Reply {
        Reply {
            content: vec![Block::text(self.told())],
            is_error: promises || !(self.goes_on() || self.state == State::Done),
            ..Reply::default()
        }
    }
}

/// What is kept of a call that succeeded, when its own reply does not fit.
pub(super) fn too_large() -> Reply {
    let text =
        "The call succeeded. Its result could not be kept: the journal was full. Do not repeat the call.";
    Reply { content: vec![Block::text(text)], ..Reply::default() }
}
