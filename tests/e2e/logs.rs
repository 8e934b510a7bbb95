//! The host's log: what is in it, and what is not, and that it can be changed.

use serde_json::{Value, json};

fn args(text: &str) -> Value {
    json!({"text": text})
}

#[test]
fn the_end_of_a_call_tells_everything_of_it() {
    let mut client = crate::samples().stdio();
    let result =
        client.call_with("text_word_count", args("a b"), json!({"skillhost/correlation_id": "mine"}));
    let line = client.wait_log("the end", |line| line["message"] == "call done");
    assert_eq!(line["span"]["call_id"], result["_meta"]["skillhost/call_id"]);
    for (name, value) in
        [("correlation_id", "mine"), ("tool", "text_word_count"), ("skill", "text"), ("caller", "local")]
    {
        assert_eq!(line["span"][name], value, "{line}");
    }
    assert_eq!((&line["outcome"], &line["attempt"]), (&json!("ok"), &json!(1)), "{line}");
    for name in ["took_ms", "queued_ms", "fuel", "memory"] {
        assert!(line[name].is_number(), "{name} in {line}");
    }
}

#[test]
fn what_is_logged_can_be_changed_while_the_host_runs() {
    let host = crate::samples().own_data().config("[log]\nlevel = \"warn\"");
    assert!(!host.run(&["log"]).status.success(), "none runs");
    let mut client = host.stdio();
    client.tools();
    assert_eq!(client.logs().len(), 0);
    let told = host.json(&["log", "info,skillhost::guest=off", "--json"]);
    assert_eq!(told["log"], json!({"level": "info,skillhost::guest=off", "configured": "warn"}));
    client.call("text_word_count", args("a"));
    client.wait_log("the end", |line| line["message"] == "call done");
    let refused = host.run(&["log", "loud=very"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("loud"), "{refused:?}");
    let refused = host.run(&["log", ""]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is empty"), "{refused:?}");
    assert_eq!(host.json(&["log", "--json"])["log"]["level"], "info,skillhost::guest=off", "nothing changed");
    assert_eq!(host.json(&["log", "--reset", "--json"])["log"]["level"], "warn");
    client.logs();
    client.call("text_word_count", args("a"));
    assert_eq!(client.close().1, Vec::<Value>::new());
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let host = crate::samples().config("[log]\nmax_per_second = 0");
    let mut client = host.stdio_unread();
    // Each leaves a line, and a pipe holds 64 KiB of them.
    for _ in 0..400 {
        client.call("text_word_count", args("a"));
    }
    assert_eq!(client.close().0, Some(0), "it ends, too");
}

#[test]
fn of_a_flood_some_lines_are_written_and_the_rest_is_counted() {
    let host = crate::samples().config("[log]\nmax_per_second = 1\nburst = 5\n");
    let mut client = host.stdio();
    for _ in 0..50 {
        client.call("text_word_count", args("a"));
    }
    let (_, log) = client.close();
    let written = log.iter().filter(|line| line["message"] == "call done").count();
    assert!((5..40).contains(&written), "{written}");
    let told: u64 = log
        .iter()
        .filter(|line| line["lines"].is_u64() && line["from"] == "skillhost_pipeline::log")
        .map(|line| line["lines"].as_u64().unwrap())
        .sum();
    assert_eq!(written as u64 + told, 50, "all are accounted for: {log:?}");
}

#[test]
fn arguments_are_logged_where_that_is_wanted_and_secrets_never() {
    let told = |config: &str| {
        let mut client = crate::samples().config(config).stdio();
        client.call("faulty_fail", json!({"kind": "permanent", "message": "hunter2"}));
        client.call("text_word_count", args(&"long ".repeat(1_000)));
        let (_, log) = client.close();
        let all: Vec<_> =
            log.iter().filter_map(|line| Some(line.get("arguments")?.as_str()?.to_owned())).collect();
        (all, format!("{log:?}"))
    };
    assert_eq!(told("").0, Vec::<String>::new());
    let (all, log) = told("[log]\narguments = true\n[skills.faulty]\nsecret_arguments = [\"/message\"]");
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[0], r#"{"kind":"permanent","message":"[secret]"}"#);
    assert!(all[1].starts_with(r#"{"text":"long long"#) && all[1].len() < 1_100, "{}", all[1]);
    // What the skill itself says of them in its failure is its own affair.
    assert!(!log.contains("hunter2\\\","), "{log}");
}

#[test]
fn a_skill_that_floods_the_log_silences_no_other() {
    let host =
        crate::samples().config("[log]\nmax_per_second = 1\nburst = 20\n[skills.faulty]\nlog_lines = 1000");
    host.put("other.wasm", &skillhost_e2e::component("faulty.wasm"));
    let mut client = host.stdio();
    client.call("faulty_log_flood", json!({"lines": 500}));
    client.call("other_print", json!({"stdout": "heard\n", "stderr": ""}));
    client.wait_log("the other's line", |line| line["message"] == "heard");
}

#[test]
fn a_name_of_megabytes_is_refused_as_fast_as_any() {
    let mut client = crate::samples().stdio();
    client.tools();
    let answer = client.request("tools/call", json!({"name": "x".repeat(4 << 20), "arguments": {}}));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let line = client.wait_log("the end", |line| line["message"] == "call failed");
    assert!(line.to_string().len() < 2_000, "{} bytes", line.to_string().len());
}
