//! Calls that may have to be written down: keyed and durable ones, those that can be taken back, parts of sagas, and those
//! that make others. And what plain ones leave behind when nobody knows what they did.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use serde_json::Value;
use skillhost_core::{Call, CallId, Effect, Entry, Failure, FailureKind, Reply, SagaId};
use skillhost_journal::{Delivery, Key, Priority, SagaState};
use skillhost_policy::{FilterMode, RedeliveryPolicy, cacheable, secret};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{
    Dispatcher, Run, Through, effect_of,
    work::{Begin, Finished, Rolling, Work},
};
use crate::{
    Above, Request, Resume, RolledBack, Standing, ToolPolicy,
    agents::tells_of_now,
    cancelled,
    recovery::{Held, Plan, Recovery},
    scope::Scope,
};

/// In a tool's own `_meta`: `"durable"` says that its calls must happen.
const DELIVERY: &str = "skillhost/delivery";

/// How a call is kept track of.
pub(super) struct Tracking {
    key: Option<String>,
    durable: bool,
    priority: Option<Priority>,
    saga: Option<SagaId>,
    /// Whether its client has a handle, and does not wait for it.
    task: bool,
    above: Option<Above>,
    /// Whether it is written down before it begins, or only when it makes another change something.
    pub(super) at_once: bool,
    pub(super) resume: Option<Resume>,
}

impl Dispatcher {
    /// Whether, and how, this call is kept track of. None: nothing needs to be known of it.
    pub(super) fn tracking(
        &self,
        request: &mut Request,
        policy: &ToolPolicy,
        entry: &Entry,
    ) -> Option<Tracking> {
        let changes = !cacheable(&entry.spec.annotations);
        let asked = &request.asked;
        let above = request.parent.as_ref().and_then(|parent| parent.scope.clone());
        let resume = request.resume.take();
        let own = || {
            if says_durable(entry) { Delivery::Durable } else { Delivery::Plain }
        };
        // What tools call is part of their own calls, and has no letters.
        let durable = request.parent.is_none()
            && !tells_of_now(entry)
            && (asked.durable || policy.delivery.unwrap_or_else(own) == Delivery::Durable);
        let undoable = changes && entry.spec.undoable;
        // Without a journal, what a tool calls is as any other call.
        let is_step = above.is_some() && changes && self.recovery.is_some();
        let at_once = resume.is_some()
            || durable
            || asked.task
            || asked.key.is_some()
            || asked.saga.is_some() && above.is_none()
            || undoable && above.is_none()
            || is_step;
        (at_once || entry.calls_tools).then(|| Tracking {
            key: asked.key.clone(),
            durable,
            priority: asked.priority,
            saga: asked.saga,
            task: asked.task,
            above,
            at_once,
            resume,
        })
    }

    /// When letters of a tool are run again.
    pub(crate) fn redelivery(&self, skill: &str, tool: &str) -> RedeliveryPolicy {
        self.policy_of(skill, tool).redelivery.clone()
    }

    /// What a skill keeps or reads has changed, without a call of it: what was kept of its results is worthless.
    pub(crate) fn changed(&self, skill: &str) {
        self.cache.invalidated();
        self.registry.changed(skill);
    }

    /// What becomes of what a skill's results should not hold.
    pub(crate) fn filter_of(&self, skill: &str) -> FilterMode {
        self.registry.filter_of(skill)
    }

    /// What counts for a tool, by its full name.
    pub(crate) fn policy_of(&self, skill: &str, tool: &str) -> Arc<ToolPolicy> {
        let catalog = self.catalog();
        let known = catalog.tools.get(tool).map(|entry| &*entry.spec.name);
        self.registry.policy_of(skill, known)
    }

    /// Where arguments of a tool are secret: by its schema, and by its operator's word.
    pub(crate) fn secret_arguments(&self, entry: &Entry) -> Vec<String> {
        let mut pointers = secret::marked(entry.spec.input.raw());
        let policy = self.registry.policy_of(entry.skill.as_str(), Some(&entry.spec.name));
        pointers.extend(policy.secret_arguments.iter().cloned());
        pointers
    }

    /// A call that is kept track of. It runs on a task of its own: its end is written down too, and what it made others do
    /// taken back when it fails, whoever goes away.
    pub(super) async fn tracked(
        &self,
        through: &Through<'_>,
        tool: &str,
        mut call: Call,
        tracking: Tracking,
        canonical: Option<String>,
        run: &mut Run,
    ) -> Result<Reply, Failure> {
        let Some(this) = self.this.upgrade() else { return Err(cancelled()) };
        let Tracking { key, durable, priority, saga, task, above, at_once, resume } = tracking;
        if self.recovery.is_none() && at_once {
            return Err(Failure::new(FailureKind::JournalUnavailable, "this host keeps no journal"));
        }
        let promises = through.entry.spec.output.is_some();
        let above = above.map(|above| above.0);
        let nested = above.is_some();
        let again = resume.is_some();
        let scope = Scope::new(
            self.this.clone(),
            self.recovery.clone(),
            (tool, through.entry, through.tool),
            &call,
            above.clone(),
            saga,
        );
        let mut begin = None;
        match (&self.recovery, resume) {
            (Some(_), Some(resume)) => {
                self.charge(through, &call.caller).await?;
                scope.begun(resume.lease, resume.before);
            }
            (Some(recovery), None) if at_once => {
                // Its key first: what is known already costs nothing.
                let key: Option<Key> =
                    key.as_deref().map(|key| recovery.key(key, canonical.as_deref())).transpose()?;
                if let Some(key) = &key
                    && let Some(held) = recovery.held(&call, tool, key, through.cancel).await?
                {
                    return Ok(answered(held, promises, run));
                }
                self.charge(through, &call.caller).await?;
                begin = Some(Begin { key, durable, priority, task });
            }
            _ => self.charge(through, &call.caller).await?,
        }
        if through.entry.calls_tools {
            call.tools = scope.clone();
        }
        if at_once && scope.is_undoable() {
            call.undo = Some(scope.clone());
        }
        let id = call.id;
        // A durable call is not the client's to end any more.
        let cancel = if durable { CancellationToken::new() } else { through.cancel.child_token() };
        let attended = Arc::new(AtomicBool::new(!again));
        let flight = self.recovery.as_ref().map(|recovery| recovery.flight(id, saga, cancel.clone()));
        let work = Work {
            dispatcher: this,
            scope,
            call,
            begin,
            entry: through.entry.clone(),
            skill: Arc::clone(through.skill),
            tool: Arc::clone(through.tool),
            deadline: through.deadline,
            is_root: through.is_root,
            earlier: through.earlier,
            cancel: cancel.clone(),
            attended: Arc::clone(&attended),
        };
        let work = work.run(nested, flight).instrument(Span::current());
        let mut running = match &above {
            Some(above) => self.calls.spawn(above.children.track_future(work)),
            None => self.calls.spawn(work),
        };
        // Who is gone cannot mend anything; a call that need not happen ends with its client.
        let _gone = Leaving { attended, cancel: (!durable).then_some(cancel) };
        let patience = through.tool.policy.patience;
        let waits = durable && !again && !task;
        let bearable = self.recovery.as_ref().filter(|_| !durable && !nested && !again && !task);
        let too_long = bearable.map(|recovery| through.deadline.at() + recovery.patience());
        let Finished { result, held, tally, settled, undoable, standing, rolling } = tokio::select! {
            // It contains its panics.
            ended = &mut running => ended.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?,
            () = tokio::time::sleep(patience), if waits => {
                let standing = Standing::running(id);
                let reply = standing.reply(promises);
                run.standing = Some(standing);
                return Ok(reply);
            }
            // When the host ends, the call does too: what became of it is told.
            () = given_up(through.cancel, &self.stopping.cut), if waits => return Err(cancelled()),
            // Its guest was ended at the deadline; what it made others do is still being taken back.
            () = until(too_long) => {
                run.effect = Some(Effect::Unknown);
                run.rollback = Some(RolledBack::pending(id.into()));
                let text = format!("the call took longer than {} and was ended", through.deadline.told());
                return Err(Failure::new(FailureKind::Timeout, text));
            }
        };
        if let Some(held) = held {
            return Ok(answered(held, promises, run));
        }
        (run.tally, run.standing, run.settled) = (tally, standing, settled);
        run.undoable = undoable && result.is_ok() && self.recovery.as_ref().is_some_and(|r| r.saga_tools());
        if let (Some(rolling), Some(recovery)) = (rolling, &self.recovery) {
            self.rolled(id, rolling, recovery, again || task, through.cancel, run).await;
        }
        match (&run.standing, result) {
            (Some(standing), Err(failure)) if standing.goes_on() => {
                let reply = standing.reply(promises);
                run.failed = Some(failure);
                Ok(reply)
            }
            (_, result) => result,
        }
    }

    /// Wait for what the call did to be taken back, as long as that is bearable, and note what came of it.
    async fn rolled(
        &self,
        id: CallId,
        rolling: Rolling,
        recovery: &Arc<Recovery>,
        to_the_end: bool,
        cancel: &CancellationToken,
        run: &mut Run,
    ) {
        let report = match rolling {
            Rolling::Over(report) => report,
            Rolling::On(mut task) => tokio::select! {
                report = &mut task => report.unwrap_or_else(|_| RolledBack::pending(id.into())),
                () = tokio::time::sleep(recovery.patience()), if !to_the_end => RolledBack::pending(id.into()),
                () = cancel.cancelled() => RolledBack::pending(id.into()),
            },
        };
        let clean = report.state == SagaState::RolledBack;
        run.tally.changed &= !clean;
        run.effect = Some(if clean { Effect::None } else { Effect::Unknown });
        // What it is now depends on that.
        run.standing = recovery.consulted(id, recovery.standing(id).await).await;
        run.rollback = Some(report);
    }

    /// A call that is written down only when it ends in a way that nobody can judge.
    pub(super) async fn plain(
        &self,
        through: &Through<'_>,
        tool: &str,
        call: &Call,
        run: &mut Run,
    ) -> Result<Reply, Failure> {
        let Some(recovery) = self.recovery.as_ref().filter(|recovery| recovery.parks(through.entry)) else {
            return self.limited(through, call, &mut run.tally).await;
        };
        self.charge(through, &call.caller).await?;
        let at_stake = AtomicBool::new(false);
        let mut dropped = Abandoned { recovery, through, tool, call, at_stake: Some(&at_stake) };
        let result = self.attempts(through, call, &mut run.tally, &at_stake, None).await;
        dropped.at_stake = None;
        if let Err(failure) = &result
            && effect_of(&result, &run.tally) == Effect::Unknown
        {
            run.standing = Box::pin(recovery.leave(&dropped.plan(), failure)).await;
        }
        result
    }
}

/// Whether a tool says that its calls must happen.
pub(super) fn says_durable(entry: &Entry) -> bool {
    let word = entry.spec.meta.as_ref().and_then(|meta| meta.get(DELIVERY));
    entry.spec.durable || word.and_then(Value::as_str) == Some("durable")
}

/// Until the client gives up, and not because the host ends.
async fn given_up(client: &CancellationToken, cut: &CancellationToken) {
    client.cancelled().await;
    if cut.is_cancelled() {
        std::future::pending::<()>().await;
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn answered(held: Held, promises: bool, run: &mut Run) -> Reply {
    match held {
        Held::Outcome(id, reply) => {
            run.held = Some(id);
            run.replayed = true;
            reply
        }
        Held::At(standing) => {
            run.held = Some(standing.id);
            let reply = standing.reply(promises);
            run.standing = Some(standing);
            reply
        }
    }
}

/// What follows when the one who waits goes away, or has its answer.
struct Leaving {
    attended: Arc<AtomicBool>,
    cancel: Option<CancellationToken>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.attended.store(false, Ordering::Relaxed);
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }
}

/// Leaves a letter when a plain call is dropped half-way: its client is gone, and its guest was ended with it.
struct Abandoned<'a> {
    recovery: &'a Arc<Recovery>,
    through: &'a Through<'a>,
    tool: &'a str,
    call: &'a Call,
    at_stake: Option<&'a AtomicBool>,
}

impl Abandoned<'_> {
    fn plan(&self) -> Plan<'_> {
        Plan {
            tool: self.tool,
            call: self.call,
            entry: self.through.entry,
            policy: &self.through.tool.policy,
            durable: false,
            priority: None,
            key: None,
            step: None,
            again: false,
        }
    }
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if self.at_stake.is_some_and(|at_stake| at_stake.load(Ordering::Relaxed)) {
            let failure = Failure::new(FailureKind::Cancelled, "the client went away; the call was ended");
            // The write is under way; only nobody waits for it, or hears if it fails: that is logged.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(self.recovery.leave(&self.plan(), &failure).instrument(Span::current()));
            }
        }
    }
}
