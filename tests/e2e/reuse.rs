//! Instances that serve again: what is one call's own begins anew, and what ends badly serves no more.

use std::thread;

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, component};

use crate::{
    asking::{accepted, everything, text},
    empty,
};

/// A host with `behaves` under these settings.
fn host(settings: &str) -> Host {
    let host =
        empty().config(&format!("[skills.behaves]\n{settings}\n[skills.behaves.grants]\nkeyvalue = true\n"));
    host.put("behaves.wasm", &component("behaves.wasm"));
    host
}

fn served(client: &mut Client) -> String {
    text(&client.call("behaves_served", json!({"garbage": 0}))).to_owned()
}

#[test]
fn only_what_says_that_it_bears_it_is_served_again() {
    let host = host("reuse_calls = 100");
    let mut client = host.stdio();
    assert_eq!([served(&mut client), served(&mut client)], ["1", "2"]);
    let alone = |client: &mut Client| text(&client.call("behaves_alone", json!({}))).to_owned();
    assert_eq!([alone(&mut client), alone(&mut client)], ["1", "1"]);
    assert_eq!(served(&mut client), "3");
    let inspected = host.json(&["inspect", "behaves", "--json"]);
    let reusable = |name: &str| {
        let tools = inspected["tools"].as_array().unwrap();
        tools.iter().find(|tool| tool["name"] == name).unwrap()["reusable"].clone()
    };
    assert_eq!([reusable("behaves_served"), reusable("behaves_alone")], [json!(true), json!(false)]);
}

#[test]
fn it_takes_the_operators_word_too() {
    let mut client = host("").stdio();
    assert_eq!([served(&mut client), served(&mut client)], ["1", "1"]);
    let mut client = host("reuse_calls = 100\nreuse_age = \"1ms\"").stdio();
    // By then it is older.
    assert_eq!([served(&mut client), served(&mut client)], ["1", "1"]);
    let host = empty().config("[skills.text]\nreuse_calls = 2");
    host.put("text.wasm", &component("text.wasm"));
    host.stdio().wait_log("a warning", |line| line.to_string().contains("`reuse_calls` has no effect"));
}

#[test]
fn what_is_one_calls_own_begins_anew() {
    let host = host("reuse_calls = 100\nlog_lines = 2");
    let mut client = host.stdio_with(everything());
    // Lines of the log: more than one call may have, with the ids of their own calls.
    let mut ids = vec![];
    for n in 0..3 {
        client.call("behaves_note", json!({"text": format!("line {n}")}));
        let line = client.wait_log("the line", |line| line["message"] == format!("line {n}"));
        ids.push(line["span"]["call_id"].as_str().unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    // Progress: the second call begins below where the first one ended.
    for token in ["first", "second"] {
        let params = json!({
            "name": "behaves_steps", "arguments": {"count": 2}, "_meta": {"progressToken": token},
        });
        let id = client.begin("tools/call", params);
        let mut seen = vec![];
        client.wait_for("the result", |message| {
            if message["params"]["progressToken"] == token {
                seen.push(message["params"]["progress"].as_f64());
            }
            message["id"] == id && message.get("method").is_none()
        });
        assert_eq!((seen.first(), seen.last()), (Some(&Some(1.0)), Some(&Some(2.0))), "{seen:?}");
    }
    // What a call has changed is no reason for the next one not to ask.
    let put = client.call("behaves_put", json!({"key": "k", "value": "v"}));
    assert_ne!(put["isError"], true, "{put}");
    let id = client.begin_call("behaves_ask", json!({}));
    let asked = client.wait_for("the question", |message| message["method"] == "elicitation/create");
    client.answer(&asked, accepted(json!({"sure": true})));
    assert_eq!(text(&client.wait(id)["result"]), "sure: true");
    // Each is undone as itself.
    let undone = client.call("undo_call", json!({"id": put["_meta"]["skillhost/call_id"]}));
    assert_ne!(undone["isError"], true, "{undone}");
    // Fuel, too, or the sum would be over it soon.
    let used = |result: &Value| result["_meta"]["skillhost/usage"]["fuel"].as_u64().unwrap();
    let fuel: Vec<_> = (0..3).map(|_| used(&client.call("behaves_served", json!({"garbage": 0})))).collect();
    assert!(fuel[2] <= fuel[1] * 2, "{fuel:?}");
}

#[test]
fn one_at_a_time_and_many_beside_one_another() {
    let host = host("reuse_calls = 1000000\nconcurrency = \"off\"");
    let server = host.serve();
    let url = server.url();
    let counts: Vec<u32> = thread::scope(|scope| {
        let callers: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut session = skillhost_e2e::Session::open(url, json!({}));
                    let call = json!({"name": "behaves_served", "arguments": {"garbage": 1000}});
                    let mut call = || {
                        let end = session.begin("tools/call", call.clone()).response();
                        text(&end["result"]).parse::<u32>().unwrap()
                    };
                    (0..10).map(|_| call()).collect::<Vec<_>>()
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    // Each instance counts 1, 2, 3, …: no two calls of one see the same number, and none is left out.
    let with = |n| counts.iter().filter(|count| **count == n).count();
    let most = counts.iter().max().copied().unwrap();
    assert_eq!(counts.len(), 200);
    assert!((1..most).all(|n| with(n) >= with(n + 1)), "{counts:?}");
    assert!(most > 1, "none served twice");
}

#[test]
fn what_the_host_finds_wrong_with_a_result_counts() {
    let host = host("reuse_calls = 100\nmemory = \"16 MiB\"");
    let mut client = host.stdio();
    assert_eq!([served(&mut client), served(&mut client)], ["1", "2"]);
    // It was refused memory, and panics.
    let failed = client.call("behaves_served", json!({"garbage": 64 << 20}));
    assert_eq!(failed["_meta"]["skillhost/failure"]["kind"], "out-of-memory", "{failed}");
    assert_eq!(served(&mut client), "1");
}
