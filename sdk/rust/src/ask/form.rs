//! Forms from types. MCP's forms are a small part of JSON Schema, so that every client can show them.
use std::any::type_name;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::broken;
use crate::types::Failure;

/// What a person can fill in: a struct that derives `Deserialize` and `JsonSchema`. What its fields can be is told at
/// [`form`](super::form); what is more than that is told when it is asked.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a form",
    note = "take a struct that derives both: `#[derive(Deserialize, JsonSchema)]`"
)]
pub trait Form: DeserializeOwned + JsonSchema {}

impl<T: DeserializeOwned + JsonSchema> Form for T {}

/// The schema of the form that asks for a `T`.
pub(super) fn schema<T: Form>() -> Result<String, Failure> {
    form(&crate::schema::inlined::<T>(), type_name::<T>()).map(|form| form.to_string())
}

fn form(schema: &Value, name: &str) -> Result<Value, Failure> {
    let nothing = Map::new();
    let plain = |key: &str| match key {
        "type" | "properties" | "required" | "title" | "description" | "$defs" => true,
        // That nothing else comes, the host sees to.
        "additionalProperties" => schema[key].is_boolean(),
        _ => false,
    };
    if schema["type"] != "object" || !schema.as_object().unwrap_or(&nothing).keys().all(|key| plain(key)) {
        return Err(broken(format_args!("a form is a struct with named fields, not `{name}`")));
    }
    let mut fields = Map::new();
    for (key, property) in schema["properties"].as_object().unwrap_or(&nothing) {
        let field = field(property).map_err(|why| {
            broken(format_args!("the field `{key}` of `{name}` cannot stand in a form: {why}"))
        })?;
        fields.insert(key.clone(), field);
    }
    let mut form = json!({"type": "object", "properties": fields});
    if let Some(required) = schema.get("required") {
        form["required"] = required.clone();
    }
    Ok(form)
}

/// A field, or why it is none.
fn field(schema: &Value) -> Result<Value, String> {
    let schema = required(schema.as_object().ok_or("it can be anything")?)?;
    let mut field = Map::new();
    let allowed: &[&str] = match kind(&schema)? {
        None => {
            field.insert("type".into(), "string".into());
            field.insert("oneOf".into(), choices(&schema)?.titled());
            &["oneOf"]
        }
        Some("string") if schema.contains_key("enum") || schema.contains_key("const") => {
            field.insert("type".into(), "string".into());
            field.insert("enum".into(), choices(&schema)?.values());
            &["type", "enum", "const"]
        }
        Some("array") => {
            let items = schema.get("items").and_then(Value::as_object);
            let choices = choices(items.ok_or("it is a list of anything")?)
                .map_err(|_| "only lists of choices can: a `Vec` of an enum without values")?;
            field.insert("type".into(), "array".into());
            field.insert("items".into(), choices.items());
            &["type", "items", "minItems", "maxItems"]
        }
        Some(kind) => {
            field.insert("type".into(), kind.into());
            match kind {
                "string" => &["type", "minLength", "maxLength", "format"],
                "integer" | "number" => &["type", "minimum", "maximum"],
                "boolean" => &["type"],
                _ => return Err(format!("it is of type {kind}")),
            }
        }
    };
    for (key, value) in &schema {
        match key.as_str() {
            "title" | "description" => {}
            "default" if value.is_null() => continue,
            "default" => {}
            // Others than MCP's are left to the type itself.
            "format" if !["email", "uri", "date", "date-time"].iter().any(|format| value == format) => {
                continue;
            }
            key if allowed.contains(&key) => {}
            "uniqueItems" | "examples" | "deprecated" | "readOnly" | "writeOnly" | "$comment" => continue,
            // Left out, the author would take it for checked.
            key => return Err(format!("no form says `{key}`")),
        }
        if key != "const" {
            field.entry(key.as_str()).or_insert_with(|| value.clone());
        }
    }
    Ok(field.into())
}

/// The schema without `null`, which stands for "not filled in" and which a form says by not requiring the field.
fn required(schema: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut schema = schema.clone();
    // An optional choice with titles: `null` is one branch, the choice the other.
    if let Some(branches) = schema.remove("anyOf") {
        let branches = branches.as_array().cloned().unwrap_or_default();
        let mut others = branches.into_iter().filter(|branch| branch["type"] != "null");
        let (Some(Value::Object(inner)), None) = (others.next(), others.next()) else {
            return Err("it can be one of several things".into());
        };
        for (key, value) in inner {
            // What is said of the field goes before what is said of its type.
            schema.entry(key).or_insert(value);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    Ok(schema)
}

/// The type, without `null`; none when the schema is made of branches.
fn kind(schema: &Map<String, Value>) -> Result<Option<&str>, String> {
    match schema.get("type") {
        Some(Value::String(kind)) => Ok(Some(kind)),
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            match (kinds.next(), kinds.next()) {
                (Some(kind), None) => Ok(Some(kind)),
                _ => Err("it can be of several types".into()),
            }
        }
        _ if schema.contains_key("oneOf") => Ok(None),
        _ if schema.contains_key("$ref") => Err("it may hold one of its own kind".into()),
        _ => Err("it can be anything".into()),
    }
}

/// The names of an enum's variants, with what is said of them.
struct Choices(Vec<(String, Option<String>)>);

fn choices(schema: &Map<String, Value>) -> Result<Choices, String> {
    let mut choices = Choices(vec![]);
    let whole = [Value::Object(schema.clone())];
    let one_of = schema.get("oneOf").and_then(Value::as_array);
    for branch in one_of.map_or(&whole[..], Vec::as_slice) {
        let values = match (branch.get("enum"), branch.get("const")) {
            (Some(Value::Array(values)), _) => values.as_slice(),
            (_, Some(value)) => std::slice::from_ref(value),
            _ => &[],
        };
        // What is said of a schema with several values is said of the whole.
        let of_one = one_of.is_some() && branch.get("const").is_some();
        let title = ["title", "description"].iter().find_map(|key| branch.get(key)?.as_str());
        let title = title.filter(|_| of_one);
        if branch["type"] != "string" && branch["type"] != json!(["string", "null"]) || values.is_empty() {
            return Err("its choices have values".into());
        }
        for value in values {
            let value = value.as_str().ok_or("its choices are no texts")?;
            choices.0.push((value.into(), title.map(Into::into)));
        }
    }
    Ok(choices)
}

impl Choices {
    fn values(self) -> Value {
        self.0.into_iter().map(|(value, _)| value).collect()
    }

    fn titled(self) -> Value {
        let titled = |(value, title): (String, Option<String>)| {
            let title = title.unwrap_or_else(|| value.clone());
            json!({"const": value, "title": title})
        };
        self.0.into_iter().map(titled).collect()
    }

    /// Of a list of choices.
    fn items(self) -> Value {
        if self.0.iter().any(|(_, title)| title.is_some()) {
            json!({"anyOf": self.titled()})
        } else {
            json!({"type": "string", "enum": self.values()})
        }
    }
}

#[cfg(test)]
mod tests;
