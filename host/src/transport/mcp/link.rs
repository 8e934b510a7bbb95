//! What a request says of its client, and the way back to it while the request runs.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use rmcp::{
    ErrorData, Peer, RoleServer,
    model::{
        ClientCapabilities, Extensions, LoggingLevel, LoggingMessageNotificationParam,
        ProgressNotificationParam, ProgressToken, ProtocolVersion,
    },
    service::RequestContext,
};
use serde_json::{Map, Value};
use skillhost_core::{ClientFeatures, ClientLink, LogLevel, Progress};
use skillhost_journal::Priority;
use skillhost_pipeline::Asked;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::transport::auth::Identity;

/// Reports and log lines that may wait for a slow client; more are dropped.
const QUEUE: usize = 64;
/// How long a result waits for what was told before it.
const FLUSH: Duration = Duration::from_millis(500);
/// Our own key for a correlation id in a request's `_meta`, and its longest value.
const CORRELATION_KEY: &str = "skillhost/correlation_id";
const CORRELATION_MAX: usize = 128;
/// Our own keys for what a client may ask for beside a call.
const KEY: &str = "skillhost/idempotency_key";
const DURABLE: &str = "skillhost/durable";
const PRIORITY: &str = "skillhost/priority";
/// Keys of a request's `_meta` that are the protocol's own affair.
pub(super) const PROTOCOL_PREFIX: &str = "io.modelcontextprotocol/";
pub(super) const PROGRESS_TOKEN: &str = "progressToken";

/// Whether the request is of the era without sessions.
pub(super) fn is_stateless(cx: &RequestContext<RoleServer>) -> bool {
    cx.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// Who makes the request, as far as anybody has asked.
pub(super) fn identity(extensions: &Extensions) -> Identity {
    let parts = extensions.get::<axum::http::request::Parts>();
    parts.and_then(|parts| parts.extensions.get::<Identity>()).cloned().unwrap_or_default()
}

/// What a request says beside its parameters, whatever it came by.
pub(super) struct Origin<'a> {
    pub(super) meta: &'a Map<String, Value>,
    pub(super) identity: Identity,
    pub(super) client: ClientFeatures,
    /// It is of the era without sessions.
    pub(super) stateless: bool,
    /// Its client can follow tasks.
    pub(super) has_tasks: bool,
    pub(super) cancel: CancellationToken,
}

impl<'a> Origin<'a> {
    pub(super) fn of(cx: &'a RequestContext<RoleServer>) -> Self {
        Self {
            meta: &cx.meta.0.0,
            identity: identity(&cx.extensions),
            client: features(cx),
            stateless: is_stateless(cx),
            has_tasks: has_tasks(cx),
            cancel: cx.ct.clone(),
        }
    }
}

/// Whether the client has declared that it can follow tasks. Those of the older eras cannot, whatever they declare.
fn has_tasks(cx: &RequestContext<RoleServer>) -> bool {
    is_stateless(cx) && cx.client_capabilities().is_some_and(|declared| declared.supports_tasks())
}

/// What the client can do.
pub(super) fn features(cx: &RequestContext<RoleServer>) -> ClientFeatures {
    declared(cx.client_capabilities().as_ref(), cx.meta.get_progress_token().is_some())
}

/// The same of what it has declared. `progress`: it listens to it.
pub(super) fn declared(declared: Option<&ClientCapabilities>, progress: bool) -> ClientFeatures {
    let Some(declared) = declared else {
        return ClientFeatures { progress, ..ClientFeatures::default() };
    };
    let elicitation = declared.elicitation.as_ref();
    let (sampling, roots) = (declared.sampling.as_ref(), declared.roots.is_some());
    ClientFeatures {
        // An empty declaration means forms: URLs came later.
        elicitation_form: elicitation.is_some_and(|e| e.form.is_some() || e.url.is_none()),
        elicitation_url: elicitation.is_some_and(|e| e.url.is_some()),
        sampling: sampling.is_some(),
        sampling_tools: sampling.is_some_and(|s| s.tools.is_some()),
        roots,
        progress,
    }
}

/// The request's `_meta` for the skill, without the protocol's own keys.
pub(super) fn own_meta(meta: &Map<String, Value>) -> Option<String> {
    let own: Map<_, _> = meta
        .iter()
        .filter(|(key, _)| !key.starts_with(PROTOCOL_PREFIX) && *key != PROGRESS_TOKEN)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    (!own.is_empty()).then(|| Value::Object(own).to_string())
}

/// The client's correlation id, if it sent one that is fit for a log.
pub(super) fn correlation_id(meta: &Map<String, Value>) -> Option<String> {
    let id = meta.get(CORRELATION_KEY)?.as_str()?;
    let fit = !id.is_empty() && id.len() <= CORRELATION_MAX && id.bytes().all(|b| b.is_ascii_graphic());
    fit.then(|| id.to_owned())
}

/// What the client asks for beside the call. Wrong values are refused: who sets a key relies on it.
pub(super) fn asked(meta: &Map<String, Value>) -> Result<Asked, ErrorData> {
    let wrong = |key: &str, expected: &str| {
        ErrorData::invalid_params(format!("`_meta[\"{key}\"]` cannot be used: {expected}"), None)
    };
    let key = match meta.get(KEY) {
        None => None,
        Some(Value::String(key)) => {
            Some(Asked::checked(key).map_err(|expected| wrong(KEY, expected))?.to_owned())
        }
        Some(_) => return Err(wrong(KEY, "it must be a text")),
    };
    let durable = match meta.get(DURABLE) {
        None => false,
        Some(Value::Bool(durable)) => *durable,
        Some(_) => return Err(wrong(DURABLE, "it must be true or false")),
    };
    let priority = match meta.get(PRIORITY).map(|word| word.as_str().and_then(Priority::from_word)) {
        None => None,
        Some(None) => return Err(wrong(PRIORITY, "it must be low, normal, high or urgent")),
        Some(priority) => priority,
    };
    Ok(Asked { key, durable, priority, ..Asked::default() })
}

/// From which level on a client wants log lines: none, until it says so.
#[derive(Default)]
pub(super) struct Listening(AtomicU8);

impl Listening {
    pub(super) fn from(&self, level: LoggingLevel) {
        self.0.store(level_of(level) as u8 + 1, Ordering::Relaxed);
    }

    fn level(&self) -> Option<u8> {
        self.0.load(Ordering::Relaxed).checked_sub(1)
    }
}

fn level_of(level: LoggingLevel) -> LogLevel {
    match level {
        LoggingLevel::Debug => LogLevel::Debug,
        LoggingLevel::Info => LogLevel::Info,
        LoggingLevel::Notice => LogLevel::Notice,
        LoggingLevel::Warning => LogLevel::Warning,
        LoggingLevel::Error => LogLevel::Error,
        LoggingLevel::Critical => LogLevel::Critical,
        LoggingLevel::Alert => LogLevel::Alert,
        LoggingLevel::Emergency => LogLevel::Emergency,
    }
}

fn level_to(level: LogLevel) -> LoggingLevel {
    match level {
        LogLevel::Debug => LoggingLevel::Debug,
        LogLevel::Info => LoggingLevel::Info,
        LogLevel::Notice => LoggingLevel::Notice,
        LogLevel::Warning => LoggingLevel::Warning,
        LogLevel::Error => LoggingLevel::Error,
        LogLevel::Critical => LoggingLevel::Critical,
        LogLevel::Alert => LoggingLevel::Alert,
        LogLevel::Emergency => LoggingLevel::Emergency,
    }
}

/// Something for the client while a request runs.
enum Told {
    Progress(Progress),
    Line { level: LogLevel, logger: String, text: String },
}

/// The way back to the client.
pub(super) struct Link {
    /// None when it listens to nothing.
    queue: Option<mpsc::Sender<Told>>,
    progress: bool,
    /// From which level on it wants log lines.
    level: Option<u8>,
    cancel: CancellationToken,
}

impl Link {
    /// To a client that listens to nothing.
    pub(super) fn silent(cancel: CancellationToken) -> Arc<Self> {
        Arc::new(Self { queue: None, progress: false, level: None, cancel })
    }
}

impl ClientLink for Link {
    fn progress(&self, progress: Progress) {
        if let Some(queue) = self.queue.as_ref().filter(|_| self.progress) {
            // A client that reads slowly misses steps; it does not hold up the guest.
            let _ = queue.try_send(Told::Progress(progress));
        }
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn listens(&self, level: LogLevel) -> bool {
        self.level.is_some_and(|from| level as u8 >= from)
    }

    fn log(&self, level: LogLevel, logger: &str, text: &str) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(Told::Line { level, logger: logger.to_owned(), text: text.to_owned() });
        }
    }
}

/// The other end of a link.
pub(super) struct Back {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    told: Option<mpsc::Receiver<Told>>,
}

/// A link to the client of this request, and what passes on what comes over it. `session`: what its session listens to.
pub(super) fn link(cx: &RequestContext<RoleServer>, session: &Listening) -> (Arc<Link>, Back) {
    let token = cx.meta.get_progress_token();
    // A request of the newer era says it for itself; one of the older ones for its session, with `logging/setLevel`.
    let level =
        if is_stateless(cx) { cx.meta.log_level().map(|l| level_of(l) as u8) } else { session.level() };
    let listens = token.is_some() || level.is_some();
    let (queue, told) = if listens {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Some(sender), Some(receiver))
    } else {
        (None, None)
    };
    let link = Arc::new(Link { queue, progress: token.is_some(), level, cancel: cx.ct.clone() });
    (link, Back { peer: cx.peer.clone(), token, told })
}

impl Back {
    /// Pass on what is told while `work` runs, all of it before its result, unless the client does not read. In the same
    /// task: rmcp knows by it which request is answered.
    pub(super) async fn beside<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if self.told.is_none() {
            return work.await;
        }
        let mut forward = pin!(self.forward());
        let result = tokio::select! {
            result = &mut work => result,
            // The client is gone.
            () = &mut forward => return work.await,
        };
        let _ = tokio::time::timeout(FLUSH, forward).await;
        result
    }

    async fn forward(self) {
        let Self { peer, token, told } = self;
        let Some(mut told) = told else { return };
        while let Some(told) = told.recv().await {
            let sent = match (told, &token) {
                (Told::Progress(report), Some(token)) => {
                    let mut notification = ProgressNotificationParam::new(token.clone(), report.progress);
                    notification.total = report.total;
                    notification.message = report.message;
                    peer.notify_progress(notification).await
                }
                (Told::Progress(_), None) => Ok(()),
                (Told::Line { level, logger, text }, _) => {
                    let line = LoggingMessageNotificationParam::new(level_to(level), Value::String(text));
                    peer.notify_logging_message(line.with_logger(logger)).await
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }
}
