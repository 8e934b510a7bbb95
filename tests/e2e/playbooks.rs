//! Rules for dead letters, in the real binary: what each action does, which rule is first, and what rules may not do. Effects
//! are counted in files that skills write.

use std::fs;

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, eventually};

use crate::{
    ledger::{and, ledger, put, story, with_keys, world},
    recovery::{effects, recording, status},
};

pub(crate) fn id(result: &Value) -> String {
    result["_meta"]["skillhost/call_id"].as_str().unwrap_or_else(|| panic!("no id: {result}")).to_owned()
}

pub(crate) fn state(result: &Value) -> &str {
    result["_meta"]["skillhost/call"]["state"].as_str().unwrap_or_default()
}

/// A durable call of the tool that is not idempotent.
pub(crate) fn record(client: &mut Client, line: &str, how: Value) -> Value {
    let meta = json!({"skillhost/durable": true});
    client.call_with("faulty_record", and(json!({"line": line}), how), meta)
}

/// The same of the one that is.
pub(crate) fn same(client: &mut Client, line: &str, how: Value) -> Value {
    let meta = json!({"skillhost/durable": true});
    client.call_with("same_record", and(json!({"line": line}), how), meta)
}

pub(crate) fn shown(host: &Host, id: &str) -> Value {
    host.json(&["dlq", "show", id, "--json"])
}

/// What rules did with a letter, as its history says.
pub(crate) fn lines(host: &Host, id: &str) -> Vec<String> {
    let shown = shown(host, id);
    let events = shown["history"].as_array().unwrap_or_else(|| panic!("no letter: {shown}"));
    let by_rules = events.iter().filter(|event| event["step"] == "playbook");
    by_rules.map(|event| event["detail"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn foreseen(host: &Host, id: &str) -> Value {
    host.json(&["dlq", "explain", id, "--json"])["playbooks"].take()
}

pub(crate) fn until_state(client: &mut Client, id: &str, state: &str) -> Value {
    eventually(|| Some(status(client, id)).filter(|status| status["state"] == state))
}

pub(crate) fn rule(name: &str, rest: &str) -> String {
    format!("[[playbooks]]\nname = \"{name}\"\n{rest}\n")
}

#[test]
fn retry_runs_again_what_would_be_parked_and_parks_when_it_is_used_up() {
    let host = recording(&rule(
        "again",
        "match = { tool = \"faulty_*\", kind = [\"permanent\"] }\naction = \"retry\"\n\
         strategy = { attempts = 3, delays = [\"10ms\"], jitter = false }",
    ));
    let mut client = host.stdio();
    let result = record(&mut client, "a", json!({"before": "permanent"}));
    assert_eq!(state(&result), "waiting", "its client is told where it is by the rule: {result}");
    let id = id(&result);
    // Between a run and what a rule says of it, it is parked, too.
    eventually(|| Some(status(&mut client, &id)).filter(|status| status["attempts"] == 3));
    until_state(&mut client, &id, "parked");
    let lines = lines(&host, &id);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("by playbook again: retry: it is run again"), "{lines:?}");
    assert!(lines[2].contains("runs or its time are used up"), "{lines:?}");
    assert_eq!(foreseen(&host, &id)["does"], "nothing: the rule has acted since its last run");
    // By hand, its runs count anew.
    assert_eq!(host.json(&["dlq", "replay", &id, "--json"])["changed"], 1);
    eventually(|| Some(status(&mut client, &id)).filter(|status| status["attempts"] == 6));
    until_state(&mut client, &id, "parked");
    assert!(effects(&host).is_empty());
}

#[test]
fn retry_with_long_delays_and_park() {
    let host = recording(&format!(
        "{}{}",
        rule(
            "slow",
            "match = { message = \"cannot be written\", skill = \"same\" }\naction = \"retry\"\nstrategy = { delays = [\"2h\"], jitter = false }"
        ),
        rule("stop", "match = { kind = [\"trap\"] }\naction = \"park\""),
    ));
    let mut client = host.stdio();
    let slow = same(&mut client, "a", json!({"before": "transient"}));
    let due = slow["_meta"]["skillhost/call"]["due_in_ms"].as_u64().unwrap();
    assert!((7_000_000..=7_200_000).contains(&due), "{slow}");
    let stopped = same(&mut client, "b", json!({"before": "trap"}));
    assert_eq!(state(&stopped), "parked", "without a rule it would be run again: {stopped}");
    assert!(lines(&host, &id(&stopped))[0].contains("playbook stop: park"));
    let other = record(&mut client, "c", json!({"before": "transient"}));
    assert_eq!(lines(&host, &id(&other)), [""; 0], "no rule is about it");
}

#[test]
fn what_may_have_taken_effect_is_run_again_only_on_an_explicit_word() {
    let retry = "action = \"retry\"\nstrategy = { attempts = 2, delays = [\"1ms\"], jitter = false }";
    let host = recording(&format!(
        "{}{}",
        rule("careful", retry),
        rule(
            "bold",
            &format!(
                "match = {{ tool = \"faulty_*\", message = \"unreachable\", priority = [\"urgent\"] }}\neven_if_unknown = true\n{retry}"
            )
        )
    ));
    let mut client = host.stdio();
    let left = record(&mut client, "a", json!({"after": "trap"}));
    assert_eq!(state(&left), "parked", "{left}");
    let told = foreseen(&host, &id(&left));
    assert_eq!(told["passed"][0]["criterion"], "even_if_unknown", "{told}");
    assert_eq!(
        (&told["passed"][1]["criterion"], &told["rule"]),
        (&json!("priority"), &Value::Null),
        "{told}"
    );
    let meta = json!({"skillhost/durable": true, "skillhost/priority": "urgent"});
    let result = client.call_with("faulty_record", json!({"line": "b", "after": "trap"}), meta);
    assert_eq!(state(&result), "waiting", "{result}");
    until_state(&mut client, &id(&result), "parked");
    // It happened twice, as its operator would have it.
    let of = |line: &str| effects(&host).iter().filter(|effect| effect.starts_with(line)).count();
    assert_eq!((of("a"), of("b")), (1, 2));
    // And a safe one needs no such word.
    let safe = same(&mut client, "c", json!({"after": "trap"}));
    assert_eq!(state(&safe), "waiting");
    until_state(&mut client, &id(&safe), "parked");
    assert_eq!(of("c"), 2);
}

#[test]
fn discard_frees_the_key_of_what_certainly_took_no_effect() {
    let host = recording(&rule("drop", "match = { state = \"parked\" }\naction = \"discard\""));
    let mut client = host.stdio();
    let mut call = |key: &str, how: Value| {
        let meta = json!({"skillhost/durable": true, "skillhost/idempotency_key": key});
        client.call_with("faulty_record", and(json!({"line": key}), how), meta)
    };
    let nothing = call("none", json!({"before": "permanent"}));
    assert_eq!((state(&nothing), &nothing["isError"]), ("discarded", &json!(true)), "{nothing}");
    assert_ne!(id(&call("none", json!({"before": "permanent"}))), id(&nothing), "its key is free");
    let unknown = call("unknown", json!({"after": "trap"}));
    assert_eq!(state(&unknown), "discarded", "{unknown}");
    assert_eq!(id(&call("unknown", json!({"after": "trap"}))), id(&unknown), "its key is held");
    assert_eq!(effects(&host).len(), 1);
    let history = shown(&host, &id(&unknown))["history"].take();
    let last = history.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["step"], &last["detail"]),
        (&json!("discarded"), &json!("by playbook drop")),
        "{history}"
    );
}

#[test]
fn archive_moves_it_away_and_what_comes_back_by_hand_stays() {
    let host = recording(&rule("away", "match = { kind = [\"permanent\"] }\naction = \"archive\""));
    let mut client = host.stdio();
    let result = record(&mut client, "a", json!({"before": "permanent"}));
    let id = id(&result);
    let file = eventually(|| {
        let file = fs::read_dir(host.data().join("archive")).ok()?.next()?.ok()?.path();
        fs::read_to_string(&file).ok()?.contains(&id).then_some(file)
    });
    eventually(|| (host.run(&["dlq", "show", &id]).status.code() == Some(1)).then_some(()));
    assert!(fs::read_to_string(&file).unwrap().contains("by playbook away: archive"));
    assert_eq!(host.json(&["dlq", "restore", file.to_str().unwrap(), "--json"])["restored"], 1);
    assert_eq!(shown(&host, &id)["state"], "parked");
    let told = foreseen(&host, &id);
    assert!(told["does"].as_str().unwrap().contains("a person's hand"), "{told}");
    // Nor do other rules, or a restart, take it from under that hand.
    drop(client);
    let host = host.config(&rule("drop", "action = \"discard\""));
    let mut client = host.stdio();
    let other = record(&mut client, "b", json!({"before": "transient"}));
    assert_eq!(state(&other), "discarded", "rules are asked: {other}");
    assert_eq!(shown(&host, &id)["state"], "parked");
}

fn undoing(more: &str, rules: &str) -> Host {
    // Idempotent and durable: it is not taken back by itself.
    ledger(&format!("{rules}\n[skills.ledger.tools.put]\nidempotent = true\ndelivery = \"durable\"\n{more}"))
}

#[test]
fn undo_takes_back_what_can_be_and_parks_the_rest() {
    let host = undoing("", &rule("back", "match = { effect = \"unknown\" }\naction = \"undo\""));
    let mut client = host.stdio();
    let result = client.call("ledger_put", and(put("a", "1"), json!({"end": "trap"})));
    let id = id(&result);
    eventually(|| (story(&host) == ["do a", "undo a"]).then_some(()));
    assert_eq!(world(&host), with_keys(&[]));
    until_state(&mut client, &id, "discarded");
    assert!(lines(&host, &id)[0].contains("playbook back: undo: what it did is taken back"));
    // What cannot be undone is parked, though it would be run again.
    let host = recording(&rule("back", "action = \"undo\""));
    let mut client = host.stdio();
    let result = same(&mut client, "a", json!({"after": "trap"}));
    assert_eq!(state(&result), "parked", "{result}");
    let id = self::id(&result);
    assert!(lines(&host, &id)[0].contains("cannot be taken back"), "{:?}", lines(&host, &id));
}

#[test]
fn undo_takes_back_a_whole_saga_where_the_rule_says_so() {
    for (whole, expected) in [(true, with_keys(&[])), (false, with_keys(&[("a", "1")]))] {
        let host = undoing(
            "",
            &rule("back", &format!("match = {{ effect = \"unknown\" }}\naction = \"undo\"\nsaga = {whole}")),
        );
        let mut client = host.stdio();
        let saga = client.call("saga_begin", json!({}))["structuredContent"]["saga"].take();
        let mut call = |arguments: Value| {
            client.call("saga_call", json!({"saga": saga, "tool": "ledger_put", "arguments": arguments}))
        };
        assert_ne!(call(put("a", "1"))["isError"], true);
        call(and(put("b", "1"), json!({"end": "trap"})));
        eventually(|| (world(&host) == expected).then_some(()));
        let expected = if whole { "rolled-back" } else { "open" };
        let found = || host.json(&["saga", "show", saga.as_str().unwrap(), "--json"])["state"].take();
        eventually(|| (found() == expected).then_some(()));
    }
}

#[test]
fn a_handler_is_called_about_the_letter_which_stays_as_it_is() {
    let host = recording(&format!(
        "{}{}",
        rule(
            "tell",
            "match = { kind = [\"permanent\"] }\naction = \"call\"\ntool = \"faulty_record\"\n\
             arguments = { line = \"told {id} {tool} {kind} {effect} {attempts} {state} {rule} {caller} <{message}>\", ms = \"{attempts}\" }",
        ),
        rule(
            "park",
            "match = { kind = [\"trap\"] }\naction = \"call\"\npark = true\ntool = \"faulty_record\"\narguments = { line = \"parked\" }"
        ),
    ));
    let mut client = host.stdio();
    let result = record(&mut client, "a", json!({"before": "permanent"}));
    assert_eq!(state(&result), "parked");
    let id = id(&result);
    eventually(|| (lines(&host, &id).len() == 2).then_some(()));
    let [line] = &effects(&host)[..] else { panic!("{:?}", effects(&host)) };
    let told = format!(
        "told {id} faulty_record permanent none 1 parked tell local <the line can never be written> "
    );
    let handler = line.strip_prefix(&told).unwrap_or_else(|| panic!("{line}"));
    assert!(lines(&host, &id)[1].contains(&format!("its tool faulty_record was called ({handler})")));
    // Once in the life of a letter, however often it fails.
    host.json(&["dlq", "replay", &id, "--json"]);
    eventually(|| Some(status(&mut client, &id)).filter(|status| status["attempts"] == 2));
    until_state(&mut client, &id, "parked");
    assert_eq!(foreseen(&host, &id)["does"], "nothing more: the rule has acted as often as it may");
    assert_eq!(effects(&host).len(), 1);
    // Its call is one of its own, of nobody's.
    assert!(status(&mut client, handler)["state"].is_null(), "only who made a call can ask for it");
    // One that would be run again by itself is parked on the way, where the rule says so.
    assert_eq!(state(&same(&mut client, "b", json!({"before": "trap"}))), "parked");
    eventually(|| (effects(&host).len() == 2).then_some(()));
}

#[test]
fn a_handler_that_fails_makes_no_circle() {
    let call = |how: &str| format!("action = \"call\"\nlimit = 3\n{how}");
    let host = recording(&format!(
        "{}{}{}",
        rule(
            "nowhere",
            &format!("match = {{ priority = [\"low\"] }}\n{}", call("tool = \"nowhere_at_all\""))
        ),
        rule(
            "wrong",
            &format!(
                "match = {{ priority = [\"high\"] }}\n{}",
                call("tool = \"faulty_record\"\narguments = { lime = 1 }")
            )
        ),
        // It matches whatever is left of its own handler, too.
        rule("trap", &call("tool = \"faulty_record\"\narguments = { line = \"told\", after = \"trap\" }")),
    ));
    let mut client = host.stdio();
    for (priority, line, says) in
        [("low", "a", "failed"), ("high", "b", "failed"), ("normal", "c", "that is parked")]
    {
        let meta = json!({"skillhost/durable": true, "skillhost/priority": priority});
        let result = client.call_with("faulty_record", json!({"line": line, "before": "permanent"}), meta);
        let id = id(&result);
        let lines = eventually(|| Some(lines(&host, &id)).filter(|lines| lines.len() == 2));
        assert!(lines[1].contains(says), "{lines:?}");
        assert_eq!(shown(&host, &id)["state"], "parked");
    }
    let of_rules = host.json(&["dlq", "list", "--caller", "playbook", "--json"]);
    let letters = of_rules["letters"].as_array().unwrap();
    assert_eq!(letters.len(), 1, "its own failure leaves a parked letter: {of_rules}");
    let handler = letters[0]["id"].as_str().unwrap();
    assert_eq!(lines(&host, handler), [""; 0], "which no rule acts on");
    let told = foreseen(&host, handler);
    assert!(told["does"].as_str().unwrap().contains("no rule acts on it"), "{told}");
    assert_eq!(effects(&host).len(), 1);
}
