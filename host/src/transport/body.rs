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
    time::{Instant, timeout, timeout_at},
};

use super::refusal;

/// How long a body may not go on, and how long its first bytes may take.
const STALL: Duration = Duration::from_secs(30);
/// Bytes a second that it must have come with after that.
const SLOWEST: u64 = 32 << 10;

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
    let drained = async {
        while let Some(Ok(chunk)) = body.next().await {
            read += chunk.len();
            if read > DRAIN {
                break;
            }
        }
    };
    let _ = timeout(STALL, drained).await;
    too_large(&format!("the request has {length} bytes"), max)
}

/// The whole body, and the room that it takes; what is answered when it cannot be had.
pub(crate) async fn whole(body: Body, room: &Room) -> Result<(Bytes, Taken<'_>), Response> {
    let mut body = pin!(Limited::new(body, room.max));
    let mut taken = Taken::default();
    // Most come in one piece, which is not copied.
    let (mut first, mut all) = (Bytes::new(), Vec::new());
    let (began, mut read) = (Instant::now(), 0);
    loop {
        let data = match timeout_at(patience(began, read), body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(error))) if error.is::<LengthLimitError>() => {
                return Err(too_large("the request is too large", room.max));
            }
            Ok(Some(Err(_))) => {
                let reason = "the body of the request cannot be read to its end";
                return Err((StatusCode::BAD_REQUEST, reason).into_response());
            }
            Err(_) => {
                let reason = "the request's body has not come on for too long";
                return Err((StatusCode::REQUEST_TIMEOUT, reason).into_response());
            }
        };
        read += data.len();
        room.take(&mut taken, read).await?;
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                let more = usize::try_from(body.size_hint().lower()).unwrap_or(room.max).min(room.max);
                all.reserve_exact(first.len() + data.len() + more);
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok((if all.is_empty() { first } else { all.into() }, taken))
}

/// Until when more of a body must come, of which `read` bytes have.
fn patience(began: Instant, read: usize) -> Instant {
    let earned = Duration::from_secs(read as u64 / SLOWEST);
    (Instant::now() + STALL).min(began + STALL + earned)
}

/// Memory for large bodies: all that are there at once have a bound, so that many clients cannot fill it together. Bodies take it as they
/// come, so that who announces much and sends little is in nobody's way.
pub(crate) struct Room {
    /// In units of [`Room::UNIT`].
    free: Semaphore,
    /// Of one body.
    max: usize,
}

/// What a body takes of the room, until this is dropped; nothing while it is small.
#[derive(Default)]
pub(crate) struct Taken<'a>(Option<SemaphorePermit<'a>>);

impl Room {
    const UNIT: usize = 1 << 10;
    /// What each body may take uncounted: a connection needs about as much anyway.
    const SMALL: usize = 64 << 10;
    /// So many of the largest bodies may be there at once.
    const LARGEST: usize = 8;
    /// How long a body waits until there is room.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// For bodies of at most `max` bytes each.
    pub(crate) fn new(max: usize) -> Self {
        let units = max.div_ceil(Self::UNIT) * Self::LARGEST;
        Self { free: Semaphore::new(units.min(Semaphore::MAX_PERMITS)), max }
    }

    /// Room for the first `bytes` bytes of a body. What is answered when there is none for long.
    async fn take<'a>(&'a self, taken: &mut Taken<'a>, bytes: usize) -> Result<(), Response> {
        let wanted = if bytes <= Self::SMALL { 0 } else { bytes.div_ceil(Self::UNIT) };
        let missing = wanted.saturating_sub(taken.0.as_ref().map_or(0, SemaphorePermit::num_permits));
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let Ok(Ok(more)) = timeout(Self::PATIENCE, self.free.acquire_many(missing)).await else {
            let reason = "other large requests fill the memory that there is for them; try again in a moment";
            return Err((StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], reason).into_response());
        };
        match &mut taken.0 {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Ok(())
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
        whole(body, &Room::new(max)).await.map(|_| ()).unwrap_err().status()
    }

    #[tokio::test]
    async fn a_body_is_put_together() {
        for parts in [vec![], vec!["ab"], vec!["a", "", "b"], vec!["", "a", "b", "c"]] {
            let body = of(parts.clone().into_iter().map(|part| Ok(part.into())));
            let room = Room::new(3);
            let (whole, _) = whole(body, &room).await.map_err(|_| ()).unwrap();
            assert_eq!(whole, parts.concat());
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

    /// A body of pieces of `size` bytes, with `pause` before each.
    fn paced(pieces: usize, size: usize, pause: Duration) -> Body {
        let piece = move |_| async move {
            tokio::time::sleep(pause).await;
            Part::Ok(vec![0; size].into())
        };
        Body::from_stream(stream::iter(0..pieces).then(piece))
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_slowly_is_not_waited_for_and_who_sends_steadily_is() {
        let second = Duration::from_secs(1);
        assert_eq!(refused(paced(1_000, 1, 20 * second), 1 << 20).await, StatusCode::REQUEST_TIMEOUT);
        let room = Room::new(8 << 20);
        let (steady, _) = whole(paced(200, 40 << 10, second), &room).await.map_err(|_| ()).unwrap();
        assert_eq!(steady.len(), 200 * (40 << 10));
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_share_a_bound() {
        const MAX: usize = 1 << 20;
        let room = Room::new(MAX);
        let large = || Body::from(vec![0; MAX]);
        let mut taken = vec![];
        for _ in 0..Room::LARGEST {
            taken.push(whole(large(), &room).await.map_err(|_| ()).unwrap().1);
        }
        // Small ones are not counted, whether they tell their length or not.
        assert!(whole(Body::from(vec![0; Room::SMALL]), &room).await.is_ok());
        assert!(whole(of([Ok("small".into())]), &room).await.is_ok());
        let full = whole(large(), &room).await.map(|_| ()).unwrap_err();
        assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
        let mut waiting = Box::pin(whole(large(), &room));
        assert!(waiting.as_mut().now_or_never().is_none());
        taken.pop();
        assert!(waiting.await.is_ok());
        // What was announced and has not come takes nothing.
        drop(taken);
        let pieces =
            stream::once(async { Part::Ok(vec![0; Room::SMALL * 2].into()) }).chain(stream::pending());
        let mut slow = Box::pin(whole(Body::from_stream(pieces), &room));
        assert!(slow.as_mut().now_or_never().is_none());
        let used = MAX / Room::UNIT * Room::LARGEST - room.free.available_permits();
        assert_eq!(used, Room::SMALL * 2 / Room::UNIT);
    }
}
