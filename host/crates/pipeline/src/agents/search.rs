//! `search_tools`: the tools that fit a task, for agents who would rather not read all of them.

mod index;
mod words;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};
use skillhost_core::{Block, Call, Catalog, Entry, Failure, FailureKind, OwnTool, Reply};

use super::{Tool, arguments, ended, reaches};
use crate::Recovery;
use index::{Index, Said};

pub(super) const NAME: &str = "search_tools";

/// Tools in an answer, and how many there may be.
const USUAL: usize = 10;
const MOST: usize = 50;
/// Characters of a description, where that is asked for.
const BRIEF: usize = 300;
/// Levels of a schema whose properties count.
const DEPTH: usize = 4;

pub(super) fn tool(recovery: &Arc<Recovery>, above: Option<usize>) -> OwnTool {
    let input = json!({
        "type": "object",
        "properties": {
            "query": {"type": "string", "maxLength": 500, "description": "What the tool should do, in a few words, or its name; \
                empty to list all by name"},
            "detail": {"enum": ["name", "description", "schema"], "default": "description",
                "description": "How much of each: its name; with what it says of itself; with its schemas, as you need them to call it"},
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL, "description": "At most this many"},
            "skill": {"type": "string", "maxLength": 64, "description": "Only tools of this skill"},
        },
        "required": ["query"],
        "additionalProperties": false,
    });
    let output = json!({
        "type": "object",
        "properties": {
            "tools": {"type": "array", "description": "Best first", "items": {"type": "object", "properties": {
                "name": {"type": "string"},
                "skill": {"type": "string"},
                "title": {"type": "string"},
                "description": {"type": "string"},
                "inputSchema": {"type": "object"},
                "outputSchema": {"type": "object"},
                "annotations": {"type": "object"},
                "undoable": {"type": "boolean", "description": "Whether `undo_call` takes its calls back"},
            }, "required": ["name"]}},
            "total": {"type": "integer", "description": "How many fit, with those that are not shown"},
        },
        "required": ["tools", "total"],
    });
    let kept = Arc::new(Kept::default());
    // Weak: the catalog holds this.
    let recovery = Arc::downgrade(recovery);
    let answer = move |call: Call| -> super::Answer {
        let (kept, recovery) = (Arc::clone(&kept), recovery.upgrade());
        Box::pin(async move {
            let dispatcher = recovery.and_then(|recovery| recovery.dispatcher()).ok_or_else(ended)?;
            // As a listing: skills that still compile are waited for, within bounds.
            let catalog = dispatcher.settled().await;
            // With many tools it takes longer than others should wait for.
            let told =
                tokio::task::spawn_blocking(move || tell(&kept.index(&catalog), &catalog, &call)).await;
            told.map_err(|error| Failure::new(FailureKind::Internal, format!("the search ended: {error}")))
        })
    };
    let tool = Tool {
        name: NAME,
        title: "Search tools",
        description: "Finds the tools that fit a task best, among all that you may call here. Use it when there are many tools, \
             rather than reading the whole list: ask in a few words, then call what you found by its name. `detail` \"schema\" gives \
             what a call needs.",
        input,
        output: Some(output),
        read_only: true,
        idempotent: true,
        destructive: false,
        // Longer than skills are waited for.
        timeout: Duration::from_secs(660),
        above,
        answer: Arc::new(answer),
    };
    tool.own()
}

/// The index of the tools that there are, made anew with the first search after they have changed.
#[derive(Default)]
struct Kept(Mutex<Option<(u64, Arc<Index>)>>);

impl Kept {
    fn index(&self, catalog: &Catalog) -> Arc<Index> {
        // Held while it is made: others wait for the same.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((revision, index)) if *revision == catalog.revision => Arc::clone(index),
            _ => {
                let said = catalog.tools.iter().filter(|(name, _)| name.as_str() != NAME);
                let index = Arc::new(Index::of(said.map(|(name, entry)| said_by(name.as_str(), entry))));
                *kept = Some((catalog.revision, Arc::clone(&index)));
                index
            }
        }
    }
}

fn said_by<'a>(name: &'a str, entry: &'a Entry) -> Said<'a> {
    let spec = &entry.spec;
    let mut parameters = vec![];
    properties(spec.input.raw(), DEPTH, &mut parameters);
    Said {
        name,
        own: &spec.name,
        title: spec.title.as_deref().unwrap_or_default(),
        description: spec.description.as_deref().unwrap_or_default(),
        parameters,
    }
}

/// Names of properties, and what is said of each.
fn properties<'a>(schema: &'a Map<String, Value>, depth: usize, into: &mut Vec<&'a str>) {
    if depth == 0 {
        return;
    }
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        into.push(name);
        let Some(property) = property.as_object() else { continue };
        into.extend(["title", "description"].iter().filter_map(|key| property.get(*key)?.as_str()));
        properties(property, depth - 1, into);
        if let Some(items) = property.get("items").and_then(Value::as_object) {
            properties(items, depth - 1, into);
        }
    }
}

/// How much of a tool is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Name,
    Description,
    Schema,
}

fn tell(index: &Index, catalog: &Catalog, call: &Call) -> Reply {
    let given = arguments(call);
    let text = |key: &str| given.get(key).and_then(Value::as_str);
    let detail = match text("detail") {
        Some("name") => Detail::Name,
        Some("schema") => Detail::Schema,
        _ => Detail::Description,
    };
    let limit = given.get("limit").and_then(Value::as_u64).map_or(USUAL, |limit| limit as usize).min(MOST);
    let found = index.search(text("query").unwrap_or_default());
    // What the caller may not use is not there for him.
    let found = found.into_iter().filter_map(|name| {
        let entry = catalog.tools.get(name)?;
        let of_skill = text("skill").is_none_or(|skill| entry.skill.as_str() == skill);
        (of_skill && reaches(&call.access, name).is_ok()).then_some((name, entry))
    });
    let found: Vec<_> = found.collect();
    let total = found.len();
    let undo = catalog.tools.contains_key("undo_call");
    let tools: Vec<_> =
        found.into_iter().take(limit).map(|(name, entry)| described(name, entry, detail, undo)).collect();
    let mut lines: Vec<_> = tools.iter().map(|tool| line(tool, detail)).collect();
    match total {
        0 => lines.push("No tool fits; try other words, or an empty query to list all.".into()),
        total if total > tools.len() => lines.push(format!("({} of {total})", tools.len())),
        _ => {}
    }
    let structured = json!({"tools": tools, "total": total});
    Reply { content: vec![Block::text(lines.join("\n"))], structured: Some(structured), ..Reply::default() }
}

/// A tool, for programs. Schemas and annotations are in the words of MCP.
fn described(name: &str, entry: &Entry, detail: Detail, undo: bool) -> Value {
    let spec = &entry.spec;
    let mut told = Map::new();
    let mut say = |key: &str, value: Value| told.insert(key.to_owned(), value);
    say("name", name.into());
    if detail == Detail::Name {
        return Value::Object(told);
    }
    say("skill", entry.skill.as_str().into());
    if let Some(title) = &spec.title {
        say("title", title.as_str().into());
    }
    if let Some(description) = &spec.description {
        say(
            "description",
            if detail == Detail::Schema { description.clone() } else { brief(description) }.into(),
        );
    }
    if detail == Detail::Description {
        return Value::Object(told);
    }
    say("inputSchema", Value::Object(spec.input.raw().clone()));
    if let Some(output) = &spec.output {
        say("outputSchema", Value::Object(output.raw().clone()));
    }
    let a = &spec.annotations;
    let hints = [
        ("readOnlyHint", a.read_only),
        ("destructiveHint", a.destructive),
        ("idempotentHint", a.idempotent),
        ("openWorldHint", a.open_world),
    ];
    let hints = hints.into_iter().filter_map(|(hint, said)| Some((hint.to_owned(), said?.into())));
    say("annotations", Value::Object(hints.collect()));
    say("undoable", (undo && spec.undoable && a.read_only != Some(true)).into());
    Value::Object(told)
}

/// The beginning of a text, in whole characters.
fn brief(text: &str) -> String {
    match text.char_indices().nth(BRIEF) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A tool, for whoever reads.
fn line(tool: &Value, detail: Detail) -> String {
    let text = |key: &str| tool[key].as_str().unwrap_or_default();
    match detail {
        Detail::Name => text("name").to_owned(),
        Detail::Description => format!("{}: {}", text("name"), text("description").replace('\n', " ")),
        Detail::Schema => tool.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_cut_between_characters() {
        let text = "ä".repeat(BRIEF);
        assert_eq!(brief(&text), text);
        assert_eq!(brief(&(text.clone() + "b")), text + "…");
    }

    #[test]
    fn parameters_are_found_where_they_are_nested() {
        let schema = json!({"properties": {
            "a": {"description": "first", "properties": {"b": {"title": "second"}}},
            "c": {"type": "array", "items": {"properties": {"d": true}}},
        }});
        let mut found = vec![];
        properties(schema.as_object().unwrap(), DEPTH, &mut found);
        assert_eq!(found, ["a", "first", "b", "second", "c", "d"]);
    }
}
