//! The filter for what a tool says of itself in its schemas.

use serde_json::{Map, Value};

use super::{FilterMode, Findings, filter_string, filter_value, hidden};

/// Filter what a schema tells the model. What a schema *means* cannot be changed: a name of a property or a value with
/// hidden characters in it is refused.
///
/// # Errors
/// The text that hides something, with that shown.
pub fn filter_schema(schema: &mut Map<String, Value>, mode: FilterMode) -> Result<Findings, String> {
    let mut findings = Findings::default();
    if mode != FilterMode::Off {
        object(schema, mode, &mut findings)?;
    }
    Ok(findings)
}

fn object(map: &mut Map<String, Value>, mode: FilterMode, findings: &mut Findings) -> Result<(), String> {
    for (key, value) in map.iter_mut() {
        plain(key)?;
        match (key.as_str(), &mut *value) {
            ("title" | "description" | "$comment", Value::String(text)) => {
                filter_string(text, mode, findings);
            }
            ("examples" | "default", told) => filter_value(told, mode, findings),
            _ => meant(value, mode, findings)?,
        }
    }
    Ok(())
}

fn meant(value: &mut Value, mode: FilterMode, findings: &mut Findings) -> Result<(), String> {
    match value {
        Value::Object(map) => object(map, mode, findings),
        Value::Array(items) => items.iter_mut().try_for_each(|item| meant(item, mode, findings)),
        Value::String(text) => plain(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn plain(text: &str) -> Result<(), String> {
    let (_, found) = hidden::stripped(text);
    if found.is_empty() { Ok(()) } else { Err(hidden::shown(text).chars().take(200).collect()) }
}
