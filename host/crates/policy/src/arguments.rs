//! Arguments, before a skill sees them: bounds first, then the tool's schema.

use serde_json::{Map, Value};
use skillhost_core::{Failure, FailureKind, ToolSpec, Violation};

use crate::{ControlCharacters, canonical, compact, control::sanitise};

/// Bounds of the arguments of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgumentBounds {
    /// Bytes as compact JSON. Default 4 MiB.
    pub bytes: usize,
    /// Levels of nesting, the arguments object being the first. Default 64.
    pub depth: usize,
}

impl Default for ArgumentBounds {
    fn default() -> Self {
        Self { bytes: 4 << 20, depth: 64 }
    }
}

/// Arguments within their bounds.
#[derive(Debug)]
pub struct Bounded {
    value: Value,
    text: String,
    absent: bool,
}

/// Hold `arguments` to the bounds and rid them of characters they must not hold. Absent ones count as `{}`, and stay
/// absent for the skill.
///
/// # Errors
/// `invalid-input` that says what is over its bound, or where such a character stands.
pub fn bound(
    arguments: Option<Map<String, Value>>,
    bounds: &ArgumentBounds,
    control: ControlCharacters,
) -> Result<Bounded, Failure> {
    let absent = arguments.is_none();
    let mut value = Value::Object(arguments.unwrap_or_default());
    if depth_exceeds(&value, bounds.depth) {
        return Err(Failure::new(
            FailureKind::InvalidInput,
            format!("the arguments are nested deeper than {} levels", bounds.depth),
        ));
    }
    sanitise(&mut value, control)?;
    let text = compact(&value);
    if text.len() > bounds.bytes {
        return Err(Failure::new(
            FailureKind::InvalidInput,
            format!("the arguments have {} bytes, at most {} are allowed", text.len(), bounds.bytes),
        ));
    }
    Ok(Bounded { value, text, absent })
}

impl Bounded {
    /// How much work [`Bounded::check`] is, in the measure of [`Schema::work`](skillhost_core::Schema::work).
    #[must_use]
    pub fn work(&self, tool: &ToolSpec) -> u64 {
        tool.input.work(self.text.len())
    }

    /// Check them against the tool's schema.
    ///
    /// # Errors
    /// `invalid-input` that says where they differ.
    pub fn check(self, tool: &ToolSpec) -> Result<Checked, Failure> {
        tool.input
            .validate(&self.value, self.text.len())
            .map_err(|violations| refusal("the arguments do not match the tool's schema", &violations))?;
        Ok(Checked { value: self.value, text: (!self.absent).then_some(self.text) })
    }
}

/// Arguments as the skill gets them.
#[derive(Debug)]
pub struct Checked {
    value: Value,
    /// Compact JSON, if there are any.
    pub text: Option<String>,
}

impl Checked {
    /// The same text for all arguments that are equal; absent ones are not equal to `{}`, since skills can tell.
    #[must_use]
    pub fn canonical(&self) -> Option<String> {
        self.text.is_some().then(|| canonical(&self.value))
    }

    /// As a transport would hand them in.
    #[must_use]
    pub fn into_map(self) -> Option<Map<String, Value>> {
        match self.value {
            Value::Object(map) if self.text.is_some() => Some(map),
            _ => None,
        }
    }
}

fn refusal(what: &str, violations: &[Violation]) -> Failure {
    let lines: Vec<_> = violations.iter().map(|v| format!("- {v}")).collect();
    Failure {
        pointers: violations.iter().map(|v| v.pointer.clone()).collect(),
        ..Failure::new(FailureKind::InvalidInput, format!("{what}:\n{}", lines.join("\n")))
    }
}

/// Whether `value` has more than `levels` levels. A scalar has none.
pub(crate) fn depth_exceeds(value: &Value, levels: usize) -> bool {
    let inside = |value: &Value| match levels.checked_sub(1) {
        Some(levels) => depth_exceeds(value, levels),
        None => true,
    };
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(inside),
        Value::Object(map) => levels == 0 || map.values().any(inside),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skillhost_core::{Annotations, Schema};

    use super::*;

    fn tool() -> ToolSpec {
        let schema = r#"{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}"#;
        ToolSpec {
            name: "t".into(),
            title: None,
            description: None,
            input: Schema::for_arguments(schema).unwrap(),
            output: None,
            annotations: Annotations::default(),
            undoable: false,
            durable: false,
            task: skillhost_core::TaskSupport::No,
            icons: None,
            meta: None,
        }
    }

    fn check(
        tool: &ToolSpec,
        arguments: Option<Map<String, Value>>,
        bounds: &ArgumentBounds,
    ) -> Result<Option<String>, Failure> {
        bound(arguments, bounds, ControlCharacters::Allow)?.check(tool).map(|checked| checked.text)
    }

    fn object(value: Value) -> Option<Map<String, Value>> {
        value.as_object().cloned()
    }

    #[test]
    fn good_arguments_become_text() {
        let text = check(&tool(), object(json!({"text": "a"})), &ArgumentBounds::default()).unwrap();
        assert_eq!(text.as_deref(), Some(r#"{"text":"a"}"#));
    }

    #[test]
    fn wrong_arguments_are_named() {
        let failure = check(&tool(), object(json!({"text": 1})), &ArgumentBounds::default()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidInput);
        assert_eq!(failure.pointers, ["/text"]);
        assert!(failure.message.contains("/text: 1 is not of type \"string\""), "{}", failure.message);
    }

    #[test]
    fn absent_arguments_are_checked_as_an_empty_object() {
        let failure = check(&tool(), None, &ArgumentBounds::default()).unwrap_err();
        assert!(failure.message.contains("required"), "{}", failure.message);
    }

    #[test]
    fn bounds_hold_exactly() {
        let nested = |n: usize| (0..n).fold(json!(0), |inner, _| json!([inner]));
        let bounds = ArgumentBounds { bytes: 100, depth: 3 };
        let call = |extra: Value| check(&tool(), object(json!({"text": "", "x": extra})), &bounds);
        assert!(call(nested(2)).is_ok());
        assert!(call(nested(3)).unwrap_err().message.contains("deeper than 3 levels"));
        // {"text":"","x":"…"} has 18 bytes around the text.
        assert!(call(json!("y".repeat(82))).is_ok());
        assert!(call(json!("y".repeat(83))).unwrap_err().message.contains("101 bytes"));
    }
}
