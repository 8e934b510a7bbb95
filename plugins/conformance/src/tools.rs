//! Tools that answer at once, or nearly so.
use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};
use skillhost_sdk::ContentBlock;
use skillhost_sdk::prelude::*;
use skillhost_sdk::types::{ClientFeatures, ResourceBody, ResourceContents};

use crate::media;

/// Between two steps: so far apart that the host passes on the report of each.
const STEP: Duration = Duration::from_millis(50);

/// Returns a text.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_simple_text() -> &'static str {
    "This is a simple text response for testing."
}

/// Returns an image.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_image_content() -> Reply {
    Reply::default().with(media::image())
}

/// Returns a sound.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_audio_content() -> Reply {
    Reply::default().with(media::sound())
}

/// Returns a resource with its contents.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_embedded_resource() -> Reply {
    let text = "This is an embedded resource content.";
    Reply::default().with(resource("test://embedded-resource", "text/plain", text))
}

/// Returns a text, an image and a resource.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_multiple_content_types() -> Reply {
    let json = r#"{"test":"data","value":123}"#;
    Reply::text("Multiple content types test:").with(media::image()).with(resource(
        "test://mixed-content-resource",
        "application/json",
        json,
    ))
}

pub(crate) fn resource(uri: &str, mime_type: &str, text: &str) -> ContentBlock {
    ContentBlock::resource(ResourceContents {
        uri: uri.into(),
        mime_type: Some(mime_type.into()),
        body: ResourceBody::Text(text.into()),
        meta: None,
    })
}

/// Always answers with an error.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_error_handling() -> Reply {
    Reply::error("This tool intentionally returns an error for testing")
}

/// Reports progress in three steps.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_tool_with_progress() -> &'static str {
    for progress in [0.0, 50.0, 100.0] {
        if progress > 0.0 {
            std::thread::sleep(STEP);
        }
        host::progress(progress, Some(100.0), Some(&format!("Completed step {progress} of 100")));
    }
    "Progress was reported."
}

/// Logs three lines while it runs.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_tool_with_logging() -> &'static str {
    log::info("Tool execution started");
    std::thread::sleep(STEP);
    log::info("Tool processing data");
    std::thread::sleep(STEP);
    log::info("Tool execution completed");
    "Three lines were logged."
}

/// Logs a line, which a client that did not ask for log lines must not see.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_logging_tool() -> &'static str {
    log::info("This is a log message for testing");
    "One line was logged."
}

/// Takes so long that a transport can lose its connection meanwhile.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_reconnection() -> &'static str {
    std::thread::sleep(Duration::from_millis(200));
    "The connection was resumed, or never lost."
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Region {
    /// Where the call is to be answered; clients send it as a header, too.
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
}

/// Returns the region, which is an argument and a header.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_custom_header(args: Region) -> String {
    format!("Region: {}", args.region)
}

/// Its schema is written by hand: no type says all of it.
#[derive(Deserialize)]
pub(crate) struct Contact {
    name: Option<String>,
}

impl JsonSchema for Contact {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Contact".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
                },
            },
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": false,
        })
    }
}

/// Tool with JSON Schema 2020-12 features
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn json_schema_2020_12_tool(args: Contact) -> String {
    format!("Contact: {}", args.name.as_deref().unwrap_or("without a name"))
}

/// Needs a client whose model can be asked, and fails without one.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_missing_capability(ctx: &Context) -> Result<&'static str, Failure> {
    if !ctx.client.contains(ClientFeatures::SAMPLING) {
        return Err(Failure::missing_capability(["sampling"]));
    }
    Ok("The client can be asked.")
}

/// Says that the tools have changed.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_trigger_tool_change() -> Result<&'static str, Failure> {
    host::tools_changed()?;
    Ok("The tools have changed.")
}

/// Says that the prompts have changed.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_trigger_prompt_change() -> Result<&'static str, Failure> {
    host::prompts_changed()?;
    Ok("The prompts have changed.")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use skillhost_sdk::Content;
    use skillhost_sdk::testing::{Client, Host};

    use super::*;

    fn input(schema: &str) -> Value {
        serde_json::from_str(schema).unwrap()
    }

    #[test]
    fn a_schema_by_hand_is_handed_on_as_it_is() {
        let by_hand = Contact::json_schema(&mut SchemaGenerator::default()).to_value();
        let tool = json_schema_2020_12_tool::definition().describe();
        assert_eq!(input(&tool.input_schema), by_hand);
        assert_eq!(tool.description.as_deref(), Some("Tool with JSON Schema 2020-12 features"));
    }

    #[test]
    fn the_header_stands_in_the_schema() {
        let tool = test_custom_header::definition().describe();
        assert_eq!(input(&tool.input_schema)["properties"]["region"]["x-mcp-header"], "Region");
    }

    #[test]
    fn three_steps_are_reported() {
        let host = Host::new();
        host.run(test_tool_with_progress);
        let steps: Vec<_> = host.progress().iter().map(|report| (report.progress, report.total)).collect();
        assert_eq!(steps, [0.0, 50.0, 100.0].map(|progress| (progress, Some(100.0))));
    }

    #[test]
    fn lines_are_logged_and_changes_told() {
        let host = Host::new();
        host.run(|| {
            test_tool_with_logging();
            test_trigger_tool_change().unwrap();
            test_trigger_prompt_change().unwrap();
        });
        assert_eq!(host.logs().len(), 3);
        assert_eq!((host.tools_changed(), host.prompts_changed(), host.resources_changed()), (1, 1, 0));
    }

    #[test]
    fn a_capability_is_asked_for_by_its_name() {
        let missing = test_missing_capability(&Context::for_tests()).unwrap_err();
        assert_eq!(missing, Failure::missing_capability(["sampling"]));
        assert!(test_missing_capability(&Client::new().context()).is_ok());
    }

    #[test]
    fn mixed_content_keeps_its_order() {
        let content = test_multiple_content_types().content;
        let kinds = content.iter().map(|block| match &block.content {
            Content::Text(_) => "text",
            Content::Image(_) => "image",
            Content::Resource(_) => "resource",
            _ => "other",
        });
        assert_eq!(kinds.collect::<Vec<_>>(), ["text", "image", "resource"]);
    }
}
