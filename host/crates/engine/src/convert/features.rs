//! Prompts, resources and completions.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use skillhost_core::{
    Completing, Completion, Content, Failure, Filled, InputRequired, Outcome, PromptArgument, PromptSpec,
    Reply, ResourceSpec, Role, Subject, TemplateSpec, ToolName,
};

use super::{ask, block, contents, object};
use crate::bindings::{
    completions::exports::skillhost::skill::completions, prompts::exports::skillhost::skill::prompts,
    resources::exports::skillhost::skill::resources, skillhost::skill::types,
};

/// What a skill may list of each kind.
const MAX_PROMPTS: usize = 256;
const MAX_RESOURCES: usize = 10_000;
const MAX_TEMPLATES: usize = 256;
/// Arguments of one prompt.
const MAX_ARGUMENTS: usize = 64;
/// Bytes of a URI or a template of one.
const MAX_URI: usize = 2 << 10;
/// Suggestions that MCP allows.
const MAX_VALUES: usize = 100;

/// The prompts a guest declares, or why they are refused.
pub(crate) fn prompts(declared: Vec<prompts::Prompt>) -> Result<Vec<PromptSpec>, String> {
    bound("prompts", declared.len(), MAX_PROMPTS)?;
    let mut names = BTreeSet::new();
    let mut specs = Vec::with_capacity(declared.len());
    for prompt in declared {
        let name = prompt.name;
        ToolName::bare(&name).map_err(|error| format!("a prompt is named wrongly: {error}"))?;
        if !names.insert(name.clone()) {
            return Err(format!("it declares the prompt `{name}` twice"));
        }
        bound(&format!("arguments of the prompt `{name}`"), prompt.arguments.len(), MAX_ARGUMENTS)?;
        let arguments: Vec<PromptArgument> = prompt
            .arguments
            .into_iter()
            .map(|a| PromptArgument {
                name: a.name,
                title: a.title,
                description: a.description,
                required: a.required,
            })
            .collect();
        let of = format!("the prompt `{name}`");
        specs.push(PromptSpec {
            title: prompt.title,
            description: prompt.description,
            arguments,
            icons: field(&of, "icons", prompt.icons)?,
            meta: field(&of, "meta", prompt.meta)?,
            name,
        });
    }
    Ok(specs)
}

/// The resources a guest declares, or why they are refused.
pub(crate) fn resources(declared: Vec<resources::ResourceInfo>) -> Result<Vec<ResourceSpec>, String> {
    bound("resources", declared.len(), MAX_RESOURCES)?;
    let mut uris = BTreeSet::new();
    let mut specs = Vec::with_capacity(declared.len());
    for resource in declared {
        let uri = uri(resource.uri, &mut uris)?;
        let of = format!("the resource `{uri}`");
        specs.push(ResourceSpec {
            name: resource.name,
            title: resource.title,
            description: resource.description,
            mime_type: resource.mime_type,
            size: resource.size,
            annotations: field(&of, "annotations", resource.annotations)?,
            icons: field(&of, "icons", resource.icons)?,
            meta: field(&of, "meta", resource.meta)?,
            uri,
        });
    }
    Ok(specs)
}

/// The families of resources a guest declares, or why they are refused.
pub(crate) fn templates(declared: Vec<resources::ResourceTemplate>) -> Result<Vec<TemplateSpec>, String> {
    bound("resource templates", declared.len(), MAX_TEMPLATES)?;
    let mut uris = BTreeSet::new();
    let mut specs = Vec::with_capacity(declared.len());
    for template in declared {
        let uri_template = uri(template.uri_template, &mut uris)?;
        if uri_template.split('{').skip(1).any(|part| !part.contains('}')) {
            return Err(format!("the URI template `{uri_template}` has a `{{` without its `}}`"));
        }
        let of = format!("the resource template `{uri_template}`");
        specs.push(TemplateSpec {
            name: template.name,
            title: template.title,
            description: template.description,
            mime_type: template.mime_type,
            annotations: field(&of, "annotations", template.annotations)?,
            icons: field(&of, "icons", template.icons)?,
            meta: field(&of, "meta", template.meta)?,
            uri_template,
        });
    }
    Ok(specs)
}

fn bound(what: &str, count: usize, max: usize) -> Result<(), String> {
    if count > max { Err(format!("it declares {count} {what}, at most {max} are allowed")) } else { Ok(()) }
}

/// An absolute URI (RFC 3986): a scheme, a colon, and no blank.
fn uri(uri: String, known: &mut BTreeSet<String>) -> Result<String, String> {
    let cut: String = uri.chars().take(100).collect();
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    let sound = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !uri.chars().any(|c| c.is_whitespace() || c.is_control());
    if !sound || uri.len() > MAX_URI {
        return Err(format!(
            "it declares a resource at `{cut}`, which is no absolute URI of at most {MAX_URI} bytes"
        ));
    }
    if known.insert(uri.clone()) { Ok(uri) } else { Err(format!("it declares a resource at `{cut}` twice")) }
}

fn field<T: DeserializeOwned>(of: &str, name: &str, text: Option<String>) -> Result<Option<T>, String> {
    let read = |text: String| serde_json::from_str(&text);
    text.map(read).transpose().map_err(|_| format!("the field `{name}` of {of} is not the JSON it must be"))
}

/// How the guest says that filling in a prompt ended.
pub(crate) fn filled(outcome: prompts::PromptOutcome, touched: bool) -> Result<Outcome, Failure> {
    let messages = match outcome {
        prompts::PromptOutcome::Messages(messages) => messages,
        prompts::PromptOutcome::InputRequired(asked) => return self::asked(asked, touched),
    };
    let (mut roles, mut content) = (vec![], vec![]);
    for message in messages.messages {
        roles.push(match message.role {
            prompts::Role::User => Role::User,
            prompts::Role::Assistant => Role::Assistant,
        });
        content.push(block(message.content)?);
    }
    let reply = Reply { content, meta: object("meta", messages.meta)?, ..Reply::default() };
    Ok(Outcome::Filled(Filled { description: messages.description, roles, reply }))
}

/// How the guest says that reading a resource ended.
pub(crate) fn read(outcome: Option<resources::ReadOutcome>, touched: bool) -> Result<Outcome, Failure> {
    let all = match outcome {
        None => return Ok(Outcome::Read(None)),
        Some(resources::ReadOutcome::Contents(all)) => all,
        Some(resources::ReadOutcome::InputRequired(asked)) => return self::asked(asked, touched),
    };
    let blocks = all.into_iter().map(|resource| {
        let content = Content::Resource(contents(resource)?);
        Ok(skillhost_core::Block { content, annotations: None, meta: None })
    });
    let content = blocks.collect::<Result<_, Failure>>()?;
    Ok(Outcome::Read(Some(Reply { content, ..Reply::default() })))
}

fn asked(asked: types::InputRequired, touched: bool) -> Result<Outcome, Failure> {
    ask::asked(asked, touched).map(|asked: InputRequired| Outcome::InputRequired(asked))
}

/// What the guest suggests. More than MCP allows is cut.
pub(crate) fn completed(mut completion: completions::Completion) -> Outcome {
    let more = completion.has_more || completion.values.len() > MAX_VALUES;
    completion.values.truncate(MAX_VALUES);
    Outcome::Completed(Completion { values: completion.values, total: completion.total, has_more: more })
}

/// What an argument belongs to, for the guest.
pub(crate) fn subject(completing: &Completing) -> completions::Subject {
    match &completing.subject {
        Subject::Prompt(name) => completions::Subject::Prompt(name.clone()),
        Subject::Template(template) => completions::Subject::ResourceTemplate(template.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_absolute_and_each_is_there_once() {
        let mut known = BTreeSet::new();
        for good in ["file:///a", "test://static-text", "urn:x:y", "a+b.c-1:z", "note://{name}"] {
            assert!(uri(good.into(), &mut known).is_ok(), "{good}");
            assert!(uri(good.into(), &mut known).is_err(), "twice: {good}");
        }
        for bad in ["", "a", "/a", "://a", "1a://b", "a b://c", "file:///a b", "x:\n", &"a:".repeat(2_000)] {
            assert!(uri(bad.into(), &mut known).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn prompts_are_named_as_tools() {
        let prompt = |name: &str| prompts::Prompt {
            name: name.into(),
            title: None,
            description: None,
            arguments: vec![],
            icons: None,
            meta: None,
        };
        assert!(prompts(vec![prompt("a"), prompt("b")]).is_ok());
        assert!(prompts(vec![prompt("a"), prompt("a")]).unwrap_err().contains("twice"));
        assert!(prompts(vec![prompt("a b")]).is_err());
        assert!(prompts(vec![prompts::Prompt { meta: Some("[]".into()), ..prompt("a") }]).is_err());
    }
}
