//! `saga_begin`, `saga_call`, `saga_commit`, `saga_rollback`.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};
use skillhost_core::{Block, Call, Failure, FailureKind, OwnTool, Reply, SagaId};
use skillhost_journal::{OnExpiry, RollBack, Saga, SagaState};

use super::{Tool, arguments, id, is_built_in, no, out_of, patience};
use crate::{
    Recovery, Request, RolledBack,
    recovery::{SagasError, unavailable},
};

const CALL: &str = "saga_call";

pub(super) fn begin(recovery: &Arc<Recovery>) -> OwnTool {
    let input = json!({
        "type": "object",
        "properties": {
            "label": {"type": "string", "description": "What it is about, for you and for people", "maxLength": 200},
            "ttl_seconds": {"type": "integer", "description": "How long it may stay open", "minimum": 1, "maximum": 31_536_000},
            "on_expiry": {"enum": ["keep", "rollback"], "description": "What happens to its calls if you do not end it in time"},
        },
        "additionalProperties": false,
    });
    let output = json!({
        "type": "object",
        "properties": {"saga": {"type": "string"}, "expires": {"type": "string"}, "on_expiry": {"type": "string"}},
        "required": ["saga", "expires", "on_expiry"],
    });
    let tool = Tool {
        name: "saga_begin",
        title: "Begin a saga",
        description: "Begins a saga: several calls that you want to keep or take back together. Use it before a task of several \
             steps that must not stay half done. Make each step with `saga_call`; end with `saga_commit` when all is well, or with \
             `saga_rollback` to take everything back, in reverse. Tools marked as undoable can be taken back; others stay, and the \
             roll-back says so.",
        input,
        output: Some(output),
        read_only: false,
        idempotent: false,
        destructive: false,
        timeout: patience(recovery),
        above: None,
        answer: out_of(recovery, |recovery, call| Box::pin(do_begin(recovery, call))),
    };
    tool.own()
}

pub(super) fn call(recovery: &Arc<Recovery>) -> OwnTool {
    let input = json!({
        "type": "object",
        "properties": {
            "saga": {"type": "string", "description": "The id that `saga_begin` gave", "minLength": 36, "maxLength": 36},
            "tool": {"type": "string", "description": "The tool's name, as in the list of tools"},
            "arguments": {"type": "object", "description": "The tool's own arguments"},
        },
        "required": ["saga", "tool"],
        "additionalProperties": false,
    });
    let tool = Tool {
        name: CALL,
        title: "Call a tool in a saga",
        description: "Calls a tool as a step of a saga. The result is the tool's own, and its own rules apply. A step that fails \
             leaves nothing behind where its tool is undoable; the saga stays open, and you decide whether to go on or to roll back.",
        input,
        output: None,
        read_only: false,
        idempotent: false,
        destructive: true,
        // It is unwrapped before it gets here.
        timeout: patience(recovery),
        above: None,
        answer: out_of(recovery, |_, _| {
            Box::pin(async { Ok(no("a call of a saga cannot be made from here")) })
        }),
    };
    tool.own()
}

pub(super) fn commit(recovery: &Arc<Recovery>) -> OwnTool {
    let tool = Tool {
        name: "saga_commit",
        title: "Commit a saga",
        description: "Ends a saga: what its calls did stays. It cannot be rolled back as a whole after that; single calls can \
             still be taken back with `undo_call`, for a time.",
        input: by_saga(),
        output: None,
        read_only: false,
        idempotent: true,
        destructive: false,
        timeout: patience(recovery),
        above: None,
        answer: out_of(recovery, |recovery, call| Box::pin(do_commit(recovery, call))),
    };
    tool.own()
}

pub(super) fn rollback(recovery: &Arc<Recovery>) -> OwnTool {
    let tool = Tool {
        name: "saga_rollback",
        title: "Roll a saga back",
        description: "Takes back all calls of a saga, the last one first. Calls of it that still run are ended first. The answer \
             says whether everything was taken back, and names each call of which something stays. It goes on by itself if it takes \
             longer than the answer; asking again tells how far it is.",
        input: by_saga(),
        output: Some(report_schema()),
        read_only: false,
        idempotent: true,
        destructive: true,
        timeout: patience(recovery),
        above: None,
        answer: out_of(recovery, |recovery, call| Box::pin(do_rollback(recovery, call))),
    };
    tool.own()
}

fn by_saga() -> Value {
    json!({
        "type": "object",
        "properties": {
            "saga": {"type": "string", "description": "The id that `saga_begin` gave", "minLength": 36, "maxLength": 36},
        },
        "required": ["saga"],
        "additionalProperties": false,
    })
}

pub(super) fn report_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "saga": {"type": "string"},
            "state": {"type": "string", "enum": SagaState::ALL.map(SagaState::as_str)},
            "undone": {"type": "integer", "description": "Calls that were taken back"},
            "stays": {"type": "array", "description": "Calls of which something stays, or may", "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"}, "tool": {"type": "string"}, "state": {"type": "string"}, "why": {"type": "string"},
                },
            }},
        },
        "required": ["saga", "state", "undone", "stays"],
    })
}

/// What a roll-back came to, as an answer.
pub(super) fn reported(report: &RolledBack) -> Reply {
    let is_error = !matches!(report.state, SagaState::RolledBack | SagaState::RollingBack);
    Reply {
        content: vec![Block::text(report.told())],
        structured: Some(report.described()),
        is_error,
        ..Reply::default()
    }
}

/// A saga, for programs.
pub(super) fn described(saga: &Saga) -> Value {
    let mut told = json!({
        "saga": saga.id.to_string(),
        "state": saga.state.as_str(),
        "begun": saga.begun.to_string(),
    });
    if let Some(label) = &saga.label {
        told["label"] = label.clone().into();
    }
    if let Some(expires) = saga.expires {
        told["expires"] = expires.to_string().into();
    }
    told
}

async fn do_begin(recovery: Arc<Recovery>, call: Call) -> Result<Reply, Failure> {
    let arguments = arguments(&call);
    let settings = recovery.saga_settings();
    let ttl = arguments.get("ttl_seconds").and_then(Value::as_u64).map_or(settings.ttl, Duration::from_secs);
    if ttl > settings.max_ttl {
        let most = settings.max_ttl.as_secs();
        let text = format!("`ttl_seconds`: a saga may stay open for at most {most} s");
        return Err(Failure::new(FailureKind::InvalidInput, text));
    }
    let on_expiry = match arguments.get("on_expiry").and_then(Value::as_str) {
        Some("rollback") => OnExpiry::Rollback,
        Some(_) => OnExpiry::Keep,
        None => settings.on_expiry,
    };
    let now = recovery.now();
    let expires = now.plus(ttl);
    let saga = Saga {
        id: SagaId::random(),
        held: true,
        caller: call.caller.clone(),
        label: arguments.get("label").and_then(Value::as_str).map(ToOwned::to_owned),
        state: SagaState::Open,
        begun: now,
        expires: Some(expires),
        on_expiry,
        ended: None,
        reason: None,
        force: false,
    };
    let id = saga.id;
    let max = settings.max_open;
    if !recovery.begin_saga(saga).await.map_err(|error| unavailable(&error))? {
        return Ok(no(format!(
            "there are {max} open sagas of yours, as many as there may be: commit some, or roll them back; `list_calls` names them"
        )));
    }
    let then = if on_expiry == OnExpiry::Rollback { "rolled back" } else { "kept as it is" };
    let text = format!(
        "The saga {id} is open until {expires}; if it is not ended by then, it is {then}. Make its calls with `saga_call` \
         {{\"saga\": \"{id}\", \"tool\": …, \"arguments\": …}}; end it with `saga_commit` or `saga_rollback`."
    );
    let on_expiry = if on_expiry == OnExpiry::Rollback { "rollback" } else { "keep" };
    let structured = json!({"saga": id.to_string(), "expires": expires.to_string(), "on_expiry": on_expiry});
    Ok(Reply { content: vec![Block::text(text)], structured: Some(structured), ..Reply::default() })
}

async fn do_commit(recovery: Arc<Recovery>, call: Call) -> Result<Reply, Failure> {
    let id: SagaId = id(&arguments(&call), "saga")?;
    let state = recovery.commit_saga(id, call.caller).await.map_err(|error| unavailable(&error))?;
    Ok(match state {
        Some(SagaState::Committed) => {
            let text = format!(
                "The saga {id} is committed: what its calls did stays. `undo_call` can still take back single ones."
            );
            Reply { content: vec![Block::text(text)], ..Reply::default() }
        }
        Some(state) => no(format!("the saga {id} is {} and cannot be committed any more", state.as_str())),
        None => no(format!("there is no saga {id} of yours; `list_calls` shows those that are open")),
    })
}

async fn do_rollback(recovery: Arc<Recovery>, call: Call) -> Result<Reply, Failure> {
    let id: SagaId = id(&arguments(&call), "saga")?;
    let saga = recovery.saga(id).await.map_err(|error| unavailable(&error))?;
    // A call's own id is for `undo_call`.
    if saga.is_none_or(|saga| !saga.held || saga.caller != call.caller) {
        return Ok(no(format!("there is no saga {id} of yours; `list_calls` shows those that are open")));
    }
    let how = RollBack {
        caller: Some(call.caller.clone()),
        reason: "asked for by its caller".into(),
        ..RollBack::default()
    };
    match recovery.take_back_for(id, how).await {
        Ok(report) => Ok(reported(&report)),
        Err(SagasError::Missing(_)) => Ok(no(format!("there is no saga {id} of yours"))),
        Err(SagasError::Refused(why)) => Ok(no(why)),
        Err(SagasError::Journal(error)) => Err(unavailable(&error)),
    }
}

/// Puts the call that a call of `saga_call` holds in its place. Others stay as they are.
///
/// # Errors
/// Why it holds none.
pub(crate) fn unwrap(request: &mut Request) -> Result<(), Failure> {
    if request.tool != CALL || request.parent.is_some() {
        return Ok(());
    }
    let wrong = |text: String| Failure::new(FailureKind::InvalidInput, text);
    let mut given: Map<String, Value> = request.arguments.take().unwrap_or_default();
    let saga: SagaId = id(&given, "saga")?;
    let tool = match given.remove("tool") {
        Some(Value::String(tool)) if !is_built_in(&tool) && tool != "call_status" => tool,
        Some(Value::String(_)) => {
            return Err(wrong("`tool`: the host's own tools are no steps of a saga".into()));
        }
        _ => return Err(wrong("`tool`: the name of a tool is expected".into())),
    };
    let arguments = match given.remove("arguments") {
        None | Some(Value::Null) => None,
        Some(Value::Object(arguments)) => Some(arguments),
        Some(_) => return Err(wrong("`arguments`: an object is expected".into())),
    };
    if let Some(other) = given.keys().find(|key| *key != "saga") {
        return Err(wrong(format!("`{other}`: unknown; the tool's own arguments belong into `arguments`")));
    }
    (request.tool, request.arguments, request.asked.saga) = (tool, arguments, Some(saga));
    Ok(())
}
