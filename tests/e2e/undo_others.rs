//! Undo beside others: calls that still run, undos at the same time, other processes on the same data folder.

use serde_json::json;
use skillhost_e2e::eventually;

use crate::ledger::{
    and, call_of, done, effects, ledger, put, rollback, shown, story, told, undo, undone, until_effects,
    until_event, with_keys, world,
};

#[test]
fn a_call_that_runs_is_ended_and_taken_back() {
    let host = ledger("");
    let mut client = host.stdio();
    let request = client.begin_call("ledger_put", and(put("a", "1"), json!({"end": "hang"})));
    until_event(&host, "end hang");
    let call = call_of(&host, "a");
    let back = undone(&mut client, &call);
    assert_eq!(back["structuredContent"]["undone"], 1, "{back}");
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
    // Whoever made the call hears of it.
    let ended = client.wait(request)["result"].take();
    assert_eq!(ended["_meta"]["skillhost/failure"]["kind"], "cancelled", "{ended}");
    assert_eq!(rollback(&ended)["state"], "rolled-back", "{ended}");
}

#[test]
fn a_call_that_runs_in_another_process_is_taken_back_when_it_has_ended() {
    let host = ledger("");
    let (mut one, mut other) = (host.stdio(), host.stdio());
    let request = one.begin_call("ledger_put", and(put("a", "1"), json!({"end": "sleep", "ms": 1500})));
    until_event(&host, "end sleep");
    let call = call_of(&host, "a");
    let back = undone(&mut other, &call);
    assert_eq!(back["structuredContent"]["undone"], 1, "{back}");
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
    one.wait(request);
}

#[test]
fn two_undos_at_once_are_one() {
    let host = ledger("");
    let mut client = host.stdio();
    let call = done(&mut client, "ledger_put", and(put("a", "1"), json!({"undo": "flaky:2"})));
    let all: Vec<_> = (0..5).map(|_| client.begin_call("undo_call", json!({"id": call}))).collect();
    let line = host.json(&["undo", &call, "--json"]);
    assert_eq!(line["state"], "rolled-back", "{line}");
    for request in all {
        let result = client.wait(request)["result"].take();
        assert_eq!(result["structuredContent"]["state"], "rolled-back", "{result}");
    }
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
}

#[test]
fn another_process_takes_back_what_one_did() {
    let host = ledger("");
    let (mut one, mut other) = (host.stdio(), host.stdio());
    let first = done(&mut one, "ledger_put", put("a", "1"));
    let second = done(&mut one, "ledger_put", put("b", "1"));
    undone(&mut other, &first);
    // At the same time from both sides.
    let requests = [
        one.begin_call("undo_call", json!({"id": second})),
        other.begin_call("undo_call", json!({"id": second})),
    ];
    for (client, request) in [&mut one, &mut other].into_iter().zip(requests) {
        let result = client.wait(request)["result"].take();
        assert_eq!(result["structuredContent"]["state"], "rolled-back", "{result}");
    }
    undone(&mut one, &first);
    assert_eq!(story(&host), ["do a", "do b", "undo a", "undo b"]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn what_the_command_line_called_is_taken_back_by_a_host() {
    let host = ledger("");
    let (result, code) = host.call("ledger_put", &put("a", "1"));
    assert_eq!(code, Some(0), "{result}");
    let call = call_of(&host, "a");
    undone(&mut host.stdio(), &call);
    let (failed, code) = host.call("ledger_put", &and(put("a", "1"), json!({"end": "trap"})));
    assert_eq!((code, &rollback(&failed)["state"]), (Some(3), &json!("rolled-back")), "{failed}");
    assert_eq!(
        (story(&host), world(&host)),
        (["do a", "undo a"].repeat(2).iter().map(ToString::to_string).collect(), with_keys(&[]))
    );
}

#[test]
fn a_living_host_takes_back_what_a_dead_one_left() {
    let host = ledger("");
    let (mut one, _other) = (host.stdio(), host.stdio());
    one.begin_call("ledger_put", and(put("a", "1"), json!({"end": "hang"})));
    until_event(&host, "end hang");
    one.kill();
    until_effects(&host, 2);
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
}

#[test]
fn one_living_host_leaves_the_work_of_another_alone() {
    let host = ledger("");
    let mut one = host.stdio();
    let request = one.begin_call("ledger_put", and(put("a", "1"), json!({"end": "sleep", "ms": 3000})));
    until_event(&host, "end sleep");
    // Each looks after what the dead have left as it starts.
    for _ in 0..3 {
        drop(host.stdio());
    }
    let mut other = host.stdio();
    done(&mut other, "ledger_put", put("b", "1"));
    assert_ne!(one.wait(request)["result"]["isError"], true);
    assert_eq!(world(&host), with_keys(&[("a", "1"), ("b", "1")]));
    assert!(!effects(&host).iter().any(|line| line.starts_with("undo")));
}

#[test]
fn a_roll_back_that_takes_longer_than_anybody_waits_goes_on_by_itself() {
    let host =
        ledger("[sagas]\npatience = \"0s\"\n[skills.ledger]\nundo = { attempts = 9, delays = [\"300ms\"] }");
    let mut client = host.stdio();
    let call = done(&mut client, "ledger_put", and(put("a", "1"), json!({"undo": "flaky:3"})));
    let pending = undo(&mut client, &call);
    assert_eq!(pending["structuredContent"]["state"], "rolling-back", "{pending}");
    assert_ne!(pending["isError"], true, "{pending}");
    assert!(crate::ledger::text(&pending).contains("goes on by itself"), "{pending}");
    let failing = and(put("b", "1"), json!({"undo": "flaky:3", "end": "trap"}));
    let failed = client.call("ledger_put", failing);
    assert_eq!(rollback(&failed)["state"], "rolling-back", "{failed}");
    assert_eq!(failed["_meta"]["skillhost/failure"]["effect"], "unknown", "{failed}");
    until_effects(&host, 4);
    assert_eq!(world(&host), with_keys(&[]));
    eventually(|| (shown(&host, &call)["state"] == "rolled-back").then_some(()));
    assert!(told(&host, &["saga", "show", &call], 0).contains("after 4 tries"));
    let lines = story(&host);
    assert_eq!(lines.iter().filter(|line| line.starts_with("undo")).count(), 2, "{lines:?}");
}
