//! What goes into the pipeline, and what comes out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use skillhost_core::{CallId, Caller, ClientFeatures, ClientLink, Effect, Failure, Reply, Usage};
use skillhost_policy::{ArgumentBounds, Findings};
use tokio_util::sync::CancellationToken;

use crate::Policies;

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
}

/// What a call inherits from the one that makes it, or in whose place it is made.
#[derive(Debug, Clone, Copy)]
pub struct Parent {
    /// How deep this one is nested.
    pub depth: u32,
    /// When that one must be over.
    pub deadline: Instant,
    /// Whether it is in the place of that one: then nothing is called in its own place.
    pub fallback: bool,
}

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
}

/// Another tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn {
    /// The one that answered, by its full name.
    pub tool: String,
    /// Why the one that was called did not.
    pub reason: Failure,
}
