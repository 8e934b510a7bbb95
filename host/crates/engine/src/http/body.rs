//! Bodies on their way: counted, and not waited for without end.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{sync::OwnedSemaphorePermit, time::Sleep};
use wasmtime_wasi_http::Error;

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

/// A body that ends with an error when it is larger than it may be.
pub(super) struct Bounded<B> {
    inner: B,
    left: u64,
    limit: u64,
    direction: Direction,
    pause: Option<(Duration, Pin<Box<Sleep>>)>,
    // Held until the body is read or dropped: it holds a connection.
    _permit: Option<OwnedSemaphorePermit>,
}

impl<B> Bounded<B> {
    pub(super) fn new(inner: B, limit: u64, direction: Direction) -> Self {
        Self { inner, left: limit, limit, direction, pause: None, _permit: None }
    }

    /// Fail when nothing comes for `pause`, and hold `permit` to the end.
    pub(super) fn paced(mut self, pause: Option<Duration>, permit: OwnedSemaphorePermit) -> Self {
        self.pause = pause.map(|pause| (pause, Box::pin(tokio::time::sleep(pause))));
        self._permit = Some(permit);
        self
    }

    fn over(&self) -> Error {
        match self.direction {
            Direction::Request => Error::HttpRequestBodySize(Some(self.limit)),
            Direction::Response => Error::HttpResponseBodySize(Some(self.limit)),
        }
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map_or(0, |data| data.len() as u64);
                match self.left.checked_sub(size) {
                    Some(left) => self.left = left,
                    None => return Poll::Ready(Some(Err(self.over()))),
                }
                if let Some((pause, sleep)) = &mut self.pause {
                    sleep.as_mut().reset(tokio::time::Instant::now() + *pause);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match &mut self.pause {
                Some((_, sleep)) => sleep.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout))),
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    #[tokio::test]
    async fn a_body_over_its_bound_fails() {
        let body = |limit| Bounded::new(Full::new(Bytes::from_static(b"12345")), limit, Direction::Response);
        assert_eq!(body(5).collect().await.unwrap().to_bytes().len(), 5);
        assert!(matches!(body(4).collect().await, Err(Error::HttpResponseBodySize(Some(4)))));
    }
}
