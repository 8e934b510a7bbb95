//! `undo_call`: what it takes back, and what it answers when there is nothing to take back.

use serde_json::{Value, json};
use skillhost_e2e::eventually;

use crate::ledger::{
    and, call, call_of, done, effects, id, ledger, put, story, text, told, undo, undone, with_keys, world,
};

fn status(client: &mut skillhost_e2e::Client, id: &str) -> Value {
    client.call("call_status", json!({"id": id}))["structuredContent"].take()
}

fn key(key: &str) -> Value {
    json!({"skillhost/idempotency_key": key})
}

#[test]
fn a_call_is_taken_back_once_however_often_that_is_asked_for() {
    let host = ledger("");
    let mut client = host.stdio();
    let first = done(&mut client, "ledger_put", put("a", "1"));
    let second = done(&mut client, "ledger_put", put("a", "2"));
    assert!(status(&mut client, &second)["undo"].is_null());
    let back = undo(&mut client, &second);
    let expected = json!({"saga": second, "state": "rolled-back", "undone": 1, "stays": []});
    assert_eq!(back["structuredContent"], expected, "{back}");
    assert_eq!(text(&back), "Rolled back: nothing of it stays. 1 call was taken back.");
    assert_ne!(back["isError"], true);
    assert_eq!(world(&host), with_keys(&[("a", "1")]));
    let again = undo(&mut client, &second);
    assert_eq!((&again["structuredContent"], text(&again)), (&expected, text(&back)));
    assert_eq!(status(&mut client, &second)["undo"], "undone");
    undone(&mut client, &first);
    assert_eq!(world(&host), with_keys(&[]));
    assert_eq!(story(&host), ["do a", "do a", "undo a", "undo a"]);
}

#[test]
fn the_command_line_takes_back_as_well() {
    let host = ledger("");
    let mut client = host.stdio();
    let first = done(&mut client, "ledger_put", put("a", "1"));
    let second = done(&mut client, "ledger_put", put("b", "1"));
    let text = told(&host, &["undo", &first], 0);
    assert_eq!(text, "Rolled back: nothing of it stays. 1 call was taken back.\n");
    let report = host.json(&["saga", "rollback", &second, "--json"]);
    assert_eq!(
        (&report["state"], &report["undone"], &report["saga"]),
        (&json!("rolled-back"), &json!(1), &json!(second))
    );
    assert_eq!(world(&host), with_keys(&[]));
    assert_eq!(host.json(&["undo", &first, "--json"])["state"], "rolled-back", "said again");
    assert_eq!(story(&host), ["do a", "do b", "undo a", "undo b"]);
}

#[test]
fn without_a_host_the_command_line_runs_the_undo_itself() {
    let host = ledger("");
    let mut client = host.stdio();
    let good = done(&mut client, "ledger_put", put("a", "1"));
    let bad = done(&mut client, "ledger_put", and(put("b", "1"), json!({"undo": "permanent"})));
    assert_eq!(client.close().0, Some(0));
    told(&host, &["undo", &good], 0);
    assert_eq!(world(&host), with_keys(&[("b", "1")]));
    let text = told(&host, &["undo", &bad], 1);
    assert!(text.contains("Partially rolled back.") && text.contains("the undo fails for ever"), "{text}");
    assert!(told(&host, &["saga", "show", &bad], 0).contains("stuck"));
    assert_eq!(story(&host), ["do a", "do b", "undo a"]);
}

#[test]
fn what_the_reply_left_behind_counts_in_the_place_of_what_was_prepared() {
    let host = ledger("");
    let mut client = host.stdio();
    for prepare in [true, false] {
        let arguments = and(put("a", "1"), json!({"prepare": prepare, "token_in_reply": true}));
        let call = done(&mut client, "ledger_put", arguments);
        undone(&mut client, &call);
        assert_eq!(world(&host), with_keys(&[]));
        assert_eq!(effects(&host).pop().unwrap(), format!("undo a {call} v1 reply"));
    }
    assert_eq!(story(&host), ["do a", "undo a", "do a", "undo a"]);
}

#[test]
fn an_undo_calls_nobody_and_cannot_itself_be_taken_back() {
    let host = ledger("");
    let mut client = host.stdio();
    let call = done(&mut client, "ledger_undo_calls", call("ledger_put", put("a", "1")));
    undone(&mut client, &call);
    let lines = effects(&host);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with(&format!("call_tool {call} Err(")), "{lines:?}");
    assert!(lines[1].starts_with(&format!("prepare_undo {call} Err(")), "{lines:?}");
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn what_cannot_be_taken_back_is_told_so() {
    let host = ledger("");
    let mut client = host.stdio();
    let plain = done(&mut client, "ledger_mutate", put("a", "1"));
    let keyed = id(&client.call_with("ledger_mutate", put("b", "1"), key("k")));
    let reading = done(&mut client, "ledger_get", json!({"key": "a"}));
    for (call, word) in [
        (&plain, "there is no call"),
        (&keyed, "the tool `ledger_mutate` cannot take back what it did"),
        (&reading, "there is no call"),
    ] {
        let answer = undo(&mut client, call);
        assert_eq!(answer["isError"], true, "{answer}");
        assert!(text(&answer).contains(word), "{answer}");
        assert_eq!(host.run(&["undo", call]).status.code(), Some(1));
    }
    assert_eq!(world(&host), with_keys(&[("a", "1"), ("b", "1")]));
}

#[test]
fn nonsense_is_no_id() {
    let host = ledger("");
    let mut client = host.stdio();
    let unknown = "01990d2e-5c7a-7b31-9d0e-6f3a2b1c0d4e";
    let long = "x".repeat(36);
    for (id, kind) in [
        (json!(""), Some("invalid-input")),
        (json!("nonsense"), Some("invalid-input")),
        (json!(long), Some("invalid-input")),
        (json!(5), Some("invalid-input")),
        (json!(null), Some("invalid-input")),
        (json!(unknown), None),
    ] {
        for (tool, name) in
            [("undo_call", "id"), ("call_status", "id"), ("saga_commit", "saga"), ("saga_rollback", "saga")]
        {
            let answer = client.call(tool, json!({name: id}));
            assert_eq!(answer["isError"], true, "{tool} {answer}");
            assert_eq!(answer["_meta"]["skillhost/failure"]["kind"].as_str(), kind, "{tool} {answer}");
        }
    }
    for wrong in ["", "nonsense", &long] {
        assert_eq!(host.run(&["undo", wrong]).status.code(), Some(2), "{wrong}");
        for command in ["show", "rollback", "resume", "abandon"] {
            assert_eq!(host.run(&["saga", command, wrong]).status.code(), Some(2), "{command} {wrong}");
        }
    }
    assert_eq!(host.run(&["undo", unknown]).status.code(), Some(1));
    for command in ["show", "rollback", "resume", "abandon"] {
        let output = host.run(&["saga", command, unknown]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("there is no saga"), "{output:?}");
    }
}

#[test]
fn a_call_that_was_taken_back_says_so_under_its_key() {
    let host = ledger("");
    let mut client = host.stdio();
    let first = client.call_with("ledger_put", put("a", "1"), key("k"));
    undone(&mut client, &id(&first));
    let again = client.call_with("ledger_put", put("a", "1"), key("k"));
    assert_eq!(id(&again), id(&first), "{again}");
    assert!(text(&again).contains("taken back"), "{again}");
    let failing = and(put("b", "1"), json!({"end": "trap"}));
    let failed = client.call_with("ledger_put", failing.clone(), key("other"));
    let again = client.call_with("ledger_put", failing, key("other"));
    assert_eq!((id(&again), &again["isError"]), (id(&failed), &json!(true)), "{again}");
    assert!(text(&again).contains("taken back") && text(&again).contains("nothing of it stays"), "{again}");
    assert_eq!(world(&host), with_keys(&[]));
    assert_eq!(story(&host), ["do a", "undo a", "do b", "undo b"]);
}

#[test]
fn an_attempt_leaves_its_own_token_and_they_are_undone_newest_first() {
    let host = ledger(
        "[skills.ledger]\nretry = { attempts = 3, delays = [\"10ms\"] }\n[skills.ledger.tools.put]\nidempotent = true",
    );
    let mut client = host.stdio();
    done(&mut client, "ledger_put", put("a", "0"));
    let result = client.call("ledger_put", and(put("a", "1"), json!({"end": "trap-first"})));
    assert_eq!(result["structuredContent"]["attempt"], 2, "{result}");
    undone(&mut client, &id(&result));
    // The second attempt found what the first had left.
    assert_eq!(story(&host), ["do a", "do a", "do a", "idle a", "undo a"]);
    assert_eq!(world(&host), with_keys(&[("a", "0")]));
}

#[test]
fn an_attempt_that_took_no_effect_by_its_own_word_is_not_undone() {
    let host = ledger("[skills.ledger]\nretry = { attempts = 3, delays = [\"10ms\"] }");
    let mut client = host.stdio();
    // A lie, by which it can be seen whose token is used.
    let result = client.call("ledger_put", and(put("a", "1"), json!({"end": "fail-first"})));
    assert_eq!(result["structuredContent"]["attempt"], 2, "{result}");
    undone(&mut client, &id(&result));
    assert_eq!(story(&host), ["do a", "do a", "idle a"]);
}

#[test]
fn with_a_full_journal_what_could_not_be_taken_back_is_not_begun() {
    let host = ledger("[journal]\nmax_size = \"1 MiB\"");
    let mut client = host.stdio();
    let before = done(&mut client, "ledger_put", put("before", "1"));
    let durable = json!({"skillhost/durable": true});
    for size in [100_000, 10_000] {
        let letter = and(put("never", &"x".repeat(size)), json!({"before": "permanent"}));
        let mut sent = 0;
        loop {
            let result = client.call_with("ledger_mutate", letter.clone(), durable.clone());
            if result["_meta"]["skillhost/failure"]["kind"] == "journal-unavailable" {
                break;
            }
            sent += 1;
            assert!(sent < 40, "it is never full");
        }
    }
    let big = "x".repeat(50_000);
    let refused = client.call("ledger_put", put("big", &big));
    let failure = &refused["_meta"]["skillhost/failure"];
    assert_eq!(
        (&failure["kind"], &failure["effect"]),
        (&json!("journal-unavailable"), &json!("none")),
        "{refused}"
    );
    // What needs no journal goes on, and what was done can be taken back.
    done(&mut client, "ledger_mutate", put("plain", "1"));
    assert_eq!(world(&host), with_keys(&[("before", "1"), ("plain", "1")]));
    undone(&mut client, &before);
    assert_eq!(story(&host), ["do before", "do plain", "undo before"]);
    // Room is made.
    eventually(|| {
        host.json(&["dlq", "archive", "--all", "--state", "parked", "--json"]);
        let result = client.call("ledger_put", put("big", &big));
        (result["isError"] != true).then_some(())
    });
    let big = call_of(&host, "big");
    undone(&mut client, &big);
    assert_eq!(world(&host), with_keys(&[("plain", "1")]));
}

#[test]
fn a_model_is_told_the_id_of_what_it_can_take_back() {
    let host = ledger("");
    let mut client = host.stdio();
    let last = |result: &Value| result["content"].as_array().unwrap().last().unwrap().to_string();
    let put_a = client.call("ledger_put", put("a", "1"));
    assert!(last(&put_a).contains("undo_call") && last(&put_a).contains(&id(&put_a)), "{put_a}");
    assert_eq!(put_a["_meta"]["skillhost/undoable"], true, "{put_a}");
    let failed = and(put("b", "1"), json!({"end": "trap"}));
    for (tool, arguments) in
        [("ledger_mutate", put("m", "1")), ("ledger_get", json!({"key": "a"})), ("ledger_put", failed)]
    {
        let result = client.call(tool, arguments);
        assert!(result["_meta"]["skillhost/undoable"].is_null(), "{tool}: {result}");
        assert!(!last(&result).contains("undo_call"), "{tool}: {result}");
    }
    // Where there is no such tool, nobody is sent to it.
    let host = ledger("[sagas]\ntools = false");
    let result = host.stdio().call("ledger_put", put("a", "1"));
    assert!(!last(&result).contains("undo_call"), "{result}");
}

#[test]
fn what_was_kept_of_results_is_worth_nothing_after_an_undo() {
    let host = ledger("[skills.ledger.tools.get]\ncache = { ttl = \"1h\" }");
    let mut client = host.stdio();
    let read = |client: &mut skillhost_e2e::Client| {
        let result = client.call("ledger_get", json!({"key": "a"}));
        (result["structuredContent"]["value"].clone(), result["_meta"]["skillhost/cache"].is_object())
    };
    let call = done(&mut client, "ledger_put", put("a", "1"));
    assert_eq!(read(&mut client), (json!("1"), false));
    assert_eq!(read(&mut client), (json!("1"), true));
    undone(&mut client, &call);
    assert_eq!(read(&mut client), (Value::Null, false));
    let failing = and(put("a", "2"), json!({"end": "trap"}));
    client.call_fails("ledger_put", failing);
    assert_eq!(read(&mut client), (Value::Null, false));
    assert_eq!(read(&mut client), (Value::Null, true));
}

#[test]
fn a_durable_call_that_is_parked_is_given_up_when_it_is_undone() {
    let host = ledger("[skills.ledger]\nredelivery = \"off\"");
    let mut client = host.stdio();
    let arguments = and(put("a", "1"), json!({"end": "trap-first"}));
    let parked = client.call_with("ledger_put", arguments, json!({"skillhost/durable": true}));
    let call = id(&parked);
    assert_eq!(parked["_meta"]["skillhost/call"]["state"], "parked", "{parked}");
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
    undone(&mut client, &call);
    assert_eq!(status(&mut client, &call)["state"], "discarded");
    let replayed = host.run(&["dlq", "replay", &call]);
    assert_eq!(replayed.status.code(), Some(1), "{replayed:?}");
    assert_eq!(story(&host).len(), 2);
}

#[test]
fn a_replayed_letter_that_recovers_is_taken_back_again() {
    let host = ledger("[skills.ledger]\nredelivery = \"off\"");
    let mut client = host.stdio();
    let arguments = and(put("a", "1"), json!({"end": "trap-first"}));
    let call = id(&client.call_with("ledger_put", arguments, json!({"skillhost/durable": true})));
    told(&host, &["dlq", "replay", &call], 0);
    eventually(|| (status(&mut client, &call)["state"] == "recovered").then_some(()));
    assert_eq!(world(&host), with_keys(&[("a", "1")]));
    undone(&mut client, &call);
    assert_eq!(story(&host), ["do a", "undo a", "do a", "undo a"]);
    assert_eq!(world(&host), with_keys(&[]));
}
