//! Calls that fail, however they do, leave nothing behind: what they did is taken back before their failure is told.

use serde_json::json;
use skillhost_e2e::{Client, Host, eventually};

use crate::ledger::{
    and, done, effects, id, ledger, nothing_stays, put, rollback, story, text, until_effects, until_event,
    with_keys, world,
};

/// A key that has a value, and a call that changes it and ends so; nothing of that may be seen afterwards.
fn leaves_no_trace(host: &Host, end: &str, kind: &str) {
    let mut client = host.stdio();
    done(&mut client, "ledger_put", put("a", "0"));
    let result = client.call("ledger_put", and(put("a", "1"), json!({"end": end})));
    nothing_stays(&result, kind);
    assert_eq!(rollback(&result)["undone"], 1, "{result}");
    assert_eq!(world(host), with_keys(&[("a", "0")]));
    assert_eq!(story(host), ["do a", "do a", "undo a"]);
    assert_eq!(effects(host)[2], format!("undo a {} v1", id(&result)));
}

#[test]
fn a_call_that_traps_leaves_no_trace() {
    leaves_no_trace(&ledger(""), "trap", "trap");
}

#[test]
fn a_call_that_takes_too_long_leaves_no_trace() {
    leaves_no_trace(&ledger("[skills.ledger.tools.put]\ntimeout = \"2s\""), "hang", "timeout");
}

#[test]
fn a_call_that_computes_for_ever_leaves_no_trace() {
    leaves_no_trace(&ledger("[skills.ledger.tools.put]\nfuel = 500_000_000"), "spin", "out-of-fuel");
}

#[test]
fn a_call_that_its_client_gives_up_leaves_no_trace() {
    let host = ledger("");
    let mut client = host.stdio();
    let call = client.begin_call("ledger_put", and(put("a", "1"), json!({"end": "hang"})));
    until_event(&host, "end hang");
    client.cancel(call);
    until_effects(&host, 2);
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
    // Nobody hears of it, and nobody is in its way.
    done(&mut client, "ledger_put", put("a", "2"));
}

#[test]
fn a_client_that_goes_away_leaves_no_trace() {
    let host = ledger("");
    let mut client = host.stdio();
    client.begin_call("ledger_put", and(put("a", "1"), json!({"end": "hang"})));
    until_event(&host, "end hang");
    // The host ends in order, and with what it has begun.
    let (code, _) = client.close();
    let told = story(&host);
    let mut client = host.stdio();
    until_effects(&host, 2);
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
    assert_eq!(code, Some(0), "{told:?}");
    done(&mut client, "ledger_put", put("a", "2"));
}

#[test]
fn a_call_that_may_never_have_begun_is_asked_all_the_same() {
    let host = ledger("");
    let mut client = host.stdio();
    let result = client.call("ledger_put", and(put("a", "1"), json!({"before": "trap"})));
    nothing_stays(&result, "trap");
    assert_eq!(effects(&host), [format!("idle - {} v1", id(&result))]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn what_took_no_effect_on_the_skills_word_is_left_alone() {
    for word in ["transient", "permanent", "conflict"] {
        let host = ledger("");
        let mut client = host.stdio();
        // Lies. Whoever believed none of them would have to ask after each refusal.
        let result = client.call("ledger_put", and(put("a", "1"), json!({"end": word})));
        let failure = &result["_meta"]["skillhost/failure"];
        assert_eq!((&failure["kind"], &failure["effect"]), (&json!(word), &json!("none")), "{result}");
        assert!(rollback(&result).is_null(), "{result}");
        assert!(!text(&result).contains("olled back"), "{result}");
        assert_eq!((story(&host), world(&host)), (vec!["do a".into()], with_keys(&[("a", "1")])));
    }
}

#[test]
fn without_a_token_that_can_be_kept_nothing_is_done() {
    let host = ledger("");
    let mut client = host.stdio();
    // Tokens have up to 64 KiB.
    let failed = client.call_fails("ledger_put", put("a", &"x".repeat(70_000)));
    assert!(failed.contains("[permanent]"), "{failed}");
    assert!(story(&host).is_empty() && world(&host).is_empty());
}

#[test]
fn a_call_that_cannot_be_undone_fails_as_ever() {
    let host = ledger("");
    let mut client = host.stdio();
    let result = client.call("ledger_mutate", and(put("a", "1"), json!({"end": "trap"})));
    assert_eq!(result["_meta"]["skillhost/failure"]["effect"], "unknown", "{result}");
    assert_eq!(result["_meta"]["skillhost/call"]["state"], "parked", "{result}");
    assert!(rollback(&result).is_null() && !text(&result).contains("olled back"), "{result}");
    assert_eq!((story(&host), world(&host)), (vec!["do a".into()], with_keys(&[("a", "1")])));
}

/// Wait until the newest call is at an end, and answer its state, and where undoing it is.
fn newest(client: &mut Client) -> (String, String) {
    eventually(|| {
        let call = client.call("list_calls", json!({}))["structuredContent"]["calls"][0].take();
        let word = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
        (!["running", "rolling-back"].contains(&&*word("state"))).then(|| (word("state"), word("undo")))
    })
}

#[test]
fn what_a_killed_host_left_half_done_the_next_one_takes_back() {
    let host = ledger("");
    for (place, told) in [("end", vec!["do a", "undo a"]), ("before", vec!["do a", "undo a", "idle -"])] {
        let mut client = host.stdio();
        client.begin_call("ledger_put", and(put("a", "1"), json!({place: "hang"})));
        until_event(&host, &format!("{place} hang"));
        client.kill();
        let mut client = host.stdio();
        assert_eq!(newest(&mut client), ("failed".into(), "undone".into()), "{place}");
        assert_eq!(story(&host), told);
        assert_eq!(world(&host), with_keys(&[]));
    }
}

#[test]
fn what_a_killed_host_had_done_stays_and_can_be_taken_back() {
    let host = ledger("");
    let mut client = host.stdio();
    let call = done(&mut client, "ledger_put", put("a", "1"));
    client.kill();
    let mut client = host.stdio();
    assert_eq!(newest(&mut client), ("done".into(), String::new()));
    assert_eq!(world(&host), with_keys(&[("a", "1")]));
    crate::ledger::undone(&mut client, &call);
    assert_eq!(story(&host), ["do a", "undo a"]);
}
