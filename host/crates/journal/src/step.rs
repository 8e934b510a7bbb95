//! Calls that may be taken back: steps, and the order in which they go.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use skillhost_core::{CallId, Digest, SagaId};

use crate::{Record, Timestamp};

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
    let here: HashSet<CallId> = steps.iter().map(|step| step.call.id).collect();
    let mut children: HashMap<Option<CallId>, Vec<CallId>> = HashMap::new();
    // Calls of an agent may overlap: who ended last had the last effect.
    let mut steps: Vec<&SagaStep> = steps.iter().collect();
    steps.sort_by_key(|step| {
        let Record { ended, dead, enqueued, begun, .. } = step.call;
        ended.or(dead).or(enqueued).unwrap_or(begun)
    });
    for step in steps {
        // One whose maker is not among them stands at the top.
        let parent = step.of.parent.filter(|parent| here.contains(parent));
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
    steps.into_iter().filter(belongs).collect()
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
