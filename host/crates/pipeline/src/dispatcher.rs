//! The order of a call.

mod fallback;
mod features;
mod once;
mod rounds;
mod tasking;
mod tracked;
mod work;

use std::{
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use skillhost_core::{
    Call, CallId, CallTool, Caller, Catalog, Clock, Effect, Entry, Failure, FailureKind, NoTools, Outcome,
    Reply, SkillName, Target,
};
use skillhost_policy::{Deadline, arguments, cacheable, canonical, is_safe, stands_in};
use skillhost_telemetry::ToolLabels;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, Span};

use once::Run;

use crate::{
    Parent, Policies, PolicyReport, Recovery, Request, Settings, admission, agents,
    asking::{About, Opened, Purpose},
    attempts::{Attempts, Tally},
    cache::{self, ResultCache},
    charge::{Level, charge},
    log::logged,
    registry::{Registry, SkillState, ToolState},
    report,
    scope::Scope,
    stopping::Stopping,
    validation::Checks,
};

/// When a client of a host that stops should come back.
const RESTART: Duration = Duration::from_secs(5);

/// Takes calls through the pipeline.
pub struct Dispatcher {
    catalog: watch::Receiver<Arc<Catalog>>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    calls: TaskTracker,
    awaited: AtomicUsize,
    stopping: Stopping,
    checks: Checks,
    no_tools: Arc<dyn CallTool>,
    tool_target: Arc<Target>,
    registry: Registry,
    cache: ResultCache,
    /// None for a host that keeps no journal.
    recovery: Option<Arc<Recovery>>,
    this: Weak<Self>,
}

impl Dispatcher {
    /// A dispatcher for the tools of `catalog`. Without `recovery`, calls that must be written down are refused.
    #[must_use]
    pub fn new(
        catalog: watch::Receiver<Arc<Catalog>>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        recovery: Option<Arc<Recovery>>,
    ) -> Arc<Self> {
        let policies = Arc::clone(&settings.policies);
        let cache = ResultCache::new(policies.host.cache_size);
        Arc::new_cyclic(|this| {
            if let Some(recovery) = &recovery {
                recovery.serve(this.clone());
            }
            Self {
                catalog,
                registry: Registry::new(policies, settings.metrics.clone(), clock.now()),
                settings,
                calls: TaskTracker::new(),
                awaited: AtomicUsize::new(0),
                stopping: recovery.as_ref().map(|recovery| recovery.stopping().clone()).unwrap_or_default(),
                checks: Checks::new(),
                no_tools: Arc::new(NoTools),
                tool_target: Arc::default(),
                cache,
                clock,
                recovery,
                this: this.clone(),
            }
        })
    }

    /// Go on with other policies. State is kept where the policy is the same; the size of the cache is not changed.
    pub fn reconfigure(&self, policies: Arc<Policies>) {
        self.registry.reconfigure(policies, self.clock.now());
    }

    /// How every policy stands.
    #[must_use]
    pub fn report(&self) -> PolicyReport {
        report::of(&self.registry, &self.cache, self.clock.now())
    }

    /// Runs of dead letters that are traced, 0 to 1.
    pub(crate) fn sample(&self) -> f64 {
        self.settings.sample
    }

    /// Run `work` as one of the calls in flight.
    pub(crate) fn track<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.calls.spawn(work)
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

    /// Begin nothing new: the host is to stop. Calls in flight go on; who waits for another try of an undo does not.
    pub fn close(&self) {
        self.calls.close();
        self.stopping.closing.cancel();
    }

    /// Calls in flight that somebody waits for; what those make others do is part of them.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.awaited.load(Ordering::Relaxed)
    }

    /// What must end before nothing is under way: calls, the work of those that are written down, what is being taken back.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.calls.len()
    }

    /// Begin nothing new, and wait until no call is in flight.
    pub async fn idle(&self) {
        self.calls.close();
        self.calls.wait().await;
    }

    /// End what runs: each is answered, and written down as what it is then. Roll-backs stop between two steps; the next host
    /// goes on with them.
    pub fn cut(&self) {
        self.close();
        self.stopping.cut.cancel();
        if let Some(recovery) = &self.recovery {
            recovery.cancel_all();
        }
    }

    /// THE order. Each step stands where it does for a reason:
    async fn steps(
        &self,
        (id, opened): (CallId, Option<&Opened>),
        correlation_id: Arc<str>,
        mut request: Box<Request>,
        run: &mut Run,
    ) -> Result<Reply, Failure> {
        // 0. A host that stops begins nothing new; what calls in flight still call is part of them.
        if self.calls.is_closed() && request.parent.is_none() {
            let failure = Failure::new(FailureKind::ShuttingDown, "the host is stopping");
            return Err(failure.retry_after(RESTART));
        }

        let admission = skillhost_telemetry::span!("admission");
        // 1. Find the tool. Nothing else makes sense without it. A skill that still compiles is waited
        //    for, briefly, since clients call right after they connect.
        let mut entry = match run.found.take() {
            Some(entry) => entry,
            None => {
                let (tool, patience) = (&request.tool, self.settings.ready_wait);
                let found = admission::find(&self.catalog, tool, patience, &request.cancel);
                let entry = found.instrument(admission.clone()).await?;
                Span::current().record("skill", entry.skill.as_str());
                entry
            }
        };
        let name: Arc<str> = entry.spec.name.as_str().into();
        if let Some(began) = run.began {
            let labels = ToolLabels::new(entry.skill.shared(), Arc::clone(&name));
            run.counted.begin(&self.settings.metrics, began, &self.clock, labels);
        }
        // What the caller may use counts for what he calls himself; what that calls is up to the grants of skills.
        if request.parent.is_none() {
            agents::reaches(&request.access, &request.tool)?;
        }
        if let Some((digest, version)) = request.resume.as_mut().and_then(|resume| resume.version.take()) {
            (entry.digest, entry.invoke) = (digest, version);
        }
        let now = self.clock.now();
        let known = |name: &SkillName| self.catalog.borrow().skills.contains_key(name);
        let skill = self.registry.of(&entry, now, known);
        let tool = skill.tool(&entry.spec.name);

        // 2. One deadline from here on: checking and waiting for permits count as much as running.
        //    A call that another makes has no more than that one has left.
        let mut deadline = Deadline::after(now, entry.timeout);
        if let Some(parent) = &request.parent {
            deadline = deadline.no_later_than(parent.deadline);
        }

        // What must be written down before it begins, or when it makes another change something.
        let earlier = request.resume.as_ref().map_or(0, |resume| resume.attempts);
        let resumed = request.resume.is_some();
        let saga = request.asked.saga;
        let tracking = self.tracking(&mut request, &tool.policy, &entry);

        // 3. Arguments: bounds first, since they are cheap and protect the validator; then characters that have no
        //    place in them; then the schema.
        let arguments =
            arguments::bound(request.arguments, &self.settings.arguments, tool.policy.control_characters)?;
        let spec = Arc::clone(&entry.spec);
        let work = arguments.work(&spec);
        let checking = self.checks.run(work, deadline, &request.cancel, move || arguments.check(&spec));
        let mut arguments = checking.instrument(admission.clone()).await?;
        drop(admission);
        if self.settings.log_arguments {
            let shown = arguments.text.as_deref().map(|text| logged(text, &entry, &tool.policy));
            tracing::info!(arguments = shown, "the call's arguments");
        }

        // What comes with answers must be the call that asked. Before anything is charged: nothing of it was used yet.
        if let Some(opened) = opened {
            opened.about.check(&About::new(entry.digest, arguments.canonical().as_deref()))?;
        }

        // 4. The idempotency key, for which equal arguments must be equal text; looked up where the call is written down.
        let canonical = request.asked.key.as_ref().and_then(|_| arguments.canonical());

        // 5. The result cache, before anything is charged: a kept result costs nothing. A tool that changes things makes
        //    what its skill has kept worthless, from before it begins until after it has ended.
        let reads = cacheable(&entry.spec.annotations);
        let at_once = tracking.as_ref().is_some_and(|tracking| tracking.at_once);
        let keeps = !at_once && opened.is_none() && !agents::tells_of_now(&entry);
        let caching = if keeps { tool.caching(reads) } else { None };
        let _changing = (!reads).then(|| {
            self.cache.invalidated();
            skill.changing()
        });
        let meta: Option<Arc<str>> = request.meta.map(Into::into);
        let key = caching.map(|policy| {
            let parts = cache::Parts {
                tool: Arc::clone(&name),
                loaded: entry.loaded,
                generation: skill.generation.load(Ordering::Acquire),
                caller: (!policy.shared).then(|| request.caller.clone()),
                client: request.client,
                meta: meta.clone(),
                arguments: arguments.canonical(),
            };
            (parts, policy.ttl)
        });
        let call = Call {
            id,
            correlation_id,
            caller: request.caller,
            access: request.access,
            target: Arc::clone(&self.tool_target),
            tool: name,
            arguments: arguments.text.take().map(Arc::new),
            meta,
            attempt: 1,
            round: opened.map(|opened| Arc::clone(&opened.round)),
            deadline: deadline.at(),
            client: request.client,
            link: request.link,
            depth: request.parent.as_ref().map_or(0, |parent| parent.depth),
            tools: Arc::clone(&self.no_tools),
            undo: None,
            span: Span::current(),
        };
        let through = Through {
            entry: &entry,
            skill: &skill,
            tool,
            deadline,
            cancel: &request.cancel,
            is_root: request.parent.is_none(),
            earlier,
        };
        // Answers are used up by a tool that must not run twice on them, unless it turns out that nothing came of it.
        // Those of a task were when it began, or are the task's own: it takes them up once, and again after a crash.
        let reusable = is_safe(&entry.spec.annotations) || request.asked.task;
        if let (Some(opened), false, Some(recovery)) = (opened, reusable, &self.recovery) {
            recovery.spend(opened).await?;
            run.spent = true;
        }
        let mut result = match (tracking, key) {
            (Some(tracking), None) => {
                Box::pin(self.tracked(&through, &request.tool, call.clone(), tracking, canonical, run)).await
            }
            (None, None) if through.is_root && !resumed => {
                self.plain(&through, &request.tool, &call, run).await
            }
            (None, None) => self.limited(&through, &call, &mut run.tally).await,
            (tracking, Some((key, ttl))) => {
                let inner = &mut *run;
                let work = async {
                    match tracking {
                        Some(tracking) => {
                            self.tracked(&through, &request.tool, call.clone(), tracking, canonical, inner)
                                .await
                        }
                        None => self.limited(&through, &call, &mut inner.tally).await,
                    }
                };
                let impatient = pin!(impatient(deadline, &request.cancel));
                let found = self.cache.get_or(key, ttl, &*self.clock, impatient, Box::pin(work)).await;
                found.map(|found| {
                    run.cached = found.age;
                    found.reply
                })
            }
        };

        // What it asks goes out with what it needs to go on.
        if let Err(failure) = &mut result
            && let Some(asked) = failure.asked.take()
        {
            let canonical = call.arguments.as_deref().map(|text| canonical_text(text));
            let about = About::new(entry.digest, canonical.as_deref());
            let purpose = Purpose { caller: &call.caller, kind: "tool", name: &request.tool };
            run.asked = Some(self.ask(&purpose, (id, about, call.round.as_deref()), *asked)?);
        }

        // 9. When the tool could not answer, another may be set in its place; not when somebody is to judge the call first.
        match (result, &tool.policy.fallback) {
            (Err(failure), Some(other)) if run.standing.is_none() => {
                let was_fallback = request.parent.as_ref().is_some_and(|parent| parent.fallback);
                let effect = run.effect.unwrap_or(run.tally.effect);
                if was_fallback || !stands_in(failure.kind, effect, is_safe(&entry.spec.annotations)) {
                    return Err(failure);
                }
                let above = request.parent.and_then(|parent| parent.scope);
                let parent =
                    Parent { depth: call.depth, deadline: call.deadline, fallback: true, scope: above };
                Box::pin(self.fall_back(other, failure, call, (parent, saga), request.cancel.clone(), run))
                    .await
            }
            (result, _) => result,
        }
    }

    /// What is left to do for a call that no kept result answers.
    async fn limited(&self, through: &Through<'_>, call: &Call, tally: &mut Tally) -> Result<Reply, Failure> {
        self.charge(through, &call.caller).await?;
        self.attempts(through, call, tally, &AtomicBool::new(false), None).await
    }

    async fn charge(&self, through: &Through<'_>, caller: &Caller) -> Result<(), Failure> {
        let Through { entry, skill, tool, deadline, cancel, is_root, .. } = through;
        let now = self.clock.now();
        let host = self.registry.host();
        // What a call makes others do is its root's caller's already.
        let caller = if *is_root { host.caller(caller, now) } else { None };

        // 6. Rate limits, once a call however many attempts it takes. Narrow ones first, so that who is over his own
        //    takes nothing from the others.
        let levels = [
            Level {
                limiter: caller.as_ref().and_then(|caller| caller.rate.as_ref()),
                together: Some(&host.caller_counts),
                whose: &|| "this caller".into(),
            },
            Level {
                limiter: tool.rate.as_deref(),
                together: None,
                whose: &|| format!("the tool `{}`", entry.spec.name),
            },
            Level {
                limiter: skill.rate.as_deref(),
                together: None,
                whose: &|| format!("the skill `{}`", entry.skill),
            },
            Level { limiter: host.rate.as_deref(), together: None, whose: &|| "the host".into() },
        ];
        let charging = charge(&levels, tool.policy.cost, now, *deadline, cancel);
        charging.instrument(skillhost_telemetry::span!("rate-limit")).await
    }

    async fn attempts(
        &self,
        through: &Through<'_>,
        call: &Call,
        tally: &mut Tally,
        at_stake: &AtomicBool,
        scope: Option<&Scope>,
    ) -> Result<Reply, Failure> {
        let result = self.outcome(through, call, tally, at_stake, scope).await;
        // Before anything is written down of it.
        result.and_then(Outcome::into_reply).map_err(|failure| self.stopped(failure))
    }

    async fn outcome(
        &self,
        through: &Through<'_>,
        call: &Call,
        tally: &mut Tally,
        at_stake: &AtomicBool,
        scope: Option<&Scope>,
    ) -> Result<Outcome, Failure> {
        let Through { entry, skill, tool, deadline, cancel, is_root, earlier } = *through;
        let host = self.registry.host();
        let caller = if is_root { host.caller(&call.caller, self.clock.now()) } else { None };
        // 8. The attempts: permits, guest, result, verdict, again.
        let attempts = Attempts {
            clock: &*self.clock,
            metrics: &self.settings.metrics,
            checks: &self.checks,
            scope,
            entry,
            skill,
            tool,
            caller: caller.as_deref(),
            deadline,
            cancel,
            earlier,
            at_stake,
        };
        attempts.run(call, tally).await
    }
}

/// What a call goes through its limits with.
struct Through<'a> {
    entry: &'a Entry,
    skill: &'a Arc<SkillState>,
    tool: &'a Arc<ToolState>,
    deadline: Deadline,
    cancel: &'a CancellationToken,
    is_root: bool,
    /// Runs before this one, of a dead letter.
    earlier: u32,
}

/// Whether the world can have changed.
fn effect_of(result: &Result<Reply, Failure>, tally: &Tally) -> Effect {
    match result {
        Ok(_) => Effect::Unknown,
        // An attempt that began and was not told to its end.
        Err(failure) if tally.effect == Effect::None => failure
            .kind
            .effect(tally.usage.started || tally.attempts > 0 && failure.kind == FailureKind::Internal),
        Err(_) => tally.effect,
    }
}

/// The same text for all arguments that are equal.
fn canonical_text(text: &str) -> String {
    serde_json::from_str(text).map_or_else(|_| text.to_owned(), |value| canonical(&value))
}

/// Why not to wait any longer for an equal call.
async fn impatient(deadline: Deadline, cancel: &CancellationToken) -> Failure {
    tokio::select! {
        () = cancel.cancelled() => crate::cancelled(),
        () = tokio::time::sleep_until(deadline.at().into()) => {
            let text = "the call's time was over while an equal one still ran";
            Failure::new(FailureKind::Overloaded, text).retry_after(Duration::from_secs(1))
        }
    }
}

#[cfg(test)]
mod tests;
