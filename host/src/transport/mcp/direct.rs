//! Calls that need nothing of rmcp but its words: those of the era without sessions whose client listens to nothing while they run.
//! That is what a busy host is asked most.
//!
//! rmcp reads such a message four times over and serves it as a connection of its own, with three tasks and their channels, which
//! costs more than the sandbox does (`docs/benchmarks`). What is read here is read once. Whatever is out of the ordinary, and whatever
//! is wrong, is left to rmcp: nothing is refused here, and a test compares the answers.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::Bytes,
    http::{
        HeaderMap, Method, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse as _, Response},
};
use rmcp::{
    ErrorData,
    model::{
        CallToolRequestParams, CallToolResponse, ClientCapabilities, ErrorCode, RequestId,
        ServerJsonRpcMessage, ServerResult,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    McpServer,
    link::{self, Link, Origin, PROGRESS_TOKEN},
    watch::{Asked, Seen},
};
use crate::transport::reply;

const VERSION: &str = "2026-07-28";
const METHOD: &str = "tools/call";
/// What a request says of itself in its `_meta`.
const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    jsonrpc: String,
    id: RequestId,
    method: String,
    params: Params,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    name: String,
    #[serde(default)]
    arguments: Option<Map<String, Value>>,
    #[serde(rename = "_meta")]
    meta: Map<String, Value>,
}

/// A call that needs nothing of rmcp.
pub(crate) struct Direct {
    id: RequestId,
    params: CallToolRequestParams,
    meta: Map<String, Value>,
    declared: ClientCapabilities,
}

impl Direct {
    /// The call that a line of stdin is, if it is such a one.
    pub(crate) fn said(line: &str) -> Option<Self> {
        Self::read(line.as_bytes())
    }

    /// The call that a request over HTTP is, if it is such a one.
    pub(crate) fn of(server: &McpServer, head: &Parts, body: &Bytes) -> Option<Self> {
        let tool =
            plain(&head.headers).filter(|_| head.method == Method::POST && head.uri.path() == "/mcp")?;
        let direct = Self::read(body).filter(|direct| direct.params.name == tool)?;
        // Whose headers say something of its arguments, too, is compared with them by rmcp.
        let catalog = server.inner.dispatcher.catalog();
        let entry = catalog.tools.get(tool)?;
        (!entry.spec.input.mentions_headers()).then_some(direct)
    }

    fn read(text: &[u8]) -> Option<Self> {
        let Message { jsonrpc, id, method, params } = serde_json::from_slice(text).ok()?;
        let Params { name, arguments, meta } = params;
        let declared: ClientCapabilities = match meta.get(CLIENT_CAPABILITIES)? {
            Value::Object(none) if none.is_empty() => ClientCapabilities::default(),
            some => serde_json::from_value(some.clone()).ok()?,
        };
        let ordinary = jsonrpc == "2.0"
            && method == METHOD
            && meta.get(PROTOCOL_VERSION)?.as_str() == Some(VERSION)
            && !meta.contains_key(LOG_LEVEL)
            && !meta.contains_key(PROGRESS_TOKEN)
            && !declared.supports_tasks();
        let mut params = CallToolRequestParams::new(name);
        params.arguments = arguments;
        ordinary.then_some(Self { id, params, meta, declared })
    }

    pub(crate) fn id(&self) -> &RequestId {
        &self.id
    }

    /// Make it, and word what comes of it. `cancel`: who waits for it has given up.
    pub(crate) async fn told(self, server: &McpServer, cancel: CancellationToken) -> ServerJsonRpcMessage {
        let id = self.id.clone();
        worded(self.made(server, None, cancel).await, id)
    }

    /// The same over HTTP. It is ended when nobody waits for its answer any more.
    pub(crate) async fn answer(self, server: McpServer, head: Parts) -> Response {
        let (cancel, id) = (CancellationToken::new(), self.id.clone());
        let ended = cancel.clone();
        let work = async move { self.made(&server, Some(&head), cancel).await };
        let made = (Ending { work: Some(Box::pin(work)), ended }).await;
        let status = made.as_ref().map_or_else(status, |_| StatusCode::OK);
        match reply::json(&worded(made, id)) {
            Ok(body) => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written as JSON");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    async fn made(
        self,
        server: &McpServer,
        head: Option<&Parts>,
        cancel: CancellationToken,
    ) -> Result<CallToolResponse, ErrorData> {
        let Self { id, params, meta, declared } = self;
        tracing::debug!("answered without rmcp");
        let headers = head.map(|head| &head.headers);
        let seen = Seen { meta: &meta, headers, version: Some(VERSION), id: &id };
        let tool = params.name.clone();
        let asked = Asked { method: METHOD, tool: Some(&tool) };
        let origin = Origin {
            meta: &meta,
            identity: head.and_then(|head| head.extensions.get().cloned()).unwrap_or_default(),
            client: link::declared(Some(&declared), false),
            stateless: true,
            has_tasks: false,
            cancel: cancel.clone(),
        };
        let link = Link::silent(cancel);
        let work = server.answered(params, origin, link, async |request| {
            Ok(Box::pin(server.inner.dispatcher.call(request)).await)
        });
        server.inner.watch.seen(asked, &seen, work).await
    }
}

fn worded(made: Result<CallToolResponse, ErrorData>, id: RequestId) -> ServerJsonRpcMessage {
    match made {
        Ok(response) => ServerJsonRpcMessage::response(ServerResult::from(response), id),
        Err(error) => ServerJsonRpcMessage::error(error, Some(id)),
    }
}

/// Work that ends as it should, also when its client is gone: it is told so, and goes on by itself.
struct Ending<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    ended: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> Future for Ending<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let work = self.work.as_mut().expect("polled until it is ready");
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Ending<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.ended.cancel();
            // Without a runtime the host is at its end, and so is the work.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(work);
            }
        }
    }
}

/// The tool that a request calls by its headers, when these are what most clients send.
fn plain(headers: &HeaderMap) -> Option<&str> {
    let one = |name: &str| {
        let mut all = headers.get_all(name).iter();
        let first = all.next()?.to_str().ok()?;
        all.next().is_none().then_some(first)
    };
    let accepted = one(ACCEPT.as_str())?;
    let accepts = |kind: &str| accepted.split(',').any(|one| one.trim() == kind);
    let ordinary = one("mcp-protocol-version")? == VERSION
        && one("mcp-method")? == METHOD
        && one(CONTENT_TYPE.as_str())? == "application/json"
        && accepts("application/json")
        && accepts("text/event-stream")
        && !headers.keys().any(|name| name == "mcp-session-id" || name.as_str().starts_with("mcp-param-"));
    one("mcp-name").filter(|_| ordinary)
}

/// As rmcp has it for requests of this era.
fn status(error: &ErrorData) -> StatusCode {
    match error.code {
        ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY
        | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
        | ErrorCode::HEADER_MISMATCH => StatusCode::BAD_REQUEST,
        ErrorCode::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}
