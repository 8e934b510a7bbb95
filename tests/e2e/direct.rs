//! Calls that do without rmcp are answered as rmcp answers them: the same message twice, the second time with something that says
//! nothing and is out of the ordinary: a header, or a key.

use serde_json::{Value, json};
use skillhost_e2e::{Client, Exchange, Host};

use crate::samples;

const VERSION: &str = "2026-07-28";

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "e2e", "version": "1"},
    })
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments, "_meta": meta()}})
}

/// With something else in it.
fn with(mut message: Value, pointer: &str, key: &str, value: Value) -> Value {
    message.pointer_mut(pointer).expect("it is there")[key] = value;
    message
}

/// Status and message, without what no two answers share: what the call used, and its ids.
fn answer(url: &str, header_name: &str, message: &str, out_of_the_ordinary: bool) -> (u16, Vec<Value>) {
    let mut headers =
        vec![("mcp-protocol-version", VERSION), ("mcp-method", "tools/call"), ("mcp-name", header_name)];
    headers.extend(out_of_the_ordinary.then_some(("accept", "*/*")));
    let mut exchange = Exchange::start("POST", url, &headers, message);
    let messages = std::iter::from_fn(|| exchange.next_message()).map(comparable).collect();
    (exchange.status, messages)
}

/// `text` with a word in the place of each UUID.
fn without_ids(text: &str) -> String {
    let is_id = |part: &str| {
        part.len() == 36
            && part.char_indices().all(|(at, c)| match at {
                8 | 13 | 18 | 23 => c == '-',
                _ => c.is_ascii_hexdigit(),
            })
    };
    let (mut out, mut at) = (String::new(), 0);
    while let Some(next) = text[at..].chars().next() {
        if text.get(at..at + 36).is_some_and(is_id) {
            out.push_str("id");
            at += 36;
        } else {
            out.push(next);
            at += next.len_utf8();
        }
    }
    out
}

fn count() -> Value {
    call("text_word_count", json!({"text": "a b"}))
}

/// What is ordinary, and what is a little beside it.
fn messages() -> Vec<Value> {
    let meta_key = |key: &str, value: Value| with(count(), "/params/_meta", key, value);
    let capable = |capabilities: Value| meta_key("io.modelcontextprotocol/clientCapabilities", capabilities);
    vec![
        count(),
        call("faulty_echo", json!({"text": "🧀", "more": [1.5, null, {"a": 1e300}]})),
        call("faulty_content", json!({})),
        call("faulty_is_error", json!({"text": "no"})),
        call("faulty_fail", json!({"kind": "permanent", "message": "as told"})),
        call("faulty_fail", json!({"kind": "missing-capability", "message": "roots"})),
        call("faulty_invalid_output", json!({})),
        call("faulty_input_required", json!({})),
        call("faulty_ask_client", json!({})),
        call("faulty_bad_meta", json!({})),
        call("faulty_trap", json!({})),
        call("faulty_log_line", json!({"level": "warn", "text": "x"})),
        call("text_word_count", json!({})),
        call("text_word_count", json!({"text": 1})),
        call("text_word_count", Value::Null),
        call("text_word_count", json!("text")),
        call("text_word_count", json!({"text": "x ".repeat(200_000)})),
        call("nobody_here", json!({})),
        call("", json!({})),
        call("undo_call", json!({"id": "none"})),
        with(count(), "", "id", json!("seven")),
        with(count(), "", "id", json!(i64::MAX)),
        with(count(), "", "id", json!(1.5)),
        with(count(), "", "id", Value::Null),
        with(count(), "", "jsonrpc", json!("1.0")),
        with(count(), "", "method", json!("tools/list")),
        with(count(), "", "more", json!(1)),
        with(count(), "/params", "more", json!(1)),
        with(count(), "/params", "name", json!("json_query")),
        with(count(), "/params", "_meta", json!({})),
        with(count(), "/params", "_meta", Value::Null),
        with(count(), "/params", "task", json!({})),
        with(count(), "/params", "requestState", json!("forged")),
        meta_key("progressToken", json!(1)),
        meta_key("io.modelcontextprotocol/logLevel", json!("debug")),
        meta_key("io.modelcontextprotocol/protocolVersion", json!("2025-11-25")),
        meta_key("io.modelcontextprotocol/protocolVersion", json!(1)),
        meta_key("skillhost/idempotency_key", json!(1)),
        meta_key("skillhost/correlation_id", json!("mine")),
        meta_key("skillhost/priority", json!("never")),
        meta_key("traceparent", json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
        capable(json!({"elicitation": {}, "sampling": {}, "roots": {}})),
        capable(json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})),
        capable(json!({"roots": 1})),
        capable(json!([])),
    ]
}

/// The answer, without what no two of them share.
fn comparable(mut message: Value) -> Value {
    if let Some(usage) = message.pointer_mut("/result/_meta/skillhost~1usage") {
        *usage = "used".into();
    }
    serde_json::from_str(&without_ids(&message.to_string())).expect("JSON still")
}

/// Whose state is another one with each call, is off.
const SAME: &str = "[skills.faulty]\nbreaker = \"off\"";

#[test]
fn every_answer_is_the_one_that_rmcp_gives() {
    let host = samples().config(SAME);
    let server = host.serve();
    for message in messages() {
        let text = message.to_string();
        let both = [false, true].map(|odd| answer(server.url(), "text_word_count", &text, odd));
        assert_eq!(both[0], both[1], "with the header of another tool: {message:.300}");
        let name = message["params"]["name"].as_str().unwrap_or_default();
        let both = [false, true].map(|odd| answer(server.url(), name, &text, odd));
        assert_eq!(both[0], both[1], "{message:.300}");
    }
    let whole = count().to_string();
    let texts = [
        String::new(),
        whole[..whole.len() - 1].to_owned(),
        whole.replace("\"id\":7", "\"id\":7,\"id\":8"),
        whole.replace("\"text\":\"a b\"", "\"text\":\"a b\",\"text\":\"c\""),
        whole.replace("a b", "\\ud800"),
        format!("[{whole}]"),
        whole.replace("\"a b\"", &format!("{}1{}", "[".repeat(300), "]".repeat(300))),
    ];
    for text in texts {
        let both = [false, true].map(|odd| answer(server.url(), "text_word_count", &text, odd));
        assert_eq!(both[0], both[1], "{text:.300}");
    }
}

#[test]
fn the_most_usual_call_does_without_rmcp() {
    let host = samples();
    let mut command = host.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SKILLHOST_LOG", "info,skillhost::transport::mcp::direct=debug");
    let server = host.server(command);
    let text = call("text_word_count", json!({"text": "a b"})).to_string();
    let direct = |line: &Value| line["message"] == "answered without rmcp";
    assert_eq!(answer(server.url(), "text_word_count", &text, true).0, 200);
    server.wait_log("a call through rmcp", |line| {
        assert!(!direct(line), "{line}");
        line["message"] == "call done"
    });
    assert_eq!(answer(server.url(), "text_word_count", &text, false).0, 200);
    server.wait_log("a call without it", direct);
}

/// A client over stdio that has begun, whose host tells which calls do without rmcp.
fn begun(host: &Host) -> Client {
    let mut command = host.command(&["stdio"]);
    command.env("SKILLHOST_LOG", "info,skillhost::transport::mcp::direct=debug");
    let mut client = host.silent(command);
    client.send(&count());
    assert_eq!(client.wait(7)["result"]["isError"], false);
    client
}

fn ended(message: &Value) -> bool {
    message.get("result").is_some() || message.get("error").is_some()
}

#[test]
fn the_same_over_stdio() {
    let host = samples().config(SAME);
    let mut client = begun(&host);
    for message in messages() {
        let odd = with(message.clone(), "", "odd", json!(1));
        let both = [&message, &odd].map(|message| {
            client.send(message);
            comparable(client.wait_for("an answer", ended))
        });
        assert_eq!(both[0], both[1], "{message:.300}");
    }
    let (_, logs) = client.close();
    let direct = logs.iter().filter(|line| line["message"] == "answered without rmcp").count();
    assert!(direct > 20 && direct < messages().len(), "{direct}");
}

/// What it still says when its input has ended, and how it ends.
fn rest(mut client: Client) -> (Vec<Value>, Option<i32>) {
    client.end_input();
    (std::iter::from_fn(|| client.next_message()).collect(), client.close().0)
}

fn sleep(id: u64, ms: u64) -> Value {
    with(call("faulty_sleep", json!({"ms": ms})), "", "id", json!(id))
}

#[test]
fn a_call_over_stdio_is_given_up_without_rmcp() {
    let host = samples();
    let mut client = begun(&host);
    client.send(&sleep(8, 25_000));
    client.wait_log("the call", |line| line["message"] == "answered without rmcp");
    client.cancel(8);
    client.wait_log("its end", |line| line["kind"] == "cancelled");
    assert_eq!(rest(client), (vec![], Some(0)), "nobody waits for an answer");
}

#[test]
fn what_was_asked_is_answered_when_stdin_has_ended() {
    let host = samples();
    let mut client = begun(&host);
    for id in [10, 11, 12, 12] {
        client.send(&sleep(id, 300));
    }
    let (answers, code) = rest(client);
    let mut ids: Vec<_> = answers.iter().map(|answer| answer["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!((code, ids), (Some(0), vec![10, 11, 12, 12]));
    assert!(answers.iter().all(|answer| answer["result"]["isError"] == false), "{answers:?}");
}
