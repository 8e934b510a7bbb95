//! Responses of the pipeline as MCP words them.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rmcp::{
    ErrorData,
    model::{
        AudioContent, CallToolResult, ClientCapabilities, CompleteResult, CompletionInfo, ContentBlock,
        EmbeddedResource, GetPromptResult, ImageContent, JsonRpcMessage, JsonRpcResponse, MetaObject,
        PromptMessage, ReadResourceResult, Resource, ResourceContents, ServerJsonRpcMessage, ServerResult,
        TextContent,
    },
};
use serde_json::{Map, Value, json};
use skillhost_core::{
    Block, CallId, Content, Effect, Failure, FailureKind, Hint, Outcome, Reply, ResourceBody, Role,
    text::bounded,
};
use skillhost_pipeline::{FeatureResponse, Response, StandIn};
use skillhost_policy::{Findings, compact};

use super::wording;

/// Prefix of our own keys in `_meta`.
const OURS: &str = "skillhost/";
/// Prefixes a skill must not speak under.
const RESERVED: [&str; 3] = [OURS, "io.modelcontextprotocol/", "dev.mcp/"];

/// A message as JSON.
///
/// # Errors
/// When it has none; ours have one.
pub(crate) fn json(message: &ServerJsonRpcMessage) -> serde_json::Result<String> {
    /// Bytes of text from which on it is faster to copy it into a value first than to have serde_json look at each of them.
    const LONG: usize = 16 << 10;
    let is_long = |result: &CallToolResult| {
        let texts = result.content.iter().filter_map(|block| block.as_text());
        texts.map(|text| text.text.len()).sum::<usize>() >= LONG
    };
    match message {
        JsonRpcMessage::Response(JsonRpcResponse {
            result: ServerResult::CallToolResult(result), ..
        }) if is_long(result) => Ok(compact(&serde_json::to_value(message)?)),
        _ => serde_json::to_string(message),
    }
}

/// The result of `tools/call`, or the JSON-RPC error where MCP wants one.
pub(crate) fn to_mcp(response: Response) -> Result<CallToolResult, ErrorData> {
    let mut meta = Map::new();
    match &response.result {
        Ok(Reply { meta: Some(own), .. }) => {
            let allowed = |key: &str| !RESERVED.iter().any(|prefix| key.starts_with(prefix));
            meta.extend(own.iter().filter(|(key, _)| allowed(key)).map(|(k, v)| (k.clone(), v.clone())));
        }
        Ok(_) => {}
        Err(failure) => {
            meta.insert(format!("{OURS}failure"), described(failure, response.effect));
        }
    }
    meta.extend(identified(response.id, &response.correlation_id));
    let mut ours = |key: &str, value: Value| meta.insert([OURS, key].concat(), value);
    if response.attempts > 0 {
        ours("attempt", response.attempts.into());
    }
    if response.usage.started {
        let usage = &response.usage;
        let mut used = json!({
            "memory_bytes": usage.memory,
            "queued_ms": usage.queued.as_secs_f64() * 1e3,
            "ran_ms": usage.ran.as_secs_f64() * 1e3,
        });
        // Where it is counted.
        if usage.fuel > 0 {
            used["fuel"] = usage.fuel.into();
        }
        ours("usage", used);
    }
    if let Some(age) = response.cached {
        ours("cache", json!({"age_ms": millis(age)}));
    }
    if !response.findings.is_empty() {
        let Findings { hidden, escapes, instructions } = response.findings;
        ours("filtered", json!({"hidden": hidden, "escapes": escapes, "instructions": instructions}));
    }
    if response.replayed {
        ours("replayed", true.into());
    }
    if let Some(standing) = &response.standing {
        let mut told = json!({"id": standing.id.to_string(), "state": standing.word});
        if let Some(due) = standing.due_in {
            told["due_in_ms"] = millis(due).into();
        }
        ours("call", told);
    }
    if let Some(rollback) = &response.rollback {
        ours("rollback", rollback.described());
    }
    let aside = response.stands_in.as_ref().map(|StandIn { tool, reason }| {
        let told = json!({"tool": tool, "kind": reason.kind.code(), "reason": reason.message});
        ours("fallback", told);
        format!("[skillhost] `{tool}` answered in the place of the tool that was called: {reason}")
    });
    // Most models see nothing of `_meta`, and cannot undo what they have no id of.
    let undoable = response.undoable.then(|| {
        ours("undoable", true.into());
        format!("[skillhost] `undo_call` {{\"id\": \"{}\"}} takes this call back.", response.id)
    });
    let mut result = match response.result {
        Ok(reply) => success(reply),
        Err(failure) => match failure.kind {
            FailureKind::UnknownTool => {
                return Err(ErrorData::invalid_params(failure.message, Some(Value::Object(meta))));
            }
            FailureKind::InvalidAnswers => {
                return Err(ErrorData::invalid_params(failure.message, Some(Value::Object(meta))));
            }
            FailureKind::MissingCapability => {
                return Err(ErrorData::missing_required_client_capability(capabilities(&failure.missing)));
            }
            _ => {
                let mut text = match &response.rollback {
                    None => told(&failure, response.effect),
                    // Whether to check first is known by now.
                    Some(rollback) if rollback.is_clean() && failure.kind.hint() != Hint::CheckFirst => {
                        format!("{}\n{}", told(&failure, response.effect), rollback.told())
                    }
                    // What the kind alone would say is not true of what stays.
                    Some(rollback) => format!("{} [{}]\n{}", failure.message, failure.kind, rollback.told()),
                };
                if let Some(standing) = &response.standing {
                    text = format!("{text}\n{}", standing.kept());
                }
                CallToolResult::error(vec![ContentBlock::text(text)])
            }
        },
    };
    // Many clients show their model nothing but this.
    result.content.extend(aside.into_iter().chain(undoable).map(ContentBlock::text));
    result.meta = Some(MetaObject(meta));
    Ok(result)
}

/// Rounded up: who comes back then is not too early.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// A failure for programs.
fn described(failure: &Failure, effect: Effect) -> Value {
    let mut value = json!({
        "kind": failure.kind.code(),
        "effect": effect.as_str(),
        "hint": failure.kind.hint().as_str(),
    });
    if let Some(after) = failure.retry_after {
        value["retry_after_ms"] = json!(millis(after));
    }
    if !failure.pointers.is_empty() {
        value["pointers"] = json!(failure.pointers);
    }
    value
}

/// A failure for models: what happened, and what to do. Many clients show them nothing else.
fn told(failure: &Failure, effect: Effect) -> String {
    let advice = match failure.retry_after {
        Some(after) if effect == Effect::None => {
            format!("Nothing took effect; try again in {} ms.", millis(after))
        }
        Some(after) => {
            format!("It may have taken effect: check, and try again in {} ms at the earliest.", millis(after))
        }
        None if effect == Effect::None && failure.kind == FailureKind::Cancelled => {
            "Nothing took effect.".into()
        }
        None => failure.kind.advice().into(),
    };
    format!("{} [{}]\n{advice}", failure.message, failure.kind)
}

/// `["elicitation.url", "sampling"]` as the object MCP wants. Names a client cannot have are left out.
fn capabilities(names: &[String]) -> ClientCapabilities {
    let mut all = Map::new();
    for name in names {
        let mut at = &mut all;
        for part in name.split('.').take(4) {
            let Value::Object(inner) = at.entry(part).or_insert_with(|| json!({})) else { unreachable!() };
            at = inner;
        }
    }
    let usable = |(key, value): (String, Value)| {
        serde_json::from_value::<ClientCapabilities>(json!({ &key: value })).is_ok().then_some((key, value))
    };
    let all: Map<_, _> = all.into_iter().filter_map(usable).collect();
    serde_json::from_value(Value::Object(all)).unwrap_or_default()
}

fn success(reply: Reply) -> CallToolResult {
    let content = reply.content.into_iter().map(block).collect();
    let mut result =
        if reply.is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
    result.structured_content = reply.structured;
    result
}

/// The result of `prompts/get`.
pub(crate) fn prompt(response: FeatureResponse) -> Result<GetPromptResult, ErrorData> {
    match error(response)? {
        Outcome::Filled(mut filled) => {
            let description = filled.description.take();
            let meta = own(filled.reply.meta.take());
            let messages = filled.messages().map(|(role, content)| {
                let role = match role {
                    Role::User => rmcp::model::Role::User,
                    Role::Assistant => rmcp::model::Role::Assistant,
                };
                PromptMessage::new(role, block(content))
            });
            let mut result = GetPromptResult::new(messages.collect());
            (result.description, result.meta) = (description, meta);
            Ok(result)
        }
        _ => Err(strange()),
    }
}

/// The result of `resources/read`.
pub(crate) fn resource(uri: &str, response: FeatureResponse) -> Result<ReadResourceResult, ErrorData> {
    match error(response)? {
        Outcome::Read(Some(reply)) => {
            let read = |block: Block| match block.content {
                Content::Resource(resource) => Some(contents(resource)),
                _ => None,
            };
            Ok(ReadResourceResult::new(reply.content.into_iter().filter_map(read).collect()))
        }
        Outcome::Read(None) => {
            let text = format!("there is no resource `{}`", bounded(uri.to_owned(), 200));
            Err(ErrorData::resource_not_found(text, Some(json!({"uri": uri}))))
        }
        _ => Err(strange()),
    }
}

/// The result of `completion/complete`.
pub(crate) fn completion(response: FeatureResponse) -> Result<CompleteResult, ErrorData> {
    match error(response)? {
        Outcome::Completed(completion) => {
            let mut info = CompletionInfo::new(completion.values).map_err(|_| strange())?;
            (info.total, info.has_more) = (completion.total, Some(completion.has_more));
            Ok(CompleteResult::new(info))
        }
        // Nobody suggests anything.
        Outcome::Read(None) => Ok(CompleteResult::default()),
        _ => Err(strange()),
    }
}

fn strange() -> ErrorData {
    ErrorData::internal_error("the skill answered something else than was asked for", None)
}

/// The outcome, or the error where what failed is no tool: there are no results that say "no" then.
fn error(response: FeatureResponse) -> Result<Outcome, ErrorData> {
    let FeatureResponse { id, correlation_id, result, .. } = response;
    result.map_err(|failure| {
        if failure.kind == FailureKind::MissingCapability {
            return ErrorData::missing_required_client_capability(capabilities(&failure.missing));
        }
        let effect = failure.kind.effect(true);
        let data = json!({
            format!("{OURS}call_id"): id.to_string(),
            format!("{OURS}correlation_id"): &*correlation_id,
            format!("{OURS}failure"): described(&failure, effect),
        });
        match failure.kind {
            FailureKind::UnknownTool | FailureKind::InvalidInput | FailureKind::InvalidAnswers => {
                ErrorData::invalid_params(failure.message, Some(data))
            }
            _ => ErrorData::internal_error(told(&failure, effect), Some(data)),
        }
    })
}

/// What of a skill's `_meta` it may say.
fn own(meta: Option<Map<String, Value>>) -> Option<MetaObject> {
    let allowed = |key: &str| !RESERVED.iter().any(|prefix| key.starts_with(prefix));
    let own: Map<_, _> = meta?.into_iter().filter(|(key, _)| allowed(key)).collect();
    (!own.is_empty()).then_some(MetaObject(own))
}

/// What names a call in its `_meta`.
pub(super) fn identified(call: CallId, correlation: &str) -> Map<String, Value> {
    let ours = |key: &str| [OURS, key].concat();
    [(ours("call_id"), call.to_string().into()), (ours("correlation_id"), correlation.into())]
        .into_iter()
        .collect()
}

fn block(block: Block) -> ContentBlock {
    let meta = block.meta.map(MetaObject);
    let annotations = wording::annotations(block.annotations.as_ref());
    macro_rules! with {
        ($content:expr) => {{
            let mut content = $content;
            content.meta = meta;
            content.annotations = annotations;
            content
        }};
    }
    match block.content {
        Content::Text(text) => ContentBlock::Text(with!(TextContent::new(text))),
        Content::Image(m) => {
            ContentBlock::Image(with!(ImageContent::new(BASE64_STANDARD.encode(m.data), m.mime_type)))
        }
        Content::Audio(m) => {
            ContentBlock::Audio(with!(AudioContent::new(BASE64_STANDARD.encode(m.data), m.mime_type)))
        }
        Content::ResourceLink(link) => ContentBlock::ResourceLink(with!({
            let mut resource = Resource::new(link.uri, link.name);
            resource.title = link.title;
            resource.description = link.description;
            resource.mime_type = link.mime_type;
            resource.size = link.size;
            resource.icons = wording::icons(link.icons.as_deref());
            resource
        })),
        Content::Resource(resource) => {
            ContentBlock::Resource(with!(EmbeddedResource::new(contents(resource))))
        }
    }
}

fn contents(resource: skillhost_core::ResourceContents) -> ResourceContents {
    let meta = resource.meta.map(MetaObject);
    let (uri, mime_type) = (resource.uri, resource.mime_type);
    match resource.body {
        ResourceBody::Text(text) => ResourceContents::TextResourceContents { uri, mime_type, text, meta },
        ResourceBody::Blob(data) => {
            let blob = BASE64_STANDARD.encode(data);
            ResourceContents::BlobResourceContents { uri, mime_type, blob, meta }
        }
    }
}

#[cfg(test)]
mod tests {
    use skillhost_core::Usage;

    use super::*;

    fn response(result: Result<Reply, Failure>) -> Response {
        let id = CallId::new();
        let effect = result.as_ref().err().map_or(Effect::Unknown, |failure| failure.kind.effect(true));
        Response {
            id,
            correlation_id: "c".into(),
            result,
            effect,
            usage: Usage::default(),
            attempts: 1,
            cached: None,
            findings: Findings::default(),
            stands_in: None,
            replayed: false,
            standing: None,
            failed: None,
            changed: false,
            rollback: None,
            settled: false,
            undoable: false,
            asked: None,
        }
    }

    fn text(result: &CallToolResult) -> &str {
        &result.content[0].as_text().unwrap().text
    }

    #[test]
    fn a_message_is_the_same_json_however_long_its_text_is() {
        for length in [1, 40 << 10] {
            let text = "a \"word\"\n".repeat(length);
            let reply = Reply {
                content: vec![Block::text(text)],
                structured: Some(json!({"n": 1.5})),
                ..Reply::default()
            };
            let result = ServerResult::from(to_mcp(response(Ok(reply))).unwrap());
            let message = ServerJsonRpcMessage::response(result, rmcp::model::RequestId::Number(1));
            assert_eq!(json(&message).unwrap(), serde_json::to_string(&message).unwrap());
        }
    }

    #[test]
    fn a_skill_cannot_speak_for_the_host() {
        let meta = json!({"skillhost/call_id": "forged", "io.modelcontextprotocol/x": 1, "own": 2});
        let reply = Reply { meta: meta.as_object().cloned(), ..Reply::default() };
        let meta = to_mcp(response(Ok(reply))).unwrap().meta.unwrap().0;
        assert_ne!(meta["skillhost/call_id"], "forged");
        assert_eq!(meta["own"], 2);
        assert!(!meta.contains_key("io.modelcontextprotocol/x"));
    }

    #[test]
    fn failures_tell_what_to_do() {
        let failure = Failure::new(FailureKind::Transient, "busy").retry_after(Duration::from_millis(1500));
        let result = to_mcp(response(Err(failure))).unwrap();
        assert_eq!(result.is_error, Some(true));
        assert_eq!(text(&result), "busy [transient]\nNothing took effect; try again in 1500 ms.");
        let meta = result.meta.unwrap().0;
        assert_eq!(
            meta["skillhost/failure"],
            json!({"kind": "transient", "effect": "none", "hint": "retry-later", "retry_after_ms": 1500})
        );
        let result = to_mcp(response(Err(Failure::new(FailureKind::Permanent, "no")))).unwrap();
        assert_eq!(text(&result), "no [permanent]\nNothing took effect. Do not retry.");
    }

    #[test]
    fn protocol_errors_are_protocol_errors() {
        let error =
            to_mcp(response(Err(Failure::new(FailureKind::UnknownTool, "unknown tool `x`")))).unwrap_err();
        assert_eq!(error.code.0, -32602);
        let failure = Failure {
            missing: vec!["elicitation.url".into(), "sampling".into(), "nonsense".into()],
            ..Failure::new(FailureKind::MissingCapability, "")
        };
        let error = to_mcp(response(Err(failure))).unwrap_err();
        assert_eq!(error.code.0, -32021);
        assert_eq!(
            error.data.unwrap()["requiredCapabilities"],
            json!({"elicitation": {"url": {}}, "sampling": {}})
        );
    }
}
