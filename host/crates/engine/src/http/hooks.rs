//! What wasmtime's `wasi:http` asks of the host.

use std::{future::Future, sync::Arc};

use http::{Request, Response};
use tokio::sync::Semaphore;
use tracing::{Instrument as _, Span};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpHooks, p2::bindings::http::types::ErrorCode,
};

use super::Client;
use crate::warnings::Warnings;

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
}

impl Hooks {
    pub(crate) fn new(client: Option<Arc<Client>>, warnings: Warnings) -> Self {
        Self { client, warnings, turns: None, touched: false }
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
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // Resolved at once by wasi:http 0.2.
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        self.touched |= !request.method().is_safe();
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
            let nothing_left: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(async { Ok(()) });
            Ok((response, nothing_left))
        };
        // It runs as a task of its own; what it logs belongs to the call.
        Box::new(sending.instrument(Span::current()))
    }

    // By default each error would be a warning in the log, as many as a guest likes.
    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        tracing::debug!(%error, "a skill's exchange over HTTP failed");
        ErrorCode::HttpProtocolError
    }
}
