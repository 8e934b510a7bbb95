//! The order of a call.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use serde_json::{Map, Value};
use skillhost_core::{
    Call, CallId, CallTool, Caller, Catalog, ClientFeatures, ClientLink, Clock, Effect, Failure, FailureKind,
    Outcome, Reply, Usage,
};
use skillhost_policy::{ArgumentBounds, Deadline, arguments, result};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, Span, field};

use crate::{admission, attempt, nested::Nesting, validation::Checks};

/// What the dispatcher is told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bounds of arguments.
    pub arguments: ArgumentBounds,
    /// How long a call, or a listing, waits for skills that are still compiling. Default 10 s.
    pub ready_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { arguments: ArgumentBounds::default(), ready_wait: Duration::from_secs(10) }
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

/// What a call inherits from the one that makes it.
#[derive(Debug, Clone, Copy)]
pub struct Parent {
    /// How deep that one is nested.
    pub depth: u32,
    /// When it must be over.
    pub deadline: Instant,
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
}

/// Takes calls through the pipeline.
pub struct Dispatcher {
    catalog: watch::Receiver<Arc<Catalog>>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    calls: TaskTracker,
    checks: Checks,
    nesting: Arc<dyn CallTool>,
}

impl Dispatcher {
    /// A dispatcher for the tools of `catalog`.
    #[must_use]
    pub fn new(
        catalog: watch::Receiver<Arc<Catalog>>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            catalog,
            clock,
            settings,
            calls: TaskTracker::new(),
            checks: Checks::new(),
            nesting: Arc::new(Nesting(this.clone())),
        })
    }

    /// The tools right now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.borrow())
    }

    /// Notified of each new catalog.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.clone()
    }

    /// The tools, once every skill found at start was tried; at the latest after `ready_wait`.
    pub async fn settled(&self) -> Arc<Catalog> {
        let mut catalog = self.catalog.clone();
        // Either way the newest catalog is what counts.
        let _ = tokio::time::timeout(self.settings.ready_wait, catalog.wait_for(|c| c.settled)).await;
        self.catalog()
    }

    /// Wait until no call is in flight, when the host is to stop.
    pub async fn idle(&self) {
        self.calls.close();
        self.calls.wait().await;
    }

    /// Take one call through. Always answers, even when something in here panics.
    pub async fn call(&self, request: Request) -> Response {
        let _in_flight = self.calls.token();
        let id = CallId::new();
        let correlation_id: Arc<str> = match &request.correlation_id {
            Some(given) => given.as_str().into(),
            None => id.to_string().into(),
        };
        let span = tracing::info_span!(
            "call",
            call_id = %id,
            correlation_id = &*correlation_id,
            tool = request.tool,
            caller = request.caller.as_str(),
            skill = field::Empty,
        );
        let mut dropped = Dropped { span: Some(span.clone()) };
        let began = self.clock.now();
        let mut usage = Usage::default();
        let steps = self.steps(id, Arc::clone(&correlation_id), request, &mut usage);
        let result =
            AssertUnwindSafe(steps.instrument(span.clone())).catch_unwind().await.unwrap_or_else(|_| {
                Err(Failure::new(FailureKind::Internal, "the host panicked during the call"))
            });
        dropped.span = None;
        let effect = match &result {
            Ok(_) => Effect::Unknown,
            Err(failure) => failure.kind.effect(usage.started),
        };
        let took = self.clock.now().saturating_duration_since(began);
        span.in_scope(|| told(&result, &usage, took));
        Response { id, correlation_id, result, effect, usage }
    }

    /// THE order. Each step stands where it does for a reason:
    async fn steps(
        &self,
        id: CallId,
        correlation_id: Arc<str>,
        request: Request,
        usage: &mut Usage,
    ) -> Result<Reply, Failure> {
        // 1. Find the tool. Nothing else makes sense without it. A skill that still compiles is waited
        //    for, briefly, since clients call right after they connect.
        let entry =
            admission::find(&self.catalog, &request.tool, self.settings.ready_wait, &request.cancel).await?;
        Span::current().record("skill", entry.skill.as_str());

        // 2. One deadline from here on: checking and waiting for an instance count as much as running.
        //    A call that another makes has no more than that one has left.
        let mut deadline = Deadline::after(self.clock.now(), entry.timeout);
        if let Some(parent) = &request.parent {
            deadline = deadline.no_later_than(parent.deadline);
        }

        // 3. Arguments: bounds first, since they are cheap and protect the validator; then the schema.
        let arguments = arguments::bound(request.arguments, &self.settings.arguments)?;
        let spec = Arc::clone(&entry.spec);
        let work = arguments.work(&spec);
        let arguments =
            self.checks.run(work, deadline, &request.cancel, move || arguments.check(&spec)).await?;

        // 4. The attempt.
        let call = Call {
            id,
            correlation_id,
            caller: request.caller,
            tool: entry.spec.name.as_str().into(),
            arguments: arguments.map(Arc::new),
            meta: request.meta.map(Into::into),
            attempt: 1,
            deadline: deadline.at(),
            client: request.client,
            link: request.link,
            depth: request.parent.map_or(0, |parent| parent.depth + 1),
            tools: Arc::clone(&self.nesting),
        };
        let report = attempt::run(&*entry.invoke, call, deadline, &request.cancel).await;
        *usage = report.usage;

        // 5. Validate the result: what breaks its own contract must not reach a model.
        let Outcome::Reply(reply) = report.result?;
        let work = result::work(&entry.spec, &reply);
        self.checks.run(work, deadline, &request.cancel, move || result::check(&entry.spec, reply)).await
    }
}

/// Tells of a call whose caller went away without a word: its guest was ended with it.
struct Dropped {
    span: Option<Span>,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(span) = &self.span {
            let outcome = FailureKind::Cancelled.code();
            span.in_scope(|| tracing::info!(outcome, "call dropped: the client went away"));
        }
    }
}

/// One line a call, at a level that fits.
fn told(result: &Result<Reply, Failure>, usage: &Usage, took: Duration) {
    let (fuel, memory) = (usage.fuel, usage.memory);
    let (took_ms, queued_ms) = (millis(took), millis(usage.queued));
    match result {
        Ok(reply) => {
            let outcome = if reply.is_error { "is-error" } else { "ok" };
            tracing::info!(outcome, took_ms, queued_ms, fuel, memory, "call done");
        }
        Err(failure) => {
            let (outcome, reason) = (failure.kind.code(), &failure.message);
            match failure.kind {
                FailureKind::Internal => {
                    tracing::error!(outcome, reason, took_ms, queued_ms, fuel, memory, "call failed");
                }
                FailureKind::InvalidInput | FailureKind::UnknownTool | FailureKind::Cancelled => {
                    tracing::info!(outcome, took_ms, queued_ms, fuel, memory, "call failed");
                }
                _ => tracing::warn!(outcome, reason, took_ms, queued_ms, fuel, memory, "call failed"),
            }
        }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests;
