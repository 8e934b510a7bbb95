//! What does not let itself be taken back: conflicts, undo functions that fail, and what operators do about them.

use std::fs;

use serde_json::{Value, json};
use skillhost_e2e::{Host, eventually};

use crate::ledger::{
    and, call, call_of, done, events, id, ledger, put, rollback, shown, story, text, told, undo, undone,
    with_keys, world,
};

fn change(host: &Host, key: &str, value: &str) {
    fs::write(host.root().join("world").join(key), value).unwrap();
}

fn undoing(word: &str) -> Value {
    and(put("a", "1"), json!({"undo": word}))
}

#[test]
fn what_was_changed_since_is_left_alone_until_somebody_forces_it() {
    let host = ledger("");
    let mut client = host.stdio();
    done(&mut client, "ledger_put", put("a", "0"));
    let call = done(&mut client, "ledger_put", put("a", "1"));
    change(&host, "a", "mine");
    let refused = undo(&mut client, &call);
    assert_eq!(refused["isError"], true, "{refused}");
    let report = &refused["structuredContent"];
    assert_eq!((&report["state"], &report["undone"]), (&json!("stuck"), &json!(0)), "{refused}");
    let stays = &report["stays"][0];
    assert_eq!(
        (&stays["id"], &stays["tool"], &stays["state"]),
        (&json!(call), &json!("ledger_put"), &json!("conflict"))
    );
    assert!(stays["why"].as_str().unwrap().contains("`a` holds `mine`, not `1`"), "{refused}");
    assert!(text(&refused).contains(&call) && text(&refused).contains("`mine`"), "{refused}");
    let page = told(&host, &["saga", "show", &call], 0);
    assert!(page.contains("conflict") && page.contains("`a` holds `mine`, not `1`"), "{page}");
    // Asked for again, it says the same; without force, nothing is touched.
    assert_eq!(undo(&mut client, &call)["structuredContent"], *report);
    told(&host, &["undo", &call], 1);
    assert_eq!(world(&host), with_keys(&[("a", "mine")]));
    assert_eq!(story(&host), ["do a", "do a"]);
    told(&host, &["undo", &call, "--force"], 0);
    assert_eq!(world(&host), with_keys(&[("a", "0")]));
    assert_eq!(story(&host), ["do a", "do a", "undo a"]);
    undone(&mut client, &call);
}

#[test]
fn an_undo_that_fails_for_a_while_is_tried_until_it_succeeds() {
    let host = ledger("");
    let mut client = host.stdio();
    let call = done(&mut client, "ledger_put", undoing("flaky:2"));
    undone(&mut client, &call);
    assert_eq!(events(&host, "undo flaky:2").len(), 3);
    assert_eq!(shown(&host, &call)["steps"][0]["tries"], 3);
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
}

#[test]
fn an_undo_that_never_succeeds_is_given_up_and_shown() {
    for (word, tries) in [("transient", 4), ("trap", 4), ("permanent", 1), ("hang", 4)] {
        let host = ledger("[skills.ledger]\nundo_timeout = \"1s\"");
        let mut client = host.stdio();
        let call = done(&mut client, "ledger_put", undoing(word));
        let stuck = undo(&mut client, &call);
        assert_eq!(stuck["structuredContent"]["state"], "stuck", "{word}: {stuck}");
        assert_eq!(stuck["structuredContent"]["stays"][0]["state"], "stuck", "{word}: {stuck}");
        assert_eq!(events(&host, &format!("undo {word}")).len(), tries, "{word}");
        assert_eq!((story(&host), world(&host)), (vec!["do a".into()], with_keys(&[("a", "1")])), "{word}");
        let list = host.json(&["saga", "list", "--state", "stuck", "--json"]);
        assert_eq!(list["sagas"][0]["id"], call, "{word}: {list}");
        // An operator's word is as many tries again.
        told(&host, &["saga", "resume", &call], 1);
        assert_eq!(events(&host, &format!("undo {word}")).len(), 2 * tries, "{word}");
    }
}

#[test]
fn where_one_is_stuck_the_others_are_still_undone() {
    let host = ledger("");
    let mut client = host.stdio();
    let calls = [
        call("ledger_put", put("a", "1")),
        call("ledger_put", and(put("b", "1"), json!({"undo": "permanent"}))),
        call("ledger_put", put("c", "1")),
    ];
    let result = client.call("ledger_tree", json!({"calls": calls, "end": "trap"}));
    assert_eq!(story(&host), ["do a", "do b", "do c", "idle -", "undo c", "undo a"]);
    assert_eq!(world(&host), with_keys(&[("b", "1")]));
    let stuck = call_of(&host, "b");
    let report = rollback(&result);
    assert_eq!((&report["state"], &report["undone"]), (&json!("stuck"), &json!(3)), "{result}");
    let stays =
        json!([{"id": stuck, "tool": "ledger_put", "state": "stuck", "why": report["stays"][0]["why"]}]);
    assert_eq!(report["stays"], stays, "{result}");
    let text = text(&result);
    assert!(text.contains("Partially rolled back. 3 calls were taken back."), "{text}");
    assert!(text.contains(&format!("ledger_put {stuck} (stuck: ")), "{text}");
    assert!(text.contains("the undo fails for ever"), "{text}");
    assert!(text.contains(&format!("skillhost saga show {}", id(&result))), "{text}");
    assert!(!text.contains("nothing of it stays") && !text.contains("Nothing took effect"), "{text}");
    assert_eq!(result["_meta"]["skillhost/failure"]["effect"], "unknown", "{result}");
}

#[test]
fn what_was_stuck_is_resumed_when_its_cause_is_gone() {
    let host = ledger("");
    let mut client = host.stdio();
    let call = done(&mut client, "ledger_put", put("a", "1"));
    let file = host.root().join("world/a");
    fs::remove_file(&file).unwrap();
    // It can be neither read nor replaced.
    fs::create_dir(&file).unwrap();
    let stuck = undo(&mut client, &call);
    assert_eq!(stuck["structuredContent"]["stays"][0]["state"], "stuck", "{stuck}");
    told(&host, &["saga", "resume", &call], 1);
    fs::remove_dir(&file).unwrap();
    fs::write(&file, "1").unwrap();
    let report = host.json(&["saga", "resume", &call, "--json"]);
    assert_eq!((&report["state"], &report["undone"]), (&json!("rolled-back"), &json!(1)), "{report}");
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
    // Nothing is left to resume; it says how it is.
    assert_eq!(host.json(&["saga", "resume", &call, "--json"])["state"], "rolled-back");
    assert_eq!(story(&host).len(), 2);
}

#[test]
fn an_undo_runs_under_the_grants_of_today() {
    let host = ledger("");
    let mut client = host.stdio();
    let call = done(&mut client, "ledger_put", put("a", "1"));
    assert_eq!(client.close().0, Some(0));
    let command = host.command(&["stdio"]);
    let file = host.root().join("skillhost.toml");
    let granted = "guest = \"/data\", access = \"rw\"";
    let config = fs::read_to_string(&file).unwrap();
    assert!(config.contains(granted));
    fs::write(&file, config.replace(granted, "guest = \"/data\", access = \"ro\"")).unwrap();
    let mut client = host.client(command);
    let refused = undo(&mut client, &call);
    assert_eq!(refused["structuredContent"]["state"], "stuck", "{refused}");
    assert_eq!(world(&host), with_keys(&[("a", "1")]));
    // The next command writes the file as it was, and the host follows it.
    eventually(|| {
        let report = host.json(&["saga", "resume", &call, "--json"]);
        (report["state"] == "rolled-back").then_some(())
    });
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
}

#[test]
fn what_an_operator_gives_up_is_not_tried_again() {
    let host = ledger("");
    let mut client = host.stdio();
    let call = done(&mut client, "ledger_put", undoing("permanent"));
    let early = host.run(&["saga", "abandon", &call]);
    assert_eq!(early.status.code(), Some(1), "nobody has tried: {early:?}");
    undo(&mut client, &call);
    let page = told(&host, &["saga", "abandon", &call], 0);
    assert!(page.contains("abandoned"), "{page}");
    let shown = shown(&host, &call);
    assert_eq!(
        (&shown["state"], &shown["steps"][0]["undo"]),
        (&json!("abandoned"), &json!("abandoned")),
        "{shown}"
    );
    assert!(shown["steps"][0]["why"].as_str().unwrap().contains("the undo fails for ever"), "{shown}");
    let again = undo(&mut client, &call);
    assert_eq!(
        (&again["isError"], &again["structuredContent"]["state"]),
        (&json!(true), &json!("abandoned"))
    );
    assert!(text(&again).contains("An operator gave up the rest"), "{again}");
    for command in [&["saga", "resume", &call][..], &["undo", &call, "--force"]] {
        told(&host, command, 1);
    }
    // It is given up already.
    told(&host, &["saga", "abandon", &call], 0);
    assert_eq!(events(&host, "undo permanent").len(), 1);
    assert_eq!((story(&host), world(&host)), (vec!["do a".into()], with_keys(&[("a", "1")])));
}

#[test]
fn a_failed_call_that_is_stuck_is_taken_back_by_force_later() {
    let host = ledger("");
    let mut client = host.stdio();
    // Somebody changes the key while the call runs.
    let call = client.begin_call("ledger_put", and(put("a", "1"), json!({"end": "hang"})));
    crate::ledger::until_event(&host, "end hang");
    change(&host, "a", "mine");
    let of = call_of(&host, "a");
    let conflict = undo(&mut client, &of);
    assert_eq!(conflict["structuredContent"]["stays"][0]["state"], "conflict", "{conflict}");
    let failed = client.wait(call)["result"].take();
    assert_eq!((&failed["isError"], id(&failed)), (&json!(true), of.clone()), "{failed}");
    assert_eq!(world(&host), with_keys(&[("a", "mine")]));
    told(&host, &["saga", "resume", &of, "--force"], 0);
    assert_eq!((story(&host), world(&host)), (vec!["do a".into(), "undo a".into()], with_keys(&[])));
}
