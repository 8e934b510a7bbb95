//! Calls that go wrong inside the guest: each gets a clear answer, and the host lives on.

use serde_json::json;
use skillhost_e2e::faulty;

use crate::samples;

const LIMITS: &str = "[skills.faulty]\nbreaker = \"off\"\nretry = \"off\"\ntimeout = \"2s\"\nmemory = \"32MiB\"\nresult = \"1MiB\"";

#[test]
fn every_misdeed_is_answered() {
    let host = samples().config(LIMITS);
    let mut client = host.stdio();
    client.tools();
    for (tool, arguments, kind, expected) in [
        ("loop", json!({}), "timeout", "longer than its 2 s"),
        ("sleep_forever", json!({}), "timeout", "longer than its 2 s"),
        ("log_flood", json!({}), "timeout", "longer than its 2 s"),
        ("stdout_flood", json!({}), "timeout", "longer than its 2 s"),
        ("stderr_flood", json!({}), "timeout", "longer than its 2 s"),
        ("recurse", json!({}), "trap", "out of bounds"),
        ("overflow", json!({"ms": 1}), "out-of-memory", "stack of 512 KiB"),
        ("allocate", json!({"bytes": 4_294_967_296u64}), "trap", "more than a memory can have"),
        ("allocate", json!({"bytes": 100_000_000}), "out-of-memory", "its bound is 33554432"),
        ("return_bytes", json!({"bytes": 5_000_000}), "invalid-output", "more than 1048576 bytes"),
        ("trap", json!({}), "trap", "unreachable"),
        ("panic", json!({"message": "secret=hunter2 ouch"}), "trap", "ouch"),
        ("exit", json!({"code": 3}), "trap", "exited with code"),
        ("invalid_json", json!({}), "invalid-output", "not JSON"),
        ("invalid_output", json!({}), "invalid-output", "output schema"),
        ("bad_meta", json!({}), "invalid-output", "`meta`"),
        ("deep_json", json!({"depth": 110}), "invalid-output", "nested deeper"),
        ("fail", json!({"kind": "invalid-input", "message": "m"}), "invalid-input", "m [invalid-input]"),
        ("fail", json!({"kind": "transient", "message": "m", "retry_after_ms": 7}), "transient", "in 7 ms"),
        ("fail", json!({"kind": "permanent", "message": "m"}), "permanent", "Do not retry"),
        ("fail", json!({"kind": "conflict", "message": "m"}), "conflict", "Nothing was touched"),
    ] {
        let result = client.call(&format!("faulty_{tool}"), arguments);
        assert_eq!(result["isError"], true, "{tool}: {result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(expected), "{tool}: expected {expected:?}, got {text:?}");
        let failure = &result["_meta"]["skillhost/failure"];
        assert!(kind.is_empty() || failure["kind"] == kind, "{tool}: {failure}");
        assert!(!text.contains("hunter2"), "a secret in {text:?}");
        assert!(
            !text.contains("/home/") && !text.contains("/root/") && !text.contains("/tmp/"),
            "a path in {text:?}"
        );
    }
    assert_eq!(client.call("text_word_count", json!({"text": "alive"}))["structuredContent"]["words"], 1);
}

#[test]
fn a_schema_that_doubles_with_each_level_holds_up_nobody() {
    let host = samples();
    host.put("wide.wasm", &faulty("exploding-schema"));
    let mut client = host.stdio();
    client.tools();
    let nested = |leaf| (0..60).fold(leaf, |inner, _| json!({"a": inner}));
    assert_ne!(client.call("wide_echo", nested(json!({})))["isError"], true);
    let text = client.call_fails("wide_echo", nested(json!(1)));
    assert!(text.contains("does not match"), "{text}");
}

#[test]
fn what_a_failure_tells_is_bounded_and_redacted() {
    let mut client = samples().stdio();
    let long = format!("token=hunter2 {}", "x".repeat(100_000));
    for kind in ["invalid-input", "transient", "permanent", "conflict"] {
        let text = client.call_fails("faulty_fail", json!({"kind": kind, "message": &long}));
        assert!(text.starts_with("token=[redacted] xxx") && text.len() < 10_000, "{} bytes", text.len());
        assert!(!text.contains("hunter2"));
    }
    let (_, logs) = client.close();
    for line in logs {
        let line = line.to_string();
        assert!(!line.contains("hunter2") && line.len() < 10_000, "{line}");
    }
}

#[test]
fn a_private_key_is_redacted_line_by_line() {
    let mut client = samples().stdio();
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIB\nADANBgkq\n-----END PRIVATE KEY-----\nafter\n";
    client.call("faulty_print", json!({"stdout": key, "stderr": key}));
    // The key's beginning is far before what is kept of stderr.
    let long = format!(
        "-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\nouch",
        "MIIEvQIBADANBgkq\n".repeat(2_000)
    );
    let text = client.call_fails("faulty_panic", json!({"message": long}));
    assert!(text.contains("ouch") && !text.contains("MIIE"), "{text}");
    let (_, logs) = client.close();
    let guest: Vec<_> = logs.iter().filter(|line| line["target"] == "skillhost::guest").collect();
    assert_eq!(guest.iter().filter(|line| line["message"] == "after").count(), 2, "{guest:#?}");
    for line in logs {
        let line = line.to_string();
        assert!(!line.contains("MIIE") && !line.contains("ADANB"), "{line}");
    }
}

#[test]
fn fuel_is_a_budget_of_its_own() {
    let host = samples().config("[skills.faulty]\nfuel = 100000000");
    let text = host.stdio().call_fails("faulty_loop", json!({}));
    assert!(text.contains("used up its fuel of 100000000 units"), "{text}");
}

#[test]
fn what_a_call_used_is_known_after_success_and_after_the_deadline() {
    let host = samples().config("[skills.faulty]\ntimeout = \"300ms\"");
    let mut client = host.stdio();
    let usage =
        client.call("faulty_allocate", json!({"bytes": 10_000_000}))["_meta"]["skillhost/usage"].clone();
    assert!(usage["memory_bytes"].as_u64().unwrap() > 10_000_000, "{usage}");
    assert!(usage["fuel"].as_u64().unwrap() > 1_000, "{usage}");
    let usage = client.call("faulty_loop", json!({}))["_meta"]["skillhost/usage"].clone();
    assert!(usage["fuel"].as_u64().unwrap() > 1_000_000, "{usage}");
    assert!(usage["ran_ms"].as_f64().unwrap() > 1.0, "{usage}");
}

#[test]
fn guest_output_becomes_bounded_redacted_events_of_the_call() {
    let host = samples().config("[skills.faulty]\nlog_lines = 5\ntimeout = \"2s\"");
    let mut client = host.stdio();
    let result = client
        .call("faulty_print", json!({"stdout": "hello\npassword=hunter2\n\u{1b}[2Jx\n", "stderr": "oops\n"}));
    let id = result["_meta"]["skillhost/correlation_id"].clone();
    let mut lines = vec![];
    client.wait_log("the call's end", |line| {
        if line["target"] == "skillhost::guest" {
            lines.push(line.clone());
        }
        line["message"] == "call done" && line["span"]["correlation_id"] == id
    });
    let texts: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(texts, ["hello", "password=[redacted]", "\u{1b}[2Jx", "oops"]);
    for line in &lines {
        assert_eq!(line["span"]["correlation_id"], id, "{line}");
    }
    client.call("faulty_log_flood", json!({"lines": 100}));
    let line = client.wait_log("what was dropped", |line| line["dropped"].is_u64());
    assert_eq!(line["dropped"], 95);
}

#[test]
fn a_missing_capability_is_a_protocol_error() {
    let mut client = samples().stdio();
    let missing = json!({"kind": "missing-capability", "message": "sampling"});
    // By the skill's word; by its asking all the same; by its question.
    for (tool, arguments) in [("fail", missing), ("ask_client", json!({})), ("input_required", json!({}))] {
        let id = client.begin_call(&format!("faulty_{tool}"), arguments);
        let response = client.wait(id);
        assert_eq!(response["error"]["code"], -32021, "{response}");
    }
}

#[test]
fn a_token_of_a_tool_that_is_not_undoable_is_refused() {
    let mut client = samples().stdio();
    let result = client.call("faulty_prepare_undo", json!({}));
    assert!(result.to_string().contains("is not declared undoable"), "{result}");
}
