//! What came of a step, held against what was expected.

use std::{fmt::Write as _, time::Duration};

use rmcp::model::{CallToolResult, ContentBlock, ErrorCode, ErrorData};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::case::Expect;

/// What a step came to, as an agent sees it.
pub(super) type Came = Result<CallToolResult, ErrorData>;

/// What is otherwise than expected, for people; nothing when all is well.
pub(super) fn problems(expect: &Expect, came: &Came) -> Vec<String> {
    let (failure, text) = (failure(came), text(came));
    let mut problems = vec![];
    match (&expect.failure, failure) {
        (Some(wanted), Some(kind)) if wanted == kind => {
            if let Some(part) = expect.message.as_ref().filter(|part| !text.contains(*part)) {
                problems.push(differs("the message does not hold what it should", part, &text));
            }
            return problems;
        }
        (Some(wanted), Some(kind)) => {
            problems.push(format!("it failed with `{kind}`, not with `{wanted}`:\n{}", indented(&text)));
            return problems;
        }
        (Some(wanted), None) => {
            problems.push(format!("it did not fail, though `{wanted}` was expected:\n{}", indented(&text)));
            return problems;
        }
        (None, Some(kind)) => {
            problems.push(format!("it failed with `{kind}`:\n{}", indented(&text)));
            return problems;
        }
        (None, None) => {}
    }
    let Ok(result) = came else { return problems };
    let answers_no = result.is_error == Some(true);
    if answers_no && !expect.is_error {
        problems.push(format!("it answered \"no\" (is_error):\n{}", indented(&text)));
    } else if expect.is_error && !answers_no {
        problems.push("it did not answer \"no\" (is_error)".to_owned());
    }
    let structured = result.structured_content.as_ref();
    if let Some(wanted) = &expect.result {
        match structured {
            Some(found) if same(found, wanted) => {}
            Some(found) => problems.push(differs("the result differs", &pretty(wanted), &pretty(found))),
            None => problems.push(format!("there is no structured result, only text:\n{}", indented(&text))),
        }
    }
    if let Some(wanted) = &expect.includes {
        match structured {
            Some(found) if includes(found, wanted) => {}
            Some(found) => problems.push(differs(
                "the result does not include what it should",
                &pretty(wanted),
                &pretty(&reduced(found, wanted)),
            )),
            None => problems.push(format!("there is no structured result, only text:\n{}", indented(&text))),
        }
    }
    if let Some(wanted) = expect.text.as_ref().filter(|wanted| **wanted != text) {
        problems.push(differs("the text differs", wanted, &text));
    }
    for part in expect.text_includes.iter().filter(|part| !text.contains(*part)) {
        problems.push(differs("the text does not hold what it should", part, &text));
    }
    problems
}

/// The kind that is told of a failure.
fn kind(failure: Option<&Value>) -> Option<&str> {
    failure?.get("kind")?.as_str()
}

/// The kind of failure, when it is one.
fn failure(came: &Came) -> Option<&str> {
    match came {
        Ok(result) => kind(result.meta.as_ref()?.0.get("skillhost/failure")),
        // Of this one MCP says itself what is told with it.
        Err(error) if error.code == ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY => {
            Some("missing-capability")
        }
        Err(error) => {
            kind(error.data.as_ref().and_then(|data| data.get("skillhost/failure"))).or(Some("unknown"))
        }
    }
}

fn text(came: &Came) -> String {
    let result = match came {
        Ok(result) => result,
        Err(error) => return error.message.to_string(),
    };
    // What the host adds for models, behind all else, is no part of what the tool said.
    let told = |key: &str| result.meta.as_ref().is_some_and(|meta| meta.0.contains_key(key));
    let added = ["skillhost/fallback", "skillhost/undoable"].into_iter().filter(|key| told(key)).count();
    let blocks = result.content.iter().take(result.content.len().saturating_sub(added));
    let blocks = blocks.map(|block| match block {
        ContentBlock::Text(block) => block.text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    });
    blocks.collect::<Vec<_>>().join("\n")
}

/// Whether two values are the same; `1.0` is `1`.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(found), Value::Number(wanted)) => {
            found == wanted || (found.is_f64() || wanted.is_f64()) && found.as_f64() == wanted.as_f64()
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| same(found, wanted))
        }
        (Value::Object(found), Value::Object(wanted)) => {
            found.len() == wanted.len()
                && wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| same(found, wanted)))
        }
        _ => found == wanted,
    }
}

/// Whether `found` holds at least what `wanted` says: objects may have more members.
pub(super) fn includes(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| includes(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| includes(found, wanted))
        }
        _ => same(found, wanted),
    }
}

/// `found` without the members that nobody asked for, so that a difference shows.
fn reduced(found: &Value, wanted: &Value) -> Value {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            let members = wanted
                .iter()
                .filter_map(|(key, wanted)| Some((key.clone(), reduced(found.get(key)?, wanted))));
            Value::Object(members.collect())
        }
        (Value::Array(found), Value::Array(wanted)) => {
            let nothing = Value::Null;
            let wanted = wanted.iter().chain(std::iter::repeat(&nothing));
            Value::Array(found.iter().zip(wanted).map(|(found, wanted)| reduced(found, wanted)).collect())
        }
        _ => found.clone(),
    }
}

fn pretty(value: &Value) -> String {
    // Members in one order, so that only what differs does.
    let mut value = value.clone();
    value.sort_all_objects();
    format!("{value:#}")
}

/// Line by line: `-` what was expected, `+` what came.
pub(super) fn differs(what: &str, wanted: &str, found: &str) -> String {
    const MOST: usize = 200;
    let mut text = format!("{what} (- expected, + came):");
    // Texts of a hundred thousand lines would take minutes; what it finds by then is coarse, and right.
    let diff = TextDiff::configure().timeout(Duration::from_millis(500)).diff_lines(wanted, found);
    let mut changes = diff.iter_all_changes();
    for change in changes.by_ref().take(MOST) {
        let sign = match change.tag() {
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        let _ = write!(text, "\n  {sign} {}", change.value().trim_end_matches('\n'));
    }
    match changes.count() {
        0 => text,
        more => format!("{text}\n  … {more} more lines"),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use rmcp::model::MetaObject;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        assert!(same(&json!({"a": [1, 2.0]}), &json!({"a": [1.0, 2]})));
        assert!(!same(&json!(u64::MAX), &json!(u64::MAX - 1)));
        assert!(!same(&json!(1), &json!("1")));
        assert!(!same(&json!({"a": 1}), &json!({"a": 1, "b": null})));
    }

    #[test]
    fn what_is_included_may_be_more() {
        let found = json!({"a": {"b": 1, "c": 2}, "d": [{"e": 1, "f": 2}]});
        assert!(includes(&found, &json!({"a": {"c": 2}, "d": [{"f": 2}]})));
        assert!(!includes(&found, &json!({"a": {"c": 3}})));
        assert!(!includes(&found, &json!({"d": []})));
        assert!(!includes(&found, &json!({"g": null})));
    }

    #[test]
    fn a_difference_is_told_line_by_line() {
        let expect = Expect { includes: Some(json!({"a": 1, "b": [1]})), ..Expect::default() };
        let mut result = CallToolResult::success(vec![ContentBlock::text("{…}")]);
        result.structured_content = Some(json!({"z": 0, "b": [2, 3], "a": 1}));
        let problems = problems(&expect, &Ok(result));
        assert_eq!(
            problems,
            [
                "the result does not include what it should (- expected, + came):\n    {\n      \"a\": 1,\n      \"b\": [\n  -     1\n  +     2,\n  +     3\n      ]\n    }"
            ]
        );
    }

    #[test]
    fn what_the_host_adds_is_not_what_the_tool_said() {
        let says = |text: &str| Expect { text: Some(text.into()), ..Expect::default() };
        let mut result = CallToolResult::success(vec![ContentBlock::text("[skillhost] so says the tool")]);
        assert!(problems(&says("[skillhost] so says the tool"), &Ok(result.clone())).is_empty());
        result.content.push(ContentBlock::text("[skillhost] `undo_call` takes this call back."));
        let meta = json!({"skillhost/undoable": true});
        result.meta = Some(MetaObject(meta.as_object().unwrap().clone()));
        assert!(problems(&says("[skillhost] so says the tool"), &Ok(result)).is_empty());
    }

    #[test]
    fn success_is_expected_unless_something_else_is() {
        let no = CallToolResult::error(vec![ContentBlock::text("no")]);
        assert_eq!(problems(&Expect::default(), &Ok(no.clone())).len(), 1);
        assert!(problems(&Expect { is_error: true, ..Expect::default() }, &Ok(no)).is_empty());
        let data = json!({"skillhost/failure": {"kind": "unknown-tool"}});
        let unknown = Err(ErrorData::invalid_params("there is no tool `a`", Some(data)));
        assert_eq!(problems(&Expect::default(), &unknown).len(), 1);
        let wanted = |message: &str| Expect {
            failure: Some("unknown-tool".into()),
            message: Some(message.into()),
            ..Expect::default()
        };
        assert!(problems(&wanted("`a`"), &unknown).is_empty());
        assert_eq!(problems(&wanted("`b`"), &unknown).len(), 1);
    }
}
