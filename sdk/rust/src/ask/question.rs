//! A question before it is asked.
use serde::Serialize;
use serde_json::{Value, json};

use super::broken;
use super::form::{self, Form};
use super::memory::Answer;
use crate::types::{self, Ask, ClientFeatures, Failure};

/// A question for [`all`](super::all), under a key of its own. What each kind means is told at the function of its name.
#[derive(Debug, Clone)]
pub struct Question {
    key: String,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Form(String, Schema),
    Url(types::Url),
    Sample(Result<Value, String>),
    Roots,
}

/// Made when it is asked: a function that has its answer goes by the question again.
#[derive(Debug, Clone)]
enum Schema {
    Typed(fn() -> Result<String, Failure>),
    Raw(String),
}

impl Question {
    /// As [`ask::form`](super::form).
    pub fn form<T: Form>(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), what: What::Form(message.into(), Schema::Typed(form::schema::<T>)) }
    }

    /// As [`ask::form_raw`](super::form_raw).
    pub fn form_raw(key: impl Into<String>, message: impl Into<String>, schema: impl Into<String>) -> Self {
        Self { key: key.into(), what: What::Form(message.into(), Schema::Raw(schema.into())) }
    }

    /// As [`ask::url`](super::url).
    pub fn url(
        key: impl Into<String>,
        message: impl Into<String>,
        url: impl Into<String>,
        id: impl Into<String>,
    ) -> Self {
        let url = types::Url { message: message.into(), url: url.into(), id: id.into() };
        Self { key: key.into(), what: What::Url(url) }
    }

    /// As [`ask::sample`](super::sample).
    pub fn sample(key: impl Into<String>, params: &impl Serialize) -> Self {
        let params = serde_json::to_value(params).map_err(|error| error.to_string());
        Self { key: key.into(), what: What::Sample(params) }
    }

    /// As [`ask::prompt_model`](super::prompt_model).
    pub fn prompt_model(key: impl Into<String>, prompt: impl Into<String>, max_tokens: u32) -> Self {
        let content = json!({"type": "text", "text": prompt.into()});
        let messages = json!([{"role": "user", "content": content}]);
        Self::sample(key, &json!({"messages": messages, "maxTokens": max_tokens}))
    }

    /// As [`ask::roots`](super::roots).
    pub fn roots(key: impl Into<String>) -> Self {
        Self { key: key.into(), what: What::Roots }
    }

    /// Under which key the answer comes.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn is_answered_by(&self, answer: &Answer) -> bool {
        match self.what {
            What::Form(..) | What::Url(_) => {
                matches!(answer, Answer::Accept(_) | Answer::Decline | Answer::Cancel)
            }
            What::Sample(_) => matches!(answer, Answer::Sampled(_)),
            What::Roots => matches!(answer, Answer::Roots(_)),
        }
    }

    /// What the client would need to be asked this, by its name in MCP; none when it has it.
    pub(super) fn missing(&self, client: ClientFeatures) -> Option<&'static str> {
        let (feature, name) = match &self.what {
            What::Form(..) => (ClientFeatures::ELICITATION_FORM, "elicitation"),
            What::Url(_) => (ClientFeatures::ELICITATION_URL, "elicitation.url"),
            What::Sample(params) => {
                let tools = |params: &Value| params.get("tools").or(params.get("toolChoice")).is_some();
                match params.as_ref().is_ok_and(tools) {
                    true => (ClientFeatures::SAMPLING_TOOLS, "sampling.tools"),
                    false => (ClientFeatures::SAMPLING, "sampling"),
                }
            }
            What::Roots => (ClientFeatures::ROOTS, "roots"),
        };
        (!client.contains(feature)).then_some(name)
    }

    /// The question as the host asks it.
    pub(super) fn into_contract(self) -> Result<types::Question, Failure> {
        let ask = match self.what {
            What::Form(message, schema) => {
                let schema = match schema {
                    Schema::Typed(schema) => schema()?,
                    Schema::Raw(text) => object(&self.key, text)?,
                };
                Ask::Form(types::Form { message, schema })
            }
            What::Url(url) => Ask::Url(url),
            What::Sample(params) => match params {
                Ok(params) if params.is_object() => Ask::Sample(params.to_string()),
                Ok(_) => return Err(broken(format_args!("the parameters of `{}` are no object", self.key))),
                Err(why) => {
                    return Err(broken(format_args!("the parameters of `{}` have no JSON: {why}", self.key)));
                }
            },
            What::Roots => Ask::Roots,
        };
        Ok(types::Question { key: self.key, ask })
    }
}

fn object(key: &str, schema: String) -> Result<String, Failure> {
    match serde_json::from_str::<Value>(&schema) {
        Ok(Value::Object(_)) => Ok(schema),
        Ok(_) => Err(broken(format_args!("the schema of `{key}` is no object"))),
        Err(error) => Err(broken(format_args!("the schema of `{key}` is no JSON: {error}"))),
    }
}
