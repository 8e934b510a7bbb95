//! Ways to give a secret away.

use serde_json::json;

use super::{Case, case, host};

const SECRET: &str = "xq7-Very/Secret+Value";
const HIDDEN: &str = "[redacted]";

/// Each gives the secret away by another way.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![case("its length", "knows_leak", json!({"name": "token", "way": "length"}), "21")];
    for (way, tried, got) in [
        ("text", "in text", "it is [redacted]"),
        ("answer-no", "in an answer that says no", HIDDEN),
        ("upper", "in capitals", HIDDEN),
        ("reversed", "backwards", HIDDEN),
        ("hex", "in hexadecimal", HIDDEN),
        ("key", "as a key and a value of the structured result", "{\"[redacted]\":[\"[redacted]\"]}"),
        ("meta", "in `_meta`", "done"),
        ("annotations", "in annotations", "done"),
        ("image", "in the bytes of an image", "done"),
        ("log", "in log lines", "done"),
        ("cut-log", "in a log line that is cut within it", "done"),
        ("stdout", "on stdout", "done"),
        ("stderr", "on stderr", "done"),
        ("progress", "in a progress report", "done"),
    ] {
        cases.push(case(tried, "knows_leak", json!({"name": "token", "way": way}), got));
    }
    cases
}

/// The same in ways that end in failures, whose texts say more than what was leaked.
const FAILURES: [&str; 9] = [
    "invalid-input",
    "transient",
    "permanent",
    "conflict",
    "missing",
    "panic",
    "stderr-in-pieces",
    "bad-json",
    "bad-meta",
];

#[test]
fn a_secret_shows_nowhere() {
    let host = host(&["knows", "none"]).config(
        "[skills.knows]\nbreaker = \"off\"\nretry = \"off\"\n[skills.knows.grants]\nsecrets = { token = { file = \"token\" } }\nenv = { PASS = { secret = \"token\" } }",
    );
    std::fs::write(host.root().join("token"), format!("{SECRET}\n")).unwrap();
    let mut client = host.stdio();
    let wrong = super::run(&mut client, &cases());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut shown = vec![];
    for (name, way) in cases()
        .iter()
        .map(|case| case.arguments["way"].as_str().unwrap().to_owned())
        .chain(FAILURES.map(str::to_owned))
        .flat_map(|way| [("token", way.clone()), ("PASS", way)])
    {
        let id = client.begin("tools/call", json!({
            "name": "knows_leak", "arguments": {"name": name, "way": way}, "_meta": {"progressToken": "p"},
        }));
        shown.push(client.wait(id).to_string());
    }
    let denied = client.call_fails("none_leak", json!({"name": "token", "way": "text"}));
    assert!(denied.contains("there is no such secret"), "{denied}");
    shown.push(client.wait_notification("notifications/progress").to_string());
    let (_, logs) = client.close();
    shown.extend(logs.iter().map(ToString::to_string));
    let whole = shown.join("\n");
    let hidden = |n: usize| SECRET[..n].to_owned();
    for part in [hidden(21), hidden(12), SECRET[8..].to_owned()] {
        assert!(
            !whole.contains(&part),
            "{part} is shown: {}",
            whole.lines().find(|line| line.contains(&part)).unwrap()
        );
    }
    // All those lines and failures are there, with something in the secret's place.
    assert!(whole.matches(HIDDEN).count() > 40, "{whole}");
}

#[test]
fn a_secret_that_is_not_there_is_told_when_the_skill_is_loaded() {
    let host = host(&["knows"]).config("[skills.knows.grants]\nsecrets = { token = { file = \"token\" } }");
    let (state, reason) = host.state("knows");
    assert_eq!(state, "failed");
    assert!(reason.contains("of the secret `token` cannot be read"), "{reason}");
    std::fs::write(host.root().join("token"), "short").unwrap();
    let (_, reason) = host.state("knows");
    assert!(reason.contains("fewer than 8"), "{reason}");
}
