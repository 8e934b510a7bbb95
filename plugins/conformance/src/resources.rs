//! Resources.
use serde_json::json;
use skillhost_sdk::prelude::*;

use crate::media;

/// A text that never changes
#[resource(uri = "test://static-text", name = "Static Text Resource", mime_type = "text/plain")]
pub(crate) fn static_text() -> String {
    "This is the content of the static text resource.".into()
}

/// An image that never changes
#[resource(uri = "test://static-binary", name = "Static Binary Resource", mime_type = "image/png")]
pub(crate) fn static_binary() -> Vec<u8> {
    media::PNG.to_vec()
}

/// A resource to subscribe to
#[resource(uri = "test://watched-resource", name = "Watched Resource", mime_type = "text/plain")]
pub(crate) fn watched_resource() -> String {
    "Watched resource content".into()
}

#[derive(Deserialize)]
pub(crate) struct Id {
    id: String,
}

/// Data for any id
#[resource(
    template = "test://template/{id}/data",
    name = "Dynamic Resource Template",
    mime_type = "application/json"
)]
pub(crate) fn template(args: Id) -> String {
    json!({"id": args.id, "templateTest": true, "data": format!("Data for ID: {}", args.id)}).to_string()
}

#[cfg(test)]
mod tests {
    use skillhost_sdk::ReadOutcome;
    use skillhost_sdk::types::ResourceBody;

    use super::*;

    #[test]
    fn a_template_answers_for_the_uri_that_was_read() {
        let uri = "test://template/123/data";
        let read = template::definition().read(&Context::for_tests(), uri);
        let Ok(Some(ReadOutcome::Contents(contents))) = read else { panic!("{read:?}") };
        assert_eq!(contents[0].uri, uri);
        assert_eq!(contents[0].mime_type.as_deref(), Some("application/json"));
        let text = r#"{"id":"123","templateTest":true,"data":"Data for ID: 123"}"#;
        assert_eq!(contents[0].body, ResourceBody::Text(text.into()));
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        let uri = "test://nonexistent-resource-for-conformance-testing";
        for resource in [static_text::definition(), template::definition()] {
            assert_eq!(resource.read(&Context::for_tests(), uri), Ok(None));
        }
    }
}
