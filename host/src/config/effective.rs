//! What counts for one tool, and who said it.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::{Table, Value};

use super::{Raw, Source, raw};

/// A key, its value, and where that was said.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Effective {
    pub(crate) key: String,
    pub(crate) value: Value,
    /// A file with line and column, a variable, or `built in`.
    pub(crate) from: String,
}

/// Keys that a tool does not inherit: what a skill says of them holds beside what its tool says, or in its place.
const OF_THE_SKILL: [&str; 5] = ["rate_limit", "breaker", "concurrency", "retry_budget", "result_filter"];

/// Everything that counts for the tool `tool` of `skill`, policies written out in full. Keys that are said for the skill
/// as a whole are named `skill.KEY`, those of the host `limits.KEY`.
pub(crate) fn effective(raw: &Raw, skill: &str, tool: &str) -> Vec<Effective> {
    // It was checked before.
    let raw = &raw.clone().expanded().unwrap_or_else(|_| raw.clone());
    let own = raw.skills.get(skill);
    let of_tool = own.and_then(|own| own.tools.get(tool));
    let levels = [
        (format!("skills.{skill}.tools.{tool}"), of_tool.map(table)),
        (format!("skills.{skill}"), own.map(table)),
        ("defaults".to_owned(), Some(table(&raw.defaults))),
    ];
    let built_in = table(&Raw::default().filled().defaults);
    // A key of the tool alone shows when it was said.
    let mut keys: BTreeMap<String, ()> = built_in.keys().map(|key| (key.clone(), ())).collect();
    for (_, level) in &levels {
        keys.extend(level.iter().flat_map(|level| level.keys().map(|key| (key.clone(), ()))));
    }
    keys.remove("tools");
    let source = raw.source.clone().unwrap_or_default();
    let row = |shown: String, key: &str, levels: &[(String, Option<Table>)], built_in: &Table| {
        let said = levels.iter().find_map(|(path, level)| Some((path, level.as_ref()?.get(key)?)));
        let (value, from) = match said {
            Some((path, value)) => (value, place(&source, &format!("{path}.{key}"))),
            None => (built_in.get(key)?, "built in".to_owned()),
        };
        Some(Effective { key: shown, value: value.clone(), from })
    };
    let nothing = Table::new();
    let mut rows: Vec<_> = keys
        .into_keys()
        .flat_map(|key| {
            if OF_THE_SKILL.contains(&key.as_str()) {
                let of_tool = row(key.clone(), &key, &levels[..1], &nothing);
                let of_skill = row(format!("skill.{key}"), &key, &levels[1..], &built_in);
                [of_tool, of_skill]
            } else {
                [row(key.clone(), &key, &levels, &built_in), None]
            }
        })
        .flatten()
        .collect();
    let host = [("limits".to_owned(), Some(table(&raw.limits)))];
    let built_in = table(&Raw::default().filled().limits);
    rows.extend(built_in.keys().filter_map(|key| row(format!("limits.{key}"), key, &host, &built_in)));
    rows
}

fn place(source: &Source, key: &str) -> String {
    source.place(key).unwrap_or_else(|| key.to_owned())
}

fn table(value: &impl Serialize) -> Table {
    // Each of these is a table of plain values.
    Table::try_from(value).unwrap_or_default()
}

/// The skill and the tool's own name behind a full name. `SKILL/TOOL` names a tool of a skill that is mounted at the
/// root.
pub(crate) fn split<'a>(raw: &Raw, tool: &'a str) -> Option<(&'a str, &'a str)> {
    let (skill, name) = tool.split_once('/').or_else(|| tool.split_once('_'))?;
    let mount = raw.skills.get(skill).and_then(|own| own.mount).or(raw.defaults.mount);
    (tool.contains('/') || mount != Some(raw::Mount::Root)).then_some((skill, name))
}
