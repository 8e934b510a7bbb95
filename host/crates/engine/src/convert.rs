//! Between the contract's types and `core`'s, checking everything a guest says.

pub(crate) mod ask;
pub(crate) mod features;

use serde_json::{Map, Value};
use skillhost_core::{
    self as core, Block, Call, Content, Failure, FailureKind, Media, Outcome, Reply, ResourceBody,
    ResourceContents, ResourceLink, Schema, ToolSpec, ToolSpecError, text::bounded,
};

use crate::{
    bindings::skillhost::skill::{
        host::{CallError, HostError},
        types,
    },
    redact::shapes::redact,
};

/// The context a guest gets. `left` is the time until the call's deadline.
pub(crate) fn context(call: &Call, left: std::time::Duration) -> types::Context {
    let mut client = types::ClientFeatures::empty();
    let offered = [
        (call.client.elicitation_form, types::ClientFeatures::ELICITATION_FORM),
        (call.client.elicitation_url, types::ClientFeatures::ELICITATION_URL),
        (call.client.sampling, types::ClientFeatures::SAMPLING),
        (call.client.sampling_tools, types::ClientFeatures::SAMPLING_TOOLS),
        (call.client.roots, types::ClientFeatures::ROOTS),
        (call.client.progress, types::ClientFeatures::PROGRESS),
    ];
    for (_, flag) in offered.into_iter().filter(|(has, _)| *has) {
        client |= flag;
    }
    types::Context {
        call_id: call.id.to_string(),
        correlation_id: call.correlation_id.to_string(),
        attempt: call.attempt,
        time_left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        caller: call.caller.as_str().to_owned(),
        client,
        meta: call.meta.as_deref().map(str::to_owned),
        round: call.round.as_deref().map(ask::round),
    }
}

/// The tools a guest declares.
pub(crate) fn tools(declared: Vec<types::Tool>, max: usize) -> Result<Vec<ToolSpec>, ToolSpecError> {
    if declared.is_empty() {
        return Err(ToolSpecError::None);
    }
    if declared.len() > max {
        return Err(ToolSpecError::TooMany { count: declared.len(), max });
    }
    let mut specs: Vec<ToolSpec> = Vec::with_capacity(declared.len());
    for tool in declared {
        if specs.iter().any(|spec| spec.name == tool.name) {
            return Err(ToolSpecError::Duplicate(tool.name));
        }
        specs.push(spec(tool)?);
    }
    Ok(specs)
}

fn spec(tool: types::Tool) -> Result<ToolSpec, ToolSpecError> {
    core::ToolName::bare(&tool.name)?;
    let schema = |which, result: Result<Schema, core::SchemaError>| {
        result.map_err(|error| ToolSpecError::Schema { tool: tool.name.clone(), which, error })
    };
    let input = schema("input", Schema::for_arguments(&tool.input_schema))?;
    let output = tool.output_schema.as_deref().map(|s| schema("output", Schema::parse(s))).transpose()?;
    let field = |field, expected| ToolSpecError::Field { tool: tool.name.clone(), field, expected };
    let icons = match &tool.icons {
        None => None,
        Some(text) => Some(serde_json::from_str(text).map_err(|_| field("icons", "a JSON array"))?),
    };
    let meta = match &tool.meta {
        None => None,
        Some(text) => Some(serde_json::from_str(text).map_err(|_| field("meta", "a JSON object"))?),
    };
    Ok(ToolSpec {
        title: tool.title,
        description: tool.description,
        input,
        output,
        annotations: core::Annotations {
            read_only: tool.annotations.read_only,
            destructive: tool.annotations.destructive,
            idempotent: tool.annotations.idempotent,
            open_world: tool.annotations.open_world,
        },
        undoable: tool.undoable,
        durable: tool.durable,
        task: match tool.task {
            types::TaskSupport::No => core::TaskSupport::No,
            types::TaskSupport::Optional => core::TaskSupport::Optional,
            types::TaskSupport::Required => core::TaskSupport::Required,
            types::TaskSupport::Answered => core::TaskSupport::Answered,
        },
        icons,
        meta,
        name: tool.name,
    })
}

/// How the guest says the call ended; `touched`: it may have changed something.
pub(crate) fn outcome(
    result: Result<types::Outcome, types::Failure>,
    touched: bool,
) -> Result<Outcome, Failure> {
    match result {
        Ok(types::Outcome::Reply(reply)) => self::reply(reply).map(Outcome::Reply),
        Ok(types::Outcome::InputRequired(asked)) => ask::asked(asked, touched).map(Outcome::InputRequired),
        Err(failure) => Err(self::failure(failure)),
    }
}

/// Bytes of a skill's message that are looked at; what is told is cut further.
const MAX_MESSAGE: usize = 64 << 10;
/// Capabilities a skill may name, and bytes of a name.
const MAX_MISSING: usize = 16;
const MAX_CAPABILITY: usize = 64;

pub(crate) fn failure(failure: types::Failure) -> Failure {
    let of = |kind, message: String| Failure::new(kind, redact(&bounded(message, MAX_MESSAGE)));
    match failure {
        types::Failure::InvalidInput(message) => of(FailureKind::InvalidInput, message),
        types::Failure::Permanent(message) => of(FailureKind::Permanent, message),
        types::Failure::Conflict(message) => of(FailureKind::Conflict, message),
        types::Failure::Transient(transient) => {
            let failure = of(FailureKind::Transient, transient.message);
            match transient.retry_after_ms {
                Some(ms) => failure.retry_after(std::time::Duration::from_millis(ms)),
                None => failure,
            }
        }
        types::Failure::MissingCapability(mut missing) => {
            missing.truncate(MAX_MISSING);
            missing.retain(|name| name.len() <= MAX_CAPABILITY);
            let message = format!("the client lacks what this tool needs: {}", missing.join(", "));
            Failure { missing, ..of(FailureKind::MissingCapability, message) }
        }
    }
}

fn reply(reply: types::Reply) -> Result<Reply, Failure> {
    Ok(Reply {
        content: reply.content.into_iter().map(block).collect::<Result<_, _>>()?,
        structured: reply.structured.as_deref().map(|text| json("structured", text)).transpose()?,
        is_error: reply.is_error,
        meta: object("meta", reply.meta)?,
        undo_token: reply.undo_token.map(token).transpose()?,
    })
}

/// Bytes of an undo token.
const MAX_TOKEN: usize = 64 << 10;

/// Whether a text can be an undo token; why not.
pub(crate) fn is_token(token: &str) -> Result<(), String> {
    if token.len() > MAX_TOKEN {
        return Err(format!(
            "an undo token has at most {MAX_TOKEN} bytes, not {}; larger things go into the key-value bucket under the call's id",
            token.len()
        ));
    }
    serde_json::from_str::<serde::de::IgnoredAny>(token)
        .map(drop)
        .map_err(|error| format!("the undo token is not JSON: {error}"))
}

fn token(token: String) -> Result<String, Failure> {
    match is_token(&token) {
        Ok(()) => Ok(token),
        Err(why) => Err(Failure::new(FailureKind::InvalidOutput, why)),
    }
}

fn block(block: types::ContentBlock) -> Result<Block, Failure> {
    let media = |m: types::Media| Media { data: m.data, mime_type: m.mime_type };
    let content = match block.content {
        types::Content::Text(text) => Content::Text(text),
        types::Content::Image(m) => Content::Image(media(m)),
        types::Content::Audio(m) => Content::Audio(media(m)),
        types::Content::ResourceLink(link) => Content::ResourceLink(ResourceLink {
            uri: link.uri,
            name: link.name,
            title: link.title,
            description: link.description,
            mime_type: link.mime_type,
            size: link.size,
            icons: link.icons.as_deref().map(|text| typed("icons", text, "a JSON array")).transpose()?,
        }),
        types::Content::Resource(resource) => Content::Resource(contents(resource)?),
    };
    Ok(Block {
        content,
        annotations: object("annotations", block.annotations)?,
        meta: object("meta", block.meta)?,
    })
}

fn contents(resource: types::ResourceContents) -> Result<ResourceContents, Failure> {
    Ok(ResourceContents {
        uri: resource.uri,
        mime_type: resource.mime_type,
        body: match resource.body {
            types::ResourceBody::Text(text) => ResourceBody::Text(text),
            types::ResourceBody::Blob(data) => ResourceBody::Blob(data),
        },
        meta: object("meta", resource.meta)?,
    })
}

fn object(field: &str, text: Option<String>) -> Result<Option<Map<String, Value>>, Failure> {
    text.map(|text| typed(field, &text, "a JSON object")).transpose()
}

fn json(field: &str, text: &str) -> Result<Value, Failure> {
    typed(field, text, "JSON")
}

fn typed<T: serde::de::DeserializeOwned>(field: &str, text: &str, expected: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::new(
            FailureKind::InvalidOutput,
            format!("the skill's result holds `{field}` that is not {expected}: {error}"),
        )
    })
}

/// A reply of another tool, for the guest that called it.
pub(crate) fn given(reply: Reply) -> types::Reply {
    let object = |map: Option<Map<String, Value>>| map.map(|map| Value::Object(map).to_string());
    let media = |m: Media| types::Media { data: m.data, mime_type: m.mime_type };
    let block = |block: Block| types::ContentBlock {
        content: match block.content {
            Content::Text(text) => types::Content::Text(text),
            Content::Image(m) => types::Content::Image(media(m)),
            Content::Audio(m) => types::Content::Audio(media(m)),
            Content::ResourceLink(link) => types::Content::ResourceLink(types::ResourceLink {
                uri: link.uri,
                name: link.name,
                title: link.title,
                description: link.description,
                mime_type: link.mime_type,
                size: link.size,
                icons: link.icons.map(|icons| Value::Array(icons).to_string()),
            }),
            Content::Resource(resource) => types::Content::Resource(types::ResourceContents {
                uri: resource.uri,
                mime_type: resource.mime_type,
                body: match resource.body {
                    ResourceBody::Text(text) => types::ResourceBody::Text(text),
                    ResourceBody::Blob(data) => types::ResourceBody::Blob(data),
                },
                meta: object(resource.meta),
            }),
        },
        annotations: object(block.annotations),
        meta: object(block.meta),
    };
    types::Reply {
        content: reply.content.into_iter().map(block).collect(),
        structured: reply.structured.map(|value| value.to_string()),
        is_error: reply.is_error,
        // Undoing it is the host's affair.
        undo_token: None,
        meta: object(reply.meta),
    }
}

/// Why another tool gave no reply, for the guest that called it.
pub(crate) fn told(failure: Failure) -> CallError {
    let retry_after_ms =
        failure.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    let message = failure.message;
    let failed = CallError::Failed;
    match failure.kind {
        FailureKind::InvalidInput => failed(types::Failure::InvalidInput(message)),
        FailureKind::Permanent => failed(types::Failure::Permanent(message)),
        FailureKind::Conflict => failed(types::Failure::Conflict(message)),
        FailureKind::MissingCapability => failed(types::Failure::MissingCapability(failure.missing)),
        FailureKind::Transient => {
            failed(types::Failure::Transient(types::Transient { message, retry_after_ms }))
        }
        FailureKind::Denied => CallError::Refused(HostError::Denied(message)),
        // Whoever calls it can ask, and hand it the answer.
        FailureKind::InputRequired => CallError::Refused(HostError::NotOffered(
            "the tool asks its client, which a tool that is called by another cannot".into(),
        )),
        FailureKind::UnknownTool | FailureKind::KeyConflict | FailureKind::InvalidAnswers => {
            CallError::Refused(HostError::Invalid(message))
        }
        FailureKind::NotReady
        | FailureKind::RateLimited
        | FailureKind::Overloaded
        | FailureKind::CircuitOpen
        | FailureKind::JournalUnavailable
        | FailureKind::ShuttingDown => CallError::Refused(HostError::Unavailable(match retry_after_ms {
            Some(ms) => format!("{message}; try again in {ms} ms"),
            None => message,
        })),
        FailureKind::Unsupported => CallError::Refused(HostError::NotOffered(message)),
        FailureKind::InvalidOutput
        | FailureKind::Trap
        | FailureKind::OutOfFuel
        | FailureKind::OutOfMemory
        | FailureKind::Timeout
        | FailureKind::Cancelled
        | FailureKind::Internal => CallError::Ended(format!("{}: {message}", failure.kind)),
    }
}
