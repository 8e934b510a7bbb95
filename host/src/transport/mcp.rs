//! The MCP server: rmcp's handler on top of the dispatcher. Knows nothing of skills.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, ErrorCode,
        Implementation, ListToolsResult, MetaObject, PaginatedRequestParams, ProgressNotificationParam,
        ProgressToken, ProtocolVersion, ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::{Map, Value, json};
use skillhost_core::{Caller, Catalog, ClientFeatures, ClientLink, Progress, text::bounded};
use skillhost_journal::Priority;
use skillhost_pipeline::{Asked, Dispatcher, Request};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{reply, tools};

/// Tools in one page of `tools/list`.
const PAGE: usize = 500;
/// Changes after one that clients were told of are told together, after this long: each costs them a listing.
const CHANGES_EVERY: Duration = Duration::from_millis(250);
/// How long clients may keep a listing that they cannot be told to drop.
const LIST_TTL_MS: u64 = 60_000;
/// Progress reports that may wait for a slow client; more are dropped.
const PROGRESS_QUEUE: usize = 16;
/// How long a result waits for progress reports before it.
const PROGRESS_FLUSH: Duration = Duration::from_millis(500);
/// Our own key for a correlation id in a request's `_meta`, and its longest value.
const CORRELATION_KEY: &str = "skillhost/correlation_id";
const CORRELATION_MAX: usize = 128;
/// Our own keys for what a client may ask for beside a call.
const KEY: &str = "skillhost/idempotency_key";
const DURABLE: &str = "skillhost/durable";
const PRIORITY: &str = "skillhost/priority";
/// In the server's capabilities: what calls can be taken back with.
const UNDO_EXTENSION: &str = "skillhost/undo";
/// Keys of a request's `_meta` that are the protocol's own affair.
const PROTOCOL_PREFIX: &str = "io.modelcontextprotocol/";
const PROGRESS_TOKEN: &str = "progressToken";

/// Cheap to clone; every session and request shares the same state.
#[derive(Clone)]
pub(crate) struct McpServer {
    inner: Arc<Inner>,
}

struct Inner {
    dispatcher: Arc<Dispatcher>,
    /// The listing of one revision of the catalog.
    listing: Mutex<(u64, Arc<Vec<Tool>>)>,
    /// Clients of the revisions before 2026-07-28, which are told of changes without having asked.
    sessions: Mutex<Vec<Peer<RoleServer>>>,
}

impl McpServer {
    /// A server, and the task that tells clients of changes.
    pub(crate) fn start(dispatcher: Arc<Dispatcher>) -> Self {
        let inner = Arc::new(Inner {
            dispatcher,
            listing: Mutex::new((0, Arc::new(Vec::new()))),
            sessions: Mutex::default(),
        });
        tokio::spawn(tell_sessions(Arc::clone(&inner)));
        Self { inner }
    }
}

impl Inner {
    fn tools(&self, catalog: &Catalog) -> Arc<Vec<Tool>> {
        let mut listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        if listing.0 != catalog.revision {
            *listing = (catalog.revision, Arc::new(tools::list(catalog)));
        }
        Arc::clone(&listing.1)
    }

    fn open_sessions(&self) -> Vec<Peer<RoleServer>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|peer| !peer.is_transport_closed());
        sessions.clone()
    }
}

async fn tell_sessions(inner: Arc<Inner>) {
    let mut changes = inner.dispatcher.changes();
    let mut told = changes.borrow_and_update().revision;
    while changes.changed().await.is_ok() {
        let revision = changes.borrow_and_update().revision;
        if revision == told {
            continue;
        }
        told = revision;
        for peer in inner.open_sessions() {
            // Each on its own: one that does not read must not keep the others from hearing.
            tokio::spawn(async move { peer.notify_tool_list_changed().await });
        }
        tokio::time::sleep(CHANGES_EVERY).await;
    }
}

/// The way back to the client during a call.
struct Link {
    progress: Option<mpsc::Sender<Progress>>,
    cancel: CancellationToken,
}

impl ClientLink for Link {
    fn progress(&self, progress: Progress) {
        if let Some(queue) = &self.progress {
            // A client that reads slowly misses steps; it does not hold up the guest.
            let _ = queue.try_send(progress);
        }
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// Pass progress on until the call is over.
async fn forward(peer: Peer<RoleServer>, token: ProgressToken, mut reports: mpsc::Receiver<Progress>) {
    while let Some(report) = reports.recv().await {
        let mut notification = ProgressNotificationParam::new(token.clone(), report.progress);
        notification.total = report.total;
        notification.message = report.message;
        if peer.notify_progress(notification).await.is_err() {
            return;
        }
    }
}

fn features(cx: &RequestContext<RoleServer>) -> ClientFeatures {
    let progress = cx.meta.get_progress_token().is_some();
    let Some(declared) = cx.client_capabilities() else {
        return ClientFeatures { progress, ..ClientFeatures::default() };
    };
    let elicitation = declared.elicitation.as_ref();
    let (sampling, roots) = (declared.sampling.as_ref(), declared.roots.is_some());
    ClientFeatures {
        // An empty declaration means forms: URLs came later.
        elicitation_form: elicitation.is_some_and(|e| e.form.is_some() || e.url.is_none()),
        elicitation_url: elicitation.is_some_and(|e| e.url.is_some()),
        sampling: sampling.is_some(),
        sampling_tools: sampling.is_some_and(|s| s.tools.is_some()),
        roots,
        progress,
    }
}

/// The request's `_meta` for the skill, without the protocol's own keys.
fn own_meta(meta: &Map<String, Value>) -> Option<String> {
    let own: Map<_, _> = meta
        .iter()
        .filter(|(key, _)| !key.starts_with(PROTOCOL_PREFIX) && *key != PROGRESS_TOKEN)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    (!own.is_empty()).then(|| Value::Object(own).to_string())
}

/// The client's correlation id, if it sent one that is fit for a log.
fn correlation_id(meta: &Map<String, Value>) -> Option<String> {
    let id = meta.get(CORRELATION_KEY)?.as_str()?;
    let fit = !id.is_empty() && id.len() <= CORRELATION_MAX && id.bytes().all(|b| b.is_ascii_graphic());
    fit.then(|| id.to_owned())
}

/// What the client asks for beside the call. Wrong values are refused: who sets a key relies on it.
fn asked(meta: &Map<String, Value>) -> Result<Asked, ErrorData> {
    let wrong = |key: &str, expected: &str| {
        ErrorData::invalid_params(format!("`_meta[\"{key}\"]` cannot be used: {expected}"), None)
    };
    let key = match meta.get(KEY) {
        None => None,
        Some(Value::String(key)) => {
            Some(Asked::checked(key).map_err(|expected| wrong(KEY, expected))?.to_owned())
        }
        Some(_) => return Err(wrong(KEY, "it must be a text")),
    };
    let durable = match meta.get(DURABLE) {
        None => false,
        Some(Value::Bool(durable)) => *durable,
        Some(_) => return Err(wrong(DURABLE, "it must be true or false")),
    };
    let priority = match meta.get(PRIORITY).map(|word| word.as_str().and_then(Priority::from_word)) {
        None => None,
        Some(None) => return Err(wrong(PRIORITY, "it must be low, normal, high or urgent")),
        Some(priority) => priority,
    };
    Ok(Asked { key, durable, priority, saga: None })
}

/// rmcp never answers a request whose handler panicked: answer in its stead.
async fn contained<T>(work: impl Future<Output = Result<T, ErrorData>>) -> Result<T, ErrorData> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a request handler panicked");
        Err(ErrorData::internal_error("the host panicked while it handled the request", None))
    })
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities =
            ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        let mut instructions = String::from(
            "Tools of sandboxed skills. A failed call says in its text whether to mend the arguments, to try again and when, or not \
             to retry. A call that was accepted goes on by itself: do not repeat it, ask `call_status` with its id.",
        );
        if self.inner.dispatcher.catalog().tools.contains_key("saga_begin") {
            // A client can see that calls can be rolled back, before it makes one.
            let undo = json!({"undo": "undo_call", "sagas": ["saga_begin", "saga_call", "saga_commit", "saga_rollback"]});
            let undo = undo.as_object().cloned().unwrap_or_default();
            capabilities.extensions = Some([(UNDO_EXTENSION.to_owned(), undo)].into_iter().collect());
            instructions.push_str(
                " Tools whose `_meta` has `skillhost/undoable` can be undone with `undo_call`. For a task of several steps that must \
                 not stay half done, use `saga_begin`, `saga_call`, and `saga_commit` or `saga_rollback`.",
            );
        }
        ServerConfig::new(capabilities).with_server_info(implementation()).with_instructions(instructions)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _cx: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        contained(async {
            let catalog = self.inner.dispatcher.settled().await;
            let all = self.inner.tools(&catalog);
            // The cursor is the last name of the page before, so that it stays good when tools come and go.
            let after = request.and_then(|request| request.cursor);
            let start = after.as_deref().map_or(0, |after| all.partition_point(|tool| *tool.name <= *after));
            let page: Vec<Tool> = all[start..].iter().take(PAGE).cloned().collect();
            let more = start + page.len() < all.len();
            let next_cursor = page.last().filter(|_| more).map(|tool| tool.name.to_string());
            let mut result = ListToolsResult { tools: page, next_cursor, ..Default::default() };
            result = result.with_ttl_ms(LIST_TTL_MS).with_cache_scope(CacheScope::Public);
            Ok(result)
        })
        .await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let catalog = self.inner.dispatcher.catalog();
        let all = self.inner.tools(&catalog);
        let at = all.binary_search_by(|tool| (*tool.name).cmp(name)).ok()?;
        Some(all[at].clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        contained(async move {
            let client = features(&cx);
            let stateless =
                cx.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
            let meta = &cx.meta.0.0;
            let (progress, forwarding) = match cx.meta.get_progress_token() {
                None => (None, None),
                Some(token) => {
                    let (sender, receiver) = mpsc::channel(PROGRESS_QUEUE);
                    let task = tokio::spawn(forward(cx.peer.clone(), token, receiver));
                    (Some(sender), Some(task))
                }
            };
            let request = Request {
                tool: request.name.into_owned(),
                arguments: request.arguments,
                meta: own_meta(meta),
                correlation_id: correlation_id(meta),
                caller: Caller::local(),
                client,
                link: Arc::new(Link { progress, cancel: cx.ct.clone() }),
                cancel: cx.ct.clone(),
                parent: None,
                asked: asked(meta)?,
                resume: None,
            };
            let response = self.inner.dispatcher.call(request).await;
            if let Some(task) = forwarding {
                // Every progress report goes out before the result, unless the client does not read.
                let _ = tokio::time::timeout(PROGRESS_FLUSH, task).await;
            }
            let mut result = reply::to_mcp(response)?;
            if stateless && let Some(MetaObject(meta)) = &mut result.meta {
                // There was no handshake that could have said who answers.
                let info = serde_json::to_value(implementation()).unwrap_or_default();
                meta.insert(format!("{PROTOCOL_PREFIX}serverInfo"), info);
            }
            Ok(result.into())
        })
        .await
    }

    /// What rmcp could not read as a request it knows: another method, or one of ours with wrong parameters.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _cx: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let params = request.params.unwrap_or_default();
        let problem = match &*request.method {
            "tools/call" => serde_json::from_value::<CallToolRequestParams>(params).err(),
            "tools/list" => serde_json::from_value::<PaginatedRequestParams>(params).err(),
            _ => None,
        };
        let method = bounded(request.method, 100);
        Err(match problem {
            Some(error) => {
                let text = bounded(format!("the parameters of {method} are malformed: {error}"), 500);
                ErrorData::invalid_params(text, None)
            }
            None => ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("unknown method `{method}`"), None),
        })
    }

    async fn on_initialized(&self, cx: NotificationContext<RoleServer>) {
        let mut sessions = self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|peer| !peer.is_transport_closed());
        sessions.push(cx.peer);
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, cx: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.inner.dispatcher.changes();
        let mut told = changes.borrow_and_update().revision;
        loop {
            tokio::select! {
                () = cx.cancelled() => return Ok(()),
                changed = changes.changed() => if changed.is_err() { return Ok(()) },
            }
            let revision = changes.borrow_and_update().revision;
            if revision != told {
                told = revision;
                // A stream that cannot be written is cancelled by rmcp.
                let _ = cx.sink().notify_tool_list_changed().await;
                tokio::time::sleep(CHANGES_EVERY).await;
            }
        }
    }
}

fn implementation() -> Implementation {
    Implementation::new("skillhost", env!("CARGO_PKG_VERSION"))
}
