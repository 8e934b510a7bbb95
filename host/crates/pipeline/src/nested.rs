//! Calls that tools make of each other.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use skillhost_core::{Call, CallId, CallTool, Failure, FailureKind, Nested};
use tokio_util::sync::CancellationToken;

use crate::{Asked, Dispatcher, Parent, Request};

/// Takes a tool's call of another through the same steps as an agent's.
pub(crate) struct Nesting(pub(crate) Weak<Dispatcher>);

impl CallTool for Nesting {
    fn call_tool(&self, parent: Call, tool: String, arguments: Option<String>) -> Nested {
        let dispatcher = self.0.upgrade();
        Box::pin(async move {
            let Some(dispatcher) = dispatcher else {
                return Err(Failure::new(FailureKind::Cancelled, "the host is stopping"));
            };
            let caller = parent.id;
            let request = request(parent, tool, arguments)?;
            // Dropping this future, when the parent ends, ends the call.
            let response = dispatcher.call(request).await;
            let refused = response.result.as_ref().is_err_and(|failure| is_refusal(failure.kind));
            dispatcher.ledger().note(caller, Notes { refused, changed: response.changed });
            response.result
        })
    }
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

fn request(parent: Call, tool: String, arguments: Option<String>) -> Result<Request, Failure> {
    let arguments = arguments.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| {
        Failure::new(FailureKind::InvalidInput, format!("the arguments are not a JSON object: {error}"))
    })?;
    Ok(Request {
        tool,
        arguments,
        meta: None,
        correlation_id: Some(parent.correlation_id.to_string()),
        caller: parent.caller,
        client: parent.client,
        // Progress is the parent's to tell.
        link: Arc::new(skillhost_core::NoClient),
        cancel: CancellationToken::new(),
        parent: Some(Parent { depth: parent.depth + 1, deadline: parent.deadline, fallback: false }),
        asked: Asked::default(),
        resume: None,
    })
}

/// What became of the calls that an attempt made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// One was refused by the host: when the attempt fails, that may be why.
    pub(crate) refused: bool,
    /// One that changes things ran: to run the attempt again would run it again.
    pub(crate) changed: bool,
}

/// Notes on attempts that run, by call. Empty unless tools call each other and something is worth a note.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    notes: Mutex<HashMap<CallId, Notes>>,
    /// How many there are, so that most attempts need not look.
    count: AtomicUsize,
}

impl Ledger {
    fn note(&self, call: CallId, new: Notes) {
        if new == Notes::default() {
            return;
        }
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = notes.entry(call).or_default();
        noted.refused |= new.refused;
        noted.changed |= new.changed;
        self.count.store(notes.len(), Ordering::Release);
    }

    /// The page of one attempt, torn out when it is over, however it ends.
    pub(crate) fn page(&self, call: CallId) -> Page<'_> {
        Page { ledger: self, call }
    }

    fn take(&self, call: CallId) -> Notes {
        if self.count.load(Ordering::Acquire) == 0 {
            return Notes::default();
        }
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = notes.remove(&call).unwrap_or_default();
        self.count.store(notes.len(), Ordering::Release);
        taken
    }
}

/// See [`Ledger::page`].
pub(crate) struct Page<'a> {
    ledger: &'a Ledger,
    call: CallId,
}

impl Page<'_> {
    pub(crate) fn read(&self) -> Notes {
        self.ledger.take(self.call)
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        self.ledger.take(self.call);
    }
}
