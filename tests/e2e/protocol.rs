//! MCP over stdio: bad input is answered, progress and cancellation work, nothing else is on stdout.

use serde_json::{Value, json};

use crate::samples;

#[test]
fn tools_are_listed_in_a_stable_order_with_their_schemas_verbatim() {
    let host = samples();
    let mut client = host.stdio();
    let first = client.request("tools/list", json!({}))["result"].take();
    let names: Vec<_> =
        first["tools"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(client.request("tools/list", json!({}))["result"], first);
    let word_count =
        first["tools"].as_array().unwrap().iter().find(|t| t["name"] == "text_word_count").unwrap();
    assert_eq!(word_count["annotations"]["readOnlyHint"], true);
    assert_eq!(word_count["inputSchema"]["required"], json!(["text"]));
    assert!(!word_count["description"].as_str().unwrap().is_empty());
}

#[test]
fn bad_arguments_say_where() {
    let mut client = samples().stdio();
    let text = client.call_fails("text_word_count", json!({"text": 5}));
    assert!(text.contains("/text") && text.contains("string"), "{text}");
    assert!(client.call_fails("text_word_count", json!({})).contains("\"text\" is a required property"));
}

#[test]
fn a_call_without_arguments_reaches_the_skill_without_them() {
    let mut client = samples().stdio();
    let result = client.request("tools/call", json!({"name": "faulty_context"}))["result"].take();
    assert_ne!(result["isError"], true, "{result}");
}

#[test]
fn large_and_deep_arguments_are_refused_and_answered() {
    let mut client = samples().stdio();
    let text = client.call_fails("text_word_count", json!({"text": "x".repeat(20 << 20)}));
    assert!(text.contains("at most 4194304 are allowed"), "{text}");
    let deep = (0..100).fold(json!(0), |inner, _| json!([inner]));
    let text = client.call_fails("faulty_echo", json!({"a": deep}));
    assert!(text.contains("nested deeper than 64 levels"), "{text}");
    client.send_line(&format!(
        r#"{{"jsonrpc":"2.0","id":"deep","method":"tools/call","params":{{"name":"faulty_echo","arguments":{{"a":{}{}}}}}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    ));
    let answer = client.wait_for("the deep one", |message| message["id"] == "deep");
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
}

#[test]
fn lines_that_are_no_messages_are_answered() {
    let mut client = samples().stdio();
    client.send_line("{this is not json");
    let answer = client.wait_for("the parse error", |message| message["error"]["code"] == -32700);
    assert_eq!(answer["id"], Value::Null);
    for line in ["[]", "5", r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#] {
        client.send_line(line);
        let answer = client.wait_for("the refusal", |message| message["error"]["code"] == -32600);
        assert_eq!(answer["id"], Value::Null, "{line}");
    }
    client.send_line(r#"{"jsonrpc":"2.0","id":99,"method":5}"#);
    assert_eq!(client.wait(99)["error"]["code"], -32600);
    for params in [json!({"name": 5}), json!({"name": "x", "arguments": [1]}), json!({})] {
        let id = client.begin("tools/call", params);
        let answer = client.wait(id);
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("malformed"), "{answer}");
    }
    let id = client.begin("no/such/method", json!({}));
    assert_eq!(client.wait(id)["error"]["code"], -32601);
}

#[test]
fn an_unknown_tool_is_a_protocol_error_with_a_hint() {
    let mut client = samples().stdio();
    let id = client.begin_call("text_word_counts", json!({}));
    let response = client.wait(id);
    assert_eq!(response["error"]["code"], -32602);
    assert!(response["error"]["message"].as_str().unwrap().contains("did you mean `text_word_count`?"));
}

#[test]
fn progress_reaches_the_client_before_the_result() {
    let mut client = samples().stdio();
    let params = json!({
        "name": "faulty_progress", "arguments": {"steps": 3, "ms_between": 120}, "_meta": {"progressToken": "p"},
    });
    let id = client.begin("tools/call", params);
    let mut seen = vec![];
    client.wait_for("the result", |message| {
        if message["method"] == "notifications/progress" {
            assert_eq!(message["params"]["progressToken"], "p");
            seen.push(message["params"]["progress"].as_f64().unwrap());
        }
        message["id"] == id && message.get("method").is_none()
    });
    assert_eq!(seen.last(), Some(&3.0), "{seen:?}");
    assert!(seen.is_sorted(), "{seen:?}");
}

#[test]
fn a_cancelled_call_stops_its_guest() {
    let host = samples();
    let mut client = host.stdio();
    client.tools();
    let call = client.begin_call("faulty_log_flood", json!({}));
    client.wait_log("the guest at work", |line| line["target"] == "skillhost::guest");
    client.send(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call, "reason": "enough"},
    }));
    let line = client.wait_log("the end", |line| line["outcome"] == "cancelled");
    assert_eq!(line["span"]["tool"], "faulty_log_flood");
    assert!(line["fuel"].as_u64().unwrap() > 0, "{line}");
    assert_eq!(client.call("text_word_count", json!({"text": "a"}))["structuredContent"]["words"], 1);
}

#[test]
fn a_signal_lets_a_call_in_flight_end() {
    let host = samples();
    let mut client = host.stdio();
    client.tools();
    let call = client.begin_call("faulty_log_flood", json!({"lines": 1_000_000}));
    client.wait_log("the guest at work", |line| line["target"] == "skillhost::guest");
    let killed = std::process::Command::new("kill").arg(client.id().to_string()).status().unwrap();
    assert!(killed.success());
    let answer = client.wait(call);
    assert_ne!(answer["result"]["isError"], true, "{answer}");
    assert_eq!(client.close().0, Some(0));
}

#[test]
fn the_end_of_stdin_is_the_end() {
    let mut client = samples().stdio();
    client.tools();
    assert_eq!(client.close().0, Some(0));
}
