//! Runs letters that are due, looks after what dead processes left, and tidies up.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use skillhost_core::{CallId, ClientFeatures, Effect, Failure, FailureKind, NoClient, SagaId, SkillName};
use skillhost_journal::{Delivery, JournalError, Lease, Record};
use skillhost_telemetry::{
    Metric,
    trace::{self, Place, Root},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{AILING, Before, Ended, Letters, POLL, Recovery, arguments, unavailable};
use crate::{Asked, Dispatcher, Request, Resume, tasks};

/// Roll-backs that are begun at once.
const SAGAS: u32 = 64;
/// How often ended letters are archived and forgotten calls removed.
const SWEEP: Duration = Duration::from_secs(600);

impl Recovery {
    /// Run letters through `dispatcher` until it is dropped or `stop` is cancelled. Runs that are under way then are its calls
    /// in flight.
    pub async fn work(self: Arc<Self>, dispatcher: Weak<Dispatcher>, stop: CancellationToken) {
        let Some(mut changes) = dispatcher.upgrade().map(|dispatcher| dispatcher.changes()) else { return };
        let turns = Arc::new(Semaphore::new(self.settings.concurrency));
        let mut loads = loaded(&changes.borrow_and_update());
        let now = self.clock.now();
        let (mut look, mut sweep) = (now, now + SWEEP / 10);
        loop {
            let pause = match self.round(&dispatcher, &turns, &stop, &mut look, &mut sweep).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "recovery: the journal cannot be used now");
                    AILING
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.due.notified() => {}
                () = tokio::time::sleep(pause) => {}
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = loaded(&changes.borrow_and_update());
                    for (skill, load) in &now {
                        // Another version, or other grants: what failed before may succeed now.
                        if loads.get(skill).is_some_and(|before| before < load) {
                            self.wake(skill).await;
                        }
                    }
                    // One that is away for a moment is remembered.
                    loads.extend(now);
                }
            }
        }
    }

    async fn wake(&self, skill: &SkillName) {
        match self.journal.wake(skill.as_str(), self.now()).await {
            Ok(0) => {}
            Ok(letters) => {
                tracing::info!(%skill, letters, "recovery: the skill has changed; its letters are due");
            }
            Err(error) => tracing::warn!(%skill, %error, "recovery: letters could not be made due"),
        }
    }

    /// Do what is to be done now. Answers how long nothing will be.
    async fn round(
        self: &Arc<Self>,
        dispatcher: &Weak<Dispatcher>,
        turns: &Arc<Semaphore>,
        stop: &CancellationToken,
        look: &mut Instant,
        sweep: &mut Instant,
    ) -> Result<Duration, skillhost_journal::JournalError> {
        if self.clock.now() >= *look {
            self.take_over().await?;
            // With some jitter, so that processes that began together do not look together.
            *look = self.clock.now() + POLL.mul_f64(0.75 + fastrand::f64() / 2.0);
        }
        if self.clock.now() >= *sweep {
            *sweep = self.clock.now() + SWEEP;
            let letters = Letters::new(Arc::clone(self), None);
            match letters.sweep().await {
                Ok(0) => {}
                Ok(archived) => tracing::info!(archived, "recovery: letters were archived"),
                Err(error) => tracing::error!(%error, "recovery: letters cannot be archived"),
            }
        }
        for saga in self.journal.expire_sagas(self.now()).await? {
            tracing::info!(saga = %saga.id, state = saga.state.as_str(), "a saga was not ended in time");
        }
        // Each on a task of its own: one that has to wait keeps no other from going on.
        for lease in self.journal.claim_sagas(SAGAS).await? {
            let Some(dispatcher) = dispatcher.upgrade() else { return Ok(POLL) };
            let span = tracing::info_span!("rollback", saga = %lease.id);
            drop(dispatcher.track(Arc::clone(self).compensate(lease).instrument(span)));
        }
        // Before any of them is run again.
        if !stop.is_cancelled() {
            self.claim_handlers().await?;
            self.ask_rules().await?;
        }
        loop {
            let free = turns.available_permits();
            if free == 0 || stop.is_cancelled() {
                // Whoever ends first says so.
                return Ok(POLL);
            }
            let due = self.journal.claim(u32::try_from(free).unwrap_or(u32::MAX), self.now()).await?;
            if due.is_empty() {
                break;
            }
            for (lease, record) in due {
                // Only this task takes turns, so there are as many as there were.
                let Ok(turn) = Arc::clone(turns).try_acquire_owned() else { break };
                let Some(dispatcher) = dispatcher.upgrade() else { return Ok(POLL) };
                let root = traced(&record, dispatcher.sample());
                // Within the root, so that what is below it is traced as well.
                let span = root.in_scope(|| {
                    tracing::info_span!(
                        "letter",
                        call_id = %record.id,
                        correlation_id = record.correlation_id,
                        tool = record.tool,
                    )
                });
                let run = Arc::clone(self).run(dispatcher, lease, record, turn);
                let (letter, whole) = (span.clone(), root.clone());
                let told = async move {
                    if let Err(kind) = run.await {
                        [letter, whole].iter().for_each(|span| trace::failed(span, kind.code()));
                    }
                };
                tokio::spawn(told.instrument(span).instrument(root));
            }
        }
        let next =
            [self.journal.next_due().await?, self.journal.next_expiry().await?, self.next_ask().await?];
        let until_due = next.into_iter().flatten().min().map(|due| due.since(self.now()));
        Ok(until_due.unwrap_or(POLL).clamp(Duration::from_millis(1), POLL))
    }

    /// One letter, through the whole pipeline. Answers why it did not succeed.
    async fn run(
        self: Arc<Self>,
        dispatcher: Arc<Dispatcher>,
        lease: Lease,
        record: Record,
        turn: OwnedSemaphorePermit,
    ) -> Result<(), FailureKind> {
        let (id, attempt) = (record.id, record.attempts.saturating_add(1));
        tracing::info!(call_id = %id, step = "retried", attempt, "recovery");
        let before = Before {
            durable: record.delivery == Delivery::Durable || record.is_letter(),
            safe: record.safe,
            unknown_effect: record.problem.as_ref().is_some_and(|problem| problem.unknown_effect),
            tries: record.tries,
            max_tries: record.max_tries,
            begun: record.begun,
            gives_up: record.gives_up,
            attended: false,
        };
        let (result, failed, effect, settled) = match self.request(&dispatcher, lease, before, &record).await
        {
            Err(failure) => (Err(failure), None, Effect::None, false),
            Ok(request) => {
                let response = dispatcher.call(request).await;
                (response.result, response.failed, response.effect, response.settled)
            }
        };
        // That it is run again is an answer, and no success.
        let ended = match (&result, failed) {
            (Err(failure), _) => Err(failure.kind),
            (Ok(_), Some(kind)) => Err(kind),
            (Ok(_), None) => Ok(()),
        };
        let outcome = if ended.is_ok() { "recovered" } else { "failed" };
        self.metrics().count(Metric::DeadLetterRuns, [outcome]);
        if ended.is_ok() {
            tracing::info!(call_id = %id, correlation_id = record.correlation_id, tool = record.tool, step = "recovered", attempt, "recovery");
        }
        // It was turned away before it began.
        if let (Err(failure), false) = (&result, settled) {
            let policy = dispatcher.redelivery(&record.skill, &record.tool);
            let ended = Ended { effect, ..Ended::refused(failure) };
            let flight = self.flight(id, None, CancellationToken::new());
            self.settle(lease, before, &policy, ended, flight).await;
        }
        drop(turn);
        self.due.notify_one();
        ended
    }

    async fn request(
        &self,
        dispatcher: &Dispatcher,
        lease: Lease,
        before: Before,
        record: &Record,
    ) -> Result<Request, Failure> {
        let permanent = |text: String| Failure::new(FailureKind::Permanent, text);
        let arguments = arguments::opened(&self.sealer, record.id, &record.arguments)
            .map_err(|error| permanent(format!("it cannot be run: {error}")))?;
        let catalog = dispatcher.catalog();
        let entry = catalog.tools.get(record.tool.as_str());
        let mut version = None;
        if let Some(entry) = entry.filter(|entry| entry.digest != record.digest) {
            if record.pinned {
                let missing = |why: &str| {
                    permanent(format!(
                        "it is to run with {}, the version that failed, which is not there now{why}; put that file back, or replay \
                         it without --pin",
                        record.digest
                    ))
                };
                let versions = self.versions.get().ok_or_else(|| missing(""))?;
                let found = versions.version(&entry.skill, record.digest).await;
                let found = found.map_err(|failure| missing(&format!(" ({failure})")))?;
                version = Some((record.digest, found));
            } else {
                tracing::info!(call_id = %record.id, failed_with = %record.digest, runs_with = %entry.digest, "recovery: the skill has changed since; the version that is loaded now is used");
            }
        }
        // The client of a task asks for the result, and can be asked.
        let task = self.journal.task_of(record.id).await.map_err(|error| unavailable(&error))?;
        let (client, given) =
            task.map_or(Ok((ClientFeatures::default(), None)), |task| tasks::client(self, &task))?;
        Ok(Request {
            id: None,
            tool: record.tool.clone(),
            arguments,
            meta: record.meta.clone(),
            correlation_id: Some(record.correlation_id.clone()),
            caller: record.caller.clone(),
            access: skillhost_core::Access::default(),
            client,
            link: Arc::new(NoClient),
            // Nobody is there to give up on it.
            cancel: CancellationToken::new(),
            parent: None,
            asked: Asked { saga: self.saga_of(record.id).await, ..Asked::default() },
            given,
            resume: Some(Resume { lease, before, attempts: record.attempts, version }),
        })
    }
}

impl Recovery {
    /// The saga that a letter is part of.
    async fn saga_of(&self, call: CallId) -> Option<SagaId> {
        let steps = self.journal.steps(call.into()).await.ok()?;
        steps.iter().find(|step| step.call.id == call)?.of.saga
    }

    /// Forget calls that can be undone no longer, with what their skills keep for that.
    pub(super) async fn forget_steps(&self, batch: u32) -> Result<(), JournalError> {
        loop {
            let now = self.now();
            let gone = self.journal.purge_steps(now.minus(self.settings.keep), batch, now).await?;
            let last = gone.len() < batch as usize;
            for (skill, call) in gone {
                self.forget_kept(&skill, call).await;
            }
            if last {
                break;
            }
        }
        let needed = self.journal.versions_needed().await?;
        if let Some(versions) = self.versions.get().cloned() {
            let _ = tokio::task::spawn_blocking(move || versions.keep_only(&needed)).await;
        }
        Ok(())
    }
}

/// The span of a run of a letter, linked to the call that it was.
fn traced(record: &Record, sample: f64) -> Span {
    let links = record.meta.as_deref().and_then(Place::of_meta).into_iter().collect();
    let root = Root { parent: None, links };
    if !root.is_sampled(sample, fastrand::f64()) {
        return Span::none();
    }
    let span = skillhost_telemetry::span!(
        parent: None,
        "recovery",
        otel.name = format!("dead letter {}", record.tool),
        call_id = %record.id,
        runs = record.attempts,
    );
    root.place(&span);
    span
}

fn loaded(catalog: &skillhost_core::Catalog) -> HashMap<SkillName, u64> {
    catalog.tools.values().map(|entry| (entry.skill.clone(), entry.loaded)).collect()
}
