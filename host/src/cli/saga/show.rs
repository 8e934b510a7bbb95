//! Sagas for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::out::harmless;

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => harmless(text).replace('\n', " "),
        Value::Null => "-".to_owned(),
        other => harmless(&other.to_string()),
    }
}

pub(super) fn list(value: &Value) -> String {
    let sagas = value["sagas"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut page = String::new();
    if sagas.is_empty() {
        page.push_str("no sagas\n");
    } else {
        let _ = writeln!(page, "{:<36} {:<12} {:<6} {:<24}  LABEL OR REASON", "ID", "STATE", "OF", "BEGUN");
    }
    for saga in sagas {
        let of = if saga["held"] == true { "agent" } else { "call" };
        let why = if saga["label"].is_null() { &saga["reason"] } else { &saga["label"] };
        let (id, state, begun) = (text(&saga["id"]), text(&saga["state"]), text(&saga["begun"]));
        let _ = writeln!(page, "{id:<36} {state:<12} {of:<6} {begun:<24}  {}", text(why));
    }
    if let Some(next) = value["next"].as_str() {
        let _ = writeln!(page, "there are more: --after {next}");
    }
    page
}

/// The steps under the calls that made them, in the order they began.
pub(super) fn tree(saga: &Value) -> String {
    let mut page = String::new();
    let _ = write!(page, "{} {}", text(&saga["id"]), text(&saga["state"]));
    for (key, word) in [("label", ""), ("reason", "because: "), ("expires", "open until ")] {
        let shown = match key {
            "expires" => saga["state"] == "open" && !saga[key].is_null(),
            _ => !saga[key].is_null(),
        };
        if shown {
            let _ = write!(page, "  {word}{}", text(&saga[key]));
        }
    }
    page.push('\n');
    let steps = saga["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    if steps.is_empty() {
        page.push_str("no steps\n");
    }
    let is_here = |id: &Value| steps.iter().any(|step| step["id"] == *id);
    let tops: Vec<_> = steps.iter().filter(|step| !is_here(&step["parent"])).collect();
    branch(&mut page, steps, &tops, "");
    page
}

fn branch(page: &mut String, all: &[Value], here: &[&Value], indent: &str) {
    for (n, step) in here.iter().enumerate() {
        let last = n + 1 == here.len();
        let (mark, more) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let _ = writeln!(page, "{indent}{mark}{}", line(step));
        let children: Vec<_> = all.iter().filter(|child| child["parent"] == step["id"]).collect();
        branch(page, all, &children, &format!("{indent}{more}"));
    }
}

fn line(step: &Value) -> String {
    let undo = &step["undo"];
    let state = match (undo.as_str(), step["stays"] == true, step["undoable"] == true) {
        (Some(undo), ..) => format!("{}, {}", text(&step["state"]), harmless(undo)),
        (None, true, false) => format!("{}, cannot be undone", text(&step["state"])),
        _ => text(&step["state"]),
    };
    let mut line =
        format!("{} [{state}] {} {}", text(&step["tool"]), text(&step["id"]), text(&step["begun"]));
    for (key, word) in [("ended", " … "), ("undo_at", ", undo ")] {
        if !step[key].is_null() {
            let _ = write!(line, "{word}{}", text(&step[key]));
        }
    }
    if step["tries"].as_u64().is_some_and(|tries| tries > 1) {
        let _ = write!(line, " after {} tries", text(&step["tries"]));
    }
    if !step["why"].is_null() {
        let _ = write!(line, ": {}", text(&step["why"]));
    }
    line
}
