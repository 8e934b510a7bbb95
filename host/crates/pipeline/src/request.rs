//! What goes into the pipeline, and what comes out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use skillhost_core::{
    Access, CallId, Caller, ClientFeatures, ClientLink, Completing, Digest, Effect, Failure, FailureKind,
    Invoke, Outcome, Reply, SagaId, Usage,
};
use skillhost_journal::{Lease, Priority};
use skillhost_policy::{ArgumentBounds, Findings};
use skillhost_telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::{Asking, Given, Policies, RolledBack, Standing, recovery::Before, scope::Scope};

/// What the dispatcher is told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bounds of arguments.
    pub arguments: ArgumentBounds,
    /// How long a call, or a listing, waits for skills that are still compiling. Default 10 s.
    pub ready_wait: Duration,
    /// What counts at first; see [`Dispatcher::reconfigure`](crate::Dispatcher::reconfigure).
    pub policies: Arc<Policies>,
    /// What is measured. Default nothing.
    pub metrics: Metrics,
    /// Runs of dead letters that are traced, 0 to 1. Default 0.
    pub sample: f64,
    /// Whether arguments are logged, without what is secret. Default no.
    pub log_arguments: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            arguments: ArgumentBounds::default(),
            ready_wait: Duration::from_secs(10),
            policies: Arc::default(),
            metrics: Metrics::default(),
            sample: 0.0,
            log_arguments: false,
        }
    }
}

/// A call as a transport hands it in.
#[derive(Clone)]
pub struct Request {
    /// The id it was given before; none for one of its own.
    pub id: Option<CallId>,
    /// The tool's full name.
    pub tool: String,
    /// Absent when the client sent none.
    pub arguments: Option<Map<String, Value>>,
    /// The client's `_meta` as JSON, without the protocol's own keys.
    pub meta: Option<String>,
    /// The client's own correlation id, when it sent one.
    pub correlation_id: Option<String>,
    /// Who calls.
    pub caller: Caller,
    /// What he may use. For calls that tools make, their skills' grants count instead.
    pub access: Access,
    /// What the client can do.
    pub client: ClientFeatures,
    /// The way back to the client.
    pub link: Arc<dyn ClientLink>,
    /// Cancelled when the client gives up.
    pub cancel: CancellationToken,
    /// The call whose tool makes this one; none for a client's.
    pub parent: Option<Parent>,
    /// What the client asks for beside the call itself.
    pub asked: Asked,
    /// What came back with the call, when an earlier round of it ended with questions.
    pub given: Option<Given>,
    /// A dead letter that is run again; none for a new call.
    pub resume: Option<Resume>,
}

/// What a client may ask for beside the call itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Under which the call is made at most once; see [`Asked::checked`].
    pub key: Option<String>,
    /// That it must happen: true, or as the tool and its operator say.
    pub durable: bool,
    /// Before which others it is run again, where that is durable.
    pub priority: Option<Priority>,
    /// The saga of its caller's that it is part of.
    pub saga: Option<SagaId>,
    /// That it runs as a task: whoever asked for it has a handle, and does not wait.
    pub task: bool,
}

impl Asked {
    /// A key, if it can be one.
    ///
    /// # Errors
    /// What it must be.
    pub fn checked(key: &str) -> Result<&str, &'static str> {
        let sound = (1..=255).contains(&key.len()) && !key.chars().any(char::is_control);
        if sound { Ok(key) } else { Err("a key has 1 to 255 bytes and no control characters") }
    }
}

/// Something that a skill offers beside tools, as a transport asks for it.
#[derive(Clone)]
pub struct FeatureRequest {
    /// What is wanted.
    pub wanted: Wanted,
    /// As with a call.
    pub meta: Option<String>,
    /// As with a call.
    pub correlation_id: Option<String>,
    /// Who asks.
    pub caller: Caller,
    /// What he may use.
    pub access: Access,
    /// What the client can do.
    pub client: ClientFeatures,
    /// The way back to the client.
    pub link: Arc<dyn ClientLink>,
    /// Cancelled when the client gives up.
    pub cancel: CancellationToken,
    /// As with a call.
    pub given: Option<Given>,
}

/// What a transport can ask for beside calls of tools.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// A prompt, filled in.
    Prompt {
        /// Its full name.
        name: String,
        /// What to fill in.
        arguments: Map<String, Value>,
    },
    /// The contents of a resource.
    Resource(String),
    /// Suggestions for an argument. A prompt goes by its full name here.
    Completion(Completing),
}

/// What became of it.
#[derive(Debug)]
pub struct FeatureResponse {
    /// Names it in the log.
    pub id: CallId,
    /// Stands in each log line of it.
    pub correlation_id: Arc<str>,
    /// The outcome, or why there is none.
    pub result: Result<Outcome, Failure>,
    /// What is asked first, when that is why.
    pub asked: Option<Asking>,
}

/// A call that was made before. It keeps its id, so that those it calls know it again.
#[derive(Clone)]
pub struct Resume {
    pub(crate) lease: Lease,
    pub(crate) before: Before,
    /// Runs before this one.
    pub(crate) attempts: u32,
    /// Another version of the skill than the one that is loaded.
    pub(crate) version: Option<(Digest, Arc<dyn Invoke>)>,
}

/// What a call inherits from the one that makes it, or in whose place it is made.
#[derive(Clone)]
pub struct Parent {
    /// How deep this one is nested.
    pub depth: u32,
    /// When that one must be over.
    pub deadline: Instant,
    /// Whether it is in the place of that one: then nothing is called in its own place.
    pub fallback: bool,
    /// The call that makes this one; none for one that is in the place of a client's.
    pub scope: Option<Above>,
}

/// A call that runs, for those that it makes.
#[derive(Clone)]
pub struct Above(pub(crate) Arc<Scope>);

/// What became of a call.
#[derive(Debug)]
pub struct Response {
    /// The call.
    pub id: CallId,
    /// Stands in each log line of the call.
    pub correlation_id: Arc<str>,
    /// The reply, or why there is none.
    pub result: Result<Reply, Failure>,
    /// Whether the world can have changed, when the call failed.
    pub effect: Effect,
    /// What the last attempt used.
    pub usage: Usage,
    /// Attempts that began.
    pub attempts: u32,
    /// How old the result is, when it is a kept one.
    pub cached: Option<Duration>,
    /// What the filter found in the result.
    pub findings: Findings,
    /// In whose place another tool answered, and why.
    pub stands_in: Option<StandIn>,
    /// Whether something that changes things ran, in this call or one that it made.
    pub changed: bool,
    /// Whether the result is the one that was kept of a call under the same key.
    pub replayed: bool,
    /// Where the call is, when this is not its end or not the end that was hoped for.
    pub standing: Option<Standing>,
    /// Why its last run did not succeed, where the reply is that it goes on.
    pub failed: Option<FailureKind>,
    /// What taking back what it did came to, when it failed.
    pub rollback: Option<RolledBack>,
    /// Whether what became of the call was written down.
    pub settled: bool,
    /// Whether it succeeded, and its caller can take it back.
    pub undoable: bool,
    /// What is asked, when it ended with questions.
    pub asked: Option<Asking>,
}

impl Response {
    /// To a call that was turned away before it began.
    #[must_use]
    pub fn refused(failure: Failure) -> Self {
        let id = CallId::new();
        Self::new(id, id.to_string().into(), Err(failure))
    }

    /// With nothing else known.
    pub(crate) fn new(id: CallId, correlation_id: Arc<str>, result: Result<Reply, Failure>) -> Self {
        Self {
            id,
            correlation_id,
            effect: if result.is_ok() { Effect::Unknown } else { Effect::None },
            result,
            usage: Usage::default(),
            attempts: 0,
            cached: None,
            findings: Findings::default(),
            stands_in: None,
            changed: false,
            replayed: false,
            standing: None,
            failed: None,
            rollback: None,
            settled: false,
            undoable: false,
            asked: None,
        }
    }
}

/// Another tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn {
    /// The one that answered, by its full name.
    pub tool: String,
    /// Why the one that was called did not.
    pub reason: Failure,
}
