//! The same tool without a sandbox: what rmcp itself costs.

use std::{env, process::Command, sync::Arc};

use axum::{Router, serve::ListenerExt as _};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// The tool's name, which is that of the skill's.
pub(crate) const ECHO: &str = "bench_echo";

#[derive(Clone)]
struct Echo(Arc<Tool>);

impl Echo {
    fn new() -> Self {
        let schema: Value =
            json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]});
        let schema: Map<_, _> = schema.as_object().expect("an object").clone();
        Self(Arc::new(Tool::new(ECHO, "Gives a text back.", schema)))
    }
}

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult { tools: vec![(*self.0).clone()], ..ListToolsResult::default() })
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == ECHO).then(|| (*self.0).clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = match request.arguments.and_then(|mut arguments| arguments.remove("text")) {
            Some(Value::String(text)) => text,
            _ => return Err(ErrorData::invalid_params("`text` must be a string", None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

/// This program again, as that server.
pub(crate) fn command(transport: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--native", transport]);
    command
}

/// Be that server. Over HTTP it prints where it listens.
pub(crate) fn serve(transport: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if transport == "stdio" {
            let service = Echo::new().serve(rmcp::transport::stdio()).await.expect("it serves");
            service.waiting().await.expect("it ends");
            return;
        }
        let config = StreamableHttpServerConfig::default()
            .with_json_response(true)
            .with_max_request_body_bytes(16 << 20)
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let echo = Echo::new();
        let sessions = Arc::new(LocalSessionManager::default());
        let service = StreamableHttpService::new(move || Ok(echo.clone()), sessions, config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("http://{}/mcp", listener.local_addr().expect("an address"));
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket"));
        axum::serve(listener, Router::new().nest_service("/mcp", service)).await.expect("it serves");
    });
}
