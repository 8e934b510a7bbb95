//! Bodies of HTTP requests: their bound, and what is wrong with one that is no message.

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, Method, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use rmcp::{ErrorData, RoleServer, service::TxJsonRpcMessage};

use super::refusal;

/// Refuses a body that says it is larger than `max` bytes, after reading it away: a client that is still
/// writing when the connection is closed never sees the answer.
pub(crate) async fn limit(State(max): State<usize>, request: Request, next: Next) -> Response {
    /// What is read away at most; beyond it the client has to live with a closed connection.
    const DRAIN: usize = 256 << 20;
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    match length {
        Some(length) if length > max => {
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
        _ => next.run(request).await,
    }
}

fn too_large(what: &str, max: usize) -> Response {
    let reason = format!("{what}, at most {max} are read (`server.max_request`)");
    (StatusCode::PAYLOAD_TOO_LARGE, reason).into_response()
}

/// Says what is wrong with a body that is no message, as JSON-RPC and by its id. rmcp 3.11 answers 415 and a
/// line of text then, and takes a request whose `id` cannot be one for a notification.
pub(crate) async fn refuse(State(max): State<usize>, request: Request, next: Next) -> Response {
    if request.method() == Method::DELETE {
        let response = next.run(request).await;
        // rmcp says 202 when a session was ended; clients know 200 and 204.
        return match response.status() {
            StatusCode::ACCEPTED => StatusCode::NO_CONTENT.into_response(),
            _ => response,
        };
    }
    if request.method() != Method::POST || !is_json(request.headers()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, max).await else {
        return too_large("the request is too large", max);
    };
    let response = next.run(Request::from_parts(parts, Body::from(body.clone()))).await;
    let text = || str::from_utf8(&body);
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
        _ => return response,
    };
    let message = TxJsonRpcMessage::<RoleServer>::error(error, id);
    let json = serde_json::to_string(&message).unwrap_or_default();
    (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/json")], json).into_response()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().starts_with("application/json")
}
