//! `call_status`: the built-in tool that tells what became of a call.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use serde_json::{Map, Value, json};
use skillhost_core::{
    Annotations, Attempt, Block, Call, CallId, Digest, Entry, Failure, FailureKind, Invoke, Outcome, Reply,
    Report, Schema, SkillName, ToolName, ToolSpec, Usage,
};

use super::{Recovery, outcome, standing::Standing, unavailable};

const NAME: &str = "call_status";

/// The tool, for the catalog.
///
/// # Panics
/// Never: its own name and schemas are sound.
#[must_use]
pub fn call_status(recovery: &Arc<Recovery>) -> (ToolName, Entry) {
    let input = json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "The call's id, as its reply told it", "minLength": 36, "maxLength": 36},
        },
        "required": ["id"],
        "additionalProperties": false,
    });
    let output = json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "tool": {"type": "string"},
            "state": {"type": "string", "enum": [
                "running", "leased", "waiting", "parked", "done", "recovered", "failed", "unknown", "discarded",
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
    let spec = ToolSpec {
        name: NAME.into(),
        title: Some("Status of a call".into()),
        description: Some(
            "Tells what became of a call that was accepted, is in progress, or was left as a dead letter; with its \
             result, once it has succeeded. Ask for calls of your own, by the id their reply told."
                .into(),
        ),
        input: Schema::for_arguments(&input.to_string()).expect("the schema is sound"),
        output: Some(Schema::parse(&output.to_string()).expect("the schema is sound")),
        annotations: Annotations {
            read_only: Some(true),
            destructive: Some(false),
            idempotent: Some(true),
            open_world: Some(false),
        },
        undoable: false,
        icons: None,
        meta: None,
    };
    let entry = Entry {
        spec: Arc::new(spec),
        skill: SkillName::host(),
        digest: Digest::of(NAME.as_bytes()),
        loaded: 0,
        timeout: Duration::from_secs(30),
        invoke: Arc::new(Status(Arc::clone(recovery))),
    };
    (ToolName::bare(NAME).expect("the name is sound"), entry)
}

struct Status(Arc<Recovery>);

type Answer = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

struct Asking(Option<Answer>);

impl Invoke for Status {
    fn start(&self, call: Call) -> Box<dyn Attempt> {
        Box::new(Asking(Some(Box::pin(status(Arc::clone(&self.0), call)))))
    }
}

impl Future for Asking {
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        let result = match &mut self.0 {
            Some(answer) => answer.as_mut().poll(cx),
            None => Poll::Ready(Err(Failure::new(FailureKind::Cancelled, "it was ended"))),
        };
        // Nothing is changed by asking, and no guest runs.
        result.map(|result| Report { result: result.map(Outcome::Reply), usage: Usage::default() })
    }
}

impl Attempt for Asking {
    fn abort(&mut self) {
        self.0 = None;
    }
}

async fn status(recovery: Arc<Recovery>, call: Call) -> Result<Reply, Failure> {
    let arguments: Map<String, Value> =
        call.arguments.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let asked = arguments.get("id").and_then(Value::as_str).unwrap_or_default();
    let id: CallId = asked.parse().map_err(|expected| {
        Failure::new(FailureKind::InvalidInput, format!("`{asked}` is not the id of a call: {expected}"))
    })?;
    let record = recovery.journal.get(id).await.map_err(|error| unavailable(&error))?;
    // Other callers' calls are none of this one's business.
    let Some(record) = record.filter(|record| record.caller == call.caller) else {
        let text = format!(
            "there is no record of the call {id}: only calls with a key, durable ones and dead letters are kept, for a time"
        );
        return Ok(Reply { content: vec![Block::text(text)], is_error: true, ..Reply::default() });
    };
    let standing = Standing::of(&record, recovery.now());
    let mut structured = json!({
        "id": id.to_string(),
        "tool": record.tool,
        "state": standing.word,
        "attempts": record.attempts,
    });
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
