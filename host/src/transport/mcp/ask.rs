//! What a skill asks, as MCP words it; and asking a client of the older eras, which answers requests instead of calling again.

use std::{collections::BTreeMap, time::Duration};

use rmcp::{
    ErrorData, RoleServer,
    model::{InputRequest, InputRequiredResult, MetaObject, ServerRequest},
    service::{PeerRequestOptions, RequestContext, ServiceError},
};
use serde_json::{Value, json};
use skillhost_core::{Ask, CallId, Question};
use skillhost_pipeline::{Asking, Given};

use crate::transport::reply;

/// What came back with a request.
pub(super) fn given(answers: Option<BTreeMap<String, Value>>, state: Option<String>) -> Option<Given> {
    let given = Given { state, answers: answers.unwrap_or_default() };
    (given != Given::default()).then_some(given)
}

/// The result that asks, for a client of 2026-07-28. It tells the call, which is the same in all rounds.
pub(super) fn required(
    asking: Asking,
    (call, correlation): (CallId, &str),
) -> Result<InputRequiredResult, ErrorData> {
    let requests = asking
        .questions
        .iter()
        .map(|question| Ok((question.key.clone(), request(question)?)))
        .collect::<Result<_, ErrorData>>()?;
    let mut required = InputRequiredResult::new(Some(requests), Some(asking.state));
    required.meta = Some(MetaObject(reply::identified(call, correlation)));
    Ok(required)
}

/// Ask a client of an older era, all questions at once, and bring what it answers into the form of the newer one.
pub(super) async fn ask(cx: &RequestContext<RoleServer>, asking: Asking) -> Result<Given, ErrorData> {
    let asked = asking.questions.iter().map(|question| async {
        let answer = one(cx, request(question)?, asking.within).await;
        answer.map(|answer| (question.key.clone(), answer)).map_err(|error| refused(question, &error))
    });
    let answers = futures::future::try_join_all(asked);
    tokio::select! {
        answers = answers => Ok(Given { state: Some(asking.state), answers: answers?.into_iter().collect() }),
        () = cx.ct.cancelled() => Err(ErrorData::internal_error("the client gave up on the call", None)),
    }
}

async fn one(
    cx: &RequestContext<RoleServer>,
    request: InputRequest,
    within: Duration,
) -> Result<Value, ServiceError> {
    let request = match request {
        InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
        InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
        InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
        // There is no other kind by the specification; rmcp only keeps the right to more.
        _ => return Err(ServiceError::UnexpectedResponse),
    };
    let options = PeerRequestOptions::with_timeout(within);
    let answer = cx.peer.send_request_with_option(request, options).await?.await_response().await?;
    serde_json::to_value(answer).map_err(|_| ServiceError::UnexpectedResponse)
}

/// Nothing took effect: the skill asked before it acted.
fn refused(question: &Question, error: &ServiceError) -> ErrorData {
    let why = match error {
        ServiceError::McpError(error) => format!("the client refused: {}", error.message),
        ServiceError::Timeout { .. } => "nobody answered in time".into(),
        other => other.to_string(),
    };
    let why = skillhost_core::text::bounded(why, 500);
    ErrorData::internal_error(
        format!("what the tool asks under `{}` was not answered: {why}; nothing took effect", question.key),
        None,
    )
}

/// A question as MCP words it. What rmcp cannot word cannot be asked.
pub(super) fn request(question: &Question) -> Result<InputRequest, ErrorData> {
    let value = match &question.ask {
        Ask::Form { message, schema } => {
            let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
            json!({"method": "elicitation/create", "params": params})
        }
        Ask::Url { message, url, id } => {
            let params = json!({"mode": "url", "message": message, "url": url, "elicitationId": id});
            json!({"method": "elicitation/create", "params": params})
        }
        Ask::Sample(params) => json!({"method": "sampling/createMessage", "params": params}),
        Ask::Roots => json!({"method": "roots/list"}),
    };
    let read = match &question.ask {
        Ask::Form { .. } | Ask::Url { .. } => serde_json::from_value(value).map(InputRequest::Elicitation),
        Ask::Sample(_) => serde_json::from_value(value).map(InputRequest::CreateMessage),
        Ask::Roots => serde_json::from_value(value).map(InputRequest::ListRoots),
    };
    read.map_err(|error| {
        tracing::warn!(key = question.key, %error, "the skill asks what the protocol has no words for");
        ErrorData::internal_error(
            format!("the skill asks `{}` in a way that the protocol has no words for", question.key),
            None,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worded(ask: Ask) -> Value {
        serde_json::to_value(request(&Question { key: "k".into(), ask }).unwrap()).unwrap()
    }

    #[test]
    fn a_form_arrives_as_it_was_written() {
        let schema = json!({"type": "object", "properties": {
            "name": {"type": "string", "title": "Name", "description": "d", "default": "John", "minLength": 1, "maxLength": 9},
            "mail": {"type": "string", "format": "email"},
            "age": {"type": "integer", "default": 30, "minimum": 0, "maximum": 200},
            "score": {"type": "number", "default": 95.5},
            "ok": {"type": "boolean", "default": true},
            "one": {"type": "string", "enum": ["a", "b"], "default": "a"},
            "old": {"type": "string", "enum": ["a"], "enumNames": ["A"]},
            "titled": {"type": "string", "oneOf": [{"const": "a", "title": "A"}]},
            "many": {"type": "array", "items": {"type": "string", "enum": ["a"]}},
            "titled_many": {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}, "minItems": 1},
        }, "required": ["name"]});
        let ask = Ask::Form { message: "m".into(), schema: schema.as_object().unwrap().clone() };
        let asked = worded(ask);
        assert_eq!(asked["method"], "elicitation/create");
        assert_eq!(asked["params"]["message"], "m");
        assert_eq!(asked["params"]["requestedSchema"], schema);
    }

    #[test]
    fn the_other_kinds() {
        let params =
            json!({"messages": [{"role": "user", "content": {"type": "text", "text": "?"}}], "maxTokens": 5});
        let asked = worded(Ask::Sample(params.as_object().unwrap().clone()));
        assert_eq!(
            (&asked["method"], &asked["params"]["maxTokens"]),
            (&"sampling/createMessage".into(), &5.into())
        );
        assert_eq!(worded(Ask::Roots)["method"], "roots/list");
        let asked = worded(Ask::Url { message: "m".into(), url: "https://a".into(), id: "1".into() });
        assert_eq!((&asked["params"]["mode"], &asked["params"]["url"]), (&"url".into(), &"https://a".into()));
        assert!(request(&Question { key: "k".into(), ask: Ask::Sample(serde_json::Map::new()) }).is_err());
    }
}
