//! Keys said by the environment: `SKILLHOST__ENGINE__INSTANCES=8` is `instances = 8` in `[engine]`.
//!
//! Two underscores, since Kubernetes sets variables that begin with `SKILLHOST_` for a service of that name.

use serde::Deserialize as _;
use toml::{Table, Value};

use super::{ConfigError, Raw};

const PREFIX: &str = "SKILLHOST__";

/// `raw` with what `variables` say over it.
///
/// # Errors
/// With the variable's name, when there is no such key or the value is of another kind.
pub(super) fn over(raw: Raw, variables: impl Iterator<Item = (String, String)>) -> Result<Raw, ConfigError> {
    let mut said: Vec<_> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    if said.is_empty() {
        return Ok(raw);
    }
    said.sort();
    let mut source = raw.source.clone().unwrap_or_default();
    let mut merged =
        Table::try_from(&raw).map_err(|error| ConfigError::variable(PREFIX, &error.to_string()))?;
    for (name, text) in said {
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        // Alone, so that the error is about this variable.
        let value = value(&text);
        let alone = nested(&path, value.clone());
        let alone = Raw::deserialize(alone.clone())
            .map(|_| alone)
            .or_else(|error| {
                // A text that looks like a number or a truth value.
                let text = nested(&path, Value::String(text.clone()));
                Raw::deserialize(text.clone()).map(|_| text).map_err(|_| error)
            })
            .map_err(|error| ConfigError::variable(&name, error.message()))?;
        merge(&mut merged, alone);
        source.said_by(path.join("."), name);
    }
    let merged = Raw::deserialize(merged).map_err(|error| ConfigError::variable(PREFIX, error.message()))?;
    Ok(Raw { source: Some(source), ..merged })
}

/// As TOML, else as text.
fn value(text: &str) -> Value {
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn nested(path: &[String], value: Value) -> Table {
    let mut table = Table::new();
    match path {
        [] => {}
        [last] => {
            table.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            table.insert(first.clone(), nested(rest, value).into());
        }
    }
    table
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
