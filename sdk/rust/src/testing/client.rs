//! A client that answers.
use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::ask::Pause;
use crate::reply::to_json;
use crate::tool::Definition;
use crate::types::{
    Action, Answer, AnswerValue, ClientFeatures, Context, Elicited, Failure, InputRequired, Outcome,
    Question, Reply, Root, Round,
};

/// More rounds than anyone answers.
const ROUNDS: u32 = 32;

/// A client for unit tests of what asks: it answers by key, round after round, as host and client do. It can do all that a
/// client can, unless it is told otherwise.
///
/// ```
/// use skillhost_sdk::{prelude::*, testing::Client};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Name {
///     name: String,
/// }
///
/// /// Greets.
/// #[tool]
/// fn greet(ctx: &Context) -> Result<String, Pause> {
///     let name = ask::form::<Name>(ctx, "who", "Who are you?")?.or_stop()?.name;
///     Ok(format!("Moin, {name}!"))
/// }
///
/// let client = Client::new().accepts("who", &serde_json::json!({"name": "Ada"}));
/// assert_eq!(client.run(greet).unwrap(), "Moin, Ada!");
/// assert_eq!(client.asked()[0].key, "who");
/// ```
pub struct Client {
    features: ClientFeatures,
    answers: BTreeMap<String, AnswerValue>,
    asked: RefCell<Vec<Question>>,
}

impl Default for Client {
    fn default() -> Self {
        Self { features: ClientFeatures::all(), answers: BTreeMap::new(), asked: RefCell::default() }
    }
}

impl Client {
    /// A client without answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lacks these features.
    #[must_use]
    pub fn without(mut self, features: ClientFeatures) -> Self {
        self.features.remove(features);
        self
    }

    /// Fills in the form with this key, or opens the page.
    #[must_use]
    pub fn accepts(self, key: impl Into<String>, content: &impl Serialize) -> Self {
        let content = Some(to_json(content)).filter(|content| content != "null");
        self.answers(key, AnswerValue::Elicited(Elicited { action: Action::Accept, content }))
    }

    /// Declines the form or page with this key.
    #[must_use]
    pub fn declines(self, key: impl Into<String>) -> Self {
        self.answers(key, AnswerValue::Elicited(Elicited { action: Action::Decline, content: None }))
    }

    /// Closes the form or page with this key.
    #[must_use]
    pub fn cancels(self, key: impl Into<String>) -> Self {
        self.answers(key, AnswerValue::Elicited(Elicited { action: Action::Cancel, content: None }))
    }

    /// Has a model that gives this result of `sampling/createMessage`.
    #[must_use]
    pub fn samples(self, key: impl Into<String>, result: &impl Serialize) -> Self {
        self.answers(key, AnswerValue::Sampled(to_json(result)))
    }

    /// Has a model that says this text.
    #[must_use]
    pub fn says(self, key: impl Into<String>, text: impl Into<String>) -> Self {
        let content = json!({"type": "text", "text": text.into()});
        self.samples(key, &json!({"role": "assistant", "model": "test", "content": content}))
    }

    /// Works in these folders.
    #[must_use]
    pub fn roots<U: Into<String>>(self, key: impl Into<String>, uris: impl IntoIterator<Item = U>) -> Self {
        let roots = uris.into_iter().map(|uri| Root { uri: uri.into(), name: None }).collect();
        self.answers(key, AnswerValue::Roots(roots))
    }

    /// Gives this answer, whatever is asked under the key.
    #[must_use]
    pub fn answers(mut self, key: impl Into<String>, answer: AnswerValue) -> Self {
        self.answers.insert(key.into(), answer);
        self
    }

    /// The context of the first round.
    pub fn context(&self) -> Context {
        Context { client: self.features, ..Context::for_tests() }
    }

    /// The context of the round that follows these questions: with the answers this client has.
    pub fn next(&self, ctx: &Context, asked: InputRequired) -> Context {
        let answer = |question: &Question| {
            let value = self.answers.get(&question.key)?.clone();
            Some(Answer { key: question.key.clone(), value })
        };
        let answers = asked.questions.iter().filter_map(answer).collect();
        let number = ctx.round.as_ref().map_or(1, |round| round.number) + 1;
        self.asked.borrow_mut().extend(asked.questions);
        Context { round: Some(Round { number, state: asked.state, answers }), ..ctx.clone() }
    }

    /// Runs a function that asks, through all its rounds.
    ///
    /// # Errors
    /// As the function fails.
    ///
    /// # Panics
    /// When it asks only what this client has no answer to, or asks without end.
    pub fn run<T>(&self, mut work: impl FnMut(&Context) -> Result<T, Pause>) -> Result<T, Failure> {
        let mut ctx = self.context();
        for _ in 0..ROUNDS {
            match work(&ctx) {
                Ok(value) => return Ok(value),
                Err(Pause::Failed(failure)) => return Err(failure),
                Err(Pause::Asked(asked)) => {
                    let keys: Vec<_> = asked.questions.iter().map(|question| question.key.clone()).collect();
                    ctx = self.next(&ctx, asked);
                    let answers = ctx.round.as_ref().map_or(0, |round| round.answers.len());
                    assert!(answers > 0, "this client has no answer to any of {keys:?}");
                }
            }
        }
        panic!("asked for {ROUNDS} rounds without an end");
    }

    /// Calls a tool with the JSON text of its arguments, through all its rounds.
    ///
    /// # Errors
    /// As the tool fails.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn call(&self, tool: &Definition, arguments: Option<&str>) -> Result<Reply, Failure> {
        self.run(|ctx| match tool.call(ctx, arguments)? {
            Outcome::Reply(reply) => Ok(reply),
            Outcome::InputRequired(asked) => Err(Pause::Asked(asked)),
        })
    }

    /// All that was asked so far, in order.
    pub fn asked(&self) -> Vec<Question> {
        self.asked.borrow().clone()
    }
}
