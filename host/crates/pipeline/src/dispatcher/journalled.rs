//! Calls that touch the journal: keyed and durable ones, and what plain ones leave behind when nobody knows what they did.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::FutureExt as _;
use serde_json::Value;
use skillhost_core::{Call, Effect, Entry, Failure, FailureKind, Reply};
use skillhost_journal::{Delivery, Key, Priority};
use skillhost_policy::{RedeliveryPolicy, secret};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{Dispatcher, Run, Through, effect_of};
use crate::{
    Request, Standing, ToolPolicy,
    attempts::Tally,
    cancelled,
    recovery::{Held, Plan, Recovery},
};

/// In a tool's own `_meta`: `"durable"` says that its calls must happen.
const DELIVERY: &str = "skillhost/delivery";

/// What is to be written down of a call.
pub(super) struct Wanted {
    key: Option<String>,
    durable: bool,
    priority: Option<Priority>,
}

impl Dispatcher {
    /// Whether, and how, this call is written down before it begins. What tools call is part of their own calls.
    pub(super) fn asked(&self, request: &Request, policy: &ToolPolicy, entry: &Entry) -> Option<Wanted> {
        if request.parent.is_some() || request.resume.is_some() {
            return None;
        }
        let own = || {
            let word = entry.spec.meta.as_ref().and_then(|meta| meta.get(DELIVERY));
            if word.and_then(Value::as_str) == Some("durable") { Delivery::Durable } else { Delivery::Plain }
        };
        let asked = &request.asked;
        let durable = asked.durable || policy.delivery.unwrap_or_else(own) == Delivery::Durable;
        (durable || asked.key.is_some()).then(|| Wanted {
            key: asked.key.clone(),
            durable,
            priority: asked.priority,
        })
    }

    /// When letters of a tool are run again.
    pub(crate) fn redelivery(&self, skill: &str, tool: &str) -> RedeliveryPolicy {
        let catalog = self.catalog();
        let known = catalog.tools.get(tool).map(|entry| (&entry.skill, &*entry.spec.name));
        self.registry.policy_of(skill, known.map(|(_, name)| name)).redelivery.clone()
    }

    /// Where arguments of a tool are secret: by its schema, and by its operator's word.
    pub(crate) fn secret_arguments(&self, entry: &Entry) -> Vec<String> {
        let mut pointers = secret::marked(entry.spec.input.raw());
        let policy = self.registry.policy_of(entry.skill.as_str(), Some(&entry.spec.name));
        pointers.extend(policy.secret_arguments.iter().cloned());
        pointers
    }

    /// A call that is written down before it begins. From then on it runs on a task of its own: its end is written down
    /// too, whoever goes away.
    pub(super) async fn journalled(
        &self,
        through: &Through<'_>,
        tool: &str,
        call: Call,
        wanted: Wanted,
        canonical: Option<String>,
        run: &mut Run,
    ) -> Result<Reply, Failure> {
        let (Some(recovery), Some(this)) = (&self.recovery, self.this.upgrade()) else {
            return Err(Failure::new(FailureKind::JournalUnavailable, "this host keeps no journal"));
        };
        let promises = through.entry.spec.output.is_some();
        // Its key first: what is known already costs nothing.
        let key: Option<Key> =
            wanted.key.as_deref().map(|key| recovery.key(key, canonical.as_deref())).transpose()?;
        if let Some(key) = &key
            && let Some(held) = recovery.held(&call, tool, key, through.cancel).await?
        {
            return Ok(answered(held, promises, run));
        }
        self.charge(through, &call.caller).await?;
        // 7. The intent, and the key with it: nothing has begun yet that could be lost.
        let plan = Plan {
            tool,
            call: &call,
            entry: through.entry,
            policy: &through.tool.policy,
            durable: wanted.durable,
            priority: wanted.priority,
            key,
        };
        let (lease, mut before) = loop {
            if let Some(begun) = recovery.begin(&plan).await? {
                break begun;
            }
            // Another was first. It may have ended without an effect by the time we look.
            if let Some(key) = &plan.key
                && let Some(held) = recovery.held(&call, tool, key, through.cancel).await?
            {
                return Ok(answered(held, promises, run));
            }
        };
        let id = call.id;
        let durable = wanted.durable;
        // A durable call is not the client's to end any more.
        let cancel = if durable { CancellationToken::new() } else { through.cancel.child_token() };
        let attended = Arc::new(AtomicBool::new(true));
        let left = Arc::clone(&attended);
        let (entry, skill, state) =
            (through.entry.clone(), Arc::clone(through.skill), Arc::clone(through.tool));
        let (deadline, earlier, ending) = (through.deadline, through.earlier, cancel.clone());
        let (recovery, flight) = (Arc::clone(recovery), recovery.flight(id));
        let work = async move {
            let through = Through {
                entry: &entry,
                skill: &skill,
                tool: &state,
                deadline,
                cancel: &ending,
                is_root: true,
                earlier,
            };
            let mut tally = Tally::default();
            let at_stake = AtomicBool::new(false);
            let attempts = Box::pin(this.attempts(&through, call, &mut tally, &at_stake));
            let result = AssertUnwindSafe(attempts).catch_unwind().await.unwrap_or_else(|_| {
                Err(Failure::new(FailureKind::Internal, "the host panicked during the call"))
            });
            before.attended = left.load(Ordering::Relaxed);
            let ended = result.as_ref().map_err(|failure| {
                // What tools it called have changed is not taken back by its saying that it failed.
                let effect = if tally.changed { Effect::Unknown } else { effect_of(&result, &tally) };
                (failure, effect)
            });
            let standing = recovery.settle(lease, before, &state.policy.redelivery, ended, flight).await;
            (result, tally, standing)
        };
        let mut task = self.calls.spawn(work.instrument(Span::current()));
        // Who is gone cannot mend anything; a call that need not happen ends with its client.
        let _gone = Leaving { attended, cancel: (!durable).then_some(cancel) };
        let patience = through.tool.policy.patience;
        let (result, tally, standing) = tokio::select! {
            // It contains its panics.
            ended = &mut task => ended.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?,
            () = tokio::time::sleep(patience), if durable => {
                let standing = Standing::running(id);
                let reply = standing.reply(promises);
                run.standing = Some(standing);
                return Ok(reply);
            }
            () = through.cancel.cancelled(), if durable => return Err(cancelled()),
        };
        run.tally = tally;
        run.standing = standing;
        match (&run.standing, result) {
            (Some(standing), Err(_)) if standing.goes_on() => Ok(standing.reply(promises)),
            (_, result) => result,
        }
    }

    /// A call that is written down only when it ends in a way that nobody can judge.
    pub(super) async fn plain(
        &self,
        through: &Through<'_>,
        tool: &str,
        call: Call,
        run: &mut Run,
    ) -> Result<Reply, Failure> {
        let Some(recovery) = self.recovery.as_ref().filter(|recovery| recovery.parks(through.entry)) else {
            return self.limited(through, call, &mut run.tally).await;
        };
        self.charge(through, &call.caller).await?;
        let at_stake = AtomicBool::new(false);
        let kept = call.clone();
        let mut dropped = Abandoned { recovery, through, tool, call: &kept, at_stake: Some(&at_stake) };
        let result = self.attempts(through, call, &mut run.tally, &at_stake).await;
        dropped.at_stake = None;
        if let Err(failure) = &result
            && effect_of(&result, &run.tally) == Effect::Unknown
        {
            run.standing = recovery.leave(&dropped.plan(), failure).await;
        }
        result
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
