//! Who calls over HTTP: tokens of a file, access tokens of an authorization server, and what follows from whose a call is.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet},
};
use serde_json::{Value, json};
use skillhost_e2e::{Host, Server, component, eventually};

use crate::{empty, samples};

const ISSUER: &str = "https://auth.example";

pub(crate) struct Answer {
    pub(crate) status: u16,
    challenge: String,
    session: String,
    pub(crate) message: Value,
}

/// One caller.
pub(crate) struct Caller<'a> {
    url: &'a str,
    token: String,
}

fn send(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = agent.run(request.body(body.to_owned()).unwrap()).expect("answered");
    let header = |name: &str| {
        response.headers().get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    let (challenge, session) = (header("www-authenticate"), header("mcp-session-id"));
    let status = response.status().as_u16();
    let body = response.body_mut().read_to_string().expect("a body");
    let line = body.lines().filter_map(|line| line.strip_prefix("data:")).next_back().unwrap_or(&body);
    Answer { status, challenge, session, message: serde_json::from_str(line.trim()).unwrap_or_default() }
}

impl Caller<'_> {
    fn post(&self, method: &str, mut params: Value) -> Answer {
        let name = params["name"].as_str().or(params["uri"].as_str()).or(params["taskId"].as_str());
        let name = name.unwrap_or_default().to_owned();
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "e2e", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {
                "elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}},
            },
        });
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let bearer = format!("Bearer {}", self.token);
        let mut headers =
            vec![("authorization", &*bearer), ("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
        if !name.is_empty() {
            headers.push(("mcp-name", &name));
        }
        send(self.url, "POST", &headers, &message)
    }

    pub(crate) fn call(&self, tool: &str, arguments: Value) -> Answer {
        self.post("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    pub(crate) fn listed(&self, method: &str, key: &str, name: &str) -> Vec<String> {
        let answer = self.post(method, json!({}));
        let all =
            answer.message["result"][key].as_array().unwrap_or_else(|| panic!("{}", answer.message)).clone();
        all.iter().map(|entry| entry[name].as_str().unwrap().to_owned()).collect()
    }
}

/// Makes a token with the command line, as an operator does.
pub(crate) fn token(host: &Host, name: &str, scopes: &[&str]) -> String {
    let file = host.root().join("tokens");
    let mut args = vec!["auth", "token", name, "--add", file.to_str().unwrap()];
    args.extend(scopes.iter().flat_map(|scope| ["--scope", scope]));
    let output = host.run(&args);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const SCOPES: &str = "\n[auth.scopes]\nread = [\"text_*\", \"whole_*\", \"value://*\"]\nall = [\"*\"]\n";

pub(crate) fn guarded(host: Host, more: &str) -> Host {
    let file = host.root().join("tokens");
    std::fs::write(&file, "# callers\n").unwrap();
    host.config(&format!("[auth]\ntokens = {:?}\n{more}", file.to_str().unwrap()))
}

pub(crate) fn caller<'a>(server: &'a Server, token: &str) -> Caller<'a> {
    Caller { url: server.url(), token: token.to_owned() }
}

#[test]
fn scopes_say_what_is_listed_and_callable() {
    let host = guarded(samples(), SCOPES);
    host.put("whole.wasm", &component("whole.wasm"));
    let (ci, ops) = (token(&host, "ci", &["read"]), token(&host, "ops", &["all"]));
    let server = host.serve();
    let (ci, ops) = (caller(&server, &ci), caller(&server, &ops));
    let own = |name: &String| {
        !["call", "list", "saga", "search", "undo"].contains(&name.split('_').next().unwrap())
    };
    let tools: Vec<_> = ci.listed("tools/list", "tools", "name").into_iter().filter(own).collect();
    assert!(tools.iter().all(|tool| tool.starts_with("text_") || tool.starts_with("whole_")), "{tools:?}");
    assert!(tools.contains(&"text_word_count".to_owned()));
    assert!(ops.listed("tools/list", "tools", "name").contains(&"json_query".to_owned()));
    assert_eq!(ci.listed("prompts/list", "prompts", "name"), ["whole_essay"]);
    assert_eq!(ci.listed("resources/templates/list", "resourceTemplates", "uriTemplate"), ["value://{key}"]);
    let answer = ci.call("text_word_count", json!({"text": "a b"}));
    assert_eq!((answer.status, &answer.message["result"]["structuredContent"]["words"]), (200, &json!(2)));
    let answer = ci.call("json_query", json!({}));
    assert_eq!(answer.status, 403);
    assert!(answer.challenge.contains("error=\"insufficient_scope\", scope=\"all\""), "{}", answer.challenge);
    // Hidden in a saga's call, it is found all the same.
    let saga = ci.call("saga_begin", json!({}));
    let saga = saga.message["result"]["structuredContent"]["saga"].as_str().unwrap_or_default().to_owned();
    let held = ci.call("saga_call", json!({"saga": saga, "tool": "json_query", "arguments": {}}));
    assert_eq!(held.status, 403, "{}", held.message);
    // Nobody, and somebody else.
    assert_eq!(send(server.url(), "POST", &[], "{}").status, 401);
    for (path, status) in [("/mcp/", 401), ("/mcp/x", 401), ("/mcpx", 404), ("/", 404)] {
        for method in ["POST", "GET", "HEAD", "DELETE"] {
            let url = server.url().replace("/mcp", path);
            assert_eq!(send(&url, method, &[], "{}").status, status, "{method} {path}");
        }
    }
    let stranger = caller(&server, "skh_nobody").call("text_word_count", json!({"text": "a"}));
    assert_eq!(stranger.status, 401);
    assert!(!stranger.challenge.contains("skh_nobody"));
}

#[test]
fn what_is_a_callers_is_nobody_elses() {
    let host = guarded(empty(), "[skills.conformance]\nmount = \"root\"\ntimeout = \"2m\"\n");
    host.put("conformance.wasm", &component("fixtures/conformance.wasm"));
    host.put("whole.wasm", &component("whole.wasm"));
    let (ann, bob) = (token(&host, "ann", &[]), token(&host, "bob", &[]));
    let server = host.serve();
    let (ann, bob) = (caller(&server, &ann), caller(&server, &bob));
    // A task.
    let begun = ann.call("slow_compute", json!({"seconds": 60, "label": "x"}));
    let task =
        begun.message["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{}", begun.message)).to_owned();
    assert_eq!(ann.post("tasks/get", json!({"taskId": task})).message["result"]["status"], "working");
    for method in ["tasks/get", "tasks/cancel"] {
        assert_eq!(bob.post(method, json!({"taskId": task})).message["error"]["code"], -32602, "{method}");
    }
    assert_eq!(ann.post("tasks/get", json!({"taskId": task})).message["result"]["status"], "working");
    ann.post("tasks/cancel", json!({"taskId": task}));
    // A question.
    let asked = ann.call("test_input_required_result_elicitation", json!({}));
    let state = asked.message["result"]["requestState"].as_str().unwrap().to_owned();
    let answers = json!({"user_name": {"action": "accept", "content": {"name": "Ann"}}});
    let answer = json!({
        "name": "test_input_required_result_elicitation", "arguments": {},
        "requestState": state, "inputResponses": answers,
    });
    assert_eq!(bob.post("tools/call", answer.clone()).message["error"]["code"], -32602);
    assert_eq!(ann.post("tools/call", answer).message["result"]["resultType"], "complete");
    // A call that can be undone.
    let set = ann.call("whole_set", json!({"key": "k", "value": "v"}));
    let id = set.message["result"]["_meta"]["skillhost/call_id"].as_str().unwrap().to_owned();
    let undo =
        |who: &Caller<'_>| who.call("undo_call", json!({"id": id})).message["result"]["isError"].clone();
    assert_eq!(undo(&bob), true);
    assert_ne!(undo(&ann), true);
    // A session.
    let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"}}});
    let bearer = |who: &Caller<'_>| format!("Bearer {}", who.token);
    let session = send(server.url(), "POST", &[("authorization", &bearer(&ann))], &begin.to_string()).session;
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    let with = |who: &Caller<'_>, method: &str| {
        let bearer = bearer(who);
        let headers = [
            ("authorization", &*bearer),
            ("mcp-session-id", &*session),
            ("mcp-protocol-version", "2025-11-25"),
        ];
        send(server.url(), method, &headers, if method == "POST" { list } else { "" }).status
    };
    assert_eq!((with(&bob, "POST"), with(&bob, "DELETE"), with(&ann, "POST")), (404, 404, 200));
}

#[test]
fn a_token_that_is_taken_out_counts_no_more() {
    let host = guarded(samples(), "");
    let ci = token(&host, "ci", &[]);
    let server = host.serve();
    let call = |token: &str| caller(&server, token).call("text_word_count", json!({"text": "a"})).status;
    assert_eq!(call(&ci), 200);
    std::fs::write(host.root().join("tokens"), "").unwrap();
    eventually(|| (call(&ci) == 401).then_some(()));
    let new = token(&host, "ci", &[]);
    eventually(|| (call(&new) == 200).then_some(()));
}

/// The keys of an authorization server, at a URL, and how often they were fetched.
struct Keys {
    url: String,
    keys: Arc<Mutex<JwkSet>>,
    fetched: Arc<AtomicUsize>,
}

/// A P-256 key of these tests, as PKCS #8.
const KEY: &[u8] = include_bytes!("../../host/src/transport/auth/tests/key.der");

fn published(kid: &str) -> JwkSet {
    let mut key = Jwk::from_encoding_key(&EncodingKey::from_ec_der(KEY), Algorithm::ES256).unwrap();
    key.common.key_id = Some(kid.into());
    JwkSet { keys: vec![key] }
}

fn keys() -> Keys {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let (keys, fetched) = (Arc::new(Mutex::new(published("k1"))), Arc::new(AtomicUsize::new(0)));
    let (own, count) = (Arc::clone(&keys), Arc::clone(&fetched));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4_096]);
            count.fetch_add(1, Ordering::SeqCst);
            let body = serde_json::to_string(&*own.lock().unwrap()).unwrap();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    Keys { url, keys, fetched }
}

fn signed(kid: &str, claims: &Value) -> String {
    let header = Header { kid: Some(kid.into()), ..Header::new(Algorithm::ES256) };
    encode(&header, claims, &EncodingKey::from_ec_der(KEY)).unwrap()
}

fn claims(resource: &str) -> Value {
    #[allow(clippy::disallowed_methods, reason = "a token ends by the world's clock")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"iss": ISSUER, "aud": resource, "sub": "ann", "exp": now + 600, "scope": "read"})
}

#[test]
fn access_tokens_of_an_authorization_server() {
    let keys = keys();
    let resource = "https://tools.example/mcp";
    let host = samples().config(&format!(
        "[auth]\nresource = \"{resource}\"\nissuer = \"{ISSUER}\"\njwks = \"{}\"\n{SCOPES}",
        keys.url
    ));
    let server = host.serve();
    let call = |token: &str| caller(&server, token).call("text_word_count", json!({"text": "a b"}));
    // Whom to ask for a token.
    let refused = send(server.url(), "POST", &[], "{}");
    let told = "https://tools.example/.well-known/oauth-protected-resource/mcp";
    assert_eq!((refused.status, refused.challenge), (401, format!("Bearer resource_metadata=\"{told}\"")));
    let path = server.url().replace("/mcp", "/.well-known/oauth-protected-resource/mcp");
    let metadata = send(&path, "GET", &[], "").message;
    assert_eq!(
        (&metadata["resource"], &metadata["authorization_servers"]),
        (&json!(resource), &json!([ISSUER]))
    );
    let good = claims(resource);
    for _ in 0..3 {
        let answer = call(&signed("k1", &good));
        assert_eq!(
            (answer.status, &answer.message["result"]["structuredContent"]["words"]),
            (200, &json!(2))
        );
    }
    assert_eq!(keys.fetched.load(Ordering::SeqCst), 1, "once for all of them");
    server.wait_log("the caller's name", |line| {
        line["span"]["caller"] == format!("oauth:{ISSUER}#ann") && line["message"] == "call done"
    });
    for (what, claims) in [
        ("another audience", json!({"aud": "https://other.example"})),
        ("another issuer", json!({"iss": "https://evil.example"})),
        ("expired", json!({"exp": 1_000_000})),
    ] {
        let mut wrong = good.clone();
        wrong.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let answer = call(&signed("k1", &wrong));
        assert_eq!(answer.status, 401, "{what}");
        assert!(answer.challenge.contains("error=\"invalid_token\""), "{what}: {}", answer.challenge);
    }
    // Tokens with keys nobody knows do not make the host ask each time.
    for n in 0..20 {
        assert_eq!(call(&signed(&format!("forged{n}"), &good)).status, 401);
    }
    assert_eq!(keys.fetched.load(Ordering::SeqCst), 1);
    *keys.keys.lock().unwrap() = published("k2");
    assert_eq!(call(&signed("k1", &good)).status, 200, "what was fetched counts for an hour");
    let answer = caller(&server, &signed("k1", &good)).call("json_query", json!({}));
    assert!(answer.status == 403 && answer.challenge.contains("resource_metadata"), "{}", answer.challenge);
}

#[test]
fn mistakes_show_before_anybody_calls() {
    for (config, why) in [
        ("[auth]\ntokens = \"/nowhere/tokens\"", "/nowhere/tokens"),
        ("[auth]\nissuer = \"https://a\"", "jwks"),
        ("[auth]\njwks = \"keys.json\"", "issuer"),
        ("[auth]\nissuer = \"https://a\"\njwks = \"http://a.example/keys\"", "https"),
        ("[auth]\nissuer = \"https://a\"\njwks = \"/nowhere/keys\"", "/nowhere/keys"),
        ("[auth.scopes]\nread = [\"*\"]", "nobody is asked"),
        ("[auth]\nresource = \"tools.example\"", "URL"),
        ("[auth]\nresource = \"https://tools.example\"", "nobody is asked"),
        ("[auth]\naudience = [\"a\"]", "nobody is asked"),
    ] {
        let host = samples().config(config);
        for command in [&["config", "check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let output = host.run(command);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && text.contains(why), "{config}: {command:?}: {text}");
        }
    }
    for name in ["a/b", "#x", "a b", ""] {
        let output = samples().run(&["auth", "token", name]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains("name"), "{name}: {text}");
    }
}

/// Whatever else is wrong with a request: its tool is none of its caller's, now and after a restart.
#[test]
fn no_task_reaches_beyond_scopes() {
    let host = guarded(empty().config("[skills.whole.grants]\nkeyvalue = true\n"), SCOPES);
    host.put("whole.wasm", &component("whole.wasm"));
    host.put("conformance.wasm", &component("fixtures/conformance.wasm"));
    let (poor, rich) = (token(&host, "poor", &["read"]), token(&host, "rich", &["all"]));
    let server = host.serve();
    let asks = caller(&server, &rich).call("conformance_confirm_delete", json!({"filename": "a"}));
    let id =
        asks.message["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{}", asks.message)).to_owned();
    for more in [json!({"uri": 5}), json!({"arguments": {"filename": "a", "tool": 7}})] {
        let mut params = json!({"name": "conformance_confirm_delete", "arguments": {"filename": "a"}});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = caller(&server, &poor).post("tools/call", params);
        assert!(answer.message["result"]["taskId"].is_null(), "{}", answer.message);
        assert!(answer.status == 403 || answer.message["result"]["isError"] == true, "{}", answer.message);
    }
    // Its token holds less from now on.
    let file = host.root().join("tokens");
    let narrowed = std::fs::read_to_string(&file).unwrap().replace(" all", " read");
    std::fs::write(&file, narrowed).unwrap();
    let found = eventually(|| {
        let answer = caller(&server, &rich).post("tasks/get", json!({"taskId": id}));
        answer.message["error"].is_object().then_some(answer)
    });
    assert_eq!(found.message["error"]["code"], -32602, "{}", found.message);
    let answers = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
    let answer =
        caller(&server, &rich).post("tasks/update", json!({"taskId": id, "inputResponses": answers}));
    assert_eq!(answer.message["error"]["code"], -32602, "{}", answer.message);
}

/// Paths in a configuration are those beside it, wherever the host is started.
#[test]
fn files_are_found_beside_the_configuration() {
    let host = samples().config("[auth]\ntokens = \"tokens\"");
    token(&host, "ci", &[]);
    let mut command = host.command(&["config", "check"]);
    let output = command.current_dir("/").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
