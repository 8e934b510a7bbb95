//! Answers, read as what was asked for.
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::broken;
use super::form::Form;
use super::memory::{Answer, Known};
use crate::types::{Failure, Root};

/// What a person did with a form or a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elicited<T> {
    /// They filled it in, or went there.
    Accepted(T),
    /// They said no.
    Declined,
    /// They closed it without a choice.
    Cancelled,
}

impl<T> Elicited<T> {
    /// What was filled in, if it was.
    ///
    /// ```
    /// # use skillhost_sdk::ask::Elicited;
    /// assert_eq!(Elicited::Accepted(1).accepted(), Some(1));
    /// assert_eq!(Elicited::<u8>::Declined.accepted(), None);
    /// ```
    pub fn accepted(self) -> Option<T> {
        match self {
            Self::Accepted(value) => Some(value),
            Self::Declined | Self::Cancelled => None,
        }
    }

    /// What was filled in; a failure when it was not, for calls that are nothing without it.
    ///
    /// ```
    /// # use skillhost_sdk::{Failure, ask::Elicited};
    /// assert_eq!(Elicited::Accepted(1).or_stop(), Ok(1));
    /// assert_eq!(Elicited::<u8>::Cancelled.or_stop(), Err(Failure::permanent("the person cancelled")));
    /// ```
    ///
    /// # Errors
    /// A permanent failure: to ask the same again would be a nuisance.
    pub fn or_stop(self) -> Result<T, Failure> {
        match self {
            Self::Accepted(value) => Ok(value),
            Self::Declined => Err(Failure::permanent("the person declined")),
            Self::Cancelled => Err(Failure::permanent("the person cancelled")),
        }
    }

    fn read<U>(self, read: impl FnOnce(T) -> Result<U, Failure>) -> Result<Elicited<U>, Failure> {
        Ok(match self {
            Self::Accepted(value) => Elicited::Accepted(read(value)?),
            Self::Declined => Elicited::Declined,
            Self::Cancelled => Elicited::Cancelled,
        })
    }
}

/// The answers to the questions of [`all`](super::all), by key. Each is read by the method that is called as the question
/// was.
#[derive(Debug, Clone, Default)]
pub struct Answers(Known);

impl Answers {
    pub(super) fn add(&mut self, key: &str, answer: Answer) {
        self.0.insert(key.to_owned(), answer);
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The answer to a form.
    ///
    /// # Errors
    /// Invalid input, when it is no `T` although it matches the form; permanent, when no form had this key. So with the
    /// others.
    pub fn form<T: Form>(&self, key: &str) -> Result<Elicited<T>, Failure> {
        self.elicited(key)?.read(|content| read(key, content.map_or("{}", RawValue::get)))
    }

    /// The answer to a form of a JSON Schema.
    ///
    /// # Errors
    /// As [`form`](Self::form).
    pub fn form_raw(&self, key: &str) -> Result<Elicited<Map<String, Value>>, Failure> {
        self.elicited(key)?.read(|content| read(key, content.map_or("{}", RawValue::get)))
    }

    /// What became of a visit to a page.
    ///
    /// # Errors
    /// As [`form`](Self::form).
    pub fn url(&self, key: &str) -> Result<Elicited<()>, Failure> {
        self.elicited(key)?.read(|_| Ok(()))
    }

    /// The result of `sampling/createMessage`.
    ///
    /// # Errors
    /// As [`form`](Self::form).
    pub fn sample(&self, key: &str) -> Result<Value, Failure> {
        match self.0.get(key) {
            Some(Answer::Sampled(result)) => read(key, result.get()),
            _ => Err(not_asked(key, "the model")),
        }
    }

    /// The text of what the model said.
    ///
    /// # Errors
    /// As [`form`](Self::form); permanent as well, when there is no text in it.
    pub fn prompt_model(&self, key: &str) -> Result<String, Failure> {
        let result = self.sample(key)?;
        // One block, or a list of them.
        let blocks = match &result["content"] {
            Value::Array(blocks) => blocks.as_slice(),
            block => std::slice::from_ref(block),
        };
        let texts = blocks.iter().filter(|block| block["type"] == "text");
        let texts: Vec<_> = texts.filter_map(|block| block["text"].as_str()).collect();
        if texts.is_empty() {
            return Err(Failure::permanent(format_args!("the model answered `{key}` without text")));
        }
        Ok(texts.join("\n"))
    }

    /// The client's root folders.
    ///
    /// # Errors
    /// As [`form`](Self::form).
    pub fn roots(&self, key: &str) -> Result<Vec<Root>, Failure> {
        match self.0.get(key) {
            Some(Answer::Roots(folders)) => Ok(folders.iter().cloned().map(Into::into).collect()),
            _ => Err(not_asked(key, "roots")),
        }
    }

    fn elicited(&self, key: &str) -> Result<Elicited<Option<&RawValue>>, Failure> {
        match self.0.get(key) {
            Some(Answer::Accept(content)) => Ok(Elicited::Accepted(content.as_deref())),
            Some(Answer::Decline) => Ok(Elicited::Declined),
            Some(Answer::Cancel) => Ok(Elicited::Cancelled),
            _ => Err(not_asked(key, "the person")),
        }
    }
}

fn read<T: DeserializeOwned>(key: &str, json: &str) -> Result<T, Failure> {
    serde_json::from_str(json)
        .map_err(|error| Failure::invalid_input(format_args!("the answer to `{key}` does not fit: {error}")))
}

fn not_asked(key: &str, whom: &str) -> Failure {
    broken(format_args!("no question for {whom} has the key `{key}`"))
}
