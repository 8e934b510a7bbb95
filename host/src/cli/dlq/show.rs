//! Dead letters for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::out::harmless;

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => harmless(text),
        Value::Null => "-".to_owned(),
        other => harmless(&other.to_string()),
    }
}

/// What went wrong, in one line.
fn problem(letter: &Value) -> String {
    let problem = &letter["problem"];
    if problem.is_null() {
        return String::new();
    }
    let message = text(&problem["message"]).replace('\n', " ");
    let short: String = message.chars().take(60).collect();
    let effect = if problem["effect"] == "unknown" { " (may have taken effect)" } else { "" };
    format!(
        "{}: {short}{}{effect}",
        text(&problem["kind"]),
        if short.len() < message.len() { "…" } else { "" }
    )
}

pub(super) fn list(value: &Value) -> String {
    let letters = value["letters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut page = String::new();
    if letters.is_empty() {
        page.push_str("no dead letters\n");
    } else {
        let _ = writeln!(page, "{:<36} {:<9} {:<24} {:>5}  LAST FAILURE", "ID", "STATE", "TOOL", "RUNS");
    }
    for letter in letters {
        let _ = writeln!(
            page,
            "{:<36} {:<9} {:<24} {:>5}  {}",
            text(&letter["id"]),
            text(&letter["state"]),
            text(&letter["tool"]).replace('\n', " "),
            text(&letter["attempts"]),
            problem(letter)
        );
    }
    if let Some(next) = value["next"].as_str() {
        let _ = writeln!(page, "there are more: --after {next}, or --limit 0 for all");
    }
    for id in value["damaged"].as_array().into_iter().flatten() {
        let _ = writeln!(page, "DAMAGED {}: it cannot be read back", text(id));
    }
    page
}

pub(super) fn whole(letter: &Value) -> String {
    let mut page = String::new();
    for (key, name) in [
        ("id", "id"),
        ("state", "state"),
        ("tool", "tool"),
        ("digest", "version"),
        ("caller", "caller"),
        ("correlation_id", "correlation"),
        ("key", "key"),
        ("delivery", "delivery"),
        ("priority", "priority"),
        ("attempts", "runs"),
        ("begun", "begun"),
        ("enqueued", "letter since"),
        ("dead", "parked"),
        ("due", "due"),
        ("ended", "ended"),
        ("gives_up", "gives up"),
    ] {
        if !letter[key].is_null() {
            let _ = writeln!(page, "{name:<13} {}", text(&letter[key]));
        }
    }
    if !letter["problem"].is_null() {
        let problem = &letter["problem"];
        let _ = writeln!(
            page,
            "{:<13} {}: {}",
            "last failure",
            text(&problem["kind"]),
            text(&problem["message"])
        );
        let _ = writeln!(page, "{:<13} {}", "effect", text(&problem["effect"]));
    }
    let _ = writeln!(page, "{:<13} {}", "arguments", text(&letter["arguments"]));
    if !letter["outcome"].is_null() {
        let _ = writeln!(page, "{:<13} {}", "result", text(&letter["outcome"]));
    }
    page.push_str("\nhistory\n");
    for event in letter["history"].as_array().into_iter().flatten() {
        let detail =
            event["detail"].as_str().map(|detail| format!("  {}", harmless(detail).replace('\n', " ")));
        let _ = writeln!(
            page,
            "  {}  {:<10} run {}{}",
            text(&event["at"]),
            text(&event["step"]),
            text(&event["attempt"]),
            detail.unwrap_or_default()
        );
    }
    page
}

pub(super) fn explained(value: &Value) -> String {
    let mut page = format!("{} is {}\n", text(&value["id"]), text(&value["state"]));
    for (key, mark) in [("why", "-"), ("options", ">")] {
        for line in value[key].as_array().into_iter().flatten() {
            let _ = writeln!(page, "{mark} {}", text(line));
        }
    }
    let playbooks = &value["playbooks"];
    if playbooks.is_null() {
        return page;
    }
    page.push_str("playbooks\n");
    for passed in playbooks["passed"].as_array().into_iter().flatten() {
        let (rule, why) = (text(&passed["rule"]), text(&passed["why"]));
        let _ = writeln!(page, "- {rule} does not match, by its `{}`: {why}", text(&passed["criterion"]));
    }
    match playbooks["rule"].as_str() {
        Some(rule) => {
            let action = text(&playbooks["action"]);
            let _ = writeln!(page, "> {} ({action}): {}", harmless(rule), text(&playbooks["does"]));
        }
        None => {
            let _ = writeln!(page, "> {}", text(&playbooks["does"]));
        }
    }
    if let Some(again) = playbooks["again"].as_str() {
        let _ = writeln!(page, "they are asked again at {}, when it is old enough for one", harmless(again));
    }
    page
}

pub(super) fn stats(value: &Value) -> String {
    let mut page = format!("{} open of at most {}\n", text(&value["open"]), text(&value["capacity"]));
    for (key, name) in [("oldest", "oldest"), ("next_due", "next due"), ("archived", "archived")] {
        let _ = writeln!(page, "{name:<10} {}", text(&value[key]));
    }
    for (key, name) in [
        ("states", "states"),
        ("priorities", "open, by priority"),
        ("kinds", "open, by last failure"),
        ("skills", "open, by skill"),
        ("steps", "steps so far"),
    ] {
        let counts = value[key].as_object().cloned().unwrap_or_default();
        if !counts.is_empty() {
            let _ = writeln!(page, "\n{name}");
            for (word, count) in counts {
                let _ = writeln!(page, "  {:<24} {count}", harmless(&word));
            }
        }
    }
    page
}

pub(super) fn done(value: &Value, word: &str) -> String {
    let mut page = String::new();
    if value["dry_run"] == true {
        for id in value["matched"].as_array().into_iter().flatten() {
            let _ = writeln!(page, "{}", text(id));
        }
        let _ = writeln!(page, "{} would be {word}", text(&value["changed"]));
    } else {
        let _ = writeln!(page, "{} {word}", text(&value["changed"]));
    }
    if !value["file"].is_null() {
        let _ = writeln!(page, "to {}", text(&value["file"]));
    }
    for refused in value["refused"].as_array().into_iter().flatten() {
        let _ = writeln!(page, "not {}: {}", text(&refused["id"]), text(&refused["why"]));
    }
    page
}

pub(super) fn restored(value: &Value) -> String {
    let mut page =
        format!("{} restored, {} there already\n", text(&value["restored"]), text(&value["present"]));
    for refused in value["refused"].as_array().into_iter().flatten() {
        let _ = writeln!(page, "line {} is no letter: {}", text(&refused["line"]), text(&refused["why"]));
    }
    page
}
