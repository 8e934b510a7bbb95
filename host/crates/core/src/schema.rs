//! JSON Schema 2020-12: the text as its author wrote it, and its validator, compiled when it is first needed.

mod expansion;

use std::{fmt, sync::OnceLock};

use expansion::Expansion;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use crate::text::bounded;

/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 64;
/// Bytes a compiled regular expression may take. Patterns come from skills.
const MAX_PATTERN: usize = 256 * 1024;
/// Violations told at once; a model mends a few at a time.
const MAX_VIOLATIONS: usize = 8;
/// Characters of one violation's text.
const MAX_VIOLATION_TEXT: usize = 300;
/// Bytes of one violation's pointer.
const MAX_POINTER: usize = 512;

/// The most work that is done to check one value: subschemas times bytes. About a second.
const MAX_WORK: u64 = 1_000_000_000;
/// The most work that is done to list what is wrong. Listing follows every alternative, and through a
/// recursive definition that is exponential in the depth of the value; checking is not.
const MAX_LISTING: u64 = 200_000;

/// What compiling one subschema counts for, in the measure of [`Schema::work`]: some microseconds.
const COMPILING: u64 = 10_000;

/// A schema, checked.
pub struct Schema {
    /// An object.
    raw: Value,
    /// Compiled with the first value: it takes some dozens of times what the text does, and most tools of most skills are never called.
    /// Kept from the beginning where it has regular expressions, which take long.
    validator: OnceLock<Validator>,
    expansion: Expansion,
    mentions_headers: bool,
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
    /// A reference to something that is not there.
    #[error("`$ref` {0:?} leads nowhere")]
    Dangling(String),
    /// An identifier inside, which would change what references mean.
    #[error("`$id` may stand at the root only")]
    InnerId,
    /// Its references multiply.
    #[error("it comes to more than {0} subschemas when its references are followed")]
    TooLarge(u64),
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
    /// Parse and check the schema of a tool's arguments, whose root must be an object type.
    ///
    /// # Errors
    /// [`SchemaError`] says what to mend.
    pub fn for_arguments(text: &str) -> Result<Self, SchemaError> {
        let schema = Self::parse(text)?;
        match schema.raw().get("type").and_then(Value::as_str) {
            Some("object") => Ok(schema),
            _ => Err(SchemaError::RootType),
        }
    }

    /// Parse and check any schema.
    ///
    /// # Errors
    /// [`SchemaError`] says what to mend.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let value: Value = serde_json::from_str(text).map_err(|e| SchemaError::NotJson(e.to_string()))?;
        check(&value, 0)?;
        let expansion = expansion::expand(&value)?;
        let compiled = compile(&value).map_err(|e| SchemaError::Invalid(Self::describe(&e).to_string()))?;
        if !value.is_object() {
            return Err(SchemaError::NotObject);
        }
        let validator = if has_pattern(&value) { compiled.into() } else { OnceLock::new() };
        let mentions_headers = mentions_headers(&value);
        Ok(Self { raw: value, validator, expansion, mentions_headers })
    }

    fn validator(&self) -> &Validator {
        self.validator.get_or_init(|| compile(&self.raw).expect("it compiled when it was parsed"))
    }

    /// The schema as its author wrote it.
    #[must_use]
    pub fn raw(&self) -> &Map<String, Value> {
        self.raw.as_object().expect("nothing else is parsed")
    }

    /// Whether a part of it says that an argument is a header of HTTP as well (`x-mcp-header`).
    #[must_use]
    pub fn mentions_headers(&self) -> bool {
        self.mentions_headers
    }

    /// How much work it is to check a value of `bytes` bytes of JSON; more for the first, for which the validator is compiled. A number
    /// to compare, without a unit.
    #[must_use]
    pub fn work(&self, bytes: usize) -> u64 {
        let compiling = if self.validator.get().is_none() { COMPILING } else { 0 };
        self.checking(bytes).saturating_add(self.expansion.subschemas.saturating_mul(compiling))
    }

    fn checking(&self, bytes: usize) -> u64 {
        self.expansion.subschemas.saturating_mul(bytes as u64)
    }

    /// Check `value`, which has `bytes` bytes as JSON. Takes time in proportion to [`Schema::work`], at most
    /// about a second.
    ///
    /// # Errors
    /// The first few places where it does not match, at least one. Also when it would be too much work.
    pub fn validate(&self, value: &Value, bytes: usize) -> Result<(), Vec<Violation>> {
        let general =
            |message: &str| Err(vec![Violation { pointer: String::new(), message: message.into() }]);
        if self.checking(bytes) > MAX_WORK {
            return general("it is too large to be checked against a schema of this size");
        }
        let validator = self.validator();
        if validator.is_valid(value) {
            return Ok(());
        }
        if self.listing(value) > MAX_LISTING {
            return general("it does not match; there are too many alternatives to say where");
        }
        Err(validator.iter_errors(value).take(MAX_VIOLATIONS).map(|e| Self::describe(&e)).collect())
    }

    /// How much work it is at most to list what is wrong with `value`.
    fn listing(&self, value: &Value) -> u64 {
        let (nodes, depth) = extent(value);
        let work = self.expansion.subschemas.saturating_mul(nodes);
        (0..depth).fold(work, |work, _| work.saturating_mul(self.expansion.returns.max(1)))
    }

    fn describe(error: &jsonschema::ValidationError<'_>) -> Violation {
        let text = error.to_string();
        let message = match text.char_indices().nth(MAX_VIOLATION_TEXT) {
            Some((cut, _)) => format!("{}…", &text[..cut]),
            None => text,
        };
        Violation { pointer: bounded(error.instance_path().to_string(), MAX_POINTER), message }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(self.raw()).finish()
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

fn mentions_headers(schema: &Value) -> bool {
    match schema {
        Value::Object(parts) => {
            parts.iter().any(|(key, part)| key == "x-mcp-header" || mentions_headers(part))
        }
        Value::Array(parts) => parts.iter().any(mentions_headers),
        _ => false,
    }
}

fn has_pattern(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| {
            matches!(key.as_str(), "pattern" | "patternProperties") || has_pattern(value)
        }),
        Value::Array(items) => items.iter().any(has_pattern),
        _ => false,
    }
}

fn compile(schema: &Value) -> Result<Validator, jsonschema::ValidationError<'static>> {
    // `regex` instead of the default engine: its matching time is linear, whatever the pattern.
    let pattern = PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN);
    let options =
        jsonschema::options().with_draft(jsonschema::Draft::Draft202012).with_pattern_options(pattern);
    options.offline().build(schema)
}

/// Values inside, itself included, and levels of nesting; a scalar has none of these.
fn extent(value: &Value) -> (u64, u32) {
    let inside = |(nodes, levels), value| {
        let (more, below) = extent(value);
        (nodes + more, below.max(levels))
    };
    let (nodes, below) = match value {
        Value::Object(map) => map.values().fold((1, 0), inside),
        Value::Array(items) => items.iter().fold((1, 0), inside),
        _ => return (1, 0),
    };
    (nodes, below + 1)
}

/// Bounds the depth and refuses references out of the document, before the validator sees it.
fn check(value: &Value, depth: usize) -> Result<(), SchemaError> {
    if depth > MAX_DEPTH {
        return Err(SchemaError::TooDeep);
    }
    match value {
        Value::Object(map) => map.iter().try_for_each(|(key, value)| match (key.as_str(), value) {
            ("$ref" | "$dynamicRef", Value::String(target)) if !target.starts_with('#') => {
                Err(SchemaError::ForeignRef(target.clone()))
            }
            ("$id", Value::String(_)) if depth > 0 => Err(SchemaError::InnerId),
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

    fn validate(schema: &Schema, value: &Value) -> Result<(), Vec<Violation>> {
        schema.validate(value, value.to_string().len())
    }

    #[test]
    fn says_where_and_what() {
        let schema = Schema::for_arguments(
            r#"{"type":"object","properties":{"text":{"type":"string"},"n":{"type":"integer","minimum":1}},"required":["text"]}"#,
        )
        .unwrap();
        assert_eq!(validate(&schema, &json!({"text": "a", "n": 1})), Ok(()));
        let violations = validate(&schema, &json!({"text": 5, "n": 0})).unwrap_err();
        let pointers: Vec<_> = violations.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(pointers, ["/text", "/n"]);
        let missing = validate(&schema, &json!({})).unwrap_err();
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
        assert!(validate(&schema, &json!({"next": {"next": {}}})).is_ok());
        assert_eq!(validate(&schema, &json!({"next": {"x": 1}})).unwrap_err()[0].pointer, "/next");
    }

    #[test]
    fn a_hostile_pattern_cannot_stall() {
        let schema = Schema::for_arguments(
            r#"{"type":"object","properties":{"a":{"type":"string","pattern":"^(a+)+$"}}}"#,
        )
        .unwrap();
        assert!(validate(&schema, &json!({"a": format!("{}!", "a".repeat(50_000))})).is_err());
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let schema =
            Schema::for_arguments(r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#).unwrap();
        let violations = validate(&schema, &json!({"a": "x".repeat(100_000)})).unwrap_err();
        assert!(violations[0].message.chars().count() <= MAX_VIOLATION_TEXT + 1);
    }

    /// The forms in which a schema can multiply work through recursion.
    const MULTIPLYING: [&str; 8] = [
        r##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##,
        r##"{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}"##,
        r##"{"oneOf":[{"$ref":"#"},{"$ref":"#"},{"type":"null"}]}"##,
        r##"{"not":{"allOf":[{"$ref":"#"},{"not":{"not":{"$ref":"#"}}}]}}"##,
        r##"{"if":{"$ref":"#"},"then":{"$ref":"#"},"else":{"$ref":"#"}}"##,
        r##"{"anyOf":[{"$dynamicRef":"#n"},{"$dynamicRef":"#n"}]}"##,
        r##"{"anyOf":[{"$ref":"#n"},{"allOf":[{"$ref":"#"},{"$ref":"#n"}]}],"unevaluatedProperties":false}"##,
        r##"{"contains":{"$ref":"#"},"items":{"$ref":"#"},"anyOf":[{"$ref":"#"},{"$ref":"#"}]}"##,
    ];

    // Without the bound on listing this does not end: 60 levels double the work 60 times.
    #[test]
    fn recursion_cannot_stall() {
        for property in MULTIPLYING {
            let text = format!(r#"{{"type":"object","$dynamicAnchor":"n","properties":{{"a":{property}}}}}"#);
            let schema = Schema::for_arguments(&text).unwrap();
            for leaf in [json!(5), json!({}), json!([{}, 5]), json!({"b": null})] {
                let value = (0..60).fold(leaf, |inner, _| json!({"a": inner}));
                if let Err(violations) = validate(&schema, &value) {
                    assert!(!violations.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_recursive_schema_still_says_where_for_values_of_usual_depth() {
        let schema =
            Schema::for_arguments(r##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##).unwrap();
        let violations = validate(&schema, &json!({"next": {"next": 5}})).unwrap_err();
        assert_eq!(violations[0].pointer, "/next/next");
    }

    #[test]
    fn too_much_work_is_refused_not_done() {
        let schema = Schema::for_arguments(r#"{"type":"object"}"#).unwrap();
        let violations = schema.validate(&json!({}), usize::MAX).unwrap_err();
        assert!(violations[0].message.contains("too large"), "{violations:?}");
    }

    #[test]
    fn the_first_value_counts_for_more_unless_regular_expressions_were_kept() {
        let plain =
            Schema::for_arguments(r#"{"type":"object","properties":{"a":{"type":"string"}}}"#).unwrap();
        let first = plain.work(10);
        assert_eq!(validate(&plain, &json!({"a": "b"})), Ok(()));
        assert!(plain.work(10) < first, "{first}");
        let patterned = r#"{"type":"object","properties":{"a":{"anyOf":[{"pattern":"^b"}]}}}"#;
        let patterned = Schema::for_arguments(patterned).unwrap();
        assert_eq!(patterned.work(10), patterned.checking(10));
    }

    #[test]
    fn identifiers_inside_are_refused() {
        let inner = r#"{"type":"object","properties":{"a":{"$id":"https://example.com/a"}}}"#;
        assert_eq!(Schema::for_arguments(inner).unwrap_err(), SchemaError::InnerId);
        assert!(Schema::for_arguments(r#"{"$id":"https://example.com/a","type":"object"}"#).is_ok());
    }
}
