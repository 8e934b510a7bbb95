//! Log lines of skills, as clients hear them: from the level on that they asked for, and no others.

use std::fs;

use serde_json::{Value, json};
use skillhost_e2e::{Modern, Session, Speaks as _, component};

use crate::{empty, samples};

const LEVEL: &str = "io.modelcontextprotocol/logLevel";

fn line(level: &str) -> Value {
    json!({"name": "faulty_log_line", "arguments": {"level": level, "message": format!("said as {level}")}})
}

/// Levels of the log lines among these; each must say what was said.
fn levels(messages: &[Value]) -> Vec<&str> {
    let lines = messages.iter().filter(|message| message["method"] == "notifications/message");
    let level = |line: &&Value| {
        let params = &line["params"];
        assert!(params["data"].as_str().unwrap().starts_with("said as "), "{line}");
        assert!(params["logger"].as_str().is_some_and(|logger| logger.contains("faulty")), "{line}");
    };
    lines.inspect(level).map(|line| line["params"]["level"].as_str().unwrap()).collect()
}

#[test]
fn a_request_of_the_newer_era_says_which_it_wants() {
    let host = samples();
    let server = host.serve();
    for mut client in [host.modern(), Modern::http(&server)] {
        for (wanted, heard) in [
            (Value::Null, &[][..]),
            ("debug".into(), &["debug", "info", "warning", "error"]),
            ("notice".into(), &["warning", "error"]),
            ("warning".into(), &["warning", "error"]),
            ("error".into(), &["error"]),
            ("emergency".into(), &[]),
            // The one before said nothing for those after it.
            (Value::Null, &[]),
        ] {
            let mut all = vec![];
            for level in ["debug", "info", "warn", "error"] {
                let mut params = line(level);
                if !wanted.is_null() {
                    params["_meta"] = json!({LEVEL: wanted});
                }
                let (before, response) = client.exchange("tools/call", params);
                assert_ne!(response["result"]["isError"], true, "{response}");
                all.extend(before);
            }
            assert_eq!(levels(&all), heard, "{wanted}");
        }
        let error = client.refused("logging/setLevel", json!({"level": "debug"}));
        assert_eq!(error["code"], -32601, "{error}");
    }
}

#[test]
fn a_session_of_the_older_ones_says_it_once() {
    let host = samples();
    let mut client = host.stdio();
    let mut heard = |level: Option<&str>| {
        if let Some(level) = level {
            client.ask("logging/setLevel", json!({"level": level}));
        }
        for level in ["debug", "info", "warn", "error"] {
            client.ask("tools/call", line(level));
        }
        client.take_so_far(|message| message.get("method").is_some())
    };
    assert!(levels(&heard(None)).is_empty());
    assert_eq!(levels(&heard(Some("info"))), ["info", "warning", "error"]);
    assert_eq!(levels(&heard(None)), ["info", "warning", "error"], "still");
    assert_eq!(levels(&heard(Some("critical"))), [""; 0]);
}

#[test]
fn a_session_over_http_hears_its_own() {
    let host = samples();
    let server = host.serve();
    let (mut one, mut other) =
        (Session::open(server.url(), json!({})), Session::open(server.url(), json!({})));
    one.ask("logging/setLevel", json!({"level": "warning"}));
    for (session, heard) in [(&mut one, &["error"][..]), (&mut other, &[])] {
        // rmcp sends them over the stream of what belongs to no request.
        let mut stream = session.listen();
        let response = session.begin("tools/call", line("error")).response();
        assert_ne!(response["result"]["isError"], true, "{response}");
        // Something that is told after them, and to everybody.
        session.ask("tools/call", json!({"name": "faulty_changed", "arguments": {"kind": "prompts"}}));
        let mut lines = vec![];
        stream.wait_for("the change", |message| {
            lines.push(message.clone());
            message["method"] == "notifications/prompts/list_changed"
        });
        assert_eq!(levels(&lines), heard);
    }
}

#[test]
fn a_level_that_is_none_is_refused_or_left_out() {
    let host = samples();
    let mut client = host.modern();
    let mut params = line("error");
    params["_meta"] = json!({LEVEL: "loud"});
    let (before, response) = client.exchange("tools/call", params);
    assert!(before.is_empty(), "{before:?}");
    assert!(response["error"]["code"] == -32602 || response["result"].is_object(), "{response}");
}

#[test]
fn a_secret_is_in_none_of_them() {
    const SECRET: &str = "correct-horse-battery";
    let host = empty();
    fs::write(host.root().join("token"), SECRET).unwrap();
    let file = host.root().join("token");
    host.put("faulty.wasm", &component("faulty.wasm"));
    let host = host.config(&format!("[skills.faulty.grants]\nsecrets = {{ token = {{ file = {file:?} }} }}"));
    let mut client = host.modern();
    let leak = json!({"name": "token", "way": "log"});
    let params = json!({"name": "faulty_leak", "arguments": leak, "_meta": {LEVEL: "debug"}});
    let (before, response) = client.exchange("tools/call", params);
    assert_eq!(response["result"]["content"][0]["text"], "done", "{response}");
    assert_eq!(before.len(), 2, "{before:?}");
    assert!(before.iter().all(|line| line.to_string().contains("[redacted]")), "{before:?}");
    assert!(!format!("{before:?}").contains(SECRET), "{before:?}");
}

#[test]
fn a_flood_drops_lines_and_not_the_answer() {
    let host = samples();
    let server = host.serve();
    for mut client in [host.modern(), Modern::http(&server)] {
        let params =
            json!({"name": "faulty_log_flood", "arguments": {"lines": 5_000}, "_meta": {LEVEL: "debug"}});
        let (before, response) = client.exchange("tools/call", params);
        assert_ne!(response["result"]["isError"], true, "{response}");
        assert!(!before.is_empty() && before.len() <= 5_000, "{}", before.len());
    }
}
