//! Prompt templates.
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ask::Pause;
use crate::bindings::prompts::exports::skillhost::skill::prompts as export;
use crate::outcome::ended;
use crate::types::{Content, Context, Failure, InputRequired};

pub use export::{Message, Prompt, PromptArgument, PromptMessages, PromptOutcome, Role};

type Get = fn(&Context, &[(String, String)]) -> Result<PromptOutcome, Failure>;

/// A prompt and how to fill it in. The attribute [`#[prompt]`](crate::prompt) makes one.
#[derive(Debug, Clone, Copy)]
pub struct PromptDefinition {
    name: &'static str,
    describe: fn() -> Prompt,
    get: Get,
}

impl PromptDefinition {
    /// A prompt that `describe` tells about and `get` fills in; `name` must be the one in `describe`.
    pub const fn new(name: &'static str, describe: fn() -> Prompt, get: Get) -> Self {
        Self { name, describe, get }
    }

    /// The prompt as a client sees it.
    pub fn describe(&self) -> Prompt {
        (self.describe)()
    }

    /// Fills it in.
    ///
    /// # Errors
    /// As its function fails.
    pub fn get(&self, ctx: &Context, arguments: &[(String, String)]) -> Result<PromptOutcome, Failure> {
        (self.get)(ctx, arguments)
    }
}

/// What a prompt's function may return, bare, in a `Result<_, Failure>`, or in a `Result<_, Pause>` when it asks: a
/// `String` becomes one message of the user.
#[diagnostic::on_unimplemented(
    message = "a prompt cannot return `{Self}`",
    note = "return `String`, `Vec<Message>`, or `PromptMessages`"
)]
pub trait IntoPrompt {
    /// The filled-in prompt.
    fn into_prompt(self) -> PromptOutcome;
}

impl IntoPrompt for String {
    fn into_prompt(self) -> PromptOutcome {
        vec![Message::user(self)].into_prompt()
    }
}

impl IntoPrompt for Vec<Message> {
    fn into_prompt(self) -> PromptOutcome {
        PromptMessages { description: None, messages: self, meta: None }.into_prompt()
    }
}

impl IntoPrompt for PromptMessages {
    fn into_prompt(self) -> PromptOutcome {
        PromptOutcome::Messages(self)
    }
}

impl IntoPrompt for InputRequired {
    fn into_prompt(self) -> PromptOutcome {
        PromptOutcome::InputRequired(self)
    }
}

/// What a prompt's function may return that can fail.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a prompt that can fail returns `Result<_, Failure>`, or `Result<_, Pause>` when it asks; not `{Self}`",
    note = "convert the error: `.map_err(Failure::permanent)?`"
)]
pub trait FalliblePrompt {
    fn finish(self) -> Result<PromptOutcome, Failure>;
}

impl<T: IntoPrompt> FalliblePrompt for Result<T, Failure> {
    fn finish(self) -> Result<PromptOutcome, Failure> {
        self.map(T::into_prompt)
    }
}

impl<T: IntoPrompt> FalliblePrompt for Result<T, Pause> {
    fn finish(self) -> Result<PromptOutcome, Failure> {
        ended(self.map(T::into_prompt), PromptOutcome::InputRequired)
    }
}

/// The end of every prompt.
#[doc(hidden)]
pub fn finish<R: FalliblePrompt>(result: R) -> Result<PromptOutcome, Failure> {
    result.finish()
}

impl Message {
    /// What the user says.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, content: Content::Text(text.into()).into() }
    }

    /// What the assistant says.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: Content::Text(text.into()).into() }
    }
}

/// The arguments of a prompt that takes `T`: one for each field.
#[doc(hidden)]
pub fn arguments<T: JsonSchema>() -> Vec<PromptArgument> {
    let schema: Value = serde_json::from_str(&crate::input_schema::<T>()).unwrap_or_default();
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let argument = |(name, property): (&String, &Value)| PromptArgument {
        name: name.clone(),
        title: property["title"].as_str().map(str::to_owned),
        description: property["description"].as_str().map(str::to_owned),
        required: required(name),
    };
    schema["properties"].as_object().into_iter().flatten().map(argument).collect()
}

/// Reads a prompt's arguments, which are all texts.
#[doc(hidden)]
pub fn parse<T: DeserializeOwned>(arguments: &[(String, String)]) -> Result<T, Failure> {
    let object: Map<String, Value> =
        arguments.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    serde_json::from_value(object.into())
        .map_err(|error| Failure::invalid_input(format_args!("the arguments do not fit: {error}")))
}

/// All prompts of a skill.
#[doc(hidden)]
pub trait Prompts {
    const ALL: &'static [PromptDefinition];
}

impl<P: Prompts> export::Guest for P {
    fn list() -> Vec<Prompt> {
        P::ALL.iter().map(PromptDefinition::describe).collect()
    }

    fn get(ctx: Context, name: String, arguments: Vec<(String, String)>) -> Result<PromptOutcome, Failure> {
        match P::ALL.iter().find(|prompt| prompt.name == name) {
            Some(prompt) => prompt.get(&ctx, &arguments),
            None => Err(Failure::invalid_input(format_args!("this skill has no prompt `{name}`"))),
        }
    }
}
