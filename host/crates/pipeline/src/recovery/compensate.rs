//! Takes sagas back, step by step: the compensator.
//!
//! Each step passes no cache, rate limit or breaker, has a deadline of its own, and is tried as its tool's undo policy says;
//! then it is stuck, and the others still go. Everything is written down before it is done, so that another process goes on
//! where this one dies.

use std::{collections::HashSet, sync::Arc, time::Duration};

use skillhost_core::{
    Access, Call, CallId, ClientFeatures, Failure, FailureKind, NoClient, NoTools, SagaId, SkillName, Undo,
    text::bounded,
};
use skillhost_journal::{
    JournalError, SagaLease, SagaState, SagaStep, Settled, State, ToUndo, Token, UndoEnd, undo_order,
};
use skillhost_policy::{Deadline, FilterMode, Taken, UndoPolicy, content_filter, taken};
use skillhost_telemetry::{Metric, trace};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{AILING, Aloft, ELSEWHERE, POLL, Recovery, RolledBack, arguments};
use crate::attempt;

/// Bytes of the reason why a step stays.
const MAX_WHY: usize = 1 << 10;

/// Somebody else has the saga by now, or is to have it: this host ends.
struct Fenced;

impl Recovery {
    /// Take a saga back. Answers what that came to; where somebody else has it by now, that it is pending.
    pub(crate) fn compensate(self: Arc<Self>, lease: SagaLease) -> impl Future<Output = RolledBack> + Send {
        let id = lease.id;
        let (over, waiting) = watch::channel(());
        // Before anybody looks for it.
        self.rolling().insert(id, waiting);
        self.compensated(lease, over)
    }

    async fn compensated(self: Arc<Self>, lease: SagaLease, over: watch::Sender<()>) -> RolledBack {
        let id = lease.id;
        let ended = self.take_back(lease).await;
        self.rolling().remove(&id);
        drop(over);
        match ended {
            Ok(report) => {
                let (state, undone, stays) = (report.state.as_str(), report.undone, report.stays.len());
                if report.is_clean() {
                    tracing::info!(saga = %id, state, undone, "rolled back");
                } else {
                    tracing::warn!(saga = %id, state, undone, stays, what = report.told(), "not everything could be taken back");
                }
                // What it was to become may be due now.
                self.due.notify_one();
                report
            }
            Err(Fenced) => RolledBack::pending(id),
        }
    }

    /// Wait for what is taken back here. Answers at once when it is not.
    pub(crate) async fn until_rolled_back(&self, id: SagaId) {
        let found = self.rolling().get(&id).cloned();
        if let Some(mut over) = found {
            while over.changed().await.is_ok() {}
        }
    }

    /// End the calls of a saga, or the call, that run here.
    pub(crate) fn cancel(&self, id: SagaId) {
        let flights = self.flights.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (call, Aloft { saga, cancel, .. }) in &*flights {
            if *saga == Some(id) || *call == id.call() {
                cancel.cancel();
            }
        }
    }

    async fn take_back(&self, lease: SagaLease) -> Result<RolledBack, Fenced> {
        self.quiet(lease.id).await?;
        let steps = self.lasting(|| self.journal.steps(lease.id)).await;
        let due: HashSet<CallId> =
            steps.iter().filter(|step| step.is_due()).map(|step| step.call.id).collect();
        for call in undo_order(&steps).into_iter().filter(|call| due.contains(call)) {
            if self.stopping.cut.is_cancelled() {
                return Err(Fenced);
            }
            self.step_back(lease, call).await?;
        }
        let state = self.lasting(|| self.journal.rolled_back(lease, self.now())).await.ok_or(Fenced)?;
        let steps = self.lasting(|| self.journal.steps(lease.id)).await;
        Ok(RolledBack::of(lease.id, state, &steps))
    }

    /// Wait, but not when the host ends: whoever comes after it goes on.
    async fn pause(&self, pause: Duration) -> Result<(), Fenced> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stopping.closing.cancelled() => Err(Fenced),
        }
    }

    /// Wait until no call of the saga runs any more, and no part of it is taken back on its own.
    async fn quiet(&self, id: SagaId) -> Result<(), Fenced> {
        while self.lasting(|| self.journal.is_busy(id)).await {
            self.cancel(id);
            let flight = {
                let flights = self.flights.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let mine = |(call, aloft): &(&CallId, &Aloft)| aloft.saga == Some(id) || **call == id.call();
                flights.iter().find(mine).map(|(_, aloft)| aloft.ended.clone())
            };
            match flight {
                Some(mut ended) => while ended.changed().await.is_ok() {},
                None => {
                    // It runs in another process, which may be dead without anybody having seen it yet.
                    if let Err(error) = self.take_over().await {
                        tracing::warn!(%error, "recovery: the journal cannot be used now");
                    }
                    self.pause(ELSEWHERE).await?;
                }
            }
        }
        Ok(())
    }

    /// One step, until it is taken back or is not going to be.
    async fn step_back(&self, lease: SagaLease, call: CallId) -> Result<(), Fenced> {
        loop {
            let Some(step) = self.lasting(|| self.journal.begin_undo(lease, call, self.now())).await else {
                // Taken back meanwhile; or the saga is somebody else's, which its end will tell.
                return Ok(());
            };
            let policy = self.undo_policy(&step);
            self.changes(&step.call.skill);
            let span = skillhost_telemetry::span!("undo", call_id = %call, tool = step.call.tool, tries = step.tries);
            let (result, started) = self.try_back(&step, &policy).instrument(span.clone()).await;
            if let Err(failure) = &result {
                trace::failed(&span, failure.kind.code());
            }
            drop(span);
            self.changes(&step.call.skill);
            if !started && result.as_ref().is_err_and(|failure| failure.kind == FailureKind::Overloaded) {
                // There was no instance for it: nothing was tried.
                self.pause(AILING).await?;
                continue;
            }
            let result = result.map_err(|failure| self.filtered(&step.call.skill, failure));
            let tries = step.tries.saturating_add(1);
            let judged = taken(result.as_ref().copied(), tries, &policy, fastrand::f64());
            let why = || match &result {
                // The state says the rest.
                Err(failure) if failure.kind == FailureKind::Conflict => failure.message.clone(),
                Err(failure) => format!("{}: {}", failure.kind, failure.message),
                Ok(()) => String::new(),
            };
            let (tool, kind) = (&step.call.tool, result.as_ref().err().map(|failure| failure.kind.code()));
            let (end, pause) = match judged {
                Taken::Back => (UndoEnd::Undone, None),
                Taken::Conflict => (UndoEnd::Conflict(why()), None),
                Taken::Stuck => (UndoEnd::Stuck(why()), None),
                Taken::Again(after) => (UndoEnd::Again(why()), Some(after)),
            };
            let outcome = match &end {
                UndoEnd::Undone => "undone",
                UndoEnd::Again(_) => "again",
                UndoEnd::Conflict(_) | UndoEnd::Stuck(_) => "stuck",
            };
            self.metrics().count(Metric::Undos, [outcome]);
            match (&end, pause) {
                (UndoEnd::Undone, _) => {
                    tracing::info!(call_id = %call, tool, saga = %lease.id, tries, "undone");
                }
                (_, Some(pause)) => {
                    tracing::info!(call_id = %call, tool, saga = %lease.id, tries, kind, pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), "an undo failed; trying again");
                }
                _ => {
                    tracing::warn!(call_id = %call, tool, saga = %lease.id, tries, kind, why = why(), "a call cannot be taken back; somebody must look at it");
                }
            }
            let ended = self.lasting(|| self.journal.end_undo(lease, call, end.clone(), self.now())).await;
            if ended == Settled::Fenced {
                return Err(Fenced);
            }
            if end == UndoEnd::Undone {
                self.forget_kept(&step.call.skill, call).await;
            }
            match pause {
                None => return Ok(()),
                Some(pause) => self.pause(pause).await?,
            }
        }
    }

    /// What a skill keeps to take a call back is of no use any more.
    pub(super) async fn forget_kept(&self, skill: &str, call: CallId) {
        let Some(keyvalue) = self.keyvalue.get().cloned() else { return };
        let bucket = skill.to_owned();
        let removed = tokio::task::spawn_blocking(move || keyvalue.remove(&bucket, &format!("{call}/")));
        // It goes with the call's record at the latest.
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(call_id = %call, skill, %error, "what was kept to take a call back could not be removed");
        }
    }

    /// Whatever was kept of the skill's results is worthless, before an undo and after it.
    fn changes(&self, skill: &str) {
        if let Some(dispatcher) = self.dispatcher.get().and_then(std::sync::Weak::upgrade) {
            dispatcher.changed(skill);
        }
    }

    fn undo_policy(&self, step: &ToUndo) -> UndoPolicy {
        let dispatcher = self.dispatcher.get().and_then(std::sync::Weak::upgrade);
        dispatcher.map_or_else(UndoPolicy::default, |dispatcher| {
            dispatcher.policy_of(&step.call.skill, &step.call.tool).undo.clone()
        })
    }

    /// One try: what each attempt left behind, newest first. Nothing at all may have been left, which the skill must cope with.
    async fn try_back(&self, step: &ToUndo, policy: &UndoPolicy) -> (Result<(), Failure>, bool) {
        let mut started = false;
        let result = self.tokens_back(step, policy, &mut started).await;
        (result, started)
    }

    /// A message reaches the model, too.
    fn filtered(&self, skill: &str, failure: Failure) -> Failure {
        let dispatcher = self.dispatcher.get().and_then(std::sync::Weak::upgrade);
        let mode = dispatcher.map_or_else(FilterMode::default, |dispatcher| dispatcher.filter_of(skill));
        let message = bounded(failure.message.clone(), MAX_WHY);
        match content_filter::filter_text(&message, mode) {
            Some((message, _)) => Failure { message, ..failure },
            None => Failure { message, ..failure },
        }
    }

    async fn tokens_back(
        &self,
        step: &ToUndo,
        policy: &UndoPolicy,
        started: &mut bool,
    ) -> Result<(), Failure> {
        let record = &step.call;
        let stuck = |text: String| Failure::new(FailureKind::Permanent, text);
        let skill = SkillName::new(&record.skill).map_err(|error| stuck(error.to_string()))?;
        let versions = self.versions.get().ok_or_else(|| {
            Failure::new(
                FailureKind::NotReady,
                "this process runs no skills; a host that does goes on with it",
            )
        })?;
        let arguments = arguments::opened(&self.sealer, record.id, &record.arguments)
            .map_err(|error| stuck(format!("its arguments cannot be read: {error}")))?;
        let text = arguments.map(|map| Arc::new(serde_json::Value::Object(map).to_string()));
        let dispatcher = self.dispatcher.get().and_then(std::sync::Weak::upgrade);
        // The name inside its skill, which is what follows the prefix unless it is mounted at the root.
        let known = dispatcher.and_then(|dispatcher| {
            let catalog = dispatcher.catalog();
            let entry = catalog.tools.get(record.tool.as_str()).filter(|entry| entry.skill == skill);
            entry.map(|entry| entry.spec.name.clone())
        });
        let prefix = format!("{skill}_");
        let tool =
            known.unwrap_or_else(|| record.tool.strip_prefix(&prefix).unwrap_or(&record.tool).to_owned());
        let left: Vec<(_, Option<&str>)> = match &step.tokens[..] {
            [] => vec![(record.digest, None)],
            tokens => tokens.iter().map(|Token { digest, token, .. }| (*digest, Some(&**token))).collect(),
        };
        for (digest, token) in left {
            let version = versions.version(&skill, digest).await?;
            let deadline = Deadline::after(self.clock.now(), policy.timeout);
            let call = Call {
                id: record.id,
                correlation_id: record.correlation_id.as_str().into(),
                caller: record.caller.clone(),
                access: Access::default(),
                target: Arc::default(),
                round: None,
                tool: tool.as_str().into(),
                arguments: text.clone(),
                meta: record.meta.as_deref().map(Into::into),
                attempt: step.tries.saturating_add(1),
                deadline: deadline.at(),
                client: ClientFeatures::default(),
                link: Arc::new(NoClient),
                depth: 0,
                // It takes back its own effects alone, and cannot be taken back itself.
                tools: Arc::new(NoTools),
                undo: None,
                span: Span::current(),
            };
            let undo = version.undo(Undo { call, token: token.map(ToOwned::to_owned), force: step.force });
            let (report, lingering) = attempt::run(undo, deadline, &CancellationToken::new()).await;
            *started |= report.usage.started;
            // No two at once.
            if let Some(guest) = lingering {
                guest.await;
            }
            report.result?;
        }
        Ok(())
    }

    /// Ask the journal until it answers: what is being taken back is not left alone because the disk is full for a while.
    pub(super) async fn lasting<T>(&self, ask: impl Fn() -> skillhost_journal::Answer<T>) -> T {
        let mut told = false;
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) => {
                    if !told || matches!(error, JournalError::Damaged(_)) {
                        tracing::error!(%error, "recovery: the journal cannot be used now; a roll-back waits for it");
                    }
                    // Damage does not pass by itself.
                    let pause = if matches!(error, JournalError::Damaged(_)) { POLL } else { AILING };
                    told = true;
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn rolling(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<SagaId, watch::Receiver<()>>> {
        self.rolling.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn is_part_of_a_rollback(&self, steps: &[SagaStep]) -> Result<bool, JournalError> {
        match steps.first().and_then(|step| step.of.saga) {
            Some(held) => {
                Ok(self.journal.saga(held).await?.is_some_and(|saga| saga.state == SagaState::RollingBack))
            }
            None => Ok(false),
        }
    }

    /// Where a roll-back is by now.
    pub(crate) async fn rolled_back(&self, id: SagaId) -> Result<RolledBack, JournalError> {
        let steps = self.journal.steps(id).await?;
        let runs = steps.iter().any(|step| step.call.state == State::Running);
        let state = match self.journal.saga(id).await? {
            Some(saga) => saga.state,
            // It is taken back when it has ended, or as part of a saga.
            None if runs || self.is_part_of_a_rollback(&steps).await? => SagaState::RollingBack,
            None => SagaState::of(&steps),
        };
        Ok(RolledBack::of(id, state, &steps))
    }

    /// The same, once it is over, or `patience` is.
    pub(crate) async fn rolled_back_within(
        &self,
        id: SagaId,
        patience: Duration,
    ) -> Result<RolledBack, JournalError> {
        let over = async {
            loop {
                self.until_rolled_back(id).await;
                let report = self.rolled_back(id).await?;
                if report.state != SagaState::RollingBack {
                    return Ok(report);
                }
                // Another process does it, or a call has to end first.
                tokio::time::sleep(ELSEWHERE).await;
            }
        };
        match tokio::time::timeout(patience, over).await {
            Ok(report) => report,
            Err(_) => self.rolled_back(id).await,
        }
    }
}
