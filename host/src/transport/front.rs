//! Who answers a request over HTTP, and what stands before.
//!
//! One service of our own, not a router with layers: each layer boxes what it passes on and copies what is below it, for each request.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, service::Service};
use rmcp::transport::streamable_http_server::{StreamableHttpService, session::local::LocalSessionManager};
use skillhost_pipeline::Dispatcher;
use tower::ServiceExt as _;

use super::{
    Auth, Direct, McpServer,
    body::{Room, beyond, is_json, refuse_large, reworded, whole, worded},
    guard::Guard,
    linger::lend,
};

/// Answers every request.
#[derive(Clone)]
pub(crate) struct Front(Arc<Inner>);

/// What it does so with.
pub(crate) struct Inner {
    /// Bytes of a request.
    pub(crate) max: usize,
    pub(crate) room: Room,
    pub(crate) hosts: Guard,
    /// None where everybody may call.
    pub(crate) auth: Option<Arc<Auth>>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) server: McpServer,
    pub(crate) mcp: StreamableHttpService<McpServer, LocalSessionManager>,
    /// All that is not MCP.
    pub(crate) others: Router,
}

impl Front {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl Service<hyper::Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(inner.answer(request.map(Body::new)).await) })
    }
}

impl Inner {
    async fn answer(&self, request: Request) -> Response {
        let ours = request.method() == Method::POST && request.uri().path().starts_with("/mcp");
        let only_head = request.method() == Method::HEAD;
        let (request, lent) = lend(request);
        let response = self.admitted(request).await;
        if let Some(lent) = lent {
            lent.read_away(self.max);
        }
        if ours && !response.status().is_success() {
            return Box::pin(worded(response)).await;
        }
        // hyper leaves it out for HTTP/1 only.
        if only_head { response.map(|_| Body::empty()) } else { response }
    }

    async fn admitted(&self, request: Request) -> Response {
        if let Some(refusal) = self.hosts.refusal(&request) {
            return refusal;
        }
        if let Some(length) = beyond(self.max, request.headers()) {
            return Box::pin(refuse_large(length, self.max, request)).await;
        }
        let path = request.uri().path();
        if path != "/mcp" && !path.starts_with("/mcp/") {
            let Ok(response) = Box::pin(self.others.clone().oneshot(request)).await;
            return response;
        }
        match &self.auth {
            // Outside of all that reads a body: who may not call fills no memory.
            Some(auth) => Box::pin(auth.admit(request, &self.room, |request| self.asked(request))).await,
            None => self.asked(request).await,
        }
    }

    /// A request of MCP.
    async fn asked(&self, request: Request) -> Response {
        if request.method() != Method::POST || !is_json(request.headers()) {
            return Box::pin(self.without_message(request)).await;
        }
        let (head, body) = request.into_parts();
        // Its room is held until it is answered, or the stream of its answer begins: what is made of it takes as much, and more.
        let (body, _room) = match whole(body, &self.room).await {
            Ok(whole) => whole,
            Err(refusal) => return refusal,
        };
        // Read by now: hyper does not see that a client is gone while there is more of its request to be read.
        self.ready(&head.headers).await;
        if let Some(direct) = Direct::of(&self.server, &head, &body) {
            return direct.answer(self.server.another(), head).await;
        }
        let served = async {
            let request = Request::from_parts(head, Body::from(body.clone()));
            reworded(self.mcp.handle(request).await.map(Body::new), &body).await
        };
        Box::pin(served).await
    }

    /// Waits until the tool of a call is known, as long as that is worth while. rmcp compares headers with its schema before it calls,
    /// and would take a tool whose skill is still loaded for one without headers.
    async fn ready(&self, headers: &HeaderMap) {
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if let (Some(tool), Some("tools/call")) = (header("mcp-name"), header("mcp-method")) {
            self.dispatcher.ready(tool.trim()).await;
        }
    }

    /// rmcp says what is wrong with it, or begins or ends a session: no tool is called.
    async fn without_message(&self, request: Request) -> Response {
        let ends = request.method() == Method::DELETE;
        let response = self.mcp.handle(request).await.map(Body::new);
        match response.status() {
            // rmcp says 202 when a session was ended; clients know 200 and 204.
            StatusCode::ACCEPTED if ends => StatusCode::NO_CONTENT.into_response(),
            _ => response,
        }
    }
}
