//! What wasmtime's `wasi:http` asks of the host.

use std::{future::Future, sync::Arc};

use http::{HeaderName, HeaderValue, Request, Response};
use skillhost_telemetry::trace::{self, Place};
use tokio::sync::Semaphore;
use tracing::{Instrument as _, Span};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpHooks, p2::bindings::http::types::ErrorCode,
};

use super::Client;
use crate::warnings::Warnings;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Requests of one call whose responses are not yet read to the end.
const AT_ONCE: usize = 16;

/// The requests of one call.
pub(crate) struct Hooks {
    /// Absent when nothing was granted, and while the skill is loaded.
    client: Option<Arc<Client>>,
    warnings: Warnings,
    // Made with the first request.
    turns: Option<Arc<Semaphore>>,
    touched: bool,
    /// What the client said of its trace, in the call's `_meta`; and the call's span.
    of: (Option<Arc<str>>, Span),
}

impl Hooks {
    pub(crate) fn new(client: Option<Arc<Client>>, warnings: Warnings, of: (Option<Arc<str>>, Span)) -> Self {
        Self { client, warnings, turns: None, touched: false, of }
    }

    /// Who is asked goes on with the trace: below the span of this request, or where the client was when nothing is collected
    /// here. What the guest says itself stands.
    fn trace(&self, request: &mut Request<WasiBody>, span: &Span) {
        if request.headers().contains_key(TRACEPARENT) {
            return;
        }
        let place = Place::of(span).or_else(|| Place::of_meta(self.of.0.as_deref()?));
        let Some(place) = place else { return };
        for (name, value) in [(TRACEPARENT, Some(place.traceparent())), (TRACESTATE, place.tracestate())] {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                request.headers_mut().insert(name, value);
            }
        }
    }

    /// Whether no request waits for its response, and no response is still to be read.
    pub(crate) fn is_idle(&self) -> bool {
        // A request holds it until it has its turn, and its turn until the response is read.
        self.turns.as_ref().is_none_or(|turns| Arc::strong_count(turns) == 1)
    }

    /// Whether a request was made that may have changed something: another than those that RFC 9110 calls safe.
    pub(crate) fn touched(&self) -> bool {
        self.touched
    }
}

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // Resolved at once by wasi:http 0.2.
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        self.touched |= !request.method().is_safe();
        let span = skillhost_telemetry::span!(
            "http",
            otel.name = %request.method(),
            otel.kind = "client",
            "http.request.method" = %request.method(),
            "server.address" = request.uri().host(),
        );
        self.trace(&mut request, &span);
        let (client, warnings) = (self.client.clone(), self.warnings.clone());
        let turns = Arc::clone(self.turns.get_or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))));
        let sending = async move {
            let client = client.ok_or_else(|| {
                if warnings.admit() {
                    tracing::warn!(host = request.uri().host(), "the skill has no grant for HTTP");
                }
                Error::HttpRequestDenied
            })?;
            // Not waited for: whoever holds the others may be the one that asks.
            let permit = turns.try_acquire_owned().map_err(|_| Error::ConnectionLimitReached)?;
            let response = client.send(request, options.unwrap_or_default(), permit, &warnings).await?;
            trace::note(&Span::current(), "http.response.status_code", i64::from(response.status().as_u16()));
            let nothing_left: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(async { Ok(()) });
            Ok((response, nothing_left))
        };
        // It runs as a task of its own; what it logs belongs to the call.
        Box::new(sending.instrument(span).instrument(self.of.1.clone()))
    }

    // By default each error would be a warning in the log, as many as a guest likes.
    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        tracing::debug!(%error, "a skill's exchange over HTTP failed");
        ErrorCode::HttpProtocolError
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_idle_when_nothing_of_a_request_is_left() {
        let mut hooks = Hooks::new(None, Warnings::default(), (None, Span::none()));
        assert!(hooks.is_idle());
        let sent = hooks.send_request(Request::new(WasiBody::default()), None, Box::new(async { Ok(()) }));
        assert!(!hooks.is_idle(), "it waits for its turn");
        drop(sent);
        assert!(hooks.is_idle());
        let turn = hooks.turns.clone().unwrap().try_acquire_owned().unwrap();
        assert!(!hooks.is_idle(), "its response is still to be read");
        drop(turn);
        assert!(hooks.is_idle());
    }
}
