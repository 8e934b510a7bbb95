//! What a skill that nothing was granted to can see: nothing.

use serde_json::json;

use crate::samples;

#[test]
fn no_files_no_network_no_environment() {
    let mut client = samples().stdio();
    for path in ["/etc/passwd", ".", "../..", "/proc/self/environ"] {
        let result = client.call("faulty_read_file", json!({"path": path}));
        assert!(!result.to_string().contains("root:"), "{path}: {result}");
        assert_eq!(result["isError"], true, "{path}: {result}");
    }
    // Somebody listens there: what refuses is the sandbox.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let result = client.call("faulty_connect", json!({"address": address}));
    assert_eq!(result["isError"], true, "{result}");
    assert!(result.to_string().contains("access-denied"), "{result}");
    let result = client.call("faulty_env", json!({}));
    assert!(!result.to_string().contains("PATH"), "{result}");
}

#[test]
fn each_call_is_a_fresh_instance_with_its_own_randomness() {
    let mut client = samples().stdio();
    let first = client.call("faulty_random", json!({}));
    let second = client.call("faulty_random", json!({}));
    assert_ne!(first["content"], second["content"]);
}

#[test]
fn the_context_tells_who_calls() {
    let mut client = samples().stdio();
    let params = json!({
        "name": "faulty_context", "arguments": {},
        "_meta": {"own": 1, "skillhost/correlation_id": "from-the-client"},
    });
    let result = client.request("tools/call", params)["result"].take();
    let text = result.to_string();
    assert!(text.contains("from-the-client") && text.contains("local"), "{text}");
    assert_eq!(result["_meta"]["skillhost/correlation_id"], "from-the-client");
}

#[test]
fn a_skill_that_only_the_clock_bounds_computes_as_much_as_its_time_allows() {
    let config = "[defaults]\nfuel = 1\n[skills.faulty]\nmetering = \"time\"\ntimeout = \"300ms\"\n[skills.text]\nload_timeout = \"5s\"\n";
    let mut client = samples().config(config).stdio();
    let result = client.call("faulty_echo", json!({"text": "a b"}));
    assert_eq!(result["isError"], false, "{result}");
    let usage = &result["_meta"]["skillhost/usage"];
    assert!(usage["memory_bytes"].as_u64() > Some(0) && usage["fuel"].is_null(), "{usage}");
    let loops = client.request("tools/call", json!({"name": "faulty_loop", "arguments": {}}));
    let loops = &loops["result"];
    assert_eq!(loops["_meta"]["skillhost/failure"]["kind"], "timeout", "{loops}");
    // Beside it, one whose instructions are counted: it cannot even tell its tools.
    let tools = client.tools();
    assert!(!tools.iter().any(|tool| tool.starts_with("text_")), "{tools:?}");
}
