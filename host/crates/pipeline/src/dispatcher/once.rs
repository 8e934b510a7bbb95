//! One round of a call: what it is known by, what is told of its end, and that it has one.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use skillhost_core::{CallId, Effect, Entry, Failure, FailureKind};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{Dispatcher, RESTART, effect_of};
use crate::{
    Asking, Given, Request, Response, RolledBack, StandIn, Standing, agents,
    asking::Purpose,
    attempts::Tally,
    log::{Counted, Dropped, End, told, traced},
};

/// What became of a call on its way.
#[derive(Default)]
pub(super) struct Run {
    pub(super) tally: Tally,
    pub(super) cached: Option<Duration>,
    pub(super) stands_in: Option<StandIn>,
    /// The call that was made before under the same key.
    pub(super) held: Option<CallId>,
    pub(super) replayed: bool,
    pub(super) standing: Option<Standing>,
    /// Why this round did not succeed, where the answer is that the call goes on.
    pub(super) failed: Option<Failure>,
    pub(super) rollback: Option<RolledBack>,
    /// Whether something of it stays, when it failed and was taken back.
    pub(super) effect: Option<Effect>,
    pub(super) settled: bool,
    pub(super) undoable: bool,
    pub(super) asked: Option<Asking>,
    /// The answers it came with are used up.
    pub(super) spent: bool,
    /// When it came in.
    pub(super) began: Option<Instant>,
    pub(super) counted: Counted,
    /// Its tool, where that was there when it came in.
    pub(super) found: Option<Entry>,
}

/// What is said of a call that was ended because the host ends.
const STOPPED: &str = "the host is stopping; the call was ended";

impl Dispatcher {
    /// Take one call through. Always answers, even when something in here panics.
    pub async fn call(&self, request: Request) -> Response {
        // Answers that come before their questions count when they answer all of them.
        let early = request.given.as_ref().is_some_and(Given::is_early).then(|| request.clone());
        // Boxed: it is handed on from one future to the next.
        let response = self.once(Box::new(request)).await;
        if let (Some(Request { given: Some(given), .. }), Some(asked)) = (&early, &response.asked)
            && let Some(given) = given.clone().fits(asked)
            && let Some(again) = early
        {
            return Box::pin(self.once(Box::new(Request { given: Some(given), ..again }))).await;
        }
        response
    }

    async fn once(&self, mut request: Box<Request>) -> Response {
        let _in_flight = self.calls.token();
        let _awaited = request.parent.is_none().then(|| Awaited::one(&self.awaited));
        // What a saga's call holds takes its place.
        let agents_hold_sagas = self.recovery.as_ref().is_some_and(|recovery| recovery.saga_tools());
        let unwrapped = if agents_hold_sagas { agents::unwrap(&mut request) } else { Ok(()) };
        let opened = unwrapped.and_then(|()| {
            let purpose = Purpose { caller: &request.caller, kind: "tool", name: &request.tool };
            self.opened(&purpose, request.given.as_ref())
        });
        let (opened, unusable) = match opened {
            Ok(opened) => (opened, None),
            Err(failure) => (None, Some(failure)),
        };
        let earlier = request.resume.as_ref().map(|resume| resume.lease.id);
        let earlier = earlier.or(opened.as_ref().map(|opened| opened.call));
        let id = earlier.or(request.id).unwrap_or_default();
        let correlation_id: Arc<str> = match &request.correlation_id {
            Some(given) => given.as_str().into(),
            None => id.text(&mut [0; 36]).into(),
        };
        let found = self.catalog.borrow().tools.get(request.tool.as_str()).cloned();
        // All at once: to add to the fields of a span later, its log reads them again and writes them anew.
        let span = tracing::info_span!(
            "call",
            call_id = %id,
            correlation_id = &*correlation_id,
            tool = brief(&request.tool),
            caller = request.caller.as_str(),
            skill = found.as_ref().map(|entry| entry.skill.as_str()),
        );
        let mut dropped = Dropped { span: Some(span.clone()) };
        let began = self.clock.now();
        let mut run = Run { began: Some(began), found, ..Run::default() };
        let cancel = request.cancel.clone();
        let result = if let Some(failure) = unusable {
            Err(failure)
        } else {
            let steps = self.steps((id, opened.as_ref()), Arc::clone(&correlation_id), request, &mut run);
            // Boxed: it is some kilobytes, which every wrapper from here up to the transport would copy.
            self.to_its_end(Box::pin(steps), &cancel, &span).await
        };
        dropped.span = None;
        let Run {
            tally,
            cached,
            stands_in,
            held,
            replayed,
            standing,
            failed,
            rollback,
            effect,
            settled,
            undoable,
            asked,
            spent,
            counted,
            began: _,
            found: _,
        } = run;
        let effect = effect.unwrap_or_else(|| effect_of(&result, &tally));
        let result = result.map_err(|failure| self.shutting_down(failure, effect));
        if let (true, Err(_), Effect::None, Some(opened), Some(recovery)) =
            (spent, &result, effect, &opened, &self.recovery)
        {
            recovery.unspend(opened).await;
        }
        let took = self.clock.now().saturating_duration_since(began);
        let goes_on = standing.as_ref().is_some_and(Standing::goes_on);
        let end = match (&failed, &result) {
            // That it goes on is what its client is told; how this round ended is another thing.
            (Some(failure), _) | (None, Err(failure)) => End::Failed(failure),
            (None, Ok(_)) if goes_on => End::Accepted,
            (None, Ok(reply)) => End::Replied { is_error: reply.is_error },
        };
        counted.end(&self.settings.metrics, end.word(), took);
        traced(&span, end, &tally);
        span.in_scope(|| told(end, &tally, cached, took));
        Response {
            id: held.unwrap_or(id),
            correlation_id,
            result,
            effect,
            usage: tally.usage,
            attempts: tally.attempts,
            cached,
            findings: tally.findings,
            stands_in,
            changed: tally.changed,
            replayed,
            standing,
            failed: failed.map(|failure| failure.kind),
            rollback,
            settled,
            undoable,
            asked,
        }
    }

    /// Do the work of a call, until it ends by itself or because the host does. A panic in it is a failure of it.
    pub(super) async fn to_its_end<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Unpin,
        cancel: &CancellationToken,
        span: &Span,
    ) -> Result<T, Failure> {
        let mut work = AssertUnwindSafe(work.instrument(span.clone())).catch_unwind();
        let ended = tokio::select! {
            biased;
            ended = &mut work => ended,
            () = self.stopping.cut.cancelled() => {
                cancel.cancel();
                work.await
            }
        };
        ended
            .unwrap_or_else(|_| Err(Failure::new(FailureKind::Internal, "the host panicked during the call")))
    }

    /// Who was ended because the host ends is told so, and when to come back if nothing can have come of it.
    pub(super) fn shutting_down(&self, failure: Failure, effect: Effect) -> Failure {
        if effect == Effect::None && self.is_cut(&failure) {
            return Failure::new(FailureKind::ShuttingDown, STOPPED).retry_after(RESTART);
        }
        self.stopped(failure)
    }

    /// It was not its client who ended it, when the host ends.
    pub(super) fn stopped(&self, failure: Failure) -> Failure {
        if self.is_cut(&failure) { Failure { message: STOPPED.into(), ..failure } } else { failure }
    }

    fn is_cut(&self, failure: &Failure) -> bool {
        failure.kind == FailureKind::Cancelled && self.stopping.cut.is_cancelled()
    }
}

/// Counts a call as long as somebody waits for it.
struct Awaited<'a>(&'a AtomicUsize);

impl<'a> Awaited<'a> {
    fn one(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A name as logs and traces show it: a client may ask for any.
pub(super) fn brief(name: &str) -> &str {
    const MOST: usize = 256;
    &name[..name.floor_char_boundary(MOST.min(name.len()))]
}
