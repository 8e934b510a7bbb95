//! Secrets in what a skill answers.

use serde_json::{Map, Value};
use skillhost_core::{Ask, Block, Content, Failure, Outcome, Question, Reply, ResourceBody};

use super::Redactor;

impl Redactor {
    /// Hide the skill's secrets wherever they stand in a reply.
    pub(crate) fn reply(&self, reply: &mut Reply) {
        if self.is_empty() {
            return;
        }
        reply.content.iter_mut().for_each(|block| self.block(block));
        if let Some(value) = &mut reply.structured {
            self.value(value);
        }
        self.object(&mut reply.meta);
    }

    /// Hide the skill's secrets in whatever a call came to.
    pub(crate) fn outcome(&self, outcome: &mut Outcome) {
        if self.is_empty() {
            return;
        }
        match outcome {
            Outcome::Reply(reply) | Outcome::Read(Some(reply)) => self.reply(reply),
            Outcome::Filled(filled) => {
                filled.description.iter_mut().for_each(|text| self.text(text));
                self.reply(&mut filled.reply);
            }
            Outcome::Completed(completion) => completion.values.iter_mut().for_each(|text| self.text(text)),
            Outcome::InputRequired(asked) => {
                asked.questions.iter_mut().for_each(|question| self.asked(question));
            }
            Outcome::Read(None) => {}
        }
    }

    // What the state holds is encrypted on its way.
    fn asked(&self, question: &mut Question) {
        match &mut question.ask {
            Ask::Form { message, schema } => {
                self.text(message);
                self.map(schema);
            }
            Ask::Url { message, url, id } => [message, url, id].into_iter().for_each(|text| self.text(text)),
            Ask::Sample(params) => self.map(params),
            Ask::Roots => {}
        }
    }

    /// Hide the skill's secrets in a failure.
    pub(crate) fn failure(&self, mut failure: Failure) -> Failure {
        if !self.is_empty() {
            self.text(&mut failure.message);
            failure.missing.iter_mut().for_each(|name| self.text(name));
        }
        failure
    }

    fn block(&self, block: &mut Block) {
        match &mut block.content {
            Content::Text(text) => self.text(text),
            Content::Image(media) | Content::Audio(media) => {
                self.bytes(&mut media.data);
                self.text(&mut media.mime_type);
            }
            Content::ResourceLink(link) => {
                self.text(&mut link.uri);
                self.text(&mut link.name);
                for text in
                    [&mut link.title, &mut link.description, &mut link.mime_type].into_iter().flatten()
                {
                    self.text(text);
                }
                link.icons.iter_mut().flatten().for_each(|icon| self.value(icon));
            }
            Content::Resource(resource) => {
                self.text(&mut resource.uri);
                if let Some(mime_type) = &mut resource.mime_type {
                    self.text(mime_type);
                }
                match &mut resource.body {
                    ResourceBody::Text(text) => self.text(text),
                    ResourceBody::Blob(bytes) => self.bytes(bytes),
                }
                self.object(&mut resource.meta);
            }
        }
        self.object(&mut block.annotations);
        self.object(&mut block.meta);
    }

    fn text(&self, text: &mut String) {
        if let std::borrow::Cow::Owned(redacted) = self.known(text) {
            *text = redacted;
        }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(map) => self.map(map),
            // A secret of digits can come as a number.
            Value::Number(number) => {
                if let std::borrow::Cow::Owned(redacted) = self.known(&number.to_string()) {
                    *value = redacted.into();
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn object(&self, object: &mut Option<Map<String, Value>>) {
        if let Some(map) = object {
            self.map(map);
        }
    }

    fn map(&self, map: &mut Map<String, Value>) {
        // Keys can hold one too.
        *map = std::mem::take(map)
            .into_iter()
            .map(|(key, mut value)| {
                self.value(&mut value);
                (self.known(&key).into_owned(), value)
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skillhost_core::FailureKind;

    use super::*;

    #[test]
    fn no_part_of_a_reply_shows_a_secret() {
        let redactor = Redactor::new(["12345678".to_owned()].iter());
        let object = |value: Value| value.as_object().cloned();
        let mut reply = Reply {
            content: vec![Block {
                content: Content::Text("a 12345678".into()),
                annotations: object(json!({"x": "12345678"})),
                meta: object(json!({"12345678": 1})),
            }],
            structured: Some(json!({"a": ["12345678", {"12345678": 12345678}]})),
            is_error: false,
            meta: object(json!({"y": "x12345678x"})),
            undo_token: None,
        };
        redactor.reply(&mut reply);
        let shown = format!("{reply:?}");
        assert!(!shown.contains("12345678"), "{shown}");
        let failure = redactor.failure(Failure::new(FailureKind::Permanent, "no 12345678"));
        assert_eq!(failure.message, "no [redacted]");
    }
}
