//! Prompts.
use skillhost_sdk::prelude::*;
use skillhost_sdk::{Message, Role};

use crate::{media, tools};

/// A prompt without arguments
#[prompt]
pub(crate) fn test_simple_prompt() -> String {
    "This is a simple prompt for testing.".into()
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Two {
    /// First test argument
    arg1: String,
    /// Second test argument
    arg2: String,
}

/// A prompt with two arguments
#[prompt]
pub(crate) fn test_prompt_with_arguments(args: Two) -> String {
    format!("Prompt with arguments: arg1='{}', arg2='{}'", args.arg1, args.arg2)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resource {
    /// URI of the resource to embed
    resource_uri: String,
}

/// A prompt with a resource in it
#[prompt]
pub(crate) fn test_prompt_with_embedded_resource(args: Resource) -> Vec<Message> {
    let text = "Embedded resource content for testing.";
    let resource = tools::resource(&args.resource_uri, "text/plain", text);
    vec![
        Message { role: Role::User, content: resource },
        Message::user("Please process the embedded resource above."),
    ]
}

/// A prompt with an image in it
#[prompt]
pub(crate) fn test_prompt_with_image() -> Vec<Message> {
    vec![
        Message { role: Role::User, content: media::image() },
        Message::user("Please analyze the image above."),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct UserContext {
    context: String,
}

/// A prompt that asks before it is filled in
#[prompt]
pub(crate) fn test_input_required_result_prompt(ctx: &Context) -> Result<String, Pause> {
    let question = "What context should the prompt use?";
    let answer = ask::form::<UserContext>(ctx, "user_context", question)?.or_stop()?;
    Ok(format!("Use this context: {}", answer.context))
}

#[cfg(test)]
mod tests {
    use skillhost_sdk::testing::Client;

    use super::*;

    #[test]
    fn arguments_have_the_names_the_suite_gives_them() {
        let names = |arguments: Vec<skillhost_sdk::PromptArgument>| {
            arguments.into_iter().map(|one| (one.name, one.required)).collect::<Vec<_>>()
        };
        let two = test_prompt_with_arguments::definition().describe();
        assert_eq!(names(two.arguments), [("arg1".into(), true), ("arg2".into(), true)]);
        let one = test_prompt_with_embedded_resource::definition().describe();
        assert_eq!(names(one.arguments), [("resourceUri".into(), true)]);
    }

    #[test]
    fn a_prompt_asks() {
        let client = Client::new().accepts("user_context", &serde_json::json!({"context": "tests"}));
        let text = client.run(test_input_required_result_prompt).unwrap();
        assert_eq!(text, "Use this context: tests");
    }
}
