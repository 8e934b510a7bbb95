//! The host's own tools for agents: what became of a call, and taking calls back.
//!
//! They go through the pipeline as any tool does; no guest runs. `saga_call` alone is unwrapped before that: the call that it
//! holds goes through in its place.

mod calls;
mod health;
mod sagas;
mod search;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use serde_json::{Map, Value};
use skillhost_core::{
    Access, Annotations, Attempt, Block, Call, Digest, Entry, Failure, FailureKind, Instance, Invoke,
    Outcome, OwnTool, Reply, Report, Schema, SkillName, ToolName, ToolSpec, Undo, Usage,
};

use crate::Recovery;
pub use health::Wellness;
pub(crate) use sagas::unwrap;

/// When agents are offered `search_tools`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferSearch {
    /// Never.
    Never,
    /// While skills have more tools than this.
    Above(usize),
    /// Always.
    Always,
}

impl Default for OfferSearch {
    /// Above 30 tools.
    fn default() -> Self {
        Self::Above(30)
    }
}

/// Which of the host's own tools agents are offered, beside those about calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offered {
    /// `search_tools`. Default above 30 tools.
    pub search: OfferSearch,
    /// `host_health`. Default no.
    pub health: bool,
}

/// The tools, for the catalog: those for sagas, for searching and for the host's health only where they are wanted.
#[must_use]
pub fn built_in(recovery: &Arc<Recovery>, offered: Offered) -> Vec<OwnTool> {
    let mut tools = vec![calls::status(recovery)];
    if offered.health {
        tools.push(health::tool(recovery));
    }
    match offered.search {
        OfferSearch::Never => {}
        OfferSearch::Above(tools_of_skills) => tools.push(search::tool(recovery, Some(tools_of_skills))),
        OfferSearch::Always => tools.push(search::tool(recovery, None)),
    }
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
    const NAMES: [&str; 8] = [
        "list_calls",
        "undo_call",
        "saga_begin",
        "saga_call",
        "saga_commit",
        "saga_rollback",
        search::NAME,
        health::NAME,
    ];
    NAMES.contains(&tool)
}

/// Whether a tool is the host's own. They are for every caller, about his own calls and what he may use.
#[must_use]
pub fn is_own(tool: &str) -> bool {
    tool == "call_status" || is_built_in(tool)
}

/// Whether a tool only tells its caller how things are now, and no more than he may know now: what it answers is neither kept
/// nor found out later.
pub(crate) fn tells_of_now(entry: &Entry) -> bool {
    entry.skill.is_host() && entry.spec.annotations.read_only == Some(true)
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
/// Answers a call. The catalog holds it: it must keep nothing alive that holds the catalog.
type Answering = Arc<dyn Fn(Call) -> Answer + Send + Sync>;

/// Answers out of what is kept of calls. Weak: what finds versions of skills holds the catalog.
fn out_of(recovery: &Arc<Recovery>, answer: fn(Arc<Recovery>, Call) -> Answer) -> Answering {
    let recovery = Arc::downgrade(recovery);
    Arc::new(move |call| match recovery.upgrade() {
        Some(recovery) => answer(recovery, call),
        None => Box::pin(async { Err(ended()) }),
    })
}

/// How long a call may take that waits for something to be taken back: it is answered before.
fn patience(recovery: &Recovery) -> Duration {
    recovery.patience() + Duration::from_secs(60)
}

/// There is nobody to answer any more.
fn ended() -> Failure {
    Failure::new(FailureKind::Cancelled, "it was ended")
}

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
    /// How long a call may take.
    timeout: Duration,
    /// Offered while skills have more tools than this; none for always.
    above: Option<usize>,
    answer: Answering,
}

impl Tool {
    /// # Panics
    /// Never: names and schemas are our own.
    fn own(self) -> OwnTool {
        let schema = |value: &Value| Schema::parse(&value.to_string()).expect("the schema is sound");
        let input = Schema::for_arguments(&self.input.to_string()).expect("the schema is sound");
        let spec = ToolSpec {
            title: Some(self.title.into()),
            description: Some(self.description.into()),
            output: self.output.as_ref().map(schema),
            annotations: Annotations {
                read_only: Some(self.read_only),
                destructive: Some(self.destructive),
                idempotent: Some(self.idempotent),
                open_world: Some(false),
            },
            ..ToolSpec::new(self.name, input)
        };
        let entry = Entry {
            spec: Arc::new(spec),
            skill: SkillName::host(),
            digest: Digest::of(self.name.as_bytes()),
            loaded: 0,
            timeout: self.timeout,
            calls_tools: false,
            invoke: Arc::new(Asked(self.answer)),
        };
        OwnTool { name: ToolName::bare(self.name).expect("the name is sound"), entry, above: self.above }
    }
}

struct Asked(Answering);

struct Asking(Option<Answer>);

impl Invoke for Asked {
    fn start(&self, call: Call) -> Box<dyn Attempt> {
        Box::new(Asking(Some((self.0)(call))))
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
            None => Poll::Ready(Err(ended())),
        };
        // No guest runs.
        let usage = Usage { started: true, ..Usage::default() };
        result.map(|result| Report {
            result: result.map(Outcome::Reply),
            usage,
            instance: Instance::default(),
        })
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
