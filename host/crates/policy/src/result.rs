//! Results, before a client sees them.

use skillhost_core::{Block, Failure, FailureKind, Reply, ToolSpec};

use crate::json::{bytes, compact};

/// Levels of nesting of a structured result.
const MAX_DEPTH: usize = 100;
/// Blocks of content in a reply.
const MAX_BLOCKS: usize = 1_000;

/// How much work [`check`] is, in the measure of [`Schema::work`](skillhost_core::Schema::work).
#[must_use]
pub fn work(tool: &ToolSpec, reply: &Reply) -> u64 {
    match (&tool.output, &reply.structured) {
        (Some(schema), Some(structured)) => schema.work(bytes(structured)),
        _ => 0,
    }
}

/// Check a reply against the tool's output schema and mirror structured content as text for clients that
/// read only that. Sizes were bounded by the engine already.
///
/// # Errors
/// `invalid-output` that says what was wrong.
pub fn check(tool: &ToolSpec, mut reply: Reply) -> Result<Reply, Failure> {
    let wrong = |message: String| Failure::new(FailureKind::InvalidOutput, message);
    if reply.content.len() > MAX_BLOCKS {
        return Err(wrong(format!(
            "the skill returned {} blocks of content, at most {MAX_BLOCKS} are allowed",
            reply.content.len()
        )));
    }
    if let Some(structured) = &reply.structured {
        if crate::arguments::depth_exceeds(structured, MAX_DEPTH) {
            return Err(wrong(format!(
                "the skill's structured result is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        if reply.content.is_empty() {
            reply.content.push(Block::text(compact(structured)));
        }
    }
    // A tool that answers "no" owes no structured result.
    if let (Some(schema), false) = (&tool.output, reply.is_error) {
        let Some(structured) = &reply.structured else {
            return Err(wrong(
                "the tool declares an output schema, but the skill returned no structured result".into(),
            ));
        };
        if let Err(violations) = schema.validate(structured, bytes(structured)) {
            let lines: Vec<_> = violations.iter().map(|v| format!("- {v}")).collect();
            return Err(wrong(format!(
                "the skill's structured result does not match the tool's output schema:\n{}",
                lines.join("\n")
            )));
        }
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use skillhost_core::{Annotations, Content, Schema};

    use super::*;

    fn tool(output: Option<&str>) -> ToolSpec {
        ToolSpec {
            name: "t".into(),
            title: None,
            description: None,
            input: Schema::for_arguments(r#"{"type":"object"}"#).unwrap(),
            output: output.map(|text| Schema::parse(text).unwrap()),
            annotations: Annotations::default(),
            undoable: false,
            durable: false,
            task: skillhost_core::TaskSupport::No,
            icons: None,
            meta: None,
        }
    }

    fn structured(value: Value) -> Reply {
        Reply { structured: Some(value), ..Reply::default() }
    }

    const COUNT: &str = r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#;

    #[test]
    fn structured_results_are_mirrored_once() {
        let reply = check(&tool(None), structured(json!({"n": 1}))).unwrap();
        assert_eq!(reply.content, [Block::text(r#"{"n":1}"#)]);
        let mut own = structured(json!({"n": 1}));
        own.content.push(Block::text("one"));
        let reply = check(&tool(None), own).unwrap();
        assert!(matches!(&reply.content[..], [Block { content: Content::Text(t), .. }] if t == "one"));
    }

    #[test]
    fn the_output_schema_holds() {
        assert!(check(&tool(Some(COUNT)), structured(json!({"n": 1}))).is_ok());
        let failure = check(&tool(Some(COUNT)), structured(json!({"n": "x"}))).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidOutput);
        assert!(failure.message.contains("/n"), "{}", failure.message);
        assert!(check(&tool(Some(COUNT)), Reply::default()).is_err());
        assert!(check(&tool(Some(COUNT)), Reply { is_error: true, ..Reply::default() }).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = (0..101).fold(json!(0), |inner, _| json!([inner]));
        assert!(check(&tool(None), structured(deep)).unwrap_err().message.contains("nested deeper"));
    }
}
