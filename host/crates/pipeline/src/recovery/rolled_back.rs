//! What taking something back came to, in words that a model can follow.

use serde_json::{Value, json};
use skillhost_core::{CallId, SagaId};
use skillhost_journal::{SagaState, SagaStep, UndoState};

/// Steps that are named one by one; of more the number is told.
const NAMED: usize = 10;

/// What taking something back came to.
#[derive(Debug, Clone, PartialEq)]
pub struct RolledBack {
    /// Its saga: of a call, the call's own id.
    pub saga: SagaId,
    /// Where it is.
    pub state: SagaState,
    /// Calls that were taken back.
    pub undone: usize,
    /// Calls of which something stays, or may.
    pub stays: Vec<Stays>,
}

/// A call of which something stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Stays {
    /// The call.
    pub id: CallId,
    /// Its tool's full name.
    pub tool: String,
    /// Where taking it back is: `cannot-be-undone` when its tool cannot do that.
    pub state: &'static str,
    /// Why, when there is more to say.
    pub why: Option<String>,
}

impl RolledBack {
    /// It is under way, and nobody waited for the end of it.
    pub(crate) fn pending(saga: SagaId) -> Self {
        Self { saga, state: SagaState::RollingBack, undone: 0, stays: vec![] }
    }

    pub(crate) fn of(saga: SagaId, state: SagaState, steps: &[SagaStep]) -> Self {
        let undone = steps.iter().filter(|step| step.undo == Some(UndoState::Undone)).count();
        let stays = |step: &SagaStep| Stays {
            id: step.call.id,
            tool: step.call.tool.clone(),
            state: match step.undo {
                Some(undo) => undo.as_str(),
                None if step.of.undoable => step.call.status(),
                None => "cannot-be-undone",
            },
            why: step.why.clone(),
        };
        Self { saga, state, undone, stays: steps.iter().filter(|step| step.stays()).map(stays).collect() }
    }

    /// Whether it is at its end, and nothing stays.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.state == SagaState::RolledBack
    }

    /// For programs.
    #[must_use]
    pub fn described(&self) -> Value {
        let stays = |stays: &Stays| {
            let mut told = json!({"id": stays.id.to_string(), "tool": stays.tool, "state": stays.state});
            if let Some(why) = &stays.why {
                told["why"] = why.clone().into();
            }
            told
        };
        json!({
            "saga": self.saga.to_string(),
            "state": self.state.as_str(),
            "undone": self.undone,
            "stays": self.stays.iter().map(stays).collect::<Vec<_>>(),
        })
    }

    /// What it means, and what to do.
    #[must_use]
    pub fn told(&self) -> String {
        let id = self.saga;
        let calls = match self.undone {
            0 => String::new(),
            1 => " 1 call was taken back.".to_owned(),
            n => format!(" {n} calls were taken back."),
        };
        let stays = self.named();
        match self.state {
            SagaState::RolledBack => format!("Rolled back: nothing of it stays.{calls}"),
            SagaState::Partial => format!(
                "Partially rolled back.{calls} What cannot be undone stays: {stays}. Look at the present state before you decide."
            ),
            SagaState::Stuck => format!(
                "Partially rolled back.{calls} This stays until somebody looks at it: {stays}. Do not repeat anything without \
                 looking at the present state; an operator has `skillhost saga show {id}`, `resume` and `abandon`."
            ),
            SagaState::Abandoned => {
                format!("Partially rolled back.{calls} An operator gave up the rest: {stays}.")
            }
            SagaState::RollingBack => format!(
                "The roll-back of {id} is pending: it goes on by itself. Do not repeat it; `list_calls` tells how far it is."
            ),
            SagaState::Open => format!("The saga {id} is open."),
            SagaState::Committed => format!("The saga {id} was committed: what was done stays."),
            SagaState::Expired => format!("The saga {id} has expired: what was done stays."),
        }
    }

    fn named(&self) -> String {
        let named = self.stays.iter().take(NAMED).map(|stays| {
            let why = stays.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
            format!("{} {} ({}{why})", stays.tool, stays.id, stays.state)
        });
        let mut text = named.collect::<Vec<_>>().join("; ");
        if self.stays.len() > NAMED {
            text.push_str(&format!("; and {} more", self.stays.len() - NAMED));
        }
        text
    }
}
