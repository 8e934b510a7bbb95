//! Forms, as MCP limits them: a flat object of texts, numbers, switches and choices. It also bounds what checking an answer
//! costs: there is nothing in it that repeats.

use serde_json::{Map, Value};

/// Fields of one form.
const MAX_FIELDS: usize = 64;
/// Choices of one field.
const MAX_CHOICES: usize = 1_000;
/// What a field may say.
const WORDS: [&str; 17] = [
    "type",
    "title",
    "description",
    "default",
    "minLength",
    "maxLength",
    "format",
    "minimum",
    "maximum",
    "enum",
    "enumNames",
    "oneOf",
    "anyOf",
    "const",
    "items",
    "minItems",
    "maxItems",
];

/// Whether `schema` is one of a form.
///
/// # Errors
/// What it may not hold.
pub fn check(schema: &Map<String, Value>) -> Result<(), String> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err("its schema must have `\"type\": \"object\"`".into());
    }
    let Some(Value::Object(fields)) = schema.get("properties") else {
        return Err("its schema must have `properties`".into());
    };
    let known = |word: &&String| !["type", "properties", "required", "$schema"].contains(&word.as_str());
    if let Some(word) = schema.keys().find(known) {
        return Err(format!("`{}` has no place in the schema of a form", cut(word)));
    }
    if fields.len() > MAX_FIELDS {
        return Err(format!("it has {} fields, at most {MAX_FIELDS} are allowed", fields.len()));
    }
    fields.iter().try_for_each(|(name, field)| {
        self::field(field).map_err(|why| format!("its field `{}`: {why}", cut(name)))
    })
}

fn field(field: &Value) -> Result<(), String> {
    let Value::Object(field) = field else { return Err("it must be a schema".into()) };
    if let Some(word) = field.keys().find(|word| !WORDS.contains(&word.as_str())) {
        return Err(format!("`{}` has no place in it", cut(word)));
    }
    let kind = field.get("type").and_then(Value::as_str).unwrap_or_default();
    if !["string", "number", "integer", "boolean", "array"].contains(&kind) {
        return Err("its type must be string, number, integer, boolean, or array".into());
    }
    choices(field)?;
    match (kind, field.get("items")) {
        ("array", Some(Value::Object(items))) => {
            if !["enum", "anyOf", "oneOf"].iter().any(|word| items.contains_key(*word)) {
                return Err("an array must be of choices".into());
            }
            if items.keys().any(|word| !WORDS.contains(&word.as_str()) || word == "items") {
                return Err("an array must be of choices, and of nothing else".into());
            }
            choices(items)
        }
        ("array", _) => Err("an array must say what its `items` are".into()),
        (_, Some(_)) => Err("only an array has `items`".into()),
        (_, None) => Ok(()),
    }
}

/// Choices are values, or values with titles.
fn choices(field: &Map<String, Value>) -> Result<(), String> {
    for word in ["enum", "enumNames", "oneOf", "anyOf"] {
        let Some(choices) = field.get(word) else { continue };
        let Value::Array(choices) = choices else { return Err(format!("`{word}` must be a list")) };
        if choices.len() > MAX_CHOICES {
            return Err(format!("it has {} choices, at most {MAX_CHOICES} are allowed", choices.len()));
        }
        let sound = |choice: &Value| match (word, choice) {
            ("enum" | "enumNames", choice) => choice.is_string(),
            (_, Value::Object(choice)) => {
                choice.keys().all(|word| ["const", "title", "description"].contains(&word.as_str()))
                    && choice.get("const").is_some_and(Value::is_string)
            }
            _ => false,
        };
        if !choices.iter().all(sound) {
            return Err(format!("`{word}` must hold texts, or texts with titles"));
        }
    }
    Ok(())
}

fn cut(word: &str) -> String {
    word.chars().take(64).collect()
}

#[cfg(all(test, not(skillhost_loom)))]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(schema: &Value) -> Result<(), String> {
        check(schema.as_object().unwrap())
    }

    #[test]
    fn what_mcp_allows() {
        let schema = json!({"type": "object", "properties": {
            "name": {"type": "string", "title": "Name", "minLength": 1, "maxLength": 9, "format": "email", "default": "a"},
            "age": {"type": "integer", "minimum": 0, "maximum": 200},
            "ok": {"type": "boolean", "default": true},
            "one": {"type": "string", "enum": ["a", "b"], "enumNames": ["A", "B"]},
            "titled": {"type": "string", "oneOf": [{"const": "a", "title": "A"}]},
            "many": {"type": "array", "items": {"type": "string", "enum": ["a"]}, "minItems": 1},
            "titled_many": {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}},
        }, "required": ["name"]});
        assert_eq!(checked(&schema), Ok(()));
        assert_eq!(checked(&json!({"type": "object", "properties": {}})), Ok(()));
    }

    #[test]
    fn what_is_no_form() {
        for schema in [
            json!({}),
            json!({"type": "object"}),
            json!({"type": "object", "properties": {}, "allOf": []}),
            json!({"type": "object", "properties": {"a": true}}),
            json!({"type": "object", "properties": {"a": {}}}),
            json!({"type": "object", "properties": {"a": {"type": "object"}}}),
            json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "(a*)*"}}}),
            json!({"type": "object", "properties": {"a": {"type": "string", "$ref": "#"}}}),
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}}),
            json!({"type": "object", "properties": {"a": {"type": "string", "oneOf": [{"type": "string"}]}}}),
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {"anyOf": [{"$ref": "#"}]}}}}),
        ] {
            assert!(checked(&schema).is_err(), "{schema}");
        }
    }
}
