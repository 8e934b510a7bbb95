//! How sagas end when their agent does not end them, and how they are found again: expiry, kills, listings, the command line.

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, eventually};

use crate::{
    ledger::{
        and, call_of, done, effects, events, ledger, put, shown, story, text, told, undone, until_counted,
        until_effects, until_event, with_keys, world,
    },
    sagas::{arguments, begin, rolled_back, step},
};

fn until_state(host: &Host, saga: &str, state: &str) {
    eventually(|| (shown(host, saga)["state"] == state).then_some(()));
}

#[test]
fn a_saga_that_nobody_ends_is_kept_or_rolled_back_as_was_said() {
    let host = ledger("");
    let mut client = host.stdio();
    let mut expiring = |word: &str, key: &str| {
        let saga = begin(&mut client, json!({"ttl_seconds": 5, "on_expiry": word}));
        (step(&mut client, &saga, "ledger_put", put(key, "1")), saga)
    };
    let ((kept, keep), (_, rollback)) = (expiring("keep", "a"), expiring("rollback", "b"));
    until_state(&host, &keep, "expired");
    until_state(&host, &rollback, "rolled-back");
    assert_eq!(
        (story(&host), world(&host)),
        (["do a", "do b", "undo b"].map(String::from).to_vec(), with_keys(&[("a", "1")]))
    );
    for (saga, word) in [(&keep, "is expired"), (&rollback, "is rolled-back")] {
        let late = client.call("saga_call", arguments(saga, "ledger_put", put("c", "1")));
        assert!(text(&late).contains(word), "{late}");
        assert_eq!(client.call("saga_commit", json!({"saga": saga}))["isError"], true);
    }
    let refused = client.call("saga_rollback", json!({"saga": keep}));
    assert!(text(&refused).contains("is expired: what was done stays"), "{refused}");
    undone(&mut client, &kept);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_saga_expires_though_nobody_runs_a_host_at_that_time() {
    let host = ledger("[sagas]\non_expiry = \"rollback\"\nttl = \"1s\"\nmax_ttl = \"10s\"");
    let mut client = host.stdio();
    let longer = client.call("saga_begin", json!({"ttl_seconds": 11}));
    assert_eq!(longer["_meta"]["skillhost/failure"]["kind"], "invalid-input", "{longer}");
    let saga = begin(&mut client, json!({"ttl_seconds": 10}));
    step(&mut client, &saga, "ledger_put", put("a", "1"));
    client.kill();
    let _client = host.stdio();
    until_effects(&host, 2);
    until_state(&host, &saga, "rolled-back");
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
}

#[test]
fn an_open_saga_waits_for_its_agent_while_its_host_is_killed() {
    let host = ledger("");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({}));
    step(&mut client, &saga, "ledger_put", put("a", "1"));
    let hang = and(put("b", "1"), json!({"end": "hang"}));
    client.begin_call("saga_call", arguments(&saga, "ledger_put", hang));
    until_event(&host, "end hang");
    client.kill();
    let mut client = host.stdio();
    // What was half done is taken back, the rest stays as it is.
    until_effects(&host, 3);
    assert_eq!(world(&host), with_keys(&[("a", "1")]));
    step(&mut client, &saga, "ledger_put", put("c", "1"));
    rolled_back(&mut client, &saga);
    assert_eq!(story(&host), ["do a", "do b", "undo b", "do c", "undo c", "undo a"]);
    assert_eq!(world(&host), with_keys(&[]));
}

/// A saga with three calls, of which the undo of the second is `word`.
fn three(client: &mut Client, word: &str) -> String {
    let saga = begin(client, json!({}));
    for (key, word) in [("a", "ok"), ("b", word), ("c", "ok")] {
        step(client, &saga, "ledger_put", and(put(key, "1"), json!({"undo": word})));
    }
    saga
}

#[test]
fn a_host_that_is_killed_between_two_tries_is_followed_by_one_that_finishes() {
    // The second try is so far away that only another host can make it.
    let host = ledger("[skills.ledger]\nundo = { attempts = 4, delays = [\"1h\"] }");
    let mut client = host.stdio();
    let saga = three(&mut client, "flaky:1");
    client.begin_call("saga_rollback", json!({"saga": saga}));
    until_counted(&host, &call_of(&host, "b"));
    assert_eq!(story(&host)[3..], ["undo c"]);
    client.kill();
    let mut client = host.stdio();
    until_effects(&host, 6);
    assert_eq!(story(&host), ["do a", "do b", "do c", "undo c", "undo b", "undo a"]);
    assert_eq!(world(&host), with_keys(&[]));
    until_state(&host, &saga, "rolled-back");
    assert_eq!(rolled_back(&mut client, &saga), 3);
    assert_eq!(effects(&host).len(), 6);
}

#[test]
fn a_host_that_is_killed_within_an_undo_is_followed_by_one_that_goes_on() {
    let host = ledger("[skills.ledger]\nundo_timeout = \"3s\"");
    let mut client = host.stdio();
    let saga = three(&mut client, "hang");
    client.begin_call("saga_rollback", json!({"saga": saga}));
    until_event(&host, "undo hang");
    client.kill();
    assert_eq!(story(&host)[3..], ["undo c"]);
    let _client = host.stdio();
    until_state(&host, &saga, "stuck");
    assert_eq!(story(&host), ["do a", "do b", "do c", "undo c", "undo a"]);
    assert_eq!(world(&host), with_keys(&[("b", "1")]));
    assert!(events(&host, "undo hang").len() > 1, "it was begun again");
    let page = told(&host, &["saga", "show", &saga], 0);
    assert!(page.contains("stuck") && page.contains(&call_of(&host, "b")), "{page}");
}

#[test]
fn a_saga_is_rolled_back_from_another_process_than_the_one_that_runs_its_call() {
    let host = ledger("[skills.ledger.tools.put]\ntimeout = \"4s\"");
    let (mut one, mut other) = (host.stdio(), host.stdio());
    let saga = begin(&mut one, json!({}));
    step(&mut one, &saga, "ledger_put", put("a", "1"));
    step(&mut other, &saga, "ledger_put", put("b", "1"));
    let hang = and(put("c", "1"), json!({"end": "hang"}));
    let request = one.begin_call("saga_call", arguments(&saga, "ledger_put", hang));
    until_event(&host, "end hang");
    rolled_back(&mut other, &saga);
    assert_eq!(story(&host), ["do a", "do b", "do c", "undo c", "undo b", "undo a"]);
    assert_eq!(world(&host), with_keys(&[]));
    assert_eq!(one.wait(request)["result"]["isError"], true);
}

#[test]
fn a_killed_hosts_roll_back_is_finished_by_a_host_that_lives() {
    let host = ledger("[skills.ledger]\nundo = { attempts = 4, delays = [\"1h\"] }");
    let (mut one, _other) = (host.stdio(), host.stdio());
    let saga = three(&mut one, "flaky:1");
    one.begin_call("saga_rollback", json!({"saga": saga}));
    until_counted(&host, &call_of(&host, "b"));
    one.kill();
    until_effects(&host, 6);
    assert_eq!(story(&host), ["do a", "do b", "do c", "undo c", "undo b", "undo a"]);
}

fn ids(list: &Value) -> Vec<String> {
    let calls = list["structuredContent"]["calls"].as_array().unwrap_or_else(|| panic!("{list}"));
    calls.iter().map(|call| call["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_agent_finds_its_calls_and_sagas_again() {
    let host = ledger("");
    let mut client = host.stdio();
    let nothing = client.call("list_calls", json!({}));
    assert_eq!((ids(&nothing), &nothing["structuredContent"]["sagas"]), (vec![], &json!([])));
    let alone = done(&mut client, "ledger_put", put("a", "1"));
    done(&mut client, "ledger_mutate", put("plain", "1"));
    let saga = begin(&mut client, json!({"label": "mine"}));
    let first = step(&mut client, &saga, "ledger_put", put("b", "1"));
    let second = step(&mut client, &saga, "ledger_mutate", put("c", "1"));
    let list = client.call("list_calls", json!({}));
    assert_eq!(ids(&list), [&*second, &first, &alone], "newest first, and only what may matter");
    let calls = &list["structuredContent"]["calls"];
    let undoable =
        |n: usize| (calls[n]["undoable"].clone(), calls[n]["state"].clone(), calls[n]["saga"].clone());
    assert_eq!(undoable(0), (json!(false), json!("done"), json!(saga)));
    assert_eq!(undoable(1), (json!(true), json!("done"), json!(saga)));
    assert_eq!(undoable(2), (json!(true), json!("done"), Value::Null));
    let open = &list["structuredContent"]["sagas"][0];
    assert_eq!(
        (&open["saga"], &open["label"], &open["state"]),
        (&json!(saga), &json!("mine"), &json!("open"))
    );
    for word in [&*saga, &first, &alone, "mine"] {
        assert!(text(&list).contains(word), "{list}");
    }
    assert_eq!(ids(&client.call("list_calls", json!({"saga": saga}))), [&*second, &first]);
    assert_eq!(ids(&client.call("list_calls", json!({"before": first}))), [&*alone]);
    undone(&mut client, &alone);
    let after = client.call("list_calls", json!({"before": first}))["structuredContent"]["calls"][0].take();
    assert_eq!((&after["undo"], &after["undoable"]), (&json!("undone"), &json!(false)), "{after}");
    client.call("saga_commit", json!({"saga": saga}));
    assert_eq!(client.call("list_calls", json!({}))["structuredContent"]["sagas"], json!([]));
}

#[test]
fn long_listings_have_pages() {
    let host = ledger("");
    let mut client = host.stdio();
    let mut all: Vec<_> =
        (0..60).map(|n| done(&mut client, "ledger_put", put(&format!("k{n}"), "1"))).collect();
    all.reverse();
    let first = client.call("list_calls", json!({}));
    assert_eq!((&ids(&first)[..], &first["structuredContent"]["more"]), (&all[..50], &json!(true)));
    let second = client.call("list_calls", json!({"before": all[49]}));
    assert_eq!((&ids(&second)[..], &second["structuredContent"]["more"]), (&all[50..], &json!(false)));
}

#[test]
fn operators_see_sagas_with_and_without_a_host() {
    let host = ledger("");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({"label": "mine"}));
    step(&mut client, &saga, "ledger_put", put("a", "1"));
    step(&mut client, &saga, "ledger_put", put("b", "1"));
    let alone = done(&mut client, "ledger_put", put("c", "1"));
    undone(&mut client, &alone);
    let look = || {
        let list = |more: &[&str]| host.json(&[&["saga", "list", "--json"], more].concat());
        let found = |list: Value| -> Vec<String> {
            let sagas = list["sagas"].as_array().unwrap_or_else(|| panic!("{list}"));
            sagas.iter().map(|saga| saga["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(found(list(&[])), [&*alone, &saga], "newest first");
        assert_eq!(found(list(&["--held"])), [&*saga]);
        assert_eq!(found(list(&["--state", "rolled-back,stuck"])), [&*alone]);
        assert_eq!(found(list(&["--caller", "nobody"])), [""; 0]);
        assert_eq!(found(list(&["--limit", "1"])), [&*alone]);
        assert_eq!(found(list(&["--after", &alone])), [&*saga]);
        let page = told(&host, &["saga", "list"], 0);
        assert!(page.contains("mine") && page.contains("agent") && page.contains("rolled-back"), "{page}");
        let page = told(&host, &["saga", "show", &saga], 0);
        assert!(page.contains("├─ ledger_put [done]") && page.contains("└─ ledger_put [done]"), "{page}");
        assert!(page.contains("open until"), "{page}");
    };
    look();
    assert_eq!(host.run(&["saga", "list", "--state", "lost"]).status.code(), Some(1));
    assert_eq!(client.close().0, Some(0));
    look();
    // And it can be rolled back, by the command line itself.
    let report = host.json(&["saga", "rollback", &saga, "--json"]);
    assert_eq!((&report["state"], &report["undone"]), (&json!("rolled-back"), &json!(2)), "{report}");
    assert_eq!(world(&host), with_keys(&[]));
    assert_eq!(story(&host)[3..], ["undo c", "undo b", "undo a"]);
}

#[test]
fn clients_are_told_what_can_be_taken_back() {
    let host = ledger("");
    let mut client = host.stdio();
    let undo = &client.server()["capabilities"]["extensions"]["skillhost/undo"];
    let all = json!(["saga_begin", "saga_call", "saga_commit", "saga_rollback"]);
    assert_eq!((&undo["undo"], &undo["sagas"]), (&json!("undo_call"), &all), "{}", client.server());
    assert!(client.server()["instructions"].as_str().unwrap().contains("undo_call"));
    let tools = client.request("tools/list", json!({}))["result"]["tools"].take();
    let tool = |name: &str| tools.as_array().unwrap().iter().find(|tool| tool["name"] == name).cloned();
    let marked = |name: &str| tool(name).unwrap()["_meta"]["skillhost/undoable"].clone();
    for name in ["ledger_put", "ledger_tree", "ledger_undo_calls"] {
        assert_eq!(marked(name), true, "{name}");
    }
    for name in ["ledger_mutate", "ledger_get", "ledger_plain_tree", "ledger_version", "undo_call"] {
        assert_eq!(marked(name), Value::Null, "{name}");
    }
    let hints = |name: &str| {
        let hints = tool(name).unwrap()["annotations"].take();
        ["readOnlyHint", "destructiveHint", "openWorldHint"].map(|hint| hints[hint].as_bool().unwrap())
    };
    assert_eq!(hints("list_calls"), [true, false, false]);
    assert_eq!(hints("saga_begin"), [false, false, false]);
    assert_eq!(hints("saga_call"), [false, true, false]);
    assert_eq!(hints("saga_commit"), [false, false, false]);
    assert_eq!(hints("undo_call"), [false, true, false]);
    assert_eq!(hints("saga_rollback"), [false, true, false]);
}

#[test]
fn where_the_operator_wants_no_sagas_agents_have_no_tools_for_them() {
    let host = ledger("[sagas]\ntools = false");
    let mut client = host.stdio();
    let own: Vec<_> = client.all_tools().into_iter().filter(|name| !name.starts_with("ledger_")).collect();
    assert_eq!(own, ["call_status"]);
    assert!(client.server()["capabilities"]["extensions"]["skillhost/undo"].is_null(), "{}", client.server());
    assert!(!client.server()["instructions"].as_str().unwrap().contains("undo_call"));
    for tool in ["undo_call", "saga_begin", "saga_call", "list_calls"] {
        let params = json!({"name": tool, "arguments": {}});
        assert!(client.request("tools/call", params)["error"].is_object(), "{tool}");
    }
    // What fails is still taken back, and the operator still takes back what he wants.
    let failed = client.call("ledger_put", and(put("a", "1"), json!({"end": "trap"})));
    crate::ledger::nothing_stays(&failed, "trap");
    let call = done(&mut client, "ledger_put", put("b", "1"));
    told(&host, &["undo", &call], 0);
    assert_eq!(world(&host), with_keys(&[]));
}
