//! MCP over streamable HTTP.

use std::{future::ready, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::bail;
use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Auth, McpServer,
    admin::{self, Admin, Token},
    body::Room,
    connections,
    front::{Front, Inner},
    guard::{self, Guard},
};
use crate::{
    app::{self, App},
    config::HttpSettings,
    health::Health,
    shutdown::Shutdown,
};

/// How long written replies may take to reach their clients.
const FLUSH: Duration = Duration::from_millis(500);

/// Listen on the configured address.
///
/// # Errors
/// With advice, when the port is taken, or may not be.
pub(crate) async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| explain(listen, &error))
}

/// Refuse to let everybody in who reaches an address.
pub(crate) fn check(settings: &HttpSettings) -> anyhow::Result<()> {
    let listen = settings.listen;
    let open = settings.allow_unauthenticated_network || settings.auth.is_asked();
    if !listen.ip().is_loopback() && !open {
        bail!(
            "refusing to listen on {listen}: everybody who reaches that address could call every tool.\n  \
             hint: listen on 127.0.0.1; or have callers say who they are, with `[auth]`; or set \
             `server.allow_unauthenticated_network = true` if something in front authenticates"
        );
    }
    Ok(())
}

fn explain(listen: SocketAddr, error: &io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there; choose another port with --listen",
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges; choose another with --listen",
        _ => "choose another address with --listen",
    };
    anyhow::anyhow!("cannot listen on {listen}: {error}\n  hint: {hint}")
}

/// Serve until `stop` is cancelled, then let calls in flight end. Until they have, who asks is told that the host is stopping.
pub(crate) async fn serve(
    app: &App,
    settings: &HttpSettings,
    admin: Option<(Admin, Token)>,
    listener: TcpListener,
    shutdown: &Shutdown,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let (dispatcher, drained) = (&app.dispatcher, CancellationToken::new());
    // Cancelled later than `stop`: it would cut calls in flight short.
    let sessions = CancellationToken::new();
    // Legacy sessions stay on: without them the older eras hear of no change. Host and Origin are
    // checked by `Guard`, for every route. rmcp bounds bodies that do not tell their length.
    let config = StreamableHttpServerConfig::default()
        .with_json_response(true)
        .with_max_request_body_bytes(settings.max_request)
        .with_cancellation_token(sessions.clone())
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let server = McpServer::start(app);
    let one = server.another();
    let mcp = StreamableHttpService::new(move || Ok(one.another()), Arc::default(), config);
    let token = admin.as_ref().map(|(_, token)| token.clone());
    // A probe asks by an address that nobody has configured; the others judge for themselves.
    let open = vec![admin::LIVENESS, admin::READINESS, admin::ALL, admin::METRICS];
    let auth = Auth::open(&settings.auth, &address.to_string(), &app::clock())?;
    let others = watched(&app.health, settings.open, address, token)
        .merge(admin::probes(&app.health))
        .merge(admin.map_or_else(Router::new, |(admin, token)| admin.guarded(&token)))
        .merge(auth.as_ref().map_or_else(Router::new, |auth| auth.metadata()));
    let front = Front::new(Inner {
        max: settings.max_request,
        room: Room::new(settings.max_request),
        hosts: Guard::new(&settings.allowed_hosts, &settings.allowed_origins, address.ip(), open),
        auth,
        dispatcher: Arc::clone(dispatcher),
        server,
        mcp,
        others,
    });
    tracing::info!(url = format!("http://{address}/mcp"), "listening");
    let mut served = pin!(connections::serve(listener, front, drained.clone()));
    tokio::select! {
        () = &mut served => bail!("the HTTP server ended by itself"),
        () = async { stop.cancelled().await; shutdown.drain(app, ready(())).await } => {}
    }
    drained.cancel();
    // Replies go out by themselves; what is left then are streams without end.
    if timeout(FLUSH, &mut served).await.is_err() {
        sessions.cancel();
        let _ = timeout(FLUSH, served).await;
    }
    Ok(())
}

/// `/health` and `/metrics`. They name skills, so they are for who is on this machine, and for who shows the token of the admin
/// API, by whatever name he asks; unless they are to be open.
fn watched(health: &Arc<Health>, open: bool, address: SocketAddr, token: Option<Token>) -> Router {
    let routes = admin::open(health);
    if open {
        return routes;
    }
    let may = Arc::new(MayLook { local: address.ip().is_loopback(), token });
    routes.route_layer(middleware::from_fn_with_state(may, may_look))
}

/// Who may look at what names skills.
struct MayLook {
    /// Whether who asks can be on this machine.
    local: bool,
    token: Option<Token>,
}

async fn may_look(State(may): State<Arc<MayLook>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let from_here = may.local && guard::is_from_here(request.uri(), headers);
    if from_here || may.token.as_ref().is_some_and(|token| token.admits(headers)) {
        return next.run(request).await;
    }
    let (status, why) = match &may.token {
        Some(_) => (
            StatusCode::UNAUTHORIZED,
            "this wants `Authorization: Bearer TOKEN`, with the token of `[admin] token`\n",
        ),
        None => (
            StatusCode::FORBIDDEN,
            "from elsewhere this is for who shows the token of `[admin] token`; none is set, and `[telemetry] open` is not \
             either\n",
        ),
    };
    (status, [("www-authenticate", "Bearer")], why).into_response()
}
