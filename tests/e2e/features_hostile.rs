//! Prompts and resources of a skill that misbehaves: it takes nothing from the others, and gives nothing away.

use std::fs;

use serde_json::{Value, json};
use skillhost_e2e::{Host, Speaks, component, faulty};

use crate::{
    empty,
    features::{everybody, said},
};

const SECRET: &str = "correct-horse-battery";

/// A host with prompts and resources that misbehave, and a secret.
fn misbehaving(config: &str) -> Host {
    let host = empty();
    fs::write(host.root().join("token"), SECRET).unwrap();
    host.put("faulty.wasm", &faulty("features"));
    let file = host.root().join("token");
    host.config(&format!(
        "{config}\n[defaults]\nbreaker = \"off\"\n[skills.faulty.grants]\nsecrets = {{ token = {{ file = {file:?} }} }}"
    ))
}

fn get(client: &mut dyn Speaks, deed: &str) -> Value {
    client.request("prompts/get", json!({"name": format!("faulty_{deed}")}))
}

fn read(client: &mut dyn Speaks, deed: &str) -> Value {
    client.request("resources/read", json!({"uri": format!("faulty://{deed}")}))
}

#[test]
fn a_listing_that_traps_takes_nothing_from_the_others() {
    let host = empty().config("[skills.whole.grants]\nkeyvalue = true");
    host.put("whole.wasm", &component("whole.wasm"));
    for (name, mode) in [
        ("one", "prompts-trap"),
        ("two", "resources-trap"),
        ("three", "templates-trap"),
        ("four", "list-trap"),
    ] {
        host.put(&format!("{name}.wasm"), &faulty(mode));
        let (state, reason) = host.state(name);
        assert_eq!(state, "failed", "{mode}");
        assert!(reason.contains("unreachable") || reason.contains("trap"), "{mode}: {reason}");
    }
    let (_server, all) = everybody(&host);
    for mut client in all {
        assert_eq!(client.listed("prompts/list", "prompts", "name"), ["whole_essay"]);
        assert_eq!(
            client.listed("resources/templates/list", "resourceTemplates", "uriTemplate"),
            ["value://{key}"]
        );
        let essay = client.ask("prompts/get", json!({"name": "whole_essay", "arguments": {"topic": "a"}}));
        assert_eq!(said(&essay), "Write about a.");
        client.tool("whole_set", json!({"key": "a", "value": "1"}));
        assert!(client.ask("resources/read", json!({"uri": "value://a"}))["contents"].is_array());
    }
}

#[test]
fn a_version_whose_listing_traps_leaves_the_last_good_one_serving() {
    let host = misbehaving("");
    let mut client = host.stdio();
    assert_eq!(said(&get(&mut client, "plain")["result"]), "plain");
    host.put("faulty.wasm", &faulty("resources-trap"));
    client.wait_log("the failure", |line| line["message"] == "skill failed to load");
    assert_eq!(said(&get(&mut client, "plain")["result"]), "plain");
    assert_eq!(client.listed("resources/list", "resources", "uri").len(), 5);
}

#[test]
fn one_that_traps_or_fails_is_answered() {
    let host = misbehaving("");
    let (_server, all) = everybody(&host);
    for mut client in all {
        let client = &mut *client;
        for (deed, kind) in [("trap", "trap"), ("fail", "permanent")] {
            for answer in [get(client, deed), read(client, deed)] {
                assert_eq!(answer["error"]["code"], -32603, "{answer}");
                let failure = &answer["error"]["data"]["skillhost/failure"];
                assert_eq!(failure["kind"], kind, "{answer}");
                assert!(answer["error"]["data"]["skillhost/call_id"].is_string(), "{answer}");
            }
        }
        // It asks a client that cannot answer.
        for answer in [get(client, "ask"), read(client, "ask")] {
            assert_eq!(answer["error"]["code"], -32021, "{answer}");
            assert!(answer["error"]["data"]["requiredCapabilities"]["roots"].is_object(), "{answer}");
        }
        assert_eq!(said(&get(client, "plain")["result"]), "plain");
        assert_eq!(read(client, "plain")["result"]["contents"][0]["text"], "plain");
    }
}

#[test]
fn one_that_asks_for_ever_is_stopped() {
    let host = misbehaving("");
    let mut client = host.modern().can(json!({"roots": {}}));
    for (method, mut params) in [
        ("prompts/get", json!({"name": "faulty_ask"})),
        ("resources/read", json!({"uri": "faulty://ask"})),
        ("tools/call", json!({"name": "faulty_input_required"})),
    ] {
        let mut rounds = 0;
        let end = loop {
            let answer = client.request(method, params.clone());
            if answer["result"]["resultType"] != "input_required" {
                break answer;
            }
            assert_eq!(answer["result"]["inputRequests"]["roots"]["method"], "roots/list", "{answer}");
            params["requestState"] = answer["result"]["requestState"].clone();
            params["inputResponses"] = json!({"roots": {"roots": []}});
            rounds += 1;
            assert!(rounds < 50, "it is never stopped");
        };
        assert!(rounds > 1, "{end}");
        assert!(end.to_string().contains("still does not answer"), "{end}");
    }
}

#[test]
fn a_secret_is_in_no_prompt_and_no_resource() {
    let host = misbehaving("");
    let (_server, all) = everybody(&host);
    for mut client in all {
        let client = &mut *client;
        let filled = get(client, "leak");
        assert_eq!(said(&filled["result"]), "it is [redacted]", "{filled}");
        assert_eq!(filled["result"]["description"], "it is [redacted]", "{filled}");
        let contents = read(client, "leak");
        assert_eq!(contents["result"]["contents"][0]["text"], "it is [redacted]", "{contents}");
    }
}

#[test]
fn what_holds_a_secret_by_chance_is_cleaned_as_well() {
    // It never asks for the secret: its caller knows it.
    let host = empty();
    fs::write(host.root().join("token"), SECRET).unwrap();
    let file = host.root().join("token");
    host.put("whole.wasm", &component("whole.wasm"));
    let host = host.config(&format!(
        "[skills.whole.grants]\nkeyvalue = true\nsecrets = {{ token = {{ file = {file:?} }} }}"
    ));
    let mut client = host.modern();
    let essay = client.ask("prompts/get", json!({"name": "whole_essay", "arguments": {"topic": SECRET}}));
    assert_eq!(said(&essay), "Write about [redacted].");
    client.tool("whole_set", json!({"key": "a", "value": SECRET}));
    let read = client.ask("resources/read", json!({"uri": "value://a"}));
    // As bytes.
    assert_eq!(read["contents"][0]["blob"], "W3JlZGFjdGVkXQ==", "{read}");
    client.tool("whole_set", json!({"key": SECRET, "value": "1"}));
    let of = json!({"type": "ref/resource", "uri": "value://{key}"});
    let params = json!({"ref": of, "argument": {"name": "key", "value": "corr"}});
    let completed = client.ask("completion/complete", params);
    assert!(!completed.to_string().contains(SECRET), "{completed}");
}

#[test]
fn more_than_a_page_comes_in_pages() {
    let host = empty();
    host.put("faulty.wasm", &faulty("many-resources"));
    let (state, reason) = host.state("faulty");
    assert_eq!(state, "ready", "{reason}");
    let (_server, all) = everybody(&host);
    for mut client in all {
        let first = client.ask("resources/list", json!({}));
        assert_eq!(first["resources"].as_array().unwrap().len(), 500);
        assert!(first["nextCursor"].is_string());
        let uris = client.listed("resources/list", "resources", "uri");
        let expected: Vec<_> = (0..1_100).map(|n| format!("faulty://{n:04}")).collect();
        assert_eq!(uris, expected);
        let error = client.refused("resources/list", json!({"cursor": ""}));
        assert_eq!(error["code"], -32602, "{error}");
    }
}
