//! What a call that did not fail gives back. Kept apart from MCP's wire types, which change more often.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Completion, Failure, FailureKind, Filled, InputRequired};

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done.
    Reply(Reply),
    /// It cannot go on without answers.
    InputRequired(InputRequired),
    /// A filled-in prompt.
    Filled(Filled),
    /// A resource, as blocks of [`Content::Resource`]; none when there is no such resource.
    Read(Option<Reply>),
    /// Suggestions.
    Completed(Completion),
}

impl Outcome {
    /// The reply of a tool.
    ///
    /// # Errors
    /// [`FailureKind::Internal`] when it is something else, which tools do not end with.
    pub fn into_reply(self) -> Result<Reply, Failure> {
        match self {
            Self::Reply(reply) => Ok(reply),
            Self::InputRequired(asked) => Err(Failure::asks(asked)),
            Self::Filled(_) | Self::Read(_) | Self::Completed(_) => {
                Err(Failure::new(FailureKind::Internal, "the call of a tool ended as something else"))
            }
        }
    }
}

/// What a finished call gives back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// For people and models.
    pub content: Vec<Block>,
    /// For programs.
    pub structured: Option<Value>,
    /// The tool answers "no"; the skill itself is well.
    pub is_error: bool,
    /// The skill's own `_meta`.
    pub meta: Option<Map<String, Value>>,
    /// What is needed to take the call back, as JSON. For the host alone: not part of what is kept or shown of a reply.
    #[serde(skip)]
    pub undo_token: Option<String>,
}

/// A block of content with what is said about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The content.
    pub content: Content,
    /// Audience, priority and the like, as MCP words them.
    pub annotations: Option<Map<String, Value>>,
    /// Handed on as it is.
    pub meta: Option<Map<String, Value>>,
}

impl Block {
    /// Plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: Content::Text(text.into()), annotations: None, meta: None }
    }
}

/// The five kinds of content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Text.
    Text(String),
    /// A picture.
    Image(Media),
    /// A sound.
    Audio(Media),
    /// A pointer to a resource.
    ResourceLink(ResourceLink),
    /// A resource with its contents.
    Resource(ResourceContents),
}

/// Raw bytes and their type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Media {
    /// Not yet encoded.
    #[serde(with = "crate::text::base64")]
    pub data: Vec<u8>,
    /// Such as `image/png`.
    pub mime_type: String,
}

/// A pointer to a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceLink {
    /// Where.
    pub uri: String,
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Its type.
    pub mime_type: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// MCP icons.
    pub icons: Option<Vec<Value>>,
}

/// A resource and its contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceContents {
    /// Where it came from.
    pub uri: String,
    /// Its type.
    pub mime_type: Option<String>,
    /// The contents.
    pub body: ResourceBody,
    /// Handed on as it is.
    pub meta: Option<Map<String, Value>>,
}

/// Text or bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceBody {
    /// Text.
    Text(String),
    /// Not yet encoded.
    Blob(#[serde(with = "crate::text::base64")] Vec<u8>),
}
