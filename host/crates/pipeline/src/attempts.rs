//! The attempts of a call, under one deadline: permits, guest, result, verdict, and whether to try again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use skillhost_core::{
    Ask, Attempt, Call, ClientFeatures, Clock, Effect, Entry, Failure, FailureKind, Filled, Hint,
    InputRequired, Outcome, Report, Usage, Verdict,
};
use skillhost_policy::{
    CircuitBreaker, Deadline, Failed, FilterMode, Findings, cacheable, circuit_breaker::Permit,
    content_filter, form, is_safe, result,
};
use skillhost_telemetry::{Metrics, ToolLabels, trace};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    asking, attempt, cancelled,
    concurrency::Slot,
    events::{Whose, told},
    log::End,
    registry::{CallerState, SkillState, ToolState},
    scope::{Notes, Scope},
    validation::Checks,
};

/// What is known of a call beside its reply.
pub(crate) struct Tally {
    /// What the last attempt used.
    pub(crate) usage: Usage,
    /// Attempts that began.
    pub(crate) attempts: u32,
    /// The worst of all attempts.
    pub(crate) effect: Effect,
    /// Whether something that changes things ran, in this call or one that it made.
    pub(crate) changed: bool,
    /// What the filter found in the result.
    pub(crate) findings: Findings,
    /// Guests that were ended and have not gone away yet.
    pub(crate) lingering: Vec<Box<dyn Attempt>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            usage: Usage::default(),
            attempts: 0,
            effect: Effect::None,
            changed: false,
            findings: Findings::default(),
            lingering: vec![],
        }
    }
}

/// Everything that attempts need.
pub(crate) struct Attempts<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) metrics: &'a Metrics,
    pub(crate) checks: &'a Checks,
    /// None for a call that makes no others and cannot be taken back.
    pub(crate) scope: Option<&'a Scope>,
    pub(crate) entry: &'a Entry,
    pub(crate) skill: &'a SkillState,
    pub(crate) tool: &'a ToolState,
    /// None for calls that tools make: they go on their root's.
    pub(crate) caller: Option<&'a CallerState>,
    pub(crate) deadline: Deadline,
    pub(crate) cancel: &'a CancellationToken,
    /// Runs before this one, of a dead letter.
    pub(crate) earlier: u32,
    /// Set while what has begun may have taken effect and is not at its end.
    pub(crate) at_stake: &'a AtomicBool,
}

/// Leave to run, given back when the attempt is over. In this order a drop ends.
struct Permits {
    breaker: Permit,
    /// How long they were waited for.
    waited: Duration,
    _skill: Option<Slot>,
    _caller: Option<Slot>,
}

impl Attempts<'_> {
    pub(crate) async fn run(&self, call: &Call, tally: &mut Tally) -> Result<Outcome, Failure> {
        let policy = &self.tool.policy.retry;
        let safe = is_safe(&self.entry.spec.annotations);
        self.skill.budget.deposit(self.clock.now());
        let mut last: Option<Failure> = None;
        let labels =
            self.metrics.is_on().then(|| ToolLabels::new(self.entry.skill.shared(), Arc::clone(&call.tool)));
        loop {
            let queue = skillhost_telemetry::span!("queue");
            let permits = match self.permits(call.depth).instrument(queue).await {
                Ok(permits) => permits,
                // A further attempt that is not let through: what the last one said still holds.
                Err(refused) => {
                    return Err(match last {
                        Some(failure) if refused.kind != FailureKind::Cancelled => {
                            Failure { retry_after: refused.retry_after.or(failure.retry_after), ..failure }
                        }
                        _ => refused,
                    });
                }
            };
            tally.attempts += 1;
            let attempt = self.earlier.saturating_add(tally.attempts);
            let span = skillhost_telemetry::span!("attempt", attempt = attempt);
            let result =
                self.one(Call { attempt, ..call.clone() }, permits, tally).instrument(span.clone()).await;
            let is_error = |outcome: &Outcome| matches!(outcome, Outcome::Reply(reply) if reply.is_error);
            let outcome = End::from(result.as_ref().map(is_error)).word();
            if let Err(failure) = &result {
                trace::failed(&span, failure.kind.code());
            }
            drop(span);
            if let Some(labels) = &labels {
                self.metrics.attempt(labels, outcome, &tally.usage);
            }
            let mut may_repeat = true;
            if let Some(scope) = self.scope {
                // What it made others do may go on, or be taken back, after it was ended. No permit is held here.
                scope.rest().await;
                let changed = scope.notes().changed;
                tally.changed |= changed;
                may_repeat = !changed;
            }
            let failure = match result {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            let now = self.clock.now();
            let remaining = self.deadline.remaining(now);
            let failed = Failed { failure: &failure, effect: tally.effect, safe, remaining };
            let again = policy.again(&failed, tally.attempts, fastrand::f64()).filter(|_| may_repeat);
            let Some(delay) = again else { return Err(self.with_time(failure)) };
            if !self.skill.budget.withdraw(now) {
                tracing::warn!("the skill's retry budget is used up: no further attempt");
                return Err(self.with_time(failure));
            }
            tracing::info!(
                attempt = tally.attempts,
                outcome = failure.kind.code(),
                delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                "attempt failed; trying again"
            );
            if let Some(labels) = &labels {
                self.metrics.retry(labels);
            }
            // No permit is held here.
            let waited = async {
                tokio::select! {
                    () = tokio::time::sleep(delay) => Ok(()),
                    () = self.cancel.cancelled() => Err(cancelled()),
                }
            };
            Box::pin(waited).await?;
            last = Some(failure);
        }
    }

    /// A look at the breaker first, so that nobody queues in vain; its permit last, since a probe is the scarcest.
    async fn permits(&self, depth: u32) -> Result<Permits, Failure> {
        let breaker = self.breaker();
        let began = self.clock.now();
        breaker.look(began).map_err(|refused| self.open(&refused))?;
        let caller = match self.caller.and_then(|caller| caller.slots.as_ref()) {
            Some(slots) => Some(slots.take(|| "this caller".into(), self.deadline, self.cancel).await?),
            None => None,
        };
        let skill = match self.skill.slots(depth) {
            Some(slots) => {
                let whose = || format!("the skill `{}`", self.entry.skill);
                Some(slots.take(whose, self.deadline, self.cancel).await?)
            }
            None => None,
        };
        let now = self.clock.now();
        let (permit, transitions) = breaker.admit(now);
        told(self.whose(), transitions);
        let breaker = permit.map_err(|refused| self.open(&refused))?;
        let waited = now.saturating_duration_since(began);
        Ok(Permits { breaker, waited, _skill: skill, _caller: caller })
    }

    /// A failure that may pass, with the time that the breaker knows of, when it opened by it.
    fn with_time(&self, failure: Failure) -> Failure {
        if failure.kind.hint() != Hint::RetryLater || failure.retry_after.is_some() {
            return failure;
        }
        Failure { retry_after: self.breaker().snapshot(self.clock.now()).remaining, ..failure }
    }

    fn breaker(&self) -> &Arc<CircuitBreaker> {
        self.tool.breaker.as_ref().unwrap_or(&self.skill.breaker)
    }

    fn whose(&self) -> Whose<'_> {
        let tool = self.tool.breaker.as_ref().map(|_| &*self.entry.spec.name);
        Whose { skill: &self.entry.skill, tool, metrics: self.metrics }
    }

    fn open(&self, refused: &skillhost_policy::NotPermitted) -> Failure {
        let Whose { skill, tool, .. } = self.whose();
        let what = match tool {
            Some(tool) => format!("the tool `{tool}` of the skill `{skill}`"),
            None => format!("the skill `{skill}`"),
        };
        let text = match refused.retry_after {
            Some(_) => format!("{what} failed too often; its circuit breaker is {}", refused.state.as_str()),
            None => format!("the operator has stopped calls of {what}"),
        };
        Failure { retry_after: refused.retry_after, ..Failure::new(FailureKind::CircuitOpen, text) }
    }

    /// One attempt, with its result checked and its verdict told.
    async fn one(&self, mut call: Call, permits: Permits, tally: &mut Tally) -> Result<Outcome, Failure> {
        let began = self.clock.now();
        let deadline = match self.tool.policy.retry.attempt_timeout {
            Some(limit) => self.deadline.of_attempt(began, limit),
            None => self.deadline,
        };
        call.deadline = deadline.at();
        if let Some(scope) = self.scope {
            scope.fresh();
        }
        let (attempt, client) = (call.attempt, call.client);
        let changes = !cacheable(&self.entry.spec.annotations);
        self.at_stake.store(true, Ordering::Relaxed);
        let started = self.entry.invoke.start(call);
        let (report, lingering) = attempt::run(started, deadline, self.cancel).await;
        tally.lingering.extend(lingering);
        let Report { result, usage, instance } = report;
        tally.usage = usage;
        let result = self.checked(result, client, tally).await;
        if result.is_ok() {
            instance.keep();
        }
        let effect = match &result {
            Ok(_) => Effect::Unknown,
            Err(failure) => failure.kind.effect(tally.usage.started),
        };
        match self.scope {
            _ if effect == Effect::Unknown => tally.effect = effect,
            Some(scope) => scope.had_no_effect(attempt),
            None => {}
        }
        self.at_stake.store(false, Ordering::Relaxed);
        let notes = self.scope.map_or_else(Notes::default, Scope::notes);
        tally.changed |= changes && effect == Effect::Unknown;
        let verdict = match &result {
            Ok(Outcome::Reply(reply)) => self.tool.policy.counting.of_reply(reply),
            Ok(_) => Verdict::Success,
            // A callee's refusal that is passed on says nothing of the one who passes it on.
            Err(failure) if notes.refused && failure.kind.effect(true) == Effect::None => Verdict::Neutral,
            // Its caller left it too little time.
            Err(failure) if failure.kind == FailureKind::Timeout && deadline.leaves_little(began) => {
                Verdict::Neutral
            }
            Err(failure) => self.tool.policy.counting.of(failure.kind),
        };
        let now = self.clock.now();
        let took = now.saturating_duration_since(began).saturating_sub(tally.usage.queued);
        let Permits { breaker, waited, _skill, _caller } = permits;
        tally.usage.queued += waited;
        told(self.whose(), breaker.record(verdict, took, now));
        result
    }

    /// The outcome as a client may see it.
    async fn checked(
        &self,
        result: Result<Outcome, Failure>,
        client: ClientFeatures,
        tally: &mut Tally,
    ) -> Result<Outcome, Failure> {
        let mode = self.skill.policy.filter;
        let mut outcome = match result {
            Ok(outcome) => outcome,
            Err(failure) => return Err(filtered(failure, mode, tally)),
        };
        // Before the schema, so that what a client gets is what was checked.
        match &mut outcome {
            Outcome::Reply(reply) | Outcome::Read(Some(reply)) | Outcome::Filled(Filled { reply, .. }) => {
                tally.findings = content_filter::filter_reply(reply, mode);
            }
            Outcome::InputRequired(asked) => return Err(self.asks(std::mem::take(asked), client)),
            Outcome::Read(None) | Outcome::Completed(_) => {}
        }
        let Outcome::Reply(reply) = outcome else { return Ok(outcome) };
        let work = result::work(&self.entry.spec, &reply);
        let spec = Arc::clone(&self.entry.spec);
        let check = move || result::check(&spec, reply);
        self.checks.run(work, self.deadline, self.cancel, check).await.map(Outcome::Reply)
    }

    /// What the skill asks, if it may.
    fn asks(&self, asked: InputRequired, client: ClientFeatures) -> Failure {
        if self.scope.is_some_and(|scope| scope.notes().changed || scope.has_steps()) {
            let text = "the skill asks a question after tools that it called have changed something; it must ask first";
            return Failure::new(FailureKind::InvalidOutput, text);
        }
        let missing = asking::beyond(&asked.questions, &client);
        if !missing.is_empty() {
            let text = format!("the client lacks what this needs: {}", missing.join(", "));
            return Failure { missing, ..Failure::new(FailureKind::MissingCapability, text) };
        }
        for question in &asked.questions {
            if let Ask::Form { schema, .. } = &question.ask
                && let Err(why) = form::check(schema)
            {
                let text = format!("the skill asks `{}` with a form that is none: {why}", question.key);
                return Failure::new(FailureKind::InvalidOutput, text);
            }
        }
        Failure::asks(asked)
    }
}

/// A failure's message reaches the model too.
fn filtered(failure: Failure, mode: FilterMode, tally: &mut Tally) -> Failure {
    match content_filter::filter_text(&failure.message, mode) {
        Some((message, findings)) => {
            tally.findings = findings;
            Failure { message, ..failure }
        }
        None => failure,
    }
}
