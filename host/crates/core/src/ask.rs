//! Questions to the client: a call that cannot go on without an answer ends its round with them, and is made again with the
//! answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Questions that are asked at once, and what the skill wants back with the answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputRequired {
    /// At least one; their keys differ.
    pub questions: Vec<Question>,
    /// The skill's own, opaque.
    pub state: Option<Vec<u8>>,
}

/// A question under a key of the skill's choosing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Names it among the questions of its round.
    pub key: String,
    /// What is asked.
    pub ask: Ask,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Show a form to the person.
    Form {
        /// For the person.
        message: String,
        /// A JSON Schema of a flat object.
        schema: Map<String, Value>,
    },
    /// Send the person to a page.
    Url {
        /// For the person.
        message: String,
        /// The page.
        url: String,
        /// Names this elicitation.
        id: String,
    },
    /// Ask the client's model: the parameters of `sampling/createMessage`.
    Sample(Map<String, Value>),
    /// Tell the root folders.
    Roots,
}

impl Ask {
    /// The capability of the client that it takes, as MCP words it.
    #[must_use]
    pub fn capability(&self) -> &'static str {
        match self {
            Self::Form { .. } => "elicitation",
            Self::Url { .. } => "elicitation.url",
            Self::Sample(params) if params.contains_key("tools") => "sampling.tools",
            Self::Sample(_) => "sampling",
            Self::Roots => "roots",
        }
    }
}

/// A later round of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// 2 for the first with answers.
    pub number: u32,
    /// What the skill gave with its questions.
    pub state: Option<Vec<u8>>,
    /// To some of the questions: the client decides what it answers.
    pub answers: Vec<Answer>,
}

/// An answer to the question with this key.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Of the question.
    pub key: String,
    /// What came back.
    pub value: AnswerValue,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerValue {
    /// To a form or a page.
    Elicited {
        /// What the person did.
        action: Action,
        /// The form's values, when accepted; they match its schema.
        content: Option<Map<String, Value>>,
    },
    /// To `Sample`: the result of `sampling/createMessage`.
    Sampled(Map<String, Value>),
    /// To `Roots`.
    Roots(Vec<Root>),
}

/// What a person did with a form or a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Filled it in; followed the link.
    Accept,
    /// Said no.
    Decline,
    /// Closed it.
    Cancel,
}

/// A folder the client works in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Root {
    /// Where.
    pub uri: String,
    /// Its name.
    pub name: Option<String>,
}
