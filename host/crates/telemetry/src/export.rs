//! To a collector: OTLP over HTTP. Exports run on threads of the SDK's own, so that nothing of ours waits for a collector, and a
//! stuck runtime can still be seen.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::metrics::PeriodicReader;
use tokio::runtime::{Builder, Runtime};

/// How long one export may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const MAX_ANSWER: usize = 1 << 20;

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Metrics.
    #[error("metrics cannot be offered: {0}")]
    Metrics(String),
    /// The collector.
    #[error("telemetry cannot be sent to {endpoint}: {error}")]
    Collector {
        /// As given.
        endpoint: String,
        /// Why.
        error: String,
    },
    /// Logging.
    #[error(transparent)]
    Log(#[from] crate::LogError),
}

/// Where telemetry is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// The collector's base address; `/v1/traces` and `/v1/metrics` are added. Headers come from
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub endpoint: String,
    /// How often metrics are sent. Default 15 s.
    pub interval: Duration,
    /// Calls that are traced, 0 to 1, where the client does not say. Default 0.01.
    pub sample: f64,
}

/// Makes what sends.
pub(crate) struct Exporters(pub(crate) Option<(Otlp, Arc<Client>)>);

impl Exporters {
    pub(crate) fn new(otlp: Option<&Otlp>) -> Result<Self, TelemetryError> {
        let Some(otlp) = otlp else { return Ok(Self(None)) };
        let client = Client::new().map_err(|error| refused(otlp, &error))?;
        Ok(Self(Some((otlp.clone(), Arc::new(client)))))
    }

    pub(crate) fn metrics(&mut self) -> Result<Option<PeriodicReader<MetricExporter>>, TelemetryError> {
        let Some((otlp, client)) = &self.0 else { return Ok(None) };
        let exporter = MetricExporter::builder()
            .with_http()
            .with_http_client(Shared(Arc::clone(client)))
            .with_endpoint(at(otlp, "v1/metrics"))
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| refused(otlp, &error))?;
        Ok(Some(PeriodicReader::builder(exporter).with_interval(otlp.interval).build()))
    }

    pub(crate) fn spans(&mut self) -> Result<Option<SpanExporter>, TelemetryError> {
        let Some((otlp, client)) = &self.0 else { return Ok(None) };
        SpanExporter::builder()
            .with_http()
            .with_http_client(Shared(Arc::clone(client)))
            .with_endpoint(at(otlp, "v1/traces"))
            .with_timeout(PATIENCE)
            .build()
            .map(Some)
            .map_err(|error| refused(otlp, &error))
    }
}

fn at(otlp: &Otlp, path: &str) -> String {
    format!("{}/{path}", otlp.endpoint.trim_end_matches('/'))
}

fn refused(otlp: &Otlp, error: &dyn fmt::Display) -> TelemetryError {
    TelemetryError::Collector { endpoint: otlp.endpoint.clone(), error: error.to_string() }
}

type Inner = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The collector's client. It has a runtime of its own: exports come from threads that belong to none, and go on while the
/// host's are being stopped.
pub(crate) struct Client {
    runtime: Runtime,
    inner: Inner,
}

impl Client {
    fn new() -> std::io::Result<Self> {
        let connector =
            HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        Ok(Self {
            runtime: Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("telemetry")
                .enable_all()
                .build()?,
            inner: legacy::Client::builder(TokioExecutor::new()).build(connector),
        })
    }
}

#[derive(Clone)]
struct Shared(Arc<Client>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Shared {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let inner = self.0.inner.clone();
        let exchange = async move {
            let (head, body) = inner.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?;
            Ok::<_, HttpError>(Response::from_parts(head, body.to_bytes()))
        };
        self.0.runtime.spawn(async move { tokio::time::timeout(PATIENCE, exchange).await? }).await?
    }
}
