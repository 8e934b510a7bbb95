//! A call on a task of its own: written down, run, settled, and what it made others do taken back when it fails, whoever
//! goes away.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::FutureExt as _;
use skillhost_core::{Call, Effect, Entry, Failure, FailureKind, Reply};
use skillhost_journal::{Key, Priority, Token};
use skillhost_policy::{Deadline, cacheable};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{Dispatcher, Through, effect_of};
use crate::{
    RolledBack, Standing,
    attempts::Tally,
    cancelled,
    recovery::{Ended, Flight, Held, Plan, Recovery},
    registry::{SkillState, ToolState},
    scope::Scope,
};

/// How a call is written down before it begins.
pub(super) struct Begin {
    pub(super) key: Option<Key>,
    pub(super) durable: bool,
    pub(super) priority: Option<Priority>,
    /// A run of it that a dead process left may have ended with questions.
    pub(super) task: bool,
}

impl Begin {
    /// Write the intent down, and the key with it: nothing has begun yet that could be lost. Answers what its key gives, when
    /// another call has it by now. On the call's own task: what was asked of the journal happens, whoever goes away.
    async fn write_down(
        self,
        recovery: &Arc<Recovery>,
        scope: &Scope,
        call: &Call,
        cancel: &CancellationToken,
    ) -> Result<Option<Held>, Failure> {
        scope.write_down_above().await?;
        let Self { key, durable, priority, task } = self;
        let plan = Plan { durable, priority, again: call.round.is_some() || task, ..scope.plan(key) };
        loop {
            if let Some((lease, before)) = recovery.begin(&plan).await? {
                scope.begun(lease, before);
                return Ok(None);
            }
            // Another was first. It may have ended without an effect by the time we look.
            if let Some(key) = &plan.key
                && let Some(held) = recovery.held(call, plan.tool, key, cancel).await?
            {
                return Ok(Some(held));
            }
        }
    }
}

/// Taking back what a call did.
pub(super) enum Rolling {
    /// By a task that may be left alone.
    On(JoinHandle<RolledBack>),
    /// It is over.
    Over(RolledBack),
}

/// A call on a task of its own.
pub(super) struct Work {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) scope: Arc<Scope>,
    pub(super) call: Call,
    /// How it is written down; none when it was before, or need not be.
    pub(super) begin: Option<Begin>,
    pub(super) entry: Entry,
    pub(super) skill: Arc<SkillState>,
    pub(super) tool: Arc<ToolState>,
    pub(super) deadline: Deadline,
    pub(super) is_root: bool,
    pub(super) earlier: u32,
    pub(super) cancel: CancellationToken,
    pub(super) attended: Arc<AtomicBool>,
}

/// What became of it.
pub(super) struct Finished {
    pub(super) result: Result<Reply, Failure>,
    /// It was not made: another has its key.
    pub(super) held: Option<Held>,
    pub(super) tally: Tally,
    pub(super) settled: bool,
    /// Whether there is something that can be taken back.
    pub(super) undoable: bool,
    pub(super) standing: Option<Standing>,
    pub(super) rolling: Option<Rolling>,
}

impl Finished {
    fn new(result: Result<Reply, Failure>, tally: Tally) -> Self {
        Self { result, held: None, tally, settled: false, undoable: false, standing: None, rolling: None }
    }
}

impl Work {
    pub(super) async fn run(self, nested: bool, flight: Option<Flight>) -> Finished {
        let Self {
            dispatcher,
            scope,
            call,
            begin,
            entry,
            skill,
            tool,
            deadline,
            is_root,
            earlier,
            cancel,
            attended,
        } = self;
        let through = Through {
            entry: &entry,
            skill: &skill,
            tool: &tool,
            deadline,
            cancel: &cancel,
            is_root,
            earlier,
        };
        // Its client may have its answer before it ends: what is read until then is not kept.
        let _changing = (!cacheable(&entry.spec.annotations)).then(|| skill.changing());
        let mut tally = Tally::default();
        if let (Some(begin), Some(recovery)) = (begin, &dispatcher.recovery) {
            let refused = match begin.write_down(recovery, &scope, &call, &cancel).await {
                Ok(None) => None,
                Ok(Some(held)) => Some((Err(cancelled()), Some(held))),
                Err(failure) => Some((Err(failure), None)),
            };
            if let Some((result, held)) = refused {
                return Finished { held, ..Finished::new(result, tally) };
            }
        }
        let at_stake = AtomicBool::new(false);
        let attempts = async {
            // Whoever wanted it may have gone away while it was written down.
            if cancel.is_cancelled() {
                return Err(cancelled());
            }
            dispatcher.attempts(&through, &call, &mut tally, &at_stake, Some(&scope)).await
        };
        let attempts = Box::pin(attempts);
        let mut result = AssertUnwindSafe(attempts).catch_unwind().await.unwrap_or_else(|_| {
            Err(Failure::new(FailureKind::Internal, "the host panicked during the call"))
        });
        // Everything that it began has ended before anything is taken back.
        scope.rest().await;
        for guest in tally.lingering.drain(..) {
            guest.await;
        }
        let token = result.as_mut().ok().and_then(|reply| reply.undo_token.take());
        let mut finished = Finished::new(result, tally);
        let (Some(recovery), Some(flight)) = (&dispatcher.recovery, flight) else { return finished };
        let Some((lease, mut before)) = scope.written() else {
            if let Err(failure) = &finished.result
                && effect_of(&finished.result, &finished.tally) == Effect::Unknown
                && !nested
                && recovery.parks(&entry)
            {
                finished.standing = recovery.leave(&scope.plan(None), failure).await;
            }
            return finished;
        };
        before.attended &= attended.load(Ordering::Relaxed);
        // What only reads has changed nothing, however it ended.
        let effect = match cacheable(&entry.spec.annotations) {
            true => Effect::None,
            false => effect_of(&finished.result, &finished.tally),
        };
        let attempt = earlier.saturating_add(finished.tally.attempts);
        let ended = Ended {
            result: finished.result.as_ref(),
            effect,
            changed: finished.tally.changed,
            undoable: scope.is_undoable(),
            steps: scope.has_steps(),
            token: token.map(|token| Token { attempt, digest: entry.digest, token }),
            void: scope.void(),
            nested,
        };
        let settled = recovery.settle(lease, before, &tool.policy.redelivery, ended, flight).await;
        (finished.settled, finished.standing) = (true, settled.standing);
        finished.undoable = scope.is_undoable() || scope.has_steps();
        if let Some(lease) = settled.rollback {
            let work = Arc::clone(recovery).compensate(lease);
            finished.rolling = Some(if nested {
                Rolling::Over(work.await)
            } else {
                Rolling::On(dispatcher.track(work.instrument(Span::current())))
            });
        } else if settled.later {
            finished.rolling = Some(Rolling::Over(RolledBack::pending(lease.id.into())));
        }
        // Told by itself, and not by its caller: that one may not wait for it any more.
        let taken_back = matches!(&finished.rolling, Some(Rolling::Over(report)) if report.is_clean());
        scope.note_above(finished.tally.changed && !taken_back);
        finished
    }
}
