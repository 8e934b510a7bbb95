//! JSON Schema 2020-12: the text as its author wrote it, and its compiled validator.

use std::fmt;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 64;
/// Bytes a compiled regular expression may take. Patterns come from skills.
const MAX_PATTERN: usize = 256 * 1024;
/// Violations told at once; a model mends a few at a time.
const MAX_VIOLATIONS: usize = 8;
/// Characters of one violation's text.
const MAX_VIOLATION_TEXT: usize = 300;

/// A schema, checked and compiled.
pub struct Schema {
    raw: Map<String, Value>,
    validator: Validator,
}

/// Why a schema is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Not JSON at all.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// Not a JSON object.
    #[error("it must be a JSON object")]
    NotObject,
    /// MCP wants objects for arguments.
    #[error("its root must say `\"type\": \"object\"`")]
    RootType,
    /// Over the bound.
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A reference that leaves the document.
    #[error("`$ref` {0:?} leaves the document; only references that begin with `#` are followed")]
    ForeignRef(String),
    /// The validator refuses it.
    #[error("{0}")]
    Invalid(String),
}

/// One place where a value does not match its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the place; empty for the root.
    pub pointer: String,
    /// What was expected.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "(root)" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.message)
    }
}

impl Schema {
    /// Parse and compile the schema of a tool's arguments, whose root must be an object type.
    ///
    /// # Errors
    /// [`SchemaError`] says what to mend.
    pub fn for_arguments(text: &str) -> Result<Self, SchemaError> {
        let schema = Self::parse(text)?;
        match schema.raw.get("type").and_then(Value::as_str) {
            Some("object") => Ok(schema),
            _ => Err(SchemaError::RootType),
        }
    }

    /// Parse and compile any schema.
    ///
    /// # Errors
    /// [`SchemaError`] says what to mend.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let value: Value = serde_json::from_str(text).map_err(|e| SchemaError::NotJson(e.to_string()))?;
        check(&value, 0)?;
        // `regex` instead of the default engine: its matching time is linear, whatever the pattern.
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN))
            .offline()
            .build(&value)
            .map_err(|e| SchemaError::Invalid(Self::describe(&e).to_string()))?;
        let Value::Object(raw) = value else { return Err(SchemaError::NotObject) };
        Ok(Self { raw, validator })
    }

    /// The schema as its author wrote it.
    #[must_use]
    pub fn raw(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// Check `value`.
    ///
    /// # Errors
    /// The first few places where it does not match, at least one.
    pub fn validate(&self, value: &Value) -> Result<(), Vec<Violation>> {
        if self.validator.is_valid(value) {
            return Ok(());
        }
        Err(self.validator.iter_errors(value).take(MAX_VIOLATIONS).map(|e| Self::describe(&e)).collect())
    }

    fn describe(error: &jsonschema::ValidationError<'_>) -> Violation {
        let text = error.to_string();
        let message = match text.char_indices().nth(MAX_VIOLATION_TEXT) {
            Some((cut, _)) => format!("{}…", &text[..cut]),
            None => text,
        };
        Violation { pointer: error.instance_path().to_string(), message }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.raw).finish()
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

/// Bounds the depth and refuses references out of the document, before the validator sees it.
fn check(value: &Value, depth: usize) -> Result<(), SchemaError> {
    if depth > MAX_DEPTH {
        return Err(SchemaError::TooDeep);
    }
    match value {
        Value::Object(map) => map.iter().try_for_each(|(key, value)| match value {
            Value::String(target)
                if matches!(key.as_str(), "$ref" | "$dynamicRef") && !target.starts_with('#') =>
            {
                Err(SchemaError::ForeignRef(target.clone()))
            }
            _ => check(value, depth + 1),
        }),
        Value::Array(items) => items.iter().try_for_each(|item| check(item, depth + 1)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_where_and_what() {
        let schema = Schema::for_arguments(
            r#"{"type":"object","properties":{"text":{"type":"string"},"n":{"type":"integer","minimum":1}},"required":["text"]}"#,
        )
        .unwrap();
        assert_eq!(schema.validate(&json!({"text": "a", "n": 1})), Ok(()));
        let violations = schema.validate(&json!({"text": 5, "n": 0})).unwrap_err();
        let pointers: Vec<_> = violations.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(pointers, ["/text", "/n"]);
        let missing = schema.validate(&json!({})).unwrap_err();
        assert!(missing[0].to_string().contains("\"text\" is a required property"), "{missing:?}");
    }

    #[test]
    fn refuses_what_must_not_load() {
        let refused = |text: &str| Schema::for_arguments(text).unwrap_err();
        assert!(matches!(refused("{not json"), SchemaError::NotJson(_)));
        assert_eq!(refused("{}"), SchemaError::RootType);
        assert_eq!(refused("true"), SchemaError::NotObject);
        assert!(matches!(refused(r#"{"type":"object","properties":7}"#), SchemaError::Invalid(_)));
        assert!(matches!(refused(r#"{"type":"object","pattern":"("}"#), SchemaError::Invalid(_)));
        let foreign = r#"{"type":"object","properties":{"a":{"$ref":"https://example.com/a.json"}}}"#;
        assert_eq!(refused(foreign), SchemaError::ForeignRef("https://example.com/a.json".into()));
        let deep = format!(r#"{}{{}}{}"#, r#"{"not":"#.repeat(100), "}".repeat(100));
        assert_eq!(refused(&deep), SchemaError::TooDeep);
    }

    #[test]
    fn local_references_work_and_recursion_ends() {
        let schema = Schema::for_arguments(
            r##"{"type":"object","properties":{"next":{"$ref":"#"}},"additionalProperties":false}"##,
        )
        .unwrap();
        assert!(schema.validate(&json!({"next": {"next": {}}})).is_ok());
        assert_eq!(schema.validate(&json!({"next": {"x": 1}})).unwrap_err()[0].pointer, "/next");
    }

    #[test]
    fn a_hostile_pattern_cannot_stall() {
        let schema = Schema::for_arguments(
            r#"{"type":"object","properties":{"a":{"type":"string","pattern":"^(a+)+$"}}}"#,
        )
        .unwrap();
        assert!(schema.validate(&json!({"a": format!("{}!", "a".repeat(50_000))})).is_err());
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let schema =
            Schema::for_arguments(r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#).unwrap();
        let violations = schema.validate(&json!({"a": "x".repeat(100_000)})).unwrap_err();
        assert!(violations[0].message.chars().count() <= MAX_VIOLATION_TEXT + 1);
    }
}
