//! Tasks outlive their hosts: what was lost is run again where it may be, and told honestly where it may not.

use serde_json::{Value, json};
use skillhost_e2e::{Host, component, eventually, faulty};

use crate::{
    asking::{accepted, text},
    features::conformance,
    recovery::{effects, recording},
    tasks::{begin, cancel, follower, get, over_http, until, update},
};

/// A host whose tool `same_record` is safe to repeat, and `faulty_record` is not. Calls of both are tasks.
fn recorded() -> Host {
    // The table of the former is the last one.
    recording("").config("task = \"optional\"\n[skills.faulty.tools.record]\ntask = \"optional\"")
}

fn hanging(line: &str) -> Value {
    json!({"line": line, "after": "hang"})
}

/// Wait for so many effects.
fn until_effects(host: &Host, count: usize) -> Vec<String> {
    eventually(|| Some(effects(host)).filter(|lines| lines.len() >= count))
}

#[test]
fn one_that_is_safe_runs_again() {
    let host = recorded();
    let mut client = follower(&host);
    let id = begin(&mut client, "same_record", hanging("a"));
    until_effects(&host, 1);
    client.client().kill();
    host.put("same.wasm", &faulty("mended"));
    let mut client = follower(&host);
    let done = until(&mut client, &id, "completed");
    assert_eq!(text(&done["result"]), "a false", "{done}");
    let lines = effects(&host);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], lines[1], "the same call");
    assert_eq!(done["result"]["_meta"]["skillhost/call_id"], lines[0][2..], "{done}");
}

#[test]
fn one_that_is_not_is_told_honestly() {
    let host = recorded();
    let mut client = follower(&host);
    let id = begin(&mut client, "faulty_record", hanging("a"));
    until_effects(&host, 1);
    client.client().kill();
    host.put("faulty.wasm", &faulty("mended"));
    let mut client = follower(&host);
    let end = until(&mut client, &id, "completed");
    assert_eq!(end["result"]["isError"], true, "{end}");
    let told = text(&end["result"]).to_lowercase();
    assert!(told.contains("may have taken effect") || told.contains("unknown"), "{end}");
    assert_eq!(get(&mut client, &id), end);
    assert_eq!(effects(&host).len(), 1, "it did not run again");
    // Operators see it as any other.
    let letters = host.json(&["dlq", "list", "--json"]);
    assert_eq!(letters["letters"].as_array().map(Vec::len), Some(1), "{letters}");
}

#[test]
fn one_that_asks_waits_for_its_answer() {
    let host = conformance("");
    let mut client = follower(&host);
    let id = begin(&mut client, "multi_input", json!({}));
    until(&mut client, &id, "input_required");
    let part = |name: &str| accepted(json!({"name": name, "confirm": true}));
    client.client().kill();
    let mut client = follower(&host);
    let asking = get(&mut client, &id);
    assert_eq!(asking["status"], "input_required", "{asking}");
    assert_eq!(asking["inputRequests"].as_object().unwrap().len(), 2, "{asking}");
    update(&mut client, &id, json!({"first": part("a")}));
    // Half of it is answered.
    client.client().kill();
    let server = host.serve();
    let mut client = over_http(&server);
    let asking = get(&mut client, &id);
    assert_eq!(
        asking["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["second"],
        "{asking}"
    );
    update(&mut client, &id, json!({"second": part("b")}));
    assert_eq!(text(&until(&mut client, &id, "completed")["result"]), "a: true, b: true");
}

#[test]
fn one_that_was_answered_and_runs_is_not_lost() {
    let host = recorded();
    host.put("conformance.wasm", &component("fixtures/conformance.wasm"));
    let mut client = follower(&host);
    let id = begin(&mut client, "conformance_confirm_delete", json!({"filename": "a"}));
    until(&mut client, &id, "input_required");
    update(&mut client, &id, json!({"confirm": accepted(json!({"confirm": true}))}));
    client.client().kill();
    let mut client = follower(&host);
    let done = until(&mut client, &id, "completed");
    assert_eq!(text(&done["result"]), "would delete a", "{done}");
}

#[test]
fn one_that_is_killed_at_any_moment_is_not_lost() {
    // Whether it has begun by then, nobody knows: it is safe, so that it makes no difference.
    for _ in 0..4 {
        let host = conformance("");
        let mut client = follower(&host);
        let computes = begin(&mut client, "slow_compute", json!({"seconds": 0, "label": "it"}));
        let asks = begin(&mut client, "confirm_delete", json!({"filename": "a"}));
        client.client().kill();
        let mut client = follower(&host);
        let done = until(&mut client, &computes, "completed");
        assert_eq!(text(&done["result"]), "it took 0 s", "{done}");
        until(&mut client, &asks, "input_required");
        update(&mut client, &asks, json!({"confirm": accepted(json!({"confirm": true}))}));
        assert_eq!(text(&until(&mut client, &asks, "completed")["result"]), "would delete a");
    }
}

#[test]
fn one_that_has_ended_has_ended() {
    let host = conformance("");
    let mut client = follower(&host);
    let done = begin(&mut client, "slow_compute", json!({"seconds": 0, "label": "it"}));
    let before = until(&mut client, &done, "completed");
    let gone = begin(&mut client, "slow_compute", json!({"seconds": 100}));
    cancel(&mut client, &gone);
    let failed = begin(&mut client, "protocol_error_job", json!({}));
    until(&mut client, &failed, "failed");
    client.client().kill();
    let mut client = follower(&host);
    assert_eq!(get(&mut client, &done), before);
    assert_eq!(get(&mut client, &gone)["status"], "cancelled");
    assert_eq!(get(&mut client, &failed)["error"]["code"], -32021);
}

#[test]
fn a_client_that_ends_its_host_in_order_finds_its_task_again() {
    let host = recorded();
    let mut client = follower(&host);
    let id = begin(&mut client, "same_record", json!({"line": "a", "ms": 300}));
    assert_eq!(client.close(), Some(0));
    let mut client = follower(&host);
    assert_eq!(text(&until(&mut client, &id, "completed")["result"]), "a false");
}

#[test]
fn two_hosts_on_one_folder_know_of_each_others() {
    let host = conformance("");
    let server = host.serve();
    let (mut one, mut other) = (follower(&host), over_http(&server));
    let id = begin(&mut one, "slow_compute", json!({"seconds": 1, "label": "it"}));
    assert_eq!(text(&until(&mut other, &id, "completed")["result"]), "it took 1 s");
    let id = begin(&mut one, "confirm_delete", json!({"filename": "a"}));
    until(&mut other, &id, "input_required");
    update(&mut other, &id, json!({"confirm": accepted(json!({"confirm": true}))}));
    assert_eq!(text(&until(&mut one, &id, "completed")["result"]), "would delete a");
    // Given up at one, it ends at the other.
    let id = begin(&mut one, "slow_compute", json!({"seconds": 100, "label": "it"}));
    cancel(&mut other, &id);
    assert_eq!(get(&mut one, &id)["status"], "cancelled");
}

#[test]
fn what_is_given_up_at_one_host_stops_running_at_the_other() {
    let host = conformance("");
    let server = host.serve();
    let (mut one, mut other) = (follower(&host), over_http(&server));
    let id = begin(&mut one, "slow_compute", json!({"seconds": 300, "label": "it"}));
    cancel(&mut other, &id);
    let line = one.client().wait_log("the end of the guest", |line| {
        line["span"]["tool"] == "slow_compute" && line["outcome"].is_string()
    });
    assert_eq!(line["outcome"], "cancelled", "{line}");
}

#[test]
fn what_a_killed_host_began_another_finishes() {
    let host = recorded();
    let server = host.serve();
    let (mut one, mut other) = (follower(&host), over_http(&server));
    let safe = begin(&mut one, "same_record", hanging("a"));
    let unsafe_ = begin(&mut one, "faulty_record", hanging("b"));
    until_effects(&host, 2);
    assert_eq!(get(&mut other, &safe)["status"], "working");
    host.put("same.wasm", &faulty("mended"));
    host.put("faulty.wasm", &faulty("mended"));
    for name in ["same", "faulty"] {
        server.wait_log("the mended one", |line| line["message"] == "skill ready" && line["skill"] == name);
    }
    one.client().kill();
    assert_eq!(text(&until(&mut other, &safe, "completed")["result"]), "a false");
    let end = until(&mut other, &unsafe_, "completed");
    assert_eq!(end["result"]["isError"], true, "{end}");
}
