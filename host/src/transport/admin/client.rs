//! Asking the hosts that run on a data folder; or, where none runs, its journal.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header::CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, time::timeout};
use tower::ServiceExt as _;

use super::{Admin, POLICIES, socket::FOLDER};

/// How long a host may take to say how it stands.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a host may take to say whether it is well: longer than it gives its own parts.
const PROBE: Duration = Duration::from_secs(5);
/// How long a host may take to do something.
const LONG_PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of an answer.
const MAX_ANSWER: usize = 64 << 20;

/// A host that runs, and how its policies stand.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    pub(crate) policies: Value,
}

/// Every host that runs on this data folder and answers.
pub(crate) async fn running(data: &Path) -> Vec<Running> {
    let mut all = vec![];
    for (pid, path) in sockets(data) {
        match timeout(PATIENCE, policies(&path)).await {
            Ok(Ok(policies)) => all.push(Running { pid, policies }),
            // Its host was killed.
            Ok(Err(error)) if refused(&error) => drop(fs::remove_file(&path)),
            Ok(Err(error)) => {
                tracing::warn!(pid, error = format!("{error:#}"), "a running host does not answer");
            }
            Err(_) => tracing::warn!(pid, "a running host does not answer in time"),
        }
    }
    all.sort_by_key(|running| running.pid);
    all
}

/// What every host that runs on this data folder says, with its process id; an error from one that does not answer in time.
pub(crate) async fn ask_each(
    data: &Path,
    (method, path): (Method, &str),
    body: Option<Value>,
) -> anyhow::Result<Vec<(u32, anyhow::Result<(StatusCode, Value)>)>> {
    let mut all = vec![];
    for (pid, socket) in sockets(data) {
        let request = request(method.clone(), path, body.clone().map(Ask::Json))?;
        let asked = async { over(UnixStream::connect(&socket).await?, request).await };
        match timeout(PROBE, asked).await {
            // Its host was killed.
            Ok(Err(error)) if refused(&error) => drop(fs::remove_file(&socket)),
            Ok(answer) => all.push((pid, answer)),
            Err(_) => {
                all.push((pid, Err(anyhow::anyhow!("it does not answer within {} s", PROBE.as_secs()))));
            }
        }
    }
    Ok(all)
}

/// Whether a host runs on this data folder.
pub(crate) fn is_running(data: &Path) -> bool {
    // A host that was killed leaves its socket.
    sockets(data).iter().any(|(_, path)| std::os::unix::net::UnixStream::connect(path).is_ok())
}

fn sockets(data: &Path) -> Vec<(u32, PathBuf)> {
    let mut all = vec![];
    for entry in fs::read_dir(data.join(FOLDER)).into_iter().flatten().flatten() {
        let path = entry.path();
        let pid = path.file_stem().and_then(|stem| stem.to_str()?.split('-').next()?.parse().ok());
        if let Some(pid) = pid.filter(|_| path.extension().is_some_and(|extension| extension == "sock")) {
            all.push((pid, path));
        }
    }
    all.sort();
    all
}

async fn policies(path: &Path) -> anyhow::Result<Value> {
    let stream = UnixStream::connect(path).await?;
    let (status, value) = over(stream, request(Method::GET, POLICIES, None)?).await?;
    anyhow::ensure!(status.is_success(), "it answers {status}");
    Ok(value)
}

/// What is sent: JSON, or lines of it.
pub(crate) enum Ask {
    Json(Value),
    Lines(String),
}

/// Somebody who answers the admin API.
pub(crate) enum Client {
    /// A host that runs.
    Host(PathBuf),
    /// Nobody but us.
    Alone(Router),
}

impl Client {
    /// The first host that runs on this data folder; when there is none, what `alone` makes.
    pub(crate) async fn find(
        data: &Path,
        alone: impl AsyncFnOnce() -> anyhow::Result<Admin>,
    ) -> anyhow::Result<Self> {
        for (pid, path) in sockets(data) {
            match timeout(PATIENCE, policies(&path)).await {
                Ok(Ok(_)) => return Ok(Self::Host(path)),
                // Its host was killed.
                Ok(Err(error)) if refused(&error) => drop(fs::remove_file(&path)),
                // The journal is shared: it can be asked without a host.
                Ok(Err(_)) | Err(_) => {
                    tracing::warn!(pid, "a running host does not answer; it is passed over");
                }
            }
        }
        Ok(Self::Alone(alone().await?.router()))
    }

    /// Whether letters that are due are run.
    pub(crate) fn runs(&self) -> bool {
        matches!(self, Self::Host(_))
    }

    /// Ask, and take no for an error.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Ask>) -> anyhow::Result<Value> {
        let request = request(method, path, body)?;
        let answered = async {
            match self {
                Self::Host(socket) => over(UnixStream::connect(socket).await?, request).await,
                Self::Alone(router) => {
                    let response = router.clone().oneshot(request).await?;
                    let status = response.status();
                    Ok((status, read(response.into_body()).await?))
                }
            }
        };
        let (status, value) =
            timeout(LONG_PATIENCE, answered).await.context("the host does not answer in time")??;
        if status.is_success() {
            return Ok(value);
        }
        let message =
            value["error"]["message"].as_str().map_or_else(|| status.to_string(), ToOwned::to_owned);
        Err(anyhow::anyhow!(message))
    }
}

fn request(method: Method, path: &str, body: Option<Ask>) -> anyhow::Result<Request<Body>> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    Ok(match body {
        None => request.body(Body::empty())?,
        Some(Ask::Json(value)) => {
            request.header(CONTENT_TYPE, "application/json").body(Body::from(value.to_string()))?
        }
        Some(Ask::Lines(lines)) => {
            request.header(CONTENT_TYPE, "application/jsonl").body(Body::from(lines))?
        }
    })
}

async fn over(stream: UnixStream, request: Request<Body>) -> anyhow::Result<(StatusCode, Value)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let value = read(response.into_body()).await;
    connection.abort();
    Ok((status, value?))
}

async fn read<B>(body: B) -> anyhow::Result<Value>
where
    B: hyper::body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let bytes = body.map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))?.to_bytes();
    // Some refusals of the router are plain text.
    Ok(serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| serde_json::json!({"error": {"message": String::from_utf8_lossy(&bytes)}})))
}

fn refused(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
