//! Bodies of HTTP requests: their bound, and what is wrong with one that is no message.

use std::error::Error as _;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use http_body_util::LengthLimitError;
use rmcp::{
    ErrorData, RoleServer,
    model::{InitializeRequestParams, RequestId},
    service::TxJsonRpcMessage,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use skillhost_core::text::bounded;

use super::refusal;

/// The bytes of a body that says it is larger than `max`.
pub(crate) fn beyond(max: usize, headers: &HeaderMap) -> Option<usize> {
    let length = headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    (length > max).then_some(length)
}

/// Refuses a body of so many bytes, after reading it away: a client that is still writing when the connection is closed never sees
/// the answer.
pub(crate) async fn refuse_large(length: usize, max: usize, request: Request) -> Response {
    /// What is read away at most; beyond it the client has to live with a closed connection.
    const DRAIN: usize = 256 << 20;
    let mut body = request.into_body().into_data_stream();
    let mut read = 0;
    while let Some(Ok(chunk)) = body.next().await {
        read += chunk.len();
        if read > DRAIN {
            break;
        }
    }
    too_large(&format!("the request has {length} bytes"), max)
}

/// The whole body; what is answered when it cannot be had.
pub(crate) async fn whole(body: Body, max: usize) -> Result<Bytes, Response> {
    to_bytes(body, max).await.map_err(|error| {
        if error.source().is_some_and(|source| source.is::<LengthLimitError>()) {
            return too_large("the request is too large", max);
        }
        (StatusCode::BAD_REQUEST, "the body of the request cannot be read to its end").into_response()
    })
}

fn too_large(what: &str, max: usize) -> Response {
    let reason = format!("{what}, at most {max} are read (`server.max_request`)");
    (StatusCode::PAYLOAD_TOO_LARGE, reason).into_response()
}

/// Says what is wrong with a body that is no message, as JSON-RPC and by its id, where `response` is rmcp's. rmcp 3.11 answers 415 and a
/// line of text then, and takes a request whose `id` cannot be one for a notification.
pub(crate) async fn reworded(response: Response, body: &Bytes) -> Response {
    let text = || str::from_utf8(body);
    let (id, error) = match response.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => match text() {
            Err(_) => (None, ErrorData::parse_error("the message is not UTF-8", None)),
            Ok(text) => refusal::of(text).unwrap_or_else(|| {
                (None, ErrorData::invalid_request("not a message of this protocol", None))
            }),
        },
        StatusCode::ACCEPTED => match text().ok().filter(|text| refusal::asks(text)).and_then(refusal::of) {
            Some(refusal) => refusal,
            None => return response,
        },
        // rmcp takes it for another method, and misses a session.
        StatusCode::BAD_REQUEST if !is_json(response.headers()) => {
            match text().ok().and_then(malformed_beginning) {
                Some(refusal) => refusal,
                None => return word(response, || text().ok().and_then(refusal::id)).await,
            }
        }
        _ => return word(response, || text().ok().and_then(refusal::id)).await,
    };
    (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/json")], error_json(id, error)).into_response()
}

fn error_json(id: Option<RequestId>, error: ErrorData) -> String {
    let message = TxJsonRpcMessage::<RoleServer>::error(error, id);
    serde_json::to_string(&message).unwrap_or_default()
}

/// What is wrong with an `initialize` that rmcp could not read.
fn malformed_beginning(text: &str) -> Option<(Option<RequestId>, ErrorData)> {
    #[derive(Deserialize)]
    struct Begins {
        id: RequestId,
        method: String,
        params: Option<Box<RawValue>>,
    }
    let begins: Begins =
        serde_json::from_str(text).ok().filter(|begins: &Begins| begins.method == "initialize")?;
    let params = begins.params.as_ref().map_or("null", |params| params.get());
    let error = serde_json::from_str::<InitializeRequestParams>(params).err()?;
    let text = bounded(format!("the parameters of initialize are malformed: {error}"), 500);
    Some((Some(begins.id), ErrorData::invalid_params(text, None)))
}

/// Says as JSON-RPC what is refused in plain text, by rmcp and by what stands before it: clients read one kind of answer.
pub(crate) async fn worded(response: Response) -> Response {
    if is_plain_refusal(&response) { word(response, || None).await } else { response }
}

fn is_plain_refusal(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let refused = response.status().is_client_error() || response.status().is_server_error();
    refused && !kind.starts_with("application/json") && !kind.starts_with("text/event-stream")
}

async fn word(response: Response, id: impl FnOnce() -> Option<RequestId>) -> Response {
    /// Bytes of a refusal in plain text.
    const MAX: usize = 4 << 10;
    if !is_plain_refusal(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    // rmcp 3.11, when a session is ended while a request of it is on its way.
    let gone =
        parts.status == StatusCode::INTERNAL_SERVER_ERROR && text.contains("Session service terminated");
    let (text, error): (_, fn(String) -> ErrorData) = match parts.status {
        _ if gone => {
            parts.status = StatusCode::NOT_FOUND;
            ("the session has ended".to_owned(), |text| ErrorData::invalid_request(text, None))
        }
        status if status.is_server_error() => (text, |text| ErrorData::internal_error(text, None)),
        status if text.is_empty() => (status.to_string(), |text| ErrorData::invalid_request(text, None)),
        _ => (text, |text| ErrorData::invalid_request(text, None)),
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(parts, Body::from(error_json(id(), error(text))))
}

/// Whether it is said to be JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    const JSON: &str = "application/json";
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.get(..JSON.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(JSON))
}
