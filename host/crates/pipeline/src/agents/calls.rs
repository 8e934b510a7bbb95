//! `call_status`, `list_calls`, `undo_call`.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use skillhost_core::{Block, Call, CallId, Failure, OwnTool, Reply};
use skillhost_journal::{RollBack, SagaStep};

use super::{Tool, arguments, id, no, out_of, patience, sagas};
use crate::{
    Recovery, Standing,
    recovery::{SagasError, outcome, unavailable},
};

/// Calls in one answer.
const PAGE: u32 = 50;

pub(super) fn status(recovery: &Arc<Recovery>) -> OwnTool {
    let output = json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "tool": {"type": "string"},
            "state": {"type": "string", "enum": [
                "running", "leased", "waiting", "parked", "done", "recovered", "failed", "unknown", "discarded",
                "rolling-back",
            ]},
            "undo": {"type": "string", "description": "Where taking it back is, if anybody has begun", "enum": [
                "undoing", "undone", "conflict", "stuck", "abandoned",
            ]},
            "attempts": {"type": "integer", "description": "Runs so far"},
            "due_in_ms": {"type": "integer", "description": "Until it is run again"},
            "failure": {"type": "object", "properties": {
                "kind": {"type": "string"}, "message": {"type": "string"}, "effect": {"enum": ["none", "unknown"]},
            }},
            "result": {"type": "object", "description": "The tool's own result, once it has succeeded", "properties": {
                "structured": {}, "is_error": {"type": "boolean"},
            }},
        },
        "required": ["id", "tool", "state", "attempts"],
    });
    let tool = Tool {
        name: "call_status",
        title: "Status of a call",
        description: "Tells what became of a call that was accepted, is in progress, was left as a dead letter, or is taken back; \
             with its result, once it has succeeded. Ask for calls of your own, by the id their reply told.",
        input: by_id("The call's id, as its reply told it"),
        output: Some(output),
        read_only: true,
        idempotent: true,
        destructive: false,
        timeout: patience(recovery),
        above: None,
        answer: out_of(recovery, |recovery, call| Box::pin(tell_status(recovery, call))),
    };
    tool.own()
}

pub(super) fn list(recovery: &Arc<Recovery>) -> OwnTool {
    let input = json!({
        "type": "object",
        "properties": {
            "saga": {"type": "string", "description": "Only calls of this saga", "minLength": 36, "maxLength": 36},
            "before": {"type": "string", "description": "Only calls older than this one, by id: the last of a listing leads to the next", "minLength": 36, "maxLength": 36},
        },
        "additionalProperties": false,
    });
    let output = json!({
        "type": "object",
        "properties": {
            "calls": {"type": "array", "items": {"type": "object"}},
            "sagas": {"type": "array", "items": {"type": "object"}},
            "more": {"type": "boolean"},
        },
        "required": ["calls", "sagas", "more"],
    });
    let tool = Tool {
        name: "list_calls",
        title: "List recent calls",
        description: "Lists your recent calls that can be taken back or are part of a saga, newest first, and your open sagas: \
             with their ids, states, and whether `undo_call` can take them back. Use it to find an id you have lost, or to see \
             what is left after something failed.",
        input,
        output: Some(output),
        read_only: true,
        idempotent: true,
        destructive: false,
        timeout: patience(recovery),
        above: None,
        answer: out_of(recovery, |recovery, call| Box::pin(tell_list(recovery, call))),
    };
    tool.own()
}

pub(super) fn undo(recovery: &Arc<Recovery>) -> OwnTool {
    let tool = Tool {
        name: "undo_call",
        title: "Undo a call",
        description: "Takes back what one earlier call of yours did, by the id its reply told, together with everything that call \
             made other tools do. Works for tools marked as undoable; tells exactly what could not be taken back. A call whose \
             effects somebody has changed since is left alone and reported as a conflict. Undoing twice does no harm. An undo \
             cannot itself be undone.",
        input: by_id("The call's id, as its reply told it"),
        output: Some(sagas::report_schema()),
        read_only: false,
        idempotent: true,
        destructive: true,
        timeout: patience(recovery),
        above: None,
        answer: out_of(recovery, |recovery, call| Box::pin(take_back(recovery, call))),
    };
    tool.own()
}

fn by_id(description: &str) -> Value {
    json!({
        "type": "object",
        "properties": {"id": {"type": "string", "description": description, "minLength": 36, "maxLength": 36}},
        "required": ["id"],
        "additionalProperties": false,
    })
}

async fn tell_status(recovery: Arc<Recovery>, call: Call) -> Result<Reply, Failure> {
    let id: CallId = id(&arguments(&call), "id")?;
    let record = recovery.record(id).await.map_err(|error| unavailable(&error))?;
    // Other callers' calls are none of this one's business.
    let Some(record) = record.filter(|record| record.caller == call.caller) else {
        return Ok(no(format!(
            "there is no record of the call {id}: only calls with a key, durable ones, those that can be taken back and dead \
             letters are kept, for a time"
        )));
    };
    let standing = Standing::of(&record, recovery.now());
    let mut structured = json!({
        "id": id.to_string(),
        "tool": record.tool,
        "state": standing.word,
        "attempts": record.attempts,
    });
    if let Some(undo) = record.undo {
        structured["undo"] = undo.as_str().into();
    }
    if let Some(due) = standing.due_in {
        structured["due_in_ms"] = u64::try_from(due.as_millis()).unwrap_or(u64::MAX).into();
    }
    let mut content = vec![Block::text(standing.told())];
    match outcome(&record) {
        Some(reply) => {
            structured["result"] = json!({"structured": reply.structured, "is_error": reply.is_error});
            content.extend(reply.content);
        }
        None => {
            if let Some(problem) = &record.problem {
                let effect = if problem.unknown_effect { "unknown" } else { "none" };
                structured["failure"] =
                    json!({"kind": problem.kind, "message": problem.message, "effect": effect});
            }
        }
    }
    Ok(Reply { content, structured: Some(structured), ..Reply::default() })
}

async fn tell_list(recovery: Arc<Recovery>, call: Call) -> Result<Reply, Failure> {
    let arguments = arguments(&call);
    let given = |name: &str| arguments.contains_key(name);
    let saga = given("saga").then(|| id(&arguments, "saga")).transpose()?;
    let before = given("before").then(|| id(&arguments, "before")).transpose()?;
    let listed = recovery.calls_of(call.caller.clone(), saga, before, PAGE + 1).await;
    let mut calls = listed.map_err(|error| unavailable(&error))?;
    let more = calls.len() > PAGE as usize;
    calls.truncate(PAGE as usize);
    let open = recovery.open_sagas(&call.caller).await.map_err(|error| unavailable(&error))?;
    let mut text = String::new();
    for step in &calls {
        let SagaStep { call, of, undo, .. } = step;
        let can = of.undoable && step.effect && undo.is_none();
        let undoable = if can { ", can be undone" } else { "" };
        let saga = of.saga.map_or(String::new(), |saga| format!(", saga {saga}"));
        text.push_str(&format!(
            "{} {} [{}{undoable}{saga}] {}\n",
            call.id,
            call.tool,
            step.word(),
            call.begun
        ));
    }
    for saga in &open {
        let label = saga.label.as_ref().map_or(String::new(), |label| format!(" \"{label}\""));
        text.push_str(&format!("saga {}{label} [{}]\n", saga.id, saga.state.as_str()));
    }
    if text.is_empty() {
        text.push_str(
            "There are none: only calls that can be undone, have a key, are durable or part of a saga are listed.",
        );
    }
    let structured = json!({
        "calls": calls.iter().map(described).collect::<Vec<_>>(),
        "sagas": open.iter().map(sagas::described).collect::<Vec<_>>(),
        "more": more,
    });
    Ok(Reply { content: vec![Block::text(text)], structured: Some(structured), ..Reply::default() })
}

/// A call, for programs.
fn described(step: &SagaStep) -> Value {
    let mut told = Map::new();
    let mut say = |key: &str, value: Value| told.insert(key.to_owned(), value);
    say("id", step.call.id.to_string().into());
    say("tool", step.call.tool.clone().into());
    say("state", step.call.status().into());
    say("begun", step.call.begun.to_string().into());
    say("undoable", (step.of.undoable && step.effect && step.undo.is_none()).into());
    if let Some(undo) = step.undo {
        say("undo", undo.as_str().into());
    }
    if let Some(why) = &step.why {
        say("why", why.clone().into());
    }
    if let Some(saga) = step.of.saga {
        say("saga", saga.to_string().into());
    }
    Value::Object(told)
}

async fn take_back(recovery: Arc<Recovery>, call: Call) -> Result<Reply, Failure> {
    let id: CallId = id(&arguments(&call), "id")?;
    if recovery.saga(id.into()).await.is_ok_and(|saga| saga.is_some_and(|saga| saga.held)) {
        return Ok(no(format!("{id} is a saga, not a call; `saga_rollback` takes it back")));
    }
    let how = RollBack {
        caller: Some(call.caller.clone()),
        reason: "asked for by its caller".into(),
        ..RollBack::default()
    };
    match recovery.take_back_for(id.into(), how).await {
        Ok(report) => Ok(sagas::reported(&report)),
        Err(SagasError::Missing(_)) => Ok(no(format!(
            "there is no call {id} of yours that could be taken back; `list_calls` shows those there are"
        ))),
        Err(SagasError::Refused(why)) => Ok(no(format!("the call {id} was not taken back: {why}"))),
        Err(SagasError::Journal(error)) => Err(unavailable(&error)),
    }
}
