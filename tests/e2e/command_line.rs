//! The command line as a user has it.

use std::net::TcpListener;

use serde_json::json;

use crate::{empty, samples};

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn call_prints_the_mcp_result() {
    let (result, code) = samples().call("text_word_count", &json!({"text": "a b"}));
    assert_eq!(code, Some(0));
    assert_eq!(result["structuredContent"], json!({"words": 2, "lines": 1, "characters": 3}));
    assert_eq!(result["content"][0]["text"], r#"{"words":2,"lines":1,"characters":3}"#);
    assert!(result["_meta"]["skillhost/usage"]["fuel"].as_u64().unwrap() > 0);
}

#[test]
fn a_tool_error_is_exit_code_3_and_an_unknown_tool_1() {
    let host = samples();
    let (result, code) = host.call("faulty_is_error", &json!({"text": "no"}));
    assert_eq!((result["isError"].as_bool(), code), (Some(true), Some(3)));
    let output = host.run(&["call", "text_word_cuont"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("did you mean `text_word_count`?"), "{}", stderr(&output));
}

#[test]
fn arguments_that_are_not_json_are_explained() {
    let output = samples().run(&["call", "text_word_count", "--args", "{text: 1}"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not a JSON object"), "{}", stderr(&output));
}

#[test]
fn list_and_inspect_show_what_is_there() {
    let host = samples();
    let list = host.json(&["list", "--json"]);
    assert_eq!(list["skills"].as_array().unwrap().len(), 3);
    assert!(list["skills"].as_array().unwrap().iter().all(|skill| skill["state"] == "ready"));
    let inspect = host.json(&["inspect", "text", "--json"]);
    assert_eq!(inspect["tools"].as_array().unwrap().len(), 3);
    assert!(inspect["digest"].as_str().unwrap().starts_with("sha256:"));
    let file = host.skill("json.wasm");
    let inspect = host.json(&["inspect", file.to_str().unwrap(), "--json"]);
    assert_eq!(inspect["name"], "json");
    let output = host.run(&["inspect", "txet"]);
    assert!(stderr(&output).contains("did you mean `text`?"), "{}", stderr(&output));
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let host = empty().config("[server]\nmax_skils = 3");
    for command in [&["config", "check"][..], &["list"], &["serve"]] {
        let output = host.run(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(
            stderr(&output).contains("skillhost.toml:2:1: unknown key `max_skils`"),
            "{}",
            stderr(&output)
        );
        assert!(stderr(&output).contains("did you mean `max_skills`?"), "{}", stderr(&output));
    }
}

#[test]
fn config_show_writes_every_default_out() {
    let host = empty().config("[defaults]\ntimeout = \"7s\"");
    let shown = String::from_utf8(host.run(&["config", "show"]).stdout).unwrap();
    for line in
        ["timeout = \"7s\"", "listen = \"127.0.0.1:8000\"", "memory = \"128 MiB\"", "fuel = 200000000000"]
    {
        assert!(shown.contains(line), "{line} in {shown}");
    }
}

#[test]
fn a_missing_or_unreadable_skills_folder_says_what_to_do() {
    let host = empty();
    std::fs::remove_dir(host.skill("")).unwrap();
    let output = host.run(&["list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot be read"), "{}", stderr(&output));
    assert!(stderr(&output).contains("--skills"), "{}", stderr(&output));
    std::fs::write(host.skill(""), "a file").unwrap_or_else(|_| {
        std::fs::write(host.root().join("skills"), "a file").unwrap();
    });
    assert_eq!(host.run(&["list"]).status.code(), Some(1));
}

#[test]
fn a_taken_port_is_said_before_anything_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = samples().run(&["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("another program listens there"), "{}", stderr(&output));
}

#[test]
fn a_network_address_needs_leave() {
    for command in [&["serve", "--listen", "0.0.0.0:0"][..], &["config", "check", "--listen", "0.0.0.0:0"]] {
        let output = empty().run(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(stderr(&output).contains("allow_unauthenticated_network"), "{}", stderr(&output));
    }
    let host = empty().config("[admin]\ntoken = { file = \"missing\" }");
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["config", "check"]] {
        let output = host.run(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(stderr(&output).contains("admin.token"), "{}", stderr(&output));
    }
}
