//! The host's own tools for agents: what became of a call, and taking calls back.
//!
//! They go through the pipeline as any tool does; no guest runs. `saga_call` alone is unwrapped before that: the call that it
//! holds goes through in its place.

mod calls;
mod sagas;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use serde_json::{Map, Value};
use skillhost_core::{
    Access, Annotations, Attempt, Block, Call, Digest, Entry, Failure, FailureKind, Invoke, Outcome, Reply,
    Report, Schema, SkillName, ToolName, ToolSpec, Undo, Usage,
};

use crate::Recovery;
pub(crate) use sagas::unwrap;

/// The tools, for the catalog: those for sagas only where they are wanted.
#[must_use]
pub fn built_in(recovery: &Arc<Recovery>) -> Vec<(ToolName, Entry)> {
    let mut tools = vec![calls::status(recovery)];
    if recovery.saga_tools() {
        tools.extend([
            calls::list(recovery),
            calls::undo(recovery),
            sagas::begin(recovery),
            sagas::call(recovery),
            sagas::commit(recovery),
            sagas::rollback(recovery),
        ]);
    }
    tools
}

/// Names of tools that no skill may call: they are about calls of agents.
pub(crate) fn is_built_in(tool: &str) -> bool {
    ["list_calls", "undo_call", "saga_begin", "saga_call", "saga_commit", "saga_rollback"].contains(&tool)
}

/// Whether a tool is the host's own. They are for every caller, about his own calls.
#[must_use]
pub fn is_own(tool: &str) -> bool {
    tool == "call_status" || is_built_in(tool)
}

/// Whether a caller's scopes reach a tool. The host's own are for everybody: they are about their caller's own calls.
pub(crate) fn reaches(access: &Access, tool: &str) -> Result<(), Failure> {
    if is_own(tool) || access.allows(tool) {
        return Ok(());
    }
    let text = format!("the caller's scopes do not reach the tool `{tool}`");
    Err(Failure::new(FailureKind::Denied, text))
}

type Answer = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;
type Answering = fn(Arc<Recovery>, Call) -> Answer;

/// A tool of the host's.
struct Tool {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    input: Value,
    output: Option<Value>,
    /// Whether it changes nothing.
    read_only: bool,
    /// Whether it does no harm when it runs twice.
    idempotent: bool,
    destructive: bool,
    answer: Answering,
}

impl Tool {
    /// # Panics
    /// Never: names and schemas are our own.
    fn entry(self, recovery: &Arc<Recovery>) -> (ToolName, Entry) {
        let schema = |value: &Value| Schema::parse(&value.to_string()).expect("the schema is sound");
        let spec = ToolSpec {
            name: self.name.into(),
            title: Some(self.title.into()),
            description: Some(self.description.into()),
            input: Schema::for_arguments(&self.input.to_string()).expect("the schema is sound"),
            output: self.output.as_ref().map(schema),
            annotations: Annotations {
                read_only: Some(self.read_only),
                destructive: Some(self.destructive),
                idempotent: Some(self.idempotent),
                open_world: Some(false),
            },
            undoable: false,
            durable: false,
            task: skillhost_core::TaskSupport::No,
            icons: None,
            meta: None,
        };
        let entry = Entry {
            spec: Arc::new(spec),
            skill: SkillName::host(),
            digest: Digest::of(self.name.as_bytes()),
            loaded: 0,
            // Whoever waits for something to be taken back is answered before.
            timeout: recovery.patience() + Duration::from_secs(60),
            calls_tools: false,
            invoke: Arc::new(Asked { recovery: Arc::downgrade(recovery), answer: self.answer }),
        };
        (ToolName::bare(self.name).expect("the name is sound"), entry)
    }
}

struct Asked {
    /// Weak: what finds versions of skills holds the catalog, which holds this.
    recovery: Weak<Recovery>,
    answer: Answering,
}

struct Asking(Option<Answer>);

impl Invoke for Asked {
    fn start(&self, call: Call) -> Box<dyn Attempt> {
        Box::new(Asking(self.recovery.upgrade().map(|recovery| (self.answer)(recovery, call))))
    }

    fn undo(&self, _: Undo) -> Box<dyn Attempt> {
        Box::new(Asking(None))
    }
}

impl Future for Asking {
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        let result = match &mut self.0 {
            Some(answer) => answer.as_mut().poll(cx),
            None => Poll::Ready(Err(Failure::new(FailureKind::Cancelled, "it was ended"))),
        };
        // No guest runs.
        let usage = Usage { started: true, ..Usage::default() };
        result.map(|result| Report { result: result.map(Outcome::Reply), usage })
    }
}

impl Attempt for Asking {
    fn abort(&mut self) {
        self.0 = None;
    }
}

/// The arguments, which were checked against the tool's schema.
fn arguments(call: &Call) -> Map<String, Value> {
    call.arguments.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// An id among the arguments.
fn id<T: std::str::FromStr<Err = &'static str>>(
    arguments: &Map<String, Value>,
    name: &str,
) -> Result<T, Failure> {
    let text = arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    text.parse().map_err(|expected| {
        Failure::new(FailureKind::InvalidInput, format!("`{name}`: `{text}` is no id: {expected}"))
    })
}

/// "No", as an answer.
fn no(text: impl Into<String>) -> Reply {
    Reply { content: vec![Block::text(text)], is_error: true, ..Reply::default() }
}
