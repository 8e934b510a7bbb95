//! Asking the hosts that run on a data folder.

use std::{fs, io, path::Path, time::Duration};

use anyhow::Context as _;
use axum::{body::Body, http::Request};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, time::timeout};

use super::{POLICIES, socket::FOLDER};

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer.
const MAX_ANSWER: usize = 16 << 20;

/// A host that runs, and how its policies stand.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    pub(crate) policies: Value,
}

/// Every host that runs on this data folder and answers.
pub(crate) async fn running(data: &Path) -> Vec<Running> {
    let mut all = vec![];
    for entry in fs::read_dir(data.join(FOLDER)).into_iter().flatten().flatten() {
        let path = entry.path();
        let pid = path.file_stem().and_then(|stem| stem.to_str()?.split('-').next()?.parse().ok());
        let Some(pid) = pid.filter(|_| path.extension().is_some_and(|extension| extension == "sock")) else {
            continue;
        };
        match timeout(PATIENCE, ask(&path)).await {
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

async fn ask(path: &Path) -> anyhow::Result<Value> {
    let stream = UnixStream::connect(path).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(POLICIES).header("host", "localhost").body(Body::empty())?;
    let response = sender.send_request(request).await?;
    anyhow::ensure!(response.status().is_success(), "it answers {}", response.status());
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("its answer cannot be read: {error}"))?;
    connection.abort();
    serde_json::from_slice(&body.to_bytes()).context("its answer is not JSON")
}

fn refused(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
