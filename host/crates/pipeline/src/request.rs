//! What goes into the pipeline, and what comes out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use skillhost_core::{
    CallId, Caller, ClientFeatures, ClientLink, Digest, Effect, Failure, Invoke, Reply, SagaId, Usage,
};
use skillhost_journal::{Lease, Priority};
use skillhost_policy::{ArgumentBounds, Findings};
use tokio_util::sync::CancellationToken;

use crate::{Policies, RolledBack, Standing, recovery::Before, scope::Scope};

/// What the dispatcher is told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bounds of arguments.
    pub arguments: ArgumentBounds,
    /// How long a call, or a listing, waits for skills that are still compiling. Default 10 s.
    pub ready_wait: Duration,
    /// What counts at first; see [`Dispatcher::reconfigure`](crate::Dispatcher::reconfigure).
    pub policies: Arc<Policies>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            arguments: ArgumentBounds::default(),
            ready_wait: Duration::from_secs(10),
            policies: Arc::default(),
        }
    }
}

/// A call as a transport hands it in.
pub struct Request {
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

/// A call that was made before. It keeps its id, so that those it calls know it again.
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
    /// What taking back what it did came to, when it failed.
    pub rollback: Option<RolledBack>,
    /// Whether what became of the call was written down.
    pub settled: bool,
    /// Whether it succeeded, and its caller can take it back.
    pub undoable: bool,
}

/// Another tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn {
    /// The one that answered, by its full name.
    pub tool: String,
    /// Why the one that was called did not.
    pub reason: Failure,
}
