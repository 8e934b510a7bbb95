//! A request that is refused by its head may have a body that nobody reads. A connection that is closed with the rest of it
//! still to come takes the answer with it (RFC 9112, 9.6): so the rest is read, and thrown away.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::timeout;

/// Bodies up to this arrive with their head, or right after it.
const SMALL: u64 = 16 << 10;
/// How long is read what nobody wants.
const LINGER: Duration = Duration::from_secs(5);

/// A request whose body comes back, and what comes back; none of a body that is small.
pub(super) fn lend(request: Request) -> (Request, Option<Lent>) {
    if request.body().size_hint().upper().is_some_and(|size| size <= SMALL) {
        return (request, None);
    }
    let (head, body) = request.into_parts();
    let body = Lent(Arc::new(Mutex::new(body)));
    (Request::from_parts(head, Body::new(body.clone())), Some(body))
}

/// A body that comes back.
#[derive(Clone)]
pub(super) struct Lent(Arc<Mutex<Body>>);

impl Lent {
    /// The request is answered: read what nobody wants, up to `most` bytes, while the answer goes out.
    pub(super) fn read_away(self, most: usize) {
        // Whoever reads it on has it still; what is lost then is only time.
        if Arc::strong_count(&self.0) == 1 && !self.is_end_stream() {
            tokio::spawn(timeout(LINGER, async move {
                let mut rest = Limited::new(self, most);
                while let Some(Ok(_)) = rest.frame().await {}
            }));
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}
