//! What a skill can offer beside tools: prompts, resources, completions.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{Annotations, Block, Entry, Reply, Schema, ToolSpec};

/// A prompt template as its skill declared it, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptSpec {
    /// The name inside its skill.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What can be filled in.
    pub arguments: Vec<PromptArgument>,
    /// MCP icons.
    pub icons: Option<Vec<Value>>,
    /// Its own `_meta`.
    pub meta: Option<Map<String, Value>>,
}

/// An argument of a prompt; its value is a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptArgument {
    /// Its name.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it must be there.
    pub required: bool,
}

/// A resource with a fixed URI, as its skill declared it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceSpec {
    /// Where it is.
    pub uri: String,
    /// Its name.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Its type.
    pub mime_type: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// MCP annotations.
    pub annotations: Option<Map<String, Value>>,
    /// MCP icons.
    pub icons: Option<Vec<Value>>,
    /// Its own `_meta`.
    pub meta: Option<Map<String, Value>>,
}

/// A family of resources, as its skill declared it.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateSpec {
    /// An RFC 6570 URI template.
    pub uri_template: String,
    /// Its name.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What its members are.
    pub description: Option<String>,
    /// Their type.
    pub mime_type: Option<String>,
    /// MCP annotations.
    pub annotations: Option<Map<String, Value>>,
    /// MCP icons.
    pub icons: Option<Vec<Value>>,
    /// Its own `_meta`.
    pub meta: Option<Map<String, Value>>,
}

impl TemplateSpec {
    /// Whether `uri` can be one of the family: its fixed parts are there in their order. What stands between them is the
    /// skill's to judge.
    #[must_use]
    pub fn may_match(&self, uri: &str) -> bool {
        let mut parts = self.uri_template.split('{');
        let first = parts.next().unwrap_or_default();
        let fixed =
            parts.map(|part| part.split_once('}').map(|(_, fixed)| fixed)).collect::<Option<Vec<_>>>();
        let Some(fixed) = fixed else { return false };
        let Some((last, between)) = fixed.split_last() else { return uri == first };
        let Some(mut rest) = uri.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
            return false;
        };
        between.iter().all(|fixed| {
            let found = rest.find(fixed);
            rest = found.map_or("", |at| &rest[at + fixed.len()..]);
            found.is_some()
        })
    }
}

/// What a skill offers beside tools.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// Its prompts.
    pub prompts: Vec<PromptSpec>,
    /// Its resources with fixed URIs.
    pub resources: Vec<ResourceSpec>,
    /// Families of resources.
    pub templates: Vec<TemplateSpec>,
    /// Whether it completes arguments.
    pub completes: bool,
}

/// Something of the catalog beside tools, and what serves it.
#[derive(Clone)]
pub struct Served<T> {
    /// What it is.
    pub spec: Arc<T>,
    /// The version of the skill that serves it, with [`ToolSpec::feature`] in the place of a tool.
    pub entry: Entry,
    /// Whether its skill completes arguments.
    pub completes: bool,
}

/// What a call is for, beside the name in [`Call::tool`](crate::Call::tool).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Target {
    /// A tool.
    #[default]
    Tool,
    /// A prompt with this name; the arguments are a JSON object of texts.
    Prompt(String),
    /// The resource with this URI.
    Resource(String),
    /// Suggestions for an argument.
    Completion(Box<Completing>),
}

/// An argument that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completing {
    /// What it belongs to.
    pub subject: Subject,
    /// Its name.
    pub argument: String,
    /// What is there of its value.
    pub value: String,
    /// Other arguments that are filled in already.
    pub known: Vec<(String, String)>,
}

/// What an argument belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The prompt with this name.
    Prompt(String),
    /// The family with this URI template.
    Template(String),
}

/// Suggestions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// At most 100.
    pub values: Vec<String>,
    /// How many there are in all, when known.
    pub total: Option<u32>,
    /// Whether there are more.
    pub has_more: bool,
}

/// A filled-in prompt. The blocks of `reply` are its messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filled {
    /// What it is.
    pub description: Option<String>,
    /// Who says each block.
    pub roles: Vec<Role>,
    /// The blocks, and the `_meta`.
    pub reply: Reply,
}

impl Filled {
    /// Who says what.
    pub fn messages(self) -> impl Iterator<Item = (Role, Block)> {
        self.roles.into_iter().zip(self.reply.content)
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// What has changed of a skill, by its own word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Announced {
    /// What it lists.
    Listing(Kind),
    /// The contents of the resource with this URI.
    Resource(String),
}

/// A kind of what skills list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Tools.
    Tools,
    /// Prompts.
    Prompts,
    /// Resources and their templates.
    Resources,
}

impl ToolSpec {
    /// Stands in the place of a tool for what is no tool: it reads, and takes what it gets.
    #[must_use]
    pub fn feature(name: &str) -> Self {
        let input = Schema::for_arguments(r#"{"type":"object"}"#).expect("a sound schema");
        let annotations = Annotations {
            read_only: Some(true),
            destructive: Some(false),
            idempotent: Some(true),
            open_world: None,
        };
        Self { annotations, ..Self::new(name, input) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        let matches = |template: &str, uri| {
            TemplateSpec {
                uri_template: template.into(),
                name: String::new(),
                title: None,
                description: None,
                mime_type: None,
                annotations: None,
                icons: None,
                meta: None,
            }
            .may_match(uri)
        };
        for (template, uri) in [
            ("note://{name}", "note://a"),
            ("note://{name}", "note://a/b"),
            ("test://template/{id}/data", "test://template/1/data"),
            ("test://template/{id}/data", "test://template/a/data/data"),
            ("a://{x}/b/{y}.txt", "a://1/b/2.txt"),
            ("a://b", "a://b"),
        ] {
            assert!(matches(template, uri), "{template} {uri}");
        }
        for (template, uri) in [
            ("note://{name}", "file://a"),
            ("test://template/{id}/data", "test://template/1"),
            ("test://template/{id}/data", "test://template/1/data/more"),
            ("a://{x}/b/{y}.txt", "a://1/b/2"),
            ("a://b", "a://bc"),
            ("broken://{x", "broken://1"),
        ] {
            assert!(!matches(template, uri), "{template} {uri}");
        }
    }
}
