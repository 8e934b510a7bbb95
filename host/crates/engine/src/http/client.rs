//! Sends the requests of one skill. Connections are kept for its next calls, never for another skill's.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{
    HttpRule, OwnListeners, Upstream,
    body::{Bounded, Direction},
    connect::{ConnectError, Connector, Resolve, System},
    rule::{Target, admit},
};
use crate::warnings::Warnings;

/// Connections kept for each destination, and how long.
const IDLE: usize = 4;
const IDLE_FOR: Duration = Duration::from_secs(30);

/// Sends the requests of one skill.
pub(crate) struct Client {
    rules: Arc<[HttpRule]>,
    way: Way,
}

/// Where requests go that were granted.
enum Way {
    Network(Box<legacy::Client<HttpsConnector<Connector>, Bounded<WasiBody>>>),
    Instead(Arc<dyn Upstream>),
}

impl Client {
    /// A client for these rules; none when there are no rules. With `upstream` it reaches no network.
    ///
    /// # Errors
    /// When the machine has no certificates to check servers by.
    pub(crate) fn new(
        rules: &[HttpRule],
        listeners: &OwnListeners,
        upstream: Option<&Arc<dyn Upstream>>,
    ) -> Result<Option<Self>, String> {
        match upstream {
            _ if rules.is_empty() => Ok(None),
            Some(upstream) => Ok(Some(Self { rules: rules.into(), way: Way::Instead(Arc::clone(upstream)) })),
            None => Self::with(rules, listeners, Arc::new(System::default())).map(Some),
        }
    }

    fn with(
        rules: &[HttpRule],
        listeners: &OwnListeners,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, String> {
        let rules: Arc<[HttpRule]> = rules.into();
        let connector = Connector::new(Arc::clone(&rules), listeners.clone(), resolver);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { rules, way: Way::Network(Box::new(inner)) })
    }

    /// Send a request if it was granted. `permit` is held until the response is read.
    pub(super) async fn send(
        &self,
        request: Request<WasiBody>,
        options: RequestOptions,
        permit: OwnedSemaphorePermit,
        warnings: &Warnings,
    ) -> Result<Response<WasiBody>, Error> {
        let rule = self.judge(request.method(), request.uri(), warnings)?;
        let request = request.map(|body| Bounded::new(body, rule.max_request, Direction::Request));
        // No bound said: the call's own deadline counts.
        let patience = [options.connect_timeout, options.first_byte_timeout]
            .into_iter()
            .try_fold(Duration::ZERO, |sum, part| part.map(|part| sum.saturating_add(part)));
        let inner = match &self.way {
            Way::Network(inner) => inner,
            Way::Instead(upstream) => {
                let answer = answered(&**upstream, request).await?;
                return Ok(answer.map(|body| {
                    Bounded::new(body, rule.max_response, Direction::Response)
                        .paced(None, permit)
                        .boxed_unsync()
                }));
            }
        };
        let sending = inner.request(request);
        let sent = match patience {
            Some(patience) => {
                tokio::time::timeout(patience, sending).await.map_err(|_| Error::HttpResponseTimeout)?
            }
            None => sending.await,
        };
        let response = sent.map_err(|error| reason(&error, warnings))?;
        let (max, pause) = (rule.max_response, options.between_bytes_timeout);
        Ok(response
            .map(|body| Bounded::new(body, max, Direction::Response).paced(pause, permit).boxed_unsync()))
    }

    fn judge(&self, method: &Method, uri: &http::Uri, warnings: &Warnings) -> Result<&HttpRule, Error> {
        let target = Target::of(uri).ok_or(Error::HttpRequestUriInvalid)?;
        admit(&self.rules, method, &target).ok_or_else(|| {
            if warnings.admit() {
                tracing::warn!(%method, host = %target.host, port = target.port, "the skill has no grant for this request");
            }
            Error::HttpRequestDenied
        })
    }
}

/// What stands in for the network says to a request.
async fn answered(
    upstream: &dyn Upstream,
    request: Request<Bounded<WasiBody>>,
) -> Result<Response<Full<Bytes>>, Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let answer = upstream.answer(Request::from_parts(head, body)).ok_or(Error::ConnectionRefused)?;
    Ok(answer.map(Full::new))
}

fn tls() -> Result<ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(
            "this machine has no certificates to check servers by; install its package of CA certificates, \
                    or name a file with SSL_CERT_FILE"
                .into(),
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What the guest is told.
fn reason(error: &legacy::Error, warnings: &Warnings) -> Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<ConnectError>() {
            return refused(error, warnings);
        }
        if let Some(Error::HttpRequestBodySize(size)) = inner.downcast_ref::<Error>() {
            return Error::HttpRequestBodySize(*size);
        }
        if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            if warnings.admit() {
                tracing::warn!(%error, "a skill's connection failed in TLS");
            }
            return match error {
                rustls::Error::InvalidCertificate(_) => Error::TlsCertificateError,
                _ => Error::TlsProtocolError,
            };
        }
        // An I/O error may hold the one of TLS, which is not its source.
        if let Some(inside) = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            source = Some(inside);
            continue;
        }
        source = inner.source();
    }
    tracing::debug!(error = ?error, "a skill's request failed");
    if error.is_connect() { Error::ConnectionRefused } else { Error::ConnectionTerminated }
}

fn refused(error: &ConnectError, warnings: &Warnings) -> Error {
    match error {
        ConnectError::Host => Error::HttpRequestUriInvalid,
        ConnectError::Name(_) => Error::DnsError { rcode: None, info_code: None },
        ConnectError::NameTimeout => Error::DnsTimeout,
        ConnectError::Address(_) | ConnectError::OwnListener(_) => {
            if warnings.admit() {
                tracing::warn!(%error, "the skill has no grant for this address");
            }
            Error::DestinationIpProhibited
        }
        ConnectError::Refused(_) => Error::ConnectionRefused,
        ConnectError::Timeout => Error::ConnectionTimeout,
    }
}
