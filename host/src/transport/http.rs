//! MCP over streamable HTTP.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use axum::{
    Router,
    extract::{Request, State},
    http::HeaderValue,
    middleware::{self, Next},
    response::Response,
    serve::ListenerExt as _,
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use skillhost_pipeline::{Dispatcher, Tasks};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Auth, McpServer, Sources,
    admin::{Admin, Token},
    body::{limit, refuse, worded},
    guard::{Guard, guard},
};
use crate::{app, config::HttpSettings};

/// How long calls in flight may take after a signal to end.
const DRAIN: Duration = Duration::from_secs(10);

/// How long written replies may take to reach their clients.
const FLUSH: Duration = Duration::from_millis(500);

/// Listen on the configured address.
///
/// # Errors
/// With advice, when the port is taken, or the address is open to a network without leave.
pub(crate) async fn bind(settings: &HttpSettings) -> anyhow::Result<TcpListener> {
    let listen = settings.listen;
    let open = settings.allow_unauthenticated_network || settings.auth.is_asked();
    if !listen.ip().is_loopback() && !open {
        bail!(
            "refusing to listen on {listen}: everybody who reaches that address could call every tool.\n  \
             hint: listen on 127.0.0.1; or have callers say who they are, with `[auth]`; or set \
             `server.allow_unauthenticated_network = true` if something in front authenticates"
        );
    }
    TcpListener::bind(listen).await.map_err(|error| explain(listen, &error))
}

fn explain(listen: SocketAddr, error: &io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there; choose another port with --listen",
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges; choose another with --listen",
        _ => "choose another address with --listen",
    };
    anyhow::anyhow!("cannot listen on {listen}: {error}\n  hint: {hint}")
}

/// Serve until `stop` is cancelled, then let calls in flight end.
pub(crate) async fn serve(
    dispatcher: &Arc<Dispatcher>,
    (sources, tasks): (Sources, Tasks),
    settings: &HttpSettings,
    admin: Option<(Admin, Token)>,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    // Cancelled later than `stop`: it would cut calls in flight short.
    let sessions = CancellationToken::new();
    // Legacy sessions stay on: without them the older eras hear of no change. Host and Origin are
    // checked by our own layer, which covers every route. rmcp bounds bodies that do not tell their length.
    let config = StreamableHttpServerConfig::default()
        .with_json_response(true)
        .with_max_request_body_bytes(settings.max_request)
        .with_cancellation_token(sessions.clone())
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let server = McpServer::start(Arc::clone(dispatcher), sources, tasks);
    let manager = Arc::new(LocalSessionManager::default());
    let mcp = StreamableHttpService::new(move || Ok(server.another()), manager, config);
    let hosts = Guard::new(&settings.allowed_hosts, &settings.allowed_origins, address.ip());
    let admin = admin.map_or_else(Router::new, |(admin, token)| admin.guarded(token));
    let mcp = Router::new()
        .nest_service("/mcp", mcp)
        .layer(middleware::from_fn_with_state(Arc::clone(dispatcher), known))
        .layer(middleware::from_fn_with_state(settings.max_request, refuse));
    // Outside of all that reads a body: who may not call fills no memory.
    let mcp = match Auth::open(&settings.auth, (&address.to_string(), settings.max_request), &app::clock())? {
        Some(auth) => auth.guard(mcp),
        None => mcp,
    };
    let router = mcp
        .merge(admin)
        .layer(middleware::from_fn_with_state(settings.max_request, limit))
        .layer(middleware::from_fn_with_state(hosts, guard))
        .layer(middleware::from_fn(worded));
    // Without this an SSE reply waits for the client's delayed acknowledgement: 42 replies a second.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
    });
    tracing::info!(url = format!("http://{address}/mcp"), "listening");
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut served = pin!(served.into_future());
    tokio::select! {
        result = &mut served => return result.context("the HTTP server failed"),
        () = stop.cancelled() => {}
    }
    drain(dispatcher).await;
    // Replies go out by themselves; what is left then are streams without end.
    if timeout(FLUSH, &mut served).await.is_err() {
        sessions.cancel();
        let _ = timeout(FLUSH, served).await;
    }
    Ok(())
}

/// Waits until the tool of a call is known, as long as that is worth while. rmcp compares headers with its schema before it
/// calls, and would take a tool whose skill is still loaded for one without headers.
async fn known(State(dispatcher): State<Arc<Dispatcher>>, request: Request, next: Next) -> Response {
    let tool = {
        let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let called = header("mcp-method") == Some("tools/call");
        header("mcp-name").filter(|_| called).map(|name| name.trim().to_owned())
    };
    if let Some(tool) = tool {
        dispatcher.ready(&tool).await;
    }
    next.run(request).await
}

/// Wait for calls in flight, but not for ever.
pub(super) async fn drain(dispatcher: &Dispatcher) {
    if timeout(DRAIN, dispatcher.idle()).await.is_err() {
        tracing::warn!("calls still in flight after {} s are ended", DRAIN.as_secs());
    }
}
