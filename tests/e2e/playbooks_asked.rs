//! When rules for dead letters are asked: as explained beforehand, anew when they change, when an age has come. And how they are
//! written.

use std::fs;

use serde_json::json;
use skillhost_e2e::eventually;

use crate::{
    ledger::told,
    playbooks::{foreseen, id, lines, record, rule, same, state, until_state},
    recovery::{effects, recording, status},
};

#[test]
fn what_is_explained_is_what_then_happens() {
    let host = recording("");
    let mut client = host.stdio();
    let all = [
        id(&record(&mut client, "a", json!({"before": "permanent"}))),
        id(&record(&mut client, "b", json!({"after": "trap"}))),
        // A plain call that nobody can judge.
        id(&client.call("faulty_record", json!({"line": "c", "after": "trap"}))),
        id(&same(&mut client, "d", json!({"before": "transient"}))),
        id(&record(&mut client, "e", json!({"before": "transient"}))),
    ];
    assert_eq!(client.close().0, Some(0));
    assert!(foreseen(&host, &all[0]).is_null(), "there are no rules");
    let host = host.config(
        &[
            rule("never", "match = { attempts = { min = 90 } }\naction = \"discard\""),
            rule("old", "match = { age = { min = \"30d\" } }\naction = \"archive\""),
            rule("same", "match = { skill = \"sa*e\" }\naction = \"park\""),
            rule("first", "match = { message = \"never|unreachable\", effect = \"none\" }\naction = \"discard\""),
            rule("second", "match = { kind = [\"permanent\", \"trap\"] }\naction = \"call\"\ntool = \"faulty_record\"\narguments = { line = \"told\" }"),
        ]
        .concat(),
    );
    // With no host, and by it that the host then does the same.
    let before: Vec<_> = all.iter().map(|id| foreseen(&host, id)).collect();
    let rules: Vec<_> = before.iter().map(|told| told["rule"].as_str().unwrap_or("none")).collect();
    assert_eq!(rules, ["first", "second", "second", "same", "none"]);
    let passed: Vec<_> = before[1]["passed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["criterion"].as_str().unwrap())
        .collect();
    assert_eq!(passed, ["attempts", "age", "skill", "effect"]);
    assert!(before[1]["does"].as_str().unwrap().contains("faulty_record"), "{}", before[1]);
    assert!(before[0]["again"].is_string(), "one waits for its age: {}", before[0]);
    let page = told(&host, &["dlq", "explain", &all[0]], 0);
    assert!(
        page.contains("- never does not match, by its `attempts`: it has run 1 times, not 90 or more"),
        "{page}"
    );
    assert!(page.contains("> first (discard): it is given up"), "{page}");
    assert_eq!(effects(&host).len(), 2, "nothing was done");
    let mut client = host.stdio();
    for (id, told) in all.iter().zip(&before) {
        let Some(rule) = told["rule"].as_str() else { continue };
        let did = eventually(|| lines(&host, id).into_iter().next());
        let action = told["action"].as_str().unwrap();
        assert!(did.starts_with(&format!("by playbook {rule}: {action}: ")), "{did} {told}");
    }
    assert_eq!(status(&mut client, &all[0])["state"], "discarded");
    assert_eq!(status(&mut client, &all[3])["state"], "parked");
    assert_eq!(lines(&host, &all[4]), [""; 0]);
    eventually(|| (effects(&host).len() == 4).then_some(()));
}

#[test]
fn rules_change_while_the_host_runs() {
    let host = recording("");
    let mut client = host.stdio();
    let early = id(&record(&mut client, "a", json!({"before": "permanent"})));
    let held = id(&record(&mut client, "b", json!({"before": "permanent"})));
    assert_eq!(host.json(&["dlq", "edit", &held, "--priority", "low", "--json"])["priority"], "low");
    let host = host.config(&rule("one", "match = { kind = [\"permanent\"] }\naction = \"call\"\ntool = \"faulty_record\"\narguments = { line = \"told {id}\" }"));
    // Any command writes the file.
    eventually(|| (lines(&host, &early).len() == 2).then_some(()));
    assert_eq!(lines(&host, &held), [""; 0], "a person's hand was on it");
    // One that is not sound changes nothing.
    let good = fs::read_to_string(host.root().join("skillhost.toml")).unwrap();
    fs::write(host.root().join("skillhost.toml"), format!("{good}{}", rule("one", "action = \"park\"")))
        .unwrap();
    let refused = client.wait_log("the refusal", |line| line.to_string().contains("names are unique"));
    assert!(refused.to_string().contains("goes on"), "{refused}");
    // Another one behind it: what the first has acted on stays with it; before it, it is asked again.
    let host = host.config(&rule("two", "action = \"discard\""));
    let next = record(&mut client, "c", json!({"before": "transient"}));
    let next = eventually(|| {
        Some(status(&mut client, &id(&next))).filter(|status| {
            // It may have failed before the file was read.
            let _ = host.run(&["dlq", "stats"]);
            status["state"] == "discarded"
        })
    });
    assert_eq!(next["state"], "discarded");
    assert_eq!(lines(&host, &early).len(), 2, "not asked twice about one run");
    assert_eq!(status(&mut client, &early)["state"], "parked");
    assert_eq!(effects(&host), effects(&host)[..1]);
}

#[test]
fn an_age_is_waited_for() {
    let host = recording(&format!(
        "{}{}",
        rule("old", "match = { age = { min = \"1500ms\" } }\naction = \"discard\""),
        rule(
            "new",
            "match = { state = \"parked\" }\naction = \"call\"\ntool = \"faulty_record\"\narguments = { line = \"told\" }"
        ),
    ));
    let mut client = host.stdio();
    let result = record(&mut client, "a", json!({"before": "permanent"}));
    assert_eq!(state(&result), "parked");
    let id = id(&result);
    until_state(&mut client, &id, "discarded");
    let rules: Vec<_> = lines(&host, &id).iter().map(|line| line[12..15].to_owned()).collect();
    assert_eq!((rules.first().unwrap().as_str(), rules.last().unwrap().as_str()), ("new", "old"));
    assert_eq!(effects(&host).len(), 1);
}

#[test]
fn what_is_written_wrongly_is_refused_and_what_can_never_match_is_told() {
    let host = recording(&format!(
        "{}{}",
        rule("all", "action = \"park\""),
        rule("never", "match = { kind = [\"trap\"] }\naction = \"discard\"")
    ));
    let output = host.run(&["config", "check"]);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the playbook `never` never matches"), "{said}");
    let mut client = host.stdio();
    client.wait_log("the warning", |line| line.to_string().contains("`never` never matches"));
    let host = recording(&rule("a", "match = { message = \"(\" }\naction = \"park\""));
    let output = host.run(&["config", "check"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains(
            "skillhost.toml:3:11: `playbooks[0].match.message` is no regular expression: unclosed group"
        ),
        "{said}"
    );
}

#[test]
fn every_playbook_of_the_documentation_is_sound() {
    let page = fs::read_to_string(skillhost_e2e::repo().join("docs/playbooks.md")).unwrap();
    let blocks: Vec<_> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 7, "{}", blocks.len());
    let check = |config: &str| {
        let host = crate::empty().config(config);
        let output = host.run(&["config", "check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}\n{config}");
        assert!(!said.contains("never matches"), "{said}\n{config}");
    };
    blocks.iter().for_each(|block| check(block));
    // The page says that they can all stand in one file, in its order.
    check(&blocks.concat());
}
