//! Durable calls as tasks: what fails goes on by itself, and its client sees that with its handle.

use serde_json::{Value, json};
use skillhost_e2e::{Host, Modern, Speaks as _, eventually, faulty};

use crate::{
    asking::text,
    recovery::{effects, recording},
    tasks::{cancel, follower, get, handle, over_http, until},
};

fn durable(client: &mut Modern, tool: &str, arguments: Value) -> String {
    let meta = json!({"skillhost/durable": true});
    handle(&client.ask("tools/call", json!({"name": tool, "arguments": arguments, "_meta": meta})))
}

/// A host on which nothing is due within a test, unless something of it has changed.
fn patient() -> Host {
    recording("").config("[skills.same]\nredelivery = { attempts = 5, delays = [\"1h\"] }")
}

/// Wait until a task waits, after a failure.
fn until_failed(client: &mut Modern, id: &str) -> Value {
    eventually(|| Some(get(client, id)).filter(|task| task["statusMessage"].is_string()))
}

/// A task that fails, and ends when its skill is mended.
fn mended(host: &Host, mut client: Modern) {
    let arguments = json!({"line": "a", "before": "trap", "token": "hunter2"});
    let id = durable(&mut client, "same_record", arguments);
    let waiting = until_failed(&mut client, &id);
    assert_eq!(waiting["status"], "working", "{waiting}");
    assert!(waiting["statusMessage"].as_str().unwrap().contains("trap"), "{waiting}");
    assert!(effects(host).is_empty());
    host.put("same.wasm", &faulty("mended"));
    let done = until(&mut client, &id, "completed");
    assert_ne!(done["result"]["isError"], true, "{done}");
    assert_eq!(text(&done["result"]), "a true", "its secret reached it: {done}");
    let call = done["result"]["_meta"]["skillhost/call_id"].as_str().unwrap().to_owned();
    assert_eq!(effects(host), [format!("a {call}")]);
    assert_eq!(get(&mut client, &id), done);
    let journal = std::fs::read(host.data().join("journal.sqlite")).unwrap();
    assert!(!String::from_utf8_lossy(&journal).contains("hunter2"));
}

#[test]
fn one_that_fails_goes_on_until_its_skill_is_mended() {
    let host = patient();
    mended(&host, follower(&host));
    let host = patient();
    let server = host.serve();
    mended(&host, over_http(&server));
}

#[test]
fn it_goes_on_after_its_host_was_killed() {
    let host = patient();
    let mut client = follower(&host);
    let id = durable(&mut client, "same_record", json!({"line": "a", "before": "trap"}));
    until_failed(&mut client, &id);
    client.client().kill();
    let mut client = follower(&host);
    assert_eq!(until_failed(&mut client, &id)["status"], "working");
    host.put("same.wasm", &faulty("mended"));
    assert_eq!(text(&until(&mut client, &id, "completed")["result"]), "a false");
    assert_eq!(effects(&host).len(), 1);
}

#[test]
fn one_that_will_never_succeed_ends() {
    let host = recording("");
    let mut client = follower(&host);
    let id = durable(&mut client, "faulty_record", json!({"line": "a", "before": "permanent"}));
    let end = until(&mut client, &id, "completed");
    assert_eq!(end["result"]["isError"], true, "{end}");
    assert!(text(&end["result"]).contains("the line can never be written"), "{end}");
    assert_eq!(end["result"]["_meta"]["skillhost/call"]["state"], "parked", "{end}");
    assert!(effects(&host).is_empty());
}

#[test]
fn one_that_waits_can_be_given_up() {
    let host = patient();
    let mut client = follower(&host);
    let id = durable(&mut client, "same_record", json!({"line": "a", "before": "trap"}));
    until_failed(&mut client, &id);
    cancel(&mut client, &id);
    assert_eq!(get(&mut client, &id)["status"], "cancelled");
    let letters = host.json(&["dlq", "list", "--state", "discarded", "--json"]);
    assert_eq!(letters["letters"].as_array().map(Vec::len), Some(1), "{letters}");
    // It is not run any more, whatever becomes of its skill.
    host.put("same.wasm", &faulty("mended"));
    client
        .client()
        .wait_log("the new version", |line| line["message"] == "skill ready" && line["skill"] == "same");
    let done = durable(&mut client, "same_record", json!({"line": "b", "before": "trap"}));
    until(&mut client, &done, "completed");
    assert_eq!(effects(&host).len(), 1, "{:?}", effects(&host));
    assert_eq!(get(&mut client, &id)["status"], "cancelled");
}

#[test]
fn one_that_runs_is_let_run() {
    let host = recording("");
    let mut client = follower(&host);
    let id = durable(&mut client, "faulty_record", json!({"line": "a", "ms": 500}));
    eventually(|| (effects(&host).len() == 1).then_some(()));
    cancel(&mut client, &id);
    let end = until(&mut client, &id, "completed");
    assert_eq!(text(&end["result"]), "a false", "{end}");
}

#[test]
fn under_one_key_two_tasks_are_one_effect() {
    let host = recording("").config("task = \"optional\"");
    let mut client = follower(&host);
    let mut call = |line: &str| {
        let meta = json!({"skillhost/idempotency_key": "k"});
        let params = json!({"name": "same_record", "arguments": {"line": line}, "_meta": meta});
        let id = handle(&client.ask("tools/call", params));
        until(&mut client, &id, "completed")["result"].take()
    };
    let (first, again, other) = (call("a"), call("a"), call("b"));
    assert_eq!(text(&first), "a false");
    assert_eq!((text(&again), &again["_meta"]["skillhost/replayed"]), ("a false", &json!(true)), "{again}");
    assert_eq!(other["_meta"]["skillhost/failure"]["kind"], "key-conflict", "{other}");
    assert_eq!(effects(&host).len(), 1);
}

#[test]
fn who_cannot_follow_tasks_is_told_to_ask_for_it() {
    let host = patient();
    let mut client = host.modern();
    let meta = json!({"skillhost/durable": true});
    let arguments = json!({"line": "a", "before": "trap"});
    let told =
        client.ask("tools/call", json!({"name": "same_record", "arguments": arguments, "_meta": meta}));
    assert!(told.get("taskId").is_none(), "{told}");
    assert_eq!(told["_meta"]["skillhost/call"]["state"], "waiting", "{told}");
}
