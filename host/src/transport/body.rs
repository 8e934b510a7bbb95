//! Bodies of HTTP requests: their bound, and what is wrong with one that is no message.

use std::{pin::pin, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use rmcp::{
    ErrorData, RoleServer,
    model::{InitializeRequestParams, RequestId},
    service::TxJsonRpcMessage,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use skillhost_core::text::bounded;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::refusal;

/// How long a body may not go on.
const STALL: Duration = Duration::from_secs(30);

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
    let mut body = pin!(Limited::new(body, max));
    // Most come in one piece, which is not copied.
    let (mut first, mut all) = (Bytes::new(), Vec::new());
    loop {
        let data = match timeout(STALL, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(error))) if error.is::<LengthLimitError>() => {
                return Err(too_large("the request is too large", max));
            }
            Ok(Some(Err(_))) => {
                let reason = "the body of the request cannot be read to its end";
                return Err((StatusCode::BAD_REQUEST, reason).into_response());
            }
            Err(_) => {
                let reason = format!("nothing more of the request's body has come for {} s", STALL.as_secs());
                return Err((StatusCode::REQUEST_TIMEOUT, reason).into_response());
            }
        };
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                let more = usize::try_from(body.size_hint().lower()).unwrap_or(max).min(max);
                all.reserve_exact(first.len() + data.len() + more);
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// Memory for large bodies: all that are there at once have a bound, so that many clients cannot fill it together.
pub(crate) struct Room {
    /// In units of [`Room::UNIT`].
    free: Semaphore,
    max: usize,
}

impl Room {
    const UNIT: usize = 1 << 10;
    /// Smaller bodies are not counted: what a connection needs anyway is as much.
    const SMALL: usize = 64 << 10;
    /// So many of the largest bodies may be there at once.
    const LARGEST: usize = 8;
    /// How long a body waits until there is room.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// For bodies of at most `max` bytes each.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            free: Semaphore::new((max.div_ceil(Self::UNIT) * Self::LARGEST).min(Semaphore::MAX_PERMITS)),
            max,
        }
    }

    /// Room for a body of so many bytes, where it says so, kept until what is given is dropped; none for a small one. What is answered
    /// when there is none for long.
    pub(crate) async fn take(&self, bytes: Option<u64>) -> Result<Option<SemaphorePermit<'_>>, Response> {
        let known = bytes.and_then(|bytes| usize::try_from(bytes).ok());
        let bytes = known.unwrap_or(self.max).min(self.max);
        if bytes <= Self::SMALL {
            return Ok(None);
        }
        let units = u32::try_from(bytes.div_ceil(Self::UNIT)).unwrap_or(u32::MAX);
        match timeout(Self::PATIENCE, self.free.acquire_many(units)).await {
            Ok(permit) => Ok(permit.ok()),
            Err(_) => {
                let reason =
                    "other large requests fill the memory that there is for them; try again in a moment";
                Err((StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], reason).into_response())
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, stream};

    use super::*;

    type Part = Result<Bytes, std::io::Error>;

    fn of(parts: impl IntoIterator<Item = Part, IntoIter: Send + 'static>) -> Body {
        Body::from_stream(stream::iter(parts))
    }

    async fn refused(body: Body, max: usize) -> StatusCode {
        whole(body, max).await.unwrap_err().status()
    }

    #[tokio::test]
    async fn a_body_is_put_together() {
        for parts in [vec![], vec!["ab"], vec!["a", "", "b"], vec!["", "a", "b", "c"]] {
            let body = of(parts.clone().into_iter().map(|part| Ok(part.into())));
            assert_eq!(whole(body, 3).await.unwrap(), parts.concat());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_large_or_breaks_off_or_stalls_is_refused() {
        assert_eq!(refused(of([Ok("ab".into()), Ok("cd".into())]), 3).await, StatusCode::PAYLOAD_TOO_LARGE);
        let broken = std::io::Error::other("gone");
        assert_eq!(refused(of([Ok("ab".into()), Err(broken)]), 3).await, StatusCode::BAD_REQUEST);
        let stalled =
            Body::from_stream(stream::once(async { Part::Ok("a".into()) }).chain(stream::pending()));
        assert_eq!(refused(stalled, 3).await, StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_share_a_bound() {
        let room = Room::new(1 << 20);
        let large = Some(1 << 20);
        let mut taken = vec![];
        for _ in 0..Room::LARGEST {
            taken.push(room.take(large).await.unwrap().expect("it is large"));
        }
        assert!(room.take(Some(64 << 10)).await.unwrap().is_none());
        assert_eq!(room.take(large).await.unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
        // Of unknown length: as large as may be.
        let mut waiting = Box::pin(room.take(None));
        assert!(waiting.as_mut().now_or_never().is_none());
        taken.pop();
        assert!(waiting.await.unwrap().is_some());
    }
}
