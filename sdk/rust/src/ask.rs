//! Asking the client: the person for a form or a visit to a page, the client's model, the client for its root folders.
//!
//! ```
//! use skillhost_sdk::prelude::*;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Name {
//!     /// How to address you.
//!     name: String,
//! }
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Consent {
//!     /// Whether the list may show your name.
//!     public: bool,
//! }
//!
//! /// Puts the person on the list of guests.
//! #[tool]
//! fn sign_in(ctx: &Context) -> Result<String, Pause> {
//!     let name = ask::form::<Name>(ctx, "name", "Who are you?")?.or_stop()?.name;
//!     let consent = ask::form::<Consent>(ctx, "consent", format!("Show {name} on the list?"))?;
//!     let public = consent.accepted().is_some_and(|consent| consent.public);
//!     // Nothing was done so far: from here on, everything is known.
//!     Ok(format!("{name} is on the list, {}", if public { "for all to see" } else { "hidden" }))
//! }
//!
//! use skillhost_sdk::testing::Client;
//! let client = Client::new()
//!     .accepts("name", &serde_json::json!({"name": "Ada"}))
//!     .declines("consent");
//! assert_eq!(client.run(sign_in).unwrap(), "Ada is on the list, hidden");
//! ```
//!
//! It reads straight down, but no instance waits while a person thinks. A question without an answer ends the call with
//! [`Pause::Asked`]; the host asks, and runs the function **from its beginning** with the answer. So:
//!
//! - **Ask before you act.** What a function does before its last question, it does once for each round; after an effect
//!   the host refuses the question.
//! - **A key names one question of a function.** Questions in a loop have keys that differ. In each round the questions
//!   come in the same order, under the same keys.
//! - **Ask at once what can be asked at once**, with [`all`]: each round costs the client a request.
//!
//! Answers of earlier rounds travel in the [state](crate::InputRequired::state) of the question, which is therefore not
//! the function's own: one that keeps a state of its own returns an [`InputRequired`] and reads `ctx.round` by hand.
use std::fmt::Display;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::types::{Context, Failure, InputRequired};

mod answers;
mod form;
mod memory;
mod question;

pub use crate::types::Root;
pub use answers::{Answers, Elicited};
pub use form::Form;
pub use question::Question;

/// Why a function that asks gives no result: it failed, or there is a question first.
///
/// Tools, prompts and resources that ask return `Result<_, Pause>`. `?` makes a pause of a [`Failure`], and of all that
/// becomes a failure.
#[derive(Debug, Clone, PartialEq)]
pub enum Pause {
    /// Nothing took effect.
    Failed(Failure),
    /// These questions come first. The function is called again with their answers.
    Asked(InputRequired),
}

impl<E: Into<Failure>> From<E> for Pause {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<InputRequired> for Pause {
    fn from(questions: InputRequired) -> Self {
        Self::Asked(questions)
    }
}

/// Shows the person a form with a field for each field of `T`, and reads what was filled in.
///
/// A form is flat: texts, numbers, yes or no, one of several choices (an enum without values) or some of them (a `Vec`
/// of such an enum). `Option` makes a field optional; doc comments become descriptions, those of an enum's variants the
/// names of its choices; `#[serde(default = "…")]` fills a field in beforehand, and `#[schemars(length(…), range(…))]`
/// bounds it. The host checks the answer by that.
///
/// # Errors
/// [`Pause::Asked`] until there is an answer; a missing capability when the client shows no forms; a permanent failure
/// that names the field when `T` is more than a form can be; invalid input when the answer is no `T` all the same.
pub fn form<T: Form>(ctx: &Context, key: &str, message: impl Into<String>) -> Result<Elicited<T>, Pause> {
    Ok(all(ctx, vec![Question::form::<T>(key, message)])?.form(key)?)
}

/// As [`form`], by a JSON Schema, for what no type says.
///
/// ```
/// use skillhost_sdk::{prelude::*, testing::Client};
///
/// const SIZE: &str = r#"{
///     "type": "object",
///     "properties": {"size": {"type": "string", "enum": ["s", "l"], "enumNames": ["Small", "Large"]}},
///     "required": ["size"]
/// }"#;
///
/// /// Orders a shirt.
/// #[tool]
/// fn order(ctx: &Context) -> Result<String, Pause> {
///     let choice = ask::form_raw(ctx, "size", "Which size?", SIZE)?.or_stop()?;
///     Ok(format!("one of size {}", choice["size"]))
/// }
///
/// let client = Client::new().accepts("size", &serde_json::json!({"size": "l"}));
/// assert_eq!(client.run(order).unwrap(), "one of size \"l\"");
/// ```
///
/// # Errors
/// As [`form`].
pub fn form_raw(
    ctx: &Context,
    key: &str,
    message: impl Into<String>,
    schema: &str,
) -> Result<Elicited<Map<String, Value>>, Pause> {
    Ok(all(ctx, vec![Question::form_raw(key, message, schema)])?.form_raw(key)?)
}

/// Sends the person to a page, for what should not pass through the client: a password, a payment. `id` names the visit;
/// it must be the same in each round, as `ctx.call_id` is.
///
/// ```
/// use skillhost_sdk::{prelude::*, testing::Client};
///
/// /// Pays.
/// #[tool]
/// fn pay(ctx: &Context) -> Result<&'static str, Pause> {
///     let page = format!("https://pay.example/{}", ctx.call_id);
///     ask::url(ctx, "pay", "Pay 5 €, please.", page, &ctx.call_id)?.or_stop()?;
///     // Accepted means that the person went there: whether they paid, the service tells.
///     Ok("on your way")
/// }
///
/// assert_eq!(Client::new().accepts("pay", &()).run(pay).unwrap(), "on your way");
/// assert!(Client::new().cancels("pay").run(pay).is_err());
/// ```
///
/// # Errors
/// [`Pause::Asked`] until there is an answer; a missing capability when the client opens no pages.
pub fn url(
    ctx: &Context,
    key: &str,
    message: impl Into<String>,
    url: impl Into<String>,
    id: impl Into<String>,
) -> Result<Elicited<()>, Pause> {
    Ok(all(ctx, vec![Question::url(key, message, url, id)])?.url(key)?)
}

/// Asks the client's model. `params` are those of `sampling/createMessage`, an object; the answer is its result.
///
/// ```
/// use serde_json::json;
/// use skillhost_sdk::{prelude::*, testing::Client};
///
/// /// Lets the model choose a colour.
/// #[tool]
/// fn colour(ctx: &Context) -> Result<String, Pause> {
///     let question = json!({"type": "text", "text": "Red or blue?"});
///     let params = json!({
///         "messages": [{"role": "user", "content": question}],
///         "systemPrompt": "One word.",
///         "maxTokens": 5,
///     });
///     Ok(ask::sample(ctx, "colour", &params)?["content"]["text"].to_string())
/// }
///
/// let answer = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "red"}});
/// assert_eq!(Client::new().samples("colour", &answer).run(colour).unwrap(), "\"red\"");
/// ```
///
/// # Errors
/// [`Pause::Asked`] until there is an answer; a missing capability when the client has no model to ask, or none that
/// uses tools where `params` has any.
pub fn sample(ctx: &Context, key: &str, params: &impl Serialize) -> Result<Value, Pause> {
    Ok(all(ctx, vec![Question::sample(key, params)])?.sample(key)?)
}

/// Asks the client's model one thing, and reads its text.
///
/// ```
/// use skillhost_sdk::{prelude::*, testing::Client};
///
/// /// Lets the model rhyme.
/// #[tool]
/// fn rhyme(ctx: &Context) -> Result<String, Pause> {
///     ask::prompt_model(ctx, "rhyme", "What rhymes with sun?", 10)
/// }
///
/// assert_eq!(Client::new().says("rhyme", "Fun.").run(rhyme).unwrap(), "Fun.");
/// ```
///
/// # Errors
/// As [`sample`]; a permanent failure when the model answers without text.
pub fn prompt_model(ctx: &Context, key: &str, prompt: &str, max_tokens: u32) -> Result<String, Pause> {
    Ok(all(ctx, vec![Question::prompt_model(key, prompt, max_tokens)])?.prompt_model(key)?)
}

/// Asks the client in which folders it works.
///
/// ```
/// use skillhost_sdk::{prelude::*, testing::Client};
///
/// /// Counts the folders.
/// #[tool]
/// fn folders(ctx: &Context) -> Result<String, Pause> {
///     Ok(ask::roots(ctx, "roots")?.len().to_string())
/// }
///
/// assert_eq!(Client::new().roots("roots", ["file:///work"]).run(folders).unwrap(), "1");
/// ```
///
/// # Errors
/// [`Pause::Asked`] until there is an answer; a missing capability when the client tells none.
pub fn roots(ctx: &Context, key: &str) -> Result<Vec<Root>, Pause> {
    Ok(all(ctx, vec![Question::roots(key)])?.roots(key)?)
}

/// Asks several questions at once. What a client leaves out is asked again, and the answers it gave are kept.
///
/// ```
/// use skillhost_sdk::{ask::Question, prelude::*, testing::Client};
///
/// /// Greets.
/// #[tool]
/// fn greet(ctx: &Context) -> Result<String, Pause> {
///     let questions = vec![Question::prompt_model("word", "Greet in one word.", 5), Question::roots("where")];
///     let answers = ask::all(ctx, questions)?;
///     Ok(format!("{} from {}", answers.prompt_model("word")?, answers.roots("where")?[0].uri))
/// }
///
/// let client = Client::new().says("word", "Moin").roots("where", ["file:///work"]);
/// assert_eq!(client.run(greet).unwrap(), "Moin from file:///work");
/// assert_eq!(client.asked().len(), 2);
/// ```
///
/// # Errors
/// [`Pause::Asked`] until there is an answer to each; a missing capability that names all that the client lacks.
pub fn all(ctx: &Context, questions: Vec<Question>) -> Result<Answers, Pause> {
    let known = memory::known(ctx);
    let mut answers = Answers::default();
    let mut open: Vec<Question> = vec![];
    for question in questions {
        if answers.has(question.key()) || open.iter().any(|other| other.key() == question.key()) {
            return Err(broken(format_args!("two questions have the key `{}`", question.key())).into());
        }
        // An answer of another kind is none: a client may confuse its answers.
        match known.get(question.key()).filter(|answer| question.is_answered_by(answer)) {
            Some(answer) => answers.add(question.key(), answer.clone()),
            None => open.push(question),
        }
    }
    if open.is_empty() {
        return Ok(answers);
    }
    let mut missing = vec![];
    for feature in open.iter().filter_map(|question| question.missing(ctx.client)) {
        if !missing.contains(&feature) {
            missing.push(feature);
        }
    }
    if !missing.is_empty() {
        return Err(Failure::missing_capability(missing).into());
    }
    let questions = open.into_iter().map(Question::into_contract).collect::<Result<_, _>>()?;
    Err(InputRequired { questions, state: Some(memory::state(&known)?) }.into())
}

/// A mistake of the skill, which no answer mends.
fn broken(what: impl Display) -> Failure {
    Failure::permanent(format_args!("this skill asks in a wrong way: {what}"))
}

#[cfg(test)]
mod tests;
