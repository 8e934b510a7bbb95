//! Each request of a client: its span, how long it took, and an answer even when its handler panics.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::http::{HeaderMap, request::Parts};
use futures::FutureExt as _;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolResponse, CompleteResult, GetPromptResponse, GetTaskResult, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, ProtocolVersion,
        ReadResourceResponse, RequestId,
    },
    service::RequestContext,
};
use serde_json::{Map, Value};
use skillhost_core::{Clock, name::MAX_TOOL_NAME, text::bounded};
use skillhost_pipeline::Dispatcher;
use skillhost_telemetry::{
    Label, Metrics,
    trace::{self, Place, Root, label},
};
use tracing::{Instrument as _, Span};

use crate::app::{App, clock};

/// Bytes of a request's id in its span.
const MAX_ID: usize = 64;
/// What a tool that answers "no" is called among errors.
const TOOL_ERROR: &str = "tool_error";

/// A request.
pub(super) struct Asked<'a> {
    pub(super) method: &'static str,
    /// The tool that is called.
    pub(super) tool: Option<&'a str>,
}

/// What is told of a request beside what it asks for.
pub(super) struct Seen<'a> {
    pub(super) meta: &'a Map<String, Value>,
    /// None when it did not come over HTTP.
    pub(super) headers: Option<&'a HeaderMap>,
    /// Of the protocol.
    pub(super) version: Option<&'a str>,
    pub(super) id: &'a RequestId,
}

/// An answer that may be a failure of a tool.
pub(super) trait Answer {
    fn is_error(&self) -> bool {
        false
    }
}

impl Answer for CallToolResponse {
    fn is_error(&self) -> bool {
        matches!(self, Self::Complete(result) if result.is_error == Some(true))
    }
}

impl Answer for () {}
impl Answer for ListToolsResult {}
impl Answer for ListPromptsResult {}
impl Answer for ListResourcesResult {}
impl Answer for ListResourceTemplatesResult {}
impl Answer for GetPromptResponse {}
impl Answer for ReadResourceResponse {}
impl Answer for CompleteResult {}
impl Answer for GetTaskResult {}

/// Watches requests.
pub(super) struct Watch {
    metrics: Metrics,
    sample: f64,
    clock: Arc<dyn Clock>,
    dispatcher: Arc<Dispatcher>,
}

impl Watch {
    pub(super) fn new(app: &App) -> Self {
        let telemetry = &app.health.telemetry;
        Self {
            metrics: telemetry.metrics.clone(),
            sample: telemetry.sample,
            clock: clock(),
            dispatcher: Arc::clone(&app.dispatcher),
        }
    }

    /// Do the work of a request that rmcp has read.
    pub(super) async fn told<T: Answer>(
        &self,
        asked: Asked<'_>,
        cx: &RequestContext<RoleServer>,
        work: impl Future<Output = Result<T, ErrorData>>,
    ) -> Result<T, ErrorData> {
        let version = cx.protocol_version();
        let seen = Seen {
            meta: &cx.meta.0.0,
            headers: cx.extensions.get::<Parts>().map(|parts| &parts.headers),
            version: version.as_ref().map(ProtocolVersion::as_str),
            id: &cx.id,
        };
        self.seen(asked, &seen, work).await
    }

    /// Do the work of a request. rmcp never answers one whose handler panicked: that is done here in its stead.
    pub(super) async fn seen<T: Answer>(
        &self,
        asked: Asked<'_>,
        seen: &Seen<'_>,
        work: impl Future<Output = Result<T, ErrorData>>,
    ) -> Result<T, ErrorData> {
        let began = self.clock.now();
        let span = self.span(&asked, seen);
        let result =
            AssertUnwindSafe(work.instrument(span.clone())).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!("a request handler panicked");
                Err(ErrorData::internal_error("the host panicked while it handled the request", None))
            });
        let error = match &result {
            Ok(answer) => answer.is_error().then(|| TOOL_ERROR.to_owned()),
            Err(error) => Some(error.code.0.to_string()),
        };
        if let Some(error) = &error {
            trace::failed(&span, if error == TOOL_ERROR { TOOL_ERROR } else { "json-rpc error" });
        }
        self.measure(&asked, seen, error, began);
        result
    }

    fn measure(&self, asked: &Asked<'_>, seen: &Seen<'_>, error: Option<String>, began: Instant) {
        if !self.metrics.is_on() {
            return;
        }
        let mut labels: Vec<Label> =
            vec![label("mcp.method.name", asked.method), label("network.transport", transport(seen))];
        // Of a tool that there is: clients may ask for any.
        if let Some(tool) = asked.tool.filter(|tool| self.dispatcher.catalog().tools.contains_key(*tool)) {
            labels.push(label("gen_ai.tool.name", tool.to_owned()));
        }
        labels.extend(error.map(|error| label("error.type", error)));
        labels.extend(seen.version.map(|version| label("mcp.protocol.version", version.to_owned())));
        self.metrics.operation(&labels, self.clock.now().saturating_duration_since(began));
    }

    /// The span of a request, below the one that its client names; none when it is not sampled.
    fn span(&self, asked: &Asked<'_>, seen: &Seen<'_>) -> Span {
        if self.sample == 0.0 && seen.meta.get("traceparent").is_none() {
            return Span::none();
        }
        let root = root(seen);
        if !root.is_sampled(self.sample, fastrand::f64()) {
            return Span::none();
        }
        // Not more of them than anybody needs: both are the client's own text.
        let tool = asked.tool.map(|tool| bounded(tool.to_owned(), MAX_TOOL_NAME));
        let id = bounded(seen.id.to_string(), MAX_ID);
        let name = match &tool {
            Some(tool) => format!("{} {tool}", asked.method),
            None => asked.method.to_owned(),
        };
        let span = skillhost_telemetry::span!(
            parent: None,
            "request",
            otel.name = name,
            otel.kind = "server",
            "mcp.method.name" = asked.method,
            "gen_ai.tool.name" = tool,
            "gen_ai.operation.name" = tool.as_ref().map(|_| "execute_tool"),
            "jsonrpc.request.id" = id,
            "mcp.protocol.version" = seen.version.map(|version| bounded(version.to_owned(), MAX_ID)),
            "network.transport" = transport(seen),
        );
        root.place(&span);
        span
    }
}

fn transport(seen: &Seen<'_>) -> &'static str {
    match seen.headers {
        Some(_) => "tcp",
        None => "pipe",
    }
}

/// What the client says in `_meta` is the parent; what its HTTP request says is something that has to do with it.
fn root(seen: &Seen<'_>) -> Root {
    let text = |name| seen.meta.get(name).and_then(Value::as_str);
    let parent = text("traceparent").and_then(|parent| Place::parse(parent, text("tracestate")));
    let link = seen.headers.and_then(|headers| {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Place::parse(header("traceparent")?, header("tracestate"))
    });
    Root { parent, links: link.into_iter().collect() }
}
