//! Building replies by hand.
use serde::Serialize;

use crate::types::{
    Content, ContentBlock, InputRequired, Media, Outcome, Reply, ResourceContents, ResourceLink,
};

/// The fields are public: what has no method here is set directly, as in
/// `Reply { undo_token: Some(token), ..Reply::text("done") }`.
impl Reply {
    /// One block of text.
    ///
    /// ```
    /// # use skillhost_sdk::Reply;
    /// let reply = Reply::text("done");
    /// ```
    pub fn text(text: impl Into<String>) -> Self {
        Self::default().with(ContentBlock::text(text))
    }

    /// A structured result. The host mirrors it as text unless content is added.
    ///
    /// ```
    /// # use skillhost_sdk::Reply;
    /// let reply = Reply::structured(&[("words", 2)]);
    /// ```
    ///
    /// # Panics
    ///
    /// When `value` has no JSON form (a map whose keys are not strings). It is not a [`Failure`](crate::Failure),
    /// which would promise that nothing took effect.
    pub fn structured(value: &impl Serialize) -> Self {
        Self { structured: Some(to_json(value)), ..Self::default() }
    }

    /// The tool ran and answers "no": a success of the skill, shown to the model as an error.
    ///
    /// ```
    /// # use skillhost_sdk::Reply;
    /// let reply = Reply::error("the two texts differ");
    /// assert!(reply.is_error);
    /// ```
    pub fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    /// Sets what undo needs to take the call back, in the place of what
    /// [`host::prepare_undo`](crate::host::prepare_undo) kept.
    ///
    /// ```
    /// # use skillhost_sdk::Reply;
    /// let reply = Reply::text("done").undo_token(&["old", "new"]);
    /// assert_eq!(reply.undo_token.as_deref(), Some(r#"["old","new"]"#));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`structured`](Self::structured).
    #[must_use]
    pub fn undo_token(mut self, token: &impl Serialize) -> Self {
        self.undo_token = Some(to_json(token));
        self
    }

    /// Adds a block of content.
    ///
    /// ```
    /// # use skillhost_sdk::{ContentBlock, Reply};
    /// let reply = Reply::text("the chart").with(ContentBlock::image(vec![0x89, 0x50], "image/png"));
    /// ```
    #[must_use]
    pub fn with(mut self, block: ContentBlock) -> Self {
        self.content.push(block);
        self
    }
}

#[allow(clippy::derivable_impls, reason = "the type is generated")]
impl Default for Reply {
    fn default() -> Self {
        Self { content: Vec::new(), structured: None, is_error: false, undo_token: None, meta: None }
    }
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<InputRequired> for Outcome {
    fn from(questions: InputRequired) -> Self {
        Self::InputRequired(questions)
    }
}

impl From<Content> for ContentBlock {
    fn from(content: Content) -> Self {
        Self { content, annotations: None, meta: None }
    }
}

impl ContentBlock {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Content::Text(text.into()).into()
    }

    /// An image, such as `image/png`, as raw bytes.
    pub fn image(data: Vec<u8>, mime_type: impl Into<String>) -> Self {
        Content::Image(Media { data, mime_type: mime_type.into() }).into()
    }

    /// A sound, such as `audio/wav`, as raw bytes.
    pub fn audio(data: Vec<u8>, mime_type: impl Into<String>) -> Self {
        Content::Audio(Media { data, mime_type: mime_type.into() }).into()
    }

    /// A pointer to a resource that the client may read.
    pub fn link(link: ResourceLink) -> Self {
        Content::ResourceLink(link).into()
    }

    /// A resource and its contents.
    pub fn resource(contents: ResourceContents) -> Self {
        Content::Resource(contents).into()
    }
}

/// The JSON text of a value; panics as [`Reply::structured`] says.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| panic!("the result has no JSON form: {error}"))
}
