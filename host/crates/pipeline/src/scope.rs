//! What a call's guest may ask of the pipeline while it runs: to call other tools, and to keep what it is to be taken back by.
//!
//! Scopes of calls that make each other form a chain. A call that makes others change something is written down before the
//! first of them begins, and so is each call above it: when it fails, or its process dies, what it made others do is taken
//! back.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use skillhost_core::{
    Call, CallTool, ClientFeatures, Entry, Failure, FailureKind, Nested, NoTools, PrepareUndo, Prepared,
    SagaId,
};
use skillhost_journal::{Key, Lease, StepOf, Token};
use skillhost_policy::cacheable;
use tokio::sync::OnceCell;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Asked, Dispatcher, Parent, Recovery, Request,
    agents::is_built_in,
    recovery::{Before, Plan},
    registry::ToolState,
};

/// Calls that one call at the top may make in all, by itself and through those it makes.
const MAX_CALLS: u32 = 1_024;

/// What is known of a call that may make others, or be taken back.
pub(crate) struct Scope {
    this: Weak<Self>,
    dispatcher: Weak<Dispatcher>,
    /// None where no journal is kept.
    recovery: Option<Arc<Recovery>>,
    /// The tool's full name.
    tool: String,
    entry: Entry,
    state: Arc<ToolState>,
    /// Without its ways to ask for something: they lead here.
    call: Call,
    above: Option<Arc<Self>>,
    pub(crate) saga: Option<SagaId>,
    /// Calls made under the one at the top so far.
    made: Arc<AtomicU32>,
    written: OnceCell<(Lease, Before)>,
    /// Calls it made that run on tasks of their own.
    pub(crate) children: TaskTracker,
    notes: Mutex<Notes>,
    /// Whether it made others change something, in any attempt.
    steps: AtomicBool,
    /// Attempts that certainly took no effect.
    void: Mutex<Vec<u32>>,
}

/// What became of the calls that an attempt made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// One was refused by the host: when the attempt fails, that may be why.
    pub(crate) refused: bool,
    /// One that changes things ran, and was not taken back: to run the attempt again would run it again.
    pub(crate) changed: bool,
}

impl Scope {
    pub(crate) fn new(
        dispatcher: Weak<Dispatcher>,
        recovery: Option<Arc<Recovery>>,
        (tool, entry, state): (&str, &Entry, &Arc<ToolState>),
        call: &Call,
        above: Option<Arc<Self>>,
        saga: Option<SagaId>,
    ) -> Arc<Self> {
        let made = above.as_ref().map_or_else(Arc::default, |above| Arc::clone(&above.made));
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            dispatcher,
            recovery,
            tool: tool.to_owned(),
            entry: entry.clone(),
            state: Arc::clone(state),
            call: Call { tools: Arc::new(NoTools), undo: None, ..call.clone() },
            above,
            saga,
            made,
            written: OnceCell::new(),
            children: TaskTracker::new(),
            notes: Mutex::default(),
            steps: AtomicBool::new(false),
            void: Mutex::default(),
        })
    }

    /// How the call takes part in what may be taken back.
    pub(crate) fn step(&self) -> StepOf {
        let changes = !cacheable(&self.entry.spec.annotations);
        StepOf {
            saga: self.saga,
            root: self.root().call.id,
            parent: self.above.as_ref().map(|above| above.call.id),
            changes,
            undoable: changes && self.entry.spec.undoable,
        }
    }

    fn root(&self) -> &Self {
        self.above.as_deref().map_or(self, Self::root)
    }

    pub(crate) fn is_undoable(&self) -> bool {
        self.step().undoable
    }

    /// The call was written down.
    pub(crate) fn begun(&self, lease: Lease, before: Before) {
        // It is written once, before its guest starts.
        let _ = self.written.set((lease, before));
        if self.step().changes {
            // However deep: what is in between may only read.
            let mut at = self.above.as_deref();
            while let Some(above) = at {
                above.steps.store(true, Ordering::Release);
                at = above.above.as_deref();
            }
        }
    }

    /// What is written down of it, when nothing more is owed to it.
    pub(crate) fn plan(&self, key: Option<Key>) -> Plan<'_> {
        Plan {
            tool: &self.tool,
            call: &self.call,
            entry: &self.entry,
            policy: &self.state.policy,
            durable: false,
            priority: None,
            key,
            step: Some(self.step()),
            again: self.call.round.is_some(),
        }
    }

    /// The lease of the call, if it is written down.
    pub(crate) fn written(&self) -> Option<(Lease, Before)> {
        self.written.get().copied()
    }

    /// See that this call, and those above it, are written down.
    pub(crate) async fn write_down(&self) -> Result<(), Failure> {
        let Some(recovery) = &self.recovery else { return Ok(()) };
        let begun = self.written.get_or_try_init(|| async {
            self.write_down_above().await?;
            // Without a key there is nothing that could be held.
            let begun = recovery.begin(&self.plan(None)).await?;
            begun.ok_or_else(|| Failure::new(FailureKind::Internal, "a call without a key was known before"))
        });
        begun.await.map(drop)
    }

    /// See that the calls above are written down.
    pub(crate) async fn write_down_above(&self) -> Result<(), Failure> {
        match &self.above {
            // Boxed: as deep as calls are nested.
            Some(above) => Box::pin(above.write_down()).await,
            None => Ok(()),
        }
    }

    /// A new attempt begins.
    pub(crate) fn fresh(&self) {
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = Notes::default();
    }

    /// What became of the calls that the attempt made.
    pub(crate) fn notes(&self) -> Notes {
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, new: Notes) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.refused |= new.refused;
        notes.changed |= new.changed;
    }

    /// An attempt certainly took no effect.
    pub(crate) fn had_no_effect(&self, attempt: u32) {
        self.void.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
    }

    pub(crate) fn void(&self) -> Vec<u32> {
        self.void.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it made others change something.
    pub(crate) fn has_steps(&self) -> bool {
        self.steps.load(Ordering::Acquire)
    }

    /// Wait until none of the calls it made runs any more, or is being taken back.
    pub(crate) async fn rest(&self) {
        self.children.close();
        self.children.wait().await;
        // There may be another attempt.
        self.children.reopen();
    }

    /// Tell the call that made this one whether something of it stays.
    pub(crate) fn note_above(&self, changed: bool) {
        if let Some(above) = &self.above {
            above.note(Notes { refused: false, changed });
        }
    }

    fn may_call(&self, tool: &str) -> Result<(), Failure> {
        let refused = |text: String| Err(Failure::new(FailureKind::Unsupported, text));
        if is_built_in(tool) {
            return refused(format!("`{tool}` is for agents: what a skill calls is part of its own call"));
        }
        let mut chain = vec![tool];
        let mut at = Some(self);
        while let Some(scope) = at {
            chain.push(&scope.tool);
            if scope.tool == tool {
                chain.reverse();
                return refused(format!("the calls would go in a circle: {}", chain.join(" -> ")));
            }
            at = scope.above.as_deref();
        }
        if self.made.fetch_add(1, Ordering::Relaxed) >= MAX_CALLS {
            return refused(format!("a call and those it makes make at most {MAX_CALLS} others in all"));
        }
        Ok(())
    }
}

impl CallTool for Scope {
    fn call_tool(&self, parent: Call, tool: String, arguments: Option<String>) -> Nested {
        let (dispatcher, scope) = (self.dispatcher.upgrade(), self.this.upgrade());
        Box::pin(async move {
            let (Some(dispatcher), Some(scope)) = (dispatcher, scope) else { return Err(stopping()) };
            scope.may_call(&tool)?;
            let request = request(parent, tool, arguments, Arc::clone(&scope))?;
            // Dropping this future, when the parent ends, ends the call.
            let response = dispatcher.call(request).await;
            let refused = response.result.as_ref().is_err_and(|failure| is_refusal(failure.kind));
            scope.note(Notes { refused, changed: response.changed });
            response.result
        })
    }
}

impl PrepareUndo for Scope {
    fn prepare_undo(&self, attempt: u32, token: String) -> Prepared {
        let (recovery, written, void) = (self.recovery.clone(), self.written(), self.void());
        let token = Token { attempt, digest: self.entry.digest, token };
        Box::pin(async move {
            let (Some((lease, _)), Some(recovery)) = (written, recovery) else {
                return Err(Failure::new(FailureKind::Internal, "the call was not written down"));
            };
            recovery.prepare(lease, token, void).await
        })
    }
}

fn stopping() -> Failure {
    Failure::new(FailureKind::Cancelled, "the host is stopping")
}

/// Whether the host turned a call away before its skill heard of it.
fn is_refusal(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::NotReady
            | FailureKind::RateLimited
            | FailureKind::Overloaded
            | FailureKind::CircuitOpen
            | FailureKind::JournalUnavailable
            | FailureKind::ShuttingDown
    )
}

fn request(
    parent: Call,
    tool: String,
    arguments: Option<String>,
    scope: Arc<Scope>,
) -> Result<Request, Failure> {
    let arguments = arguments.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| {
        Failure::new(FailureKind::InvalidInput, format!("the arguments are not a JSON object: {error}"))
    })?;
    let saga = scope.saga;
    Ok(Request {
        id: None,
        tool,
        arguments,
        meta: None,
        correlation_id: Some(parent.correlation_id.to_string()),
        caller: parent.caller,
        access: skillhost_core::Access::default(),
        // It is not its caller's client, who knows nothing of it.
        client: ClientFeatures::default(),
        // Progress is the parent's to tell.
        link: Arc::new(skillhost_core::NoClient),
        cancel: CancellationToken::new(),
        parent: Some(Parent {
            depth: parent.depth + 1,
            deadline: parent.deadline,
            fallback: false,
            scope: Some(crate::Above(scope)),
        }),
        asked: Asked { saga, ..Asked::default() },
        given: None,
        resume: None,
    })
}
