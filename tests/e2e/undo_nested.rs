//! Calls that make calls: what they made others do is taken back with them.

use serde_json::{Value, json};
use skillhost_e2e::eventually;

use crate::ledger::{
    and, call, call_of, done, effects, events, id, ledger, ledgers, nothing_stays, put, rollback, shown,
    story, text, undo, undone, until_effects, until_event, with_keys, world,
};

fn own(key: &str) -> Value {
    json!({"key": key, "value": "1"})
}

/// Calls in calls, each with an effect.
fn deep(end: &str) -> Value {
    let inner = json!({"own": own("u"), "calls": [call("ledger_put", put("b", "1")), call("two_put", put("c", "1"))]});
    json!({
        "own": own("t"),
        "calls": [call("ledger_put", put("a", "1")), call("two_tree", inner), call("ledger_put", put("d", "1"))],
        "end": end,
    })
}

const DONE: [&str; 6] = ["do t", "do a", "do u", "do b", "do c", "do d"];
/// A call's own effects first, then what it made others do, the last first.
const UNDONE: [&str; 6] = ["undo t", "undo d", "undo u", "undo c", "undo b", "undo a"];

#[test]
fn a_tree_that_fails_at_its_end_is_taken_back_in_reverse() {
    let host = ledgers(&["ledger", "two"], "");
    let mut client = host.stdio();
    let result = client.call("ledger_tree", deep("trap"));
    nothing_stays(&result, "trap");
    assert_eq!(rollback(&result)["undone"], 6, "{result}");
    assert_eq!(story(&host), [DONE, UNDONE].concat());
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_tree_that_succeeded_is_taken_back_in_reverse() {
    let host = ledgers(&["ledger", "two"], "");
    let mut client = host.stdio();
    let call = done(&mut client, "ledger_tree", deep("ok"));
    assert_eq!(world(&host).len(), 6);
    let back = undone(&mut client, &call);
    assert_eq!(back["structuredContent"]["undone"], 6, "{back}");
    undone(&mut client, &call);
    assert_eq!(story(&host), [DONE, UNDONE].concat());
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_tree_that_fails_on_its_word_takes_its_callees_back_all_the_same() {
    for word in ["permanent", "conflict", "transient"] {
        let host = ledger("");
        let mut client = host.stdio();
        let calls = [call("ledger_put", put("a", "1")), call("ledger_put", put("b", "1"))];
        let result = client.call("ledger_tree", json!({"calls": calls, "end": word}));
        nothing_stays(&result, word);
        // Its own guest took no effect, it says.
        assert_eq!(story(&host), ["do a", "do b", "undo b", "undo a"]);
        assert_eq!(world(&host), with_keys(&[]));
    }
}

#[test]
fn what_cannot_be_undone_in_a_tree_stays_and_is_named() {
    let host = ledger("");
    let mut client = host.stdio();
    let inner = json!({"calls": [call("ledger_put", put("b", "1")), call("ledger_put", put("c", "1"))]});
    let calls = [
        call("ledger_put", put("a", "1")),
        call("ledger_plain_tree", inner),
        call("ledger_mutate", put("m", "1")),
    ];
    let result = client.call("ledger_tree", json!({"own": own("t"), "calls": calls, "end": "trap"}));
    let all = ["do t", "do a", "do b", "do c", "do m", "undo t", "undo c", "undo b", "undo a"];
    assert_eq!(story(&host), all);
    assert_eq!(world(&host), with_keys(&[("m", "1")]));
    let report = rollback(&result);
    assert_eq!((&report["state"], &report["undone"]), (&json!("partial"), &json!(4)), "{result}");
    let mutate = call_of(&host, "m");
    let stays = report["stays"].as_array().unwrap();
    assert!(stays.iter().all(|stays| stays["state"] == "cannot-be-undone"), "{result}");
    assert!(stays.iter().any(|stays| stays["id"] == *mutate && stays["tool"] == "ledger_mutate"), "{result}");
    assert!(text(&result).contains("Partially rolled back. 4 calls were taken back."), "{result}");
    assert!(text(&result).contains(&format!("ledger_mutate {mutate} (cannot-be-undone)")), "{result}");
    assert_eq!(result["_meta"]["skillhost/failure"]["effect"], "unknown", "{result}");
}

#[test]
fn an_orchestration_that_cannot_be_undone_takes_its_callees_back_when_it_fails() {
    let host = ledger("");
    let mut client = host.stdio();
    let calls = [call("ledger_put", put("a", "1")), call("ledger_put", put("b", "1"))];
    let result = client.call("ledger_plain_tree", json!({"calls": calls, "end": "permanent"}));
    nothing_stays(&result, "permanent");
    assert_eq!(story(&host), ["do a", "do b", "undo b", "undo a"]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_part_that_failed_and_was_ignored_leaves_no_trace_and_the_rest_stays() {
    let host = ledgers(&["ledger", "two"], "");
    let mut client = host.stdio();
    let ignored = |call: Value| and(call, json!({"ignore": true}));
    let inner = json!({"calls": [call("ledger_put", put("c", "1")), call("ledger_put", put("d", "1"))], "end": "trap"});
    let calls = [
        call("ledger_put", put("a", "1")),
        ignored(call("ledger_put", and(put("b", "1"), json!({"end": "trap"})))),
        ignored(call("two_tree", inner)),
        call("ledger_put", put("e", "1")),
    ];
    let result = client.call("ledger_tree", json!({"calls": calls}));
    assert_ne!(result["isError"], true, "{result}");
    let answers = result["structuredContent"]["answers"].as_array().unwrap();
    let failed: Vec<_> =
        answers.iter().map(|answer| answer.as_str().unwrap().starts_with("failed: ")).collect();
    assert_eq!(failed, [false, true, true, false], "{result}");
    let first = ["do a", "do b", "undo b", "do c", "do d", "idle -", "undo d", "undo c", "do e"];
    assert_eq!(story(&host), first);
    assert_eq!(world(&host), with_keys(&[("a", "1"), ("e", "1")]));
    // What is gone already is not taken back again.
    undone(&mut client, &id(&result));
    assert_eq!(story(&host)[first.len()..], ["idle -", "undo e", "undo a"]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn calls_do_not_go_in_a_circle() {
    let host = ledgers(&["ledger", "two"], "");
    let mut client = host.stdio();
    let itself =
        json!({"calls": [call("ledger_put", put("a", "1")), call("ledger_tree", json!({"calls": []}))]});
    let result = client.call("ledger_tree", itself);
    nothing_stays(&result, "permanent");
    assert!(text(&result).contains("circle: ledger_tree -> ledger_tree"), "{result}");
    let around = call("two_tree", json!({"calls": [call("ledger_tree", json!({"calls": []}))]}));
    let result = client.call("ledger_tree", json!({"calls": [call("ledger_put", put("b", "1")), around]}));
    nothing_stays(&result, "permanent");
    assert!(text(&result).contains("circle: ledger_tree -> two_tree -> ledger_tree"), "{result}");
    assert_eq!(story(&host), ["do a", "undo a", "do b", "undo b"]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn calls_are_as_deep_as_they_may_be_and_no_deeper() {
    let names = ["one", "two", "three", "four", "five"];
    let host = ledgers(&names, "");
    let mut client = host.stdio();
    let nested = |levels: &[&str], last: &str| {
        let inner = json!([call(last, put("p", "1"))]);
        levels.iter().rev().fold(inner, |calls, name| {
            json!([call(&format!("{name}_tree"), json!({"own": own(name), "calls": calls}))])
        })[0]["arguments"]
            .clone()
    };
    let call = done(&mut client, "one_tree", nested(&names[..4], "five_put"));
    undone(&mut client, &call);
    let levels =
        |word: &str, n: usize| names[..n].iter().map(|name| format!("{word} {name}")).collect::<Vec<_>>();
    let all = [levels("do", 4), vec!["do p".into()], levels("undo", 4), vec!["undo p".into()]].concat();
    assert_eq!(story(&host), all);
    let result = client.call("one_tree", nested(&names, "one_put"));
    assert!(text(&result).contains("nested at most 4 deep"), "{result}");
    assert_eq!(result["isError"], true, "{result}");
    assert_eq!(story(&host)[all.len()..all.len() + 5], levels("do", 5));
    assert!(!effects(&host)[all.len()..].iter().any(|line| line.starts_with("do p")));
}

#[test]
fn a_part_is_taken_back_with_the_whole_only() {
    let host = ledger("");
    let mut client = host.stdio();
    let root = done(&mut client, "ledger_tree", json!({"calls": [call("ledger_put", put("a", "1"))]}));
    let part = call_of(&host, "a");
    assert_ne!(part, root);
    let refused = undo(&mut client, &part);
    assert_eq!(refused["isError"], true, "{refused}");
    assert!(text(&refused).contains(&format!("it is part of the call {root}")), "{refused}");
    let output = host.run(&["undo", &part, "--force"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&root), "{output:?}");
    assert_eq!(story(&host), ["do a"]);
    undone(&mut client, &root);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_tree_that_its_client_gives_up_ends_its_callees_first() {
    let host = ledger("");
    let mut client = host.stdio();
    let hang = and(put("b", "1"), json!({"end": "hang"}));
    let calls =
        [call("ledger_put", put("a", "1")), call("ledger_put", hang), call("ledger_put", put("c", "1"))];
    let request = client.begin_call("ledger_tree", json!({"calls": calls}));
    until_event(&host, "end hang");
    client.cancel(request);
    until_effects(&host, 5);
    // The part that was cancelled takes itself back, or the whole does: b is undone once, and before a.
    let mut lines = story(&host);
    lines.retain(|line| line != "idle -");
    assert_eq!(lines, ["do a", "do b", "undo b", "undo a"]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_tree_that_was_killed_is_taken_back_whole() {
    let host = ledgers(&["ledger", "two"], "");
    let mut client = host.stdio();
    let hang = and(put("c", "1"), json!({"end": "hang"}));
    let inner =
        json!({"own": own("u"), "calls": [call("ledger_put", put("b", "1")), call("ledger_put", hang)]});
    let calls = [call("ledger_put", put("a", "1")), call("two_tree", inner)];
    client.begin_call("ledger_tree", json!({"own": own("t"), "calls": calls}));
    until_event(&host, "end hang");
    client.kill();
    let _client = host.stdio();
    until_effects(&host, 10);
    let all = ["do t", "do a", "do u", "do b", "do c", "undo t", "undo u", "undo c", "undo b", "undo a"];
    assert_eq!(story(&host), all);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_durable_tree_is_taken_back_before_it_is_run_again() {
    let host = ledger("[skills.ledger]\nredelivery = { attempts = 3, delays = [\"50ms\"] }");
    let mut client = host.stdio();
    let calls = [call("ledger_put", put("a", "1")), call("ledger_put", put("b", "1"))];
    let arguments = json!({"calls": calls, "end": "fail-first"});
    let accepted = client.call_with("ledger_tree", arguments, json!({"skillhost/durable": true}));
    let call = id(&accepted);
    let status = eventually(|| {
        let status = client.call("call_status", json!({"id": call}))["structuredContent"].take();
        ["recovered", "done", "parked", "failed"].contains(&status["state"].as_str()?).then_some(status)
    });
    assert_eq!(
        (&status["state"], &status["attempts"]),
        (&json!("recovered"), &json!(2)),
        "{accepted} {status}"
    );
    assert_eq!(story(&host), ["do a", "do b", "undo b", "undo a", "do a", "do b"]);
    assert_eq!(world(&host), with_keys(&[("a", "1"), ("b", "1")]));
    undone(&mut client, &call);
    assert_eq!(story(&host)[6..], ["idle -", "undo b", "undo a"]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_durable_tree_that_recovered_is_known_by_its_key() {
    let host = ledger("[skills.ledger]\nredelivery = { attempts = 3, delays = [\"50ms\"] }");
    let mut client = host.stdio();
    let arguments = json!({"calls": [call("ledger_put", put("a", "1"))], "end": "fail-first"});
    let asked = json!({"skillhost/durable": true, "skillhost/idempotency_key": "k"});
    client.call_with("ledger_tree", arguments.clone(), asked.clone());
    until_effects(&host, 3);
    let again = client.call_with("ledger_tree", arguments, asked);
    assert_ne!(again["isError"], true, "{again}");
    assert_eq!(again["_meta"]["skillhost/replayed"], true, "{again}");
    assert_eq!(again["structuredContent"]["answers"].as_array().unwrap().len(), 1, "{again}");
    let status = client.call("call_status", json!({"id": id(&again)}));
    assert_eq!(status["structuredContent"]["state"], "recovered", "{status}");
    assert!(!text(&status).contains("taken back"), "{status}");
    assert_eq!(story(&host), ["do a", "undo a", "do a"]);
}

#[test]
fn a_durable_tree_that_waits_to_be_run_again_is_not_once_it_is_undone() {
    let host = ledger("[skills.ledger]\nredelivery = { attempts = 3, delays = [\"1h\"] }");
    let mut client = host.stdio();
    let arguments = json!({"calls": [call("ledger_put", put("a", "1"))], "end": "fail-first"});
    let waits = client.call_with("ledger_tree", arguments, json!({"skillhost/durable": true}));
    assert_eq!(waits["_meta"]["skillhost/call"]["state"], "waiting", "{waits}");
    let call = id(&waits);
    undone(&mut client, &call);
    let status = client.call("call_status", json!({"id": call}))["structuredContent"].take();
    assert_eq!(status["state"], "discarded", "{status}");
    undone(&mut client, &call);
    assert_eq!(story(&host), ["do a", "undo a"]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_tree_is_not_attempted_again_over_what_it_made_others_do() {
    // Its retries would be within the call; what was done would be done twice.
    let host = ledger("[skills.ledger]\nretry = { attempts = 3, delays = [\"10ms\"] }");
    let mut client = host.stdio();
    let arguments = json!({"calls": [call("ledger_put", put("a", "1"))], "end": "transient"});
    let result = client.call("ledger_tree", arguments);
    assert_eq!(result["isError"], true, "{result}");
    assert_eq!(events(&host, "end transient").len(), 1);
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
}

#[test]
fn a_tree_is_shown_as_one() {
    let host = ledgers(&["ledger", "two"], "");
    let mut client = host.stdio();
    let root = done(&mut client, "ledger_tree", deep("ok"));
    let steps = shown(&host, &root)["steps"].take();
    let tools: Vec<_> = steps.as_array().unwrap().iter().map(|step| step["tool"].as_str().unwrap()).collect();
    assert_eq!(tools, ["ledger_tree", "ledger_put", "two_tree", "ledger_put", "two_put", "ledger_put"]);
    let page = crate::ledger::told(&host, &["saga", "show", &root], 0);
    let shape: Vec<_> = page.lines().skip(1).map(|line| line.split(" [").next().unwrap()).collect();
    let expected = [
        "└─ ledger_tree",
        "   ├─ ledger_put",
        "   ├─ two_tree",
        "   │  ├─ ledger_put",
        "   │  └─ two_put",
        "   └─ ledger_put",
    ];
    assert_eq!(shape, expected, "{page}");
}
