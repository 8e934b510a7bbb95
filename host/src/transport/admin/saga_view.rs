//! What the admin API tells of sagas, as JSON. `--json` of the command line prints the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skillhost_journal::{OnExpiry, Saga, SagaStep, Timestamp};
use skillhost_pipeline::{RolledBack, SagaShown};

/// How a roll-back is resumed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ResumeBody {
    /// Overwrite what has changed since.
    pub(crate) force: bool,
}

/// How a call is undone.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UndoBody {
    /// Overwrite what has changed since.
    pub(crate) force: bool,
}

/// Sagas.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SagasView {
    /// Newest first.
    pub(crate) sagas: Vec<SagaView>,
    /// Ask with this as `after` for the next part; none at the end.
    pub(crate) next: Option<String>,
}

/// A saga. Times are RFC 3339 in UTC.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SagaView {
    /// Its id: a handle, or a call's own.
    pub(crate) id: String,
    /// open, committed, expired, rolling-back, rolled-back, partial, stuck or abandoned.
    pub(crate) state: &'static str,
    /// Whether an agent holds it; otherwise it is one call with what it made others do.
    pub(crate) held: bool,
    /// Whose it is.
    pub(crate) caller: String,
    /// What its agent calls it.
    pub(crate) label: Option<String>,
    /// When it began; of a call, when taking it back began.
    pub(crate) begun: String,
    /// Until when its agent may use it.
    pub(crate) expires: Option<String>,
    /// keep or rollback.
    pub(crate) on_expiry: &'static str,
    /// When it came to an end.
    pub(crate) ended: Option<String>,
    /// Who or what had it taken back.
    pub(crate) reason: Option<String>,
}

/// A saga with its steps.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ShownView {
    /// The saga.
    #[serde(flatten)]
    pub(crate) saga: SagaView,
    /// In the order they began.
    pub(crate) steps: Vec<StepView>,
}

/// A call that is a step.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StepView {
    /// The call's id.
    pub(crate) id: String,
    /// The call whose tool made it.
    pub(crate) parent: Option<String>,
    /// The tool's full name.
    pub(crate) tool: String,
    /// The version of the skill that did it.
    pub(crate) digest: String,
    /// Where the call is.
    pub(crate) state: &'static str,
    /// Where taking it back is: undoing, undone, conflict, stuck or abandoned.
    pub(crate) undo: Option<&'static str>,
    /// Whether its tool changes something.
    pub(crate) changes: bool,
    /// Whether its skill can take that back.
    pub(crate) undoable: bool,
    /// Whether something of it stays, or may.
    pub(crate) stays: bool,
    /// Tries to take it back.
    pub(crate) tries: u32,
    /// Why it is in conflict or stuck.
    pub(crate) why: Option<String>,
    /// When it began.
    pub(crate) begun: String,
    /// When it ended.
    pub(crate) ended: Option<String>,
    /// When `undo` changed last.
    pub(crate) undo_at: Option<String>,
}

/// What a roll-back came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RolledBackView {
    /// The saga, or the call.
    pub(crate) saga: String,
    /// rolled-back, partial, stuck, or rolling-back when it goes on.
    pub(crate) state: &'static str,
    /// Calls that were taken back.
    pub(crate) undone: usize,
    /// Calls of which something stays.
    pub(crate) stays: Vec<StaysView>,
    /// For people.
    pub(crate) told: String,
}

/// A call of which something stays.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StaysView {
    /// The call's id.
    pub(crate) id: String,
    /// The tool's full name.
    pub(crate) tool: String,
    /// Where taking it back is.
    pub(crate) state: &'static str,
    /// Why.
    pub(crate) why: Option<String>,
}

fn text(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}

impl SagaView {
    pub(super) fn of(saga: &Saga) -> Self {
        Self {
            id: saga.id.to_string(),
            state: saga.state.as_str(),
            held: saga.held,
            caller: saga.caller.as_str().to_owned(),
            label: saga.label.clone(),
            begun: saga.begun.to_string(),
            expires: text(saga.expires),
            on_expiry: match saga.on_expiry {
                OnExpiry::Keep => "keep",
                OnExpiry::Rollback => "rollback",
            },
            ended: text(saga.ended),
            reason: saga.reason.clone(),
        }
    }
}

impl ShownView {
    pub(super) fn of(shown: &SagaShown) -> Self {
        Self { saga: SagaView::of(&shown.saga), steps: shown.steps.iter().map(StepView::of).collect() }
    }
}

impl StepView {
    fn of(step: &SagaStep) -> Self {
        Self {
            id: step.call.id.to_string(),
            parent: step.of.parent.map(|parent| parent.to_string()),
            tool: step.call.tool.clone(),
            digest: step.call.digest.to_string(),
            state: step.call.status(),
            undo: step.undo.map(|undo| undo.as_str()),
            changes: step.of.changes,
            undoable: step.of.undoable,
            stays: step.stays(),
            tries: step.tries,
            why: step.why.clone(),
            begun: step.call.begun.to_string(),
            ended: text(step.call.ended),
            undo_at: text(step.at),
        }
    }
}

impl RolledBackView {
    pub(super) fn of(report: &RolledBack) -> Self {
        let stays = report.stays.iter().map(|stays| StaysView {
            id: stays.id.to_string(),
            tool: stays.tool.clone(),
            state: stays.state,
            why: stays.why.clone(),
        });
        Self {
            saga: report.saga.to_string(),
            state: report.state.as_str(),
            undone: report.undone,
            stays: stays.collect(),
            told: report.told(),
        }
    }
}
