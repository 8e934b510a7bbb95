//! MCP over HTTP: who may ask, what is refused, and both eras.

use http_body_util::BodyExt as _;
use hyper::{Request, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use crate::samples;

struct Answer {
    status: u16,
    session: Option<String>,
    body: String,
}

impl Answer {
    /// The JSON-RPC message, from a JSON or an SSE body.
    fn message(&self) -> Value {
        let line = self.body.lines().filter_map(|line| line.strip_prefix("data:")).next_back();
        serde_json::from_str(line.unwrap_or(&self.body).trim())
            .unwrap_or_else(|_| panic!("{}: {}", self.status, self.body))
    }
}

fn post(url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent
        .post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = request.send(body).expect("answered");
    let session = response.headers().get("mcp-session-id").map(|id| id.to_str().expect("text").to_owned());
    let body = response.body_mut().read_to_string().expect("a body");
    Answer { status: response.status().as_u16(), session, body }
}

fn modern(method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "e2e", "version": "1"},
    });
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

fn call(url: &str, tool: &str, arguments: Value) -> Answer {
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", tool)];
    post(url, &headers, &modern("tools/call", json!({"name": tool, "arguments": arguments})))
}

#[test]
fn a_stateless_call() {
    let server = samples().serve();
    let answer = call(server.url(), "text_word_count", json!({"text": "a b"})).message();
    assert_eq!(answer["result"]["structuredContent"]["words"], 2, "{answer}");
    let info = &answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(info["name"], "skillhost", "{answer}");
}

#[test]
fn foreign_hosts_and_pages_are_refused_on_every_route() {
    let server = samples().serve();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert_eq!(post(server.url(), &[("host", "evil.example")], ping).status, 403);
    assert_eq!(post(server.url(), &[("origin", "http://evil.example")], ping).status, 403);
    assert_eq!(post(server.url(), &[("origin", "null")], ping).status, 403);
    let elsewhere = server.url().replace("/mcp", "/elsewhere");
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let refused = agent.get(&elsewhere).header("host", "evil.example").call().unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(agent.get(&elsewhere).call().unwrap().status(), 404);
}

#[test]
fn what_is_refused_by_its_head_is_answered_however_long_its_body_is() {
    let server = samples().serve();
    // More than the sockets hold: a server that closes at once takes its answer with it, now and then.
    let body = "x".repeat(8 << 20);
    for _ in 0..10 {
        assert_eq!(post(&server.url().replace("/mcp", "//mcp"), &[], &body).status, 404);
        assert_eq!(post(server.url(), &[("origin", "https://elsewhere.example")], &body).status, 403);
    }
}

#[tokio::test]
async fn http2_answers_too_and_a_head_without_a_body() {
    let host = samples();
    let server = tokio::task::spawn_blocking(move || host.serve()).await.unwrap();
    let address = server.url().trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut send = async |request: Request<String>| {
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status.as_u16(), body.collect().await.unwrap().to_bytes())
    };
    let alive = |method| {
        let request = Request::builder().method(method).uri(format!("http://{address}/health/liveness"));
        request.body(String::new()).unwrap()
    };
    let (status, body) = send(alive("GET")).await;
    assert!(status == 200 && !body.is_empty(), "{status}");
    assert_eq!(send(alive("HEAD")).await, (200, Bytes::new()));
    let request = Request::post(server.url())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "text_word_count");
    let body = modern("tools/call", json!({"name": "text_word_count", "arguments": {"text": "a b"}}));
    let (status, body) = send(request.body(body).unwrap()).await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &answer["result"]["structuredContent"]["words"]), (200, &json!(2)), "{answer}");
    drop(tokio::task::spawn_blocking(move || drop(server)));
}

#[test]
fn bad_bodies_are_answered() {
    let server = samples().serve();
    for (body, code) in [
        ("{not json", -32700),
        ("", -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600),
    ] {
        let answer = post(server.url(), &[], body);
        assert_eq!((answer.status, &answer.message()["error"]["code"]), (400, &json!(code)), "{body}");
    }
    let answer = call(server.url(), "text_word_count", json!({"text": "x".repeat(20 << 20)}));
    assert_eq!(answer.status, 413);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let body = modern("tools/call", json!({"name": "faulty_echo", "arguments": {"a": 0}}))
        .replace("\"a\":0", &format!("\"a\":{deep}"));
    let answer = post(server.url(), &[("mcp-protocol-version", "2026-07-28")], &body);
    assert_eq!((answer.status, &answer.message()["id"]), (400, &json!(1)), "{}", answer.body);
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "x")];
    let answer = post(server.url(), &headers, &modern("tools/call", json!({"name": "x", "arguments": [1]})));
    assert_eq!(answer.message()["error"]["code"], -32602, "{}", answer.body);
    let answer = call(server.url(), "text_word_count", json!({"text": "alive"})).message();
    assert_eq!(answer["result"]["structuredContent"]["words"], 1);
}

#[test]
fn a_client_that_hangs_up_ends_its_guest() {
    use std::io::Write as _;
    let host = samples();
    let server = host.serve();
    let address = server.url().trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let body = modern("tools/call", json!({"name": "faulty_log_flood", "arguments": {}}));
    let mut socket = std::net::TcpStream::connect(&address).unwrap();
    write!(
        socket,
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n\
         Mcp-Method: tools/call\r\nMcp-Name: faulty_log_flood\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    server.wait_log("the guest at work", |line| line["target"] == "skillhost::guest");
    drop(socket);
    server.wait_log("the end", |line| line["outcome"] == "cancelled");
}

#[test]
fn a_signal_lets_calls_in_flight_end() {
    signalled(|url| call(url, "faulty_log_flood", json!({"lines": 1_000_000})));
}

#[test]
fn a_signal_lets_calls_of_older_sessions_end() {
    signalled(|url| {
        let session = Session::open(url);
        session.post(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params":
            {"name": "faulty_log_flood", "arguments": {"lines": 1_000_000}}}))
    });
}

#[test]
fn a_session_is_ended_by_its_client() {
    let server = samples().serve();
    let session = Session::open(server.url());
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let ended = agent.delete(server.url()).header("mcp-session-id", &session.id).call().unwrap();
    assert_eq!(ended.status(), 204);
    assert_eq!(session.post(&json!({"jsonrpc": "2.0", "id": 2, "method": "ping"})).status, 404);
}

/// A session of the revisions before 2026-07-28.
struct Session {
    url: String,
    id: String,
}

impl Session {
    fn open(url: &str) -> Self {
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "e2e", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let id = post(url, &[], &body.to_string()).session.expect("a session");
        let session = Self { url: url.to_owned(), id };
        session.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        session
    }

    fn post(&self, message: &Value) -> Answer {
        let headers = [("mcp-session-id", &*self.id), ("mcp-protocol-version", "2025-06-18")];
        post(&self.url, &headers, &message.to_string())
    }
}

/// SIGTERM while `call` is at work: it is answered, then the host ends.
fn signalled(call: impl FnOnce(&str) -> Answer + Send) {
    let server = samples().serve();
    let answer = std::thread::scope(|scope| {
        let url = server.url().to_owned();
        let call = scope.spawn(move || call(&url));
        server.wait_log("the guest at work", |line| line["target"] == "skillhost::guest");
        let killed = std::process::Command::new("kill").arg(server.id().to_string()).status().unwrap();
        assert!(killed.success());
        call.join().unwrap()
    });
    assert_ne!(answer.message()["result"]["isError"], true, "{}", answer.body);
    assert_eq!(server.wait(), Some(0));
}
