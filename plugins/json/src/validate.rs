//! The tool `validate`.
use std::error::Error;

use boon::{CompileError, Compiler, ErrorKind, Schemas, UrlLoader, ValidationError};
use serde_json::Value;
use skillhost_sdk::prelude::*;

/// More errors than this tell nobody more.
const MAX_ERRORS: usize = 100;

/// Messages may quote parts of the value or the schema, however large they are.
const MESSAGE_CHARACTERS: usize = 300;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// The JSON value to check, as it is (not as a string that holds JSON text).
    json: Value,
    /// The JSON Schema: an object or a boolean. Without `$schema` it is taken as draft 2020-12. References must
    /// stay within it.
    schema: Value,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Whether the value fits the schema.
    valid: bool,
    /// What does not fit; at most 100.
    errors: Vec<Fault>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Fault {
    /// JSON Pointer to the part of the value that does not fit; empty for the whole.
    path: String,
    /// What is wrong with it.
    message: String,
}

/// Checks a JSON value against a JSON Schema and lists everything that does not fit, each with its place.
/// Regular expressions in the schema must do without look-around, back-references and `\p{…}`.
#[tool(read_only, idempotent, open_world = false, title = "Validate JSON")]
pub(crate) fn validate(args: Document) -> Result<Report, Failure> {
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(NoLoader));
    compiler.add_resource(SCHEMA, args.schema).map_err(refused)?;
    let schema = compiler.compile(SCHEMA, &mut schemas).map_err(refused)?;

    let mut errors = Vec::new();
    if let Err(error) = schemas.validate(&args.json, schema) {
        collect(&error, &mut errors);
    }
    Ok(Report { valid: errors.is_empty(), errors })
}

fn refused(error: CompileError) -> Failure {
    let message = match error {
        // What the engine for regular expressions refuses comes as a bug, since the validator knows a larger one.
        CompileError::Bug(cause) => format!("regular expression: {cause}"),
        // `{:#}` tells the cause as well.
        error => format!("{error:#}"),
    };
    Failure::invalid_input(shortened(format!("`schema` is not valid: {message}")))
}

/// The name under which the validator knows the schema; references are resolved against it.
const SCHEMA: &str = "schema:/";

/// Refuses whatever lies outside the schema.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, _url: &str) -> Result<Value, Box<dyn Error>> {
        Err("references must stay within the schema".into())
    }
}

/// The errors are a tree that follows the schema. Its leaves say what is wrong; of the branches only those tell
/// more that offered a choice.
fn collect(error: &ValidationError<'_, '_>, faults: &mut Vec<Fault>) {
    if faults.len() == MAX_ERRORS {
        return;
    }
    if error.causes.is_empty() || matches!(error.kind, ErrorKind::AnyOf | ErrorKind::OneOf(_)) {
        let message = shortened(error.kind.to_string());
        faults.push(Fault { path: error.instance_location.to_string(), message });
    }
    for cause in &error.causes {
        collect(cause, faults);
    }
}

fn shortened(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARACTERS) {
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(json: Value, schema: Value) -> Report {
        validate(Document { json, schema }).unwrap()
    }

    fn refusal(schema: Value) -> String {
        match validate(Document { json: Value::Null, schema }) {
            Err(Failure::InvalidInput(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    fn person() -> Value {
        json!({
            "type": "object",
            "properties": { "name": { "type": "string" }, "ages": { "items": { "$ref": "#/$defs/age" } } },
            "required": ["name"],
            "$defs": { "age": { "type": "integer", "minimum": 0 } },
        })
    }

    #[test]
    fn what_fits_is_valid() {
        let report = run(json!({ "name": "Ann", "ages": [1, 2] }), person());
        assert!(report.valid && report.errors.is_empty());
        assert!(run(json!(1), json!(true)).valid);
    }

    #[test]
    fn every_fault_has_its_place() {
        let report = run(json!({ "ages": [1, -2, "x"] }), person());
        assert!(!report.valid);
        let mut paths: Vec<_> = report.errors.iter().map(|fault| fault.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["", "/ages/1", "/ages/2"]);
        assert!(report.errors.iter().any(|fault| fault.message == "missing properties 'name'"));
    }

    #[test]
    fn of_a_choice_all_branches_are_told() {
        let schema = json!({ "anyOf": [{ "required": ["a"] }, { "required": ["b"] }] });
        let messages: Vec<_> = run(json!({}), schema).errors.into_iter().map(|fault| fault.message).collect();
        assert_eq!(messages, ["anyOf failed", "missing properties 'a'", "missing properties 'b'"]);
    }

    #[test]
    fn faults_are_bounded_in_number_and_length() {
        let report = run(json!(vec!["x"; 200]), json!({ "items": { "type": "null" } }));
        assert_eq!(report.errors.len(), MAX_ERRORS);
        let report = run(json!(1), json!({ "enum": ["ä".repeat(1000), "b"] }));
        assert_eq!(report.errors[0].message.chars().count(), MESSAGE_CHARACTERS + 1);
    }

    #[test]
    fn a_bad_schema_is_explained() {
        let message = refusal(json!({ "type": "nothing" }));
        assert!(message.contains("at '/type': value must be one of 'array', 'boolean'"), "{message}");
        let message = refusal(json!({ "pattern": "(" }));
        assert!(message.contains("unclosed group"), "{message}");
        let message = refusal(json!({ "pattern": r"\p{L}" }));
        assert_eq!(
            message,
            "`schema` is not valid: regular expression: Unicode character classes are not supported"
        );
        assert!(refusal(json!(1)).starts_with("`schema` is not valid: "));
    }

    #[test]
    fn references_do_not_leave_the_schema() {
        for reference in ["https://example.com/schema.json", "file:///etc/passwd", "other.json"] {
            let message = refusal(json!({ "$ref": reference }));
            assert!(message.ends_with("references must stay within the schema"), "{message}");
        }
    }
}
