//! The seam between the pipeline and the engine.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use crate::{Call, Digest, Failure, FailureKind, Outcome, Reply, SkillName};

/// Something that runs calls: one loaded version of a skill, or a fake in tests.
pub trait Invoke: Send + Sync {
    /// Start one attempt of `call`. Nothing happens to the world before the returned attempt is polled.
    fn start(&self, call: Call) -> Box<dyn Attempt>;

    /// Start taking back what `undo.call` did, as far as its token tells. The report of one that succeeded holds an empty
    /// reply.
    fn undo(&self, undo: Undo) -> Box<dyn Attempt>;
}

/// A call that is to be taken back.
#[derive(Debug, Clone)]
pub struct Undo {
    /// With the id, tool and arguments of the call; its deadline is the undo's own.
    pub call: Call,
    /// What one attempt of the call left behind, as JSON. None: it may never have begun.
    pub token: Option<String>,
    /// An operator's word to overwrite what has changed since.
    pub force: bool,
}

/// Makes undo tokens durable while a call runs: the pipeline, or a fake in tests.
pub trait PrepareUndo: Send + Sync {
    /// Keep `token`, a JSON text, as what this attempt of the call leaves behind. It is on disk when the answer is `Ok`.
    fn prepare_undo(&self, attempt: u32, token: String) -> Prepared;
}

/// An undo token on its way to the disk.
pub type Prepared = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Finds versions of skills: what took an effect is taken back by the same code.
pub trait Versions: Send + Sync {
    /// The version of `skill` with this digest, loaded with the settings of today. It need not be the one that serves.
    fn version(&self, skill: &SkillName, digest: Digest) -> FoundVersion;

    /// Nothing can be done any more with versions that are not among these and do not serve. Blocks.
    fn keep_only(&self, needed: &[Digest]);
}

/// A version on its way.
pub type FoundVersion = Pin<Box<dyn Future<Output = Result<std::sync::Arc<dyn Invoke>, Failure>> + Send>>;

/// Calls a tool on behalf of a running call: the dispatcher, or a fake in tests.
pub trait CallTool: Send + Sync {
    /// Call the tool with this full name. `arguments` is a JSON object as text. The call has the time that
    /// `parent` has left, and its caller. Dropping the future ends it.
    fn call_tool(&self, parent: Call, tool: String, arguments: Option<String>) -> Nested;
}

/// A call of a tool by another tool.
pub type Nested = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// There are no other tools.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTools;

impl CallTool for NoTools {
    fn call_tool(&self, _: Call, tool: String, _: Option<String>) -> Nested {
        Box::pin(async move {
            Err(Failure::new(FailureKind::UnknownTool, format!("there is no tool `{tool}` here")))
        })
    }
}

/// One running attempt: a future of its report. Dropping it ends the guest.
pub trait Attempt: Future<Output = Report> + Send + Unpin {
    /// End the guest. The attempt then resolves soon, with [`FailureKind::Cancelled`] unless it was
    /// done already, and with what it used up to there.
    ///
    /// [`FailureKind::Cancelled`]: crate::FailureKind::Cancelled
    fn abort(&mut self);
}

/// How an attempt ended and what it used.
#[derive(Debug)]
pub struct Report {
    /// How it ended.
    pub result: Result<Outcome, Failure>,
    /// What it used.
    pub usage: Usage,
    /// What may serve another call. Dropped, it serves none.
    pub instance: Instance,
}

/// What has served a call. Whether it may serve another is known when its result has been checked.
#[derive(Default)]
pub struct Instance(Option<Box<dyn FnOnce() + Send>>);

impl Instance {
    /// One that `keep` lets serve again.
    pub fn new(keep: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(keep)))
    }

    /// Let it serve again.
    pub fn keep(self) {
        if let Some(keep) = self.0 {
            keep();
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instance").field(&self.0.is_some()).finish()
    }
}

/// What an attempt used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Whether the guest began to run. If not, nothing can have taken effect.
    pub started: bool,
    /// Fuel, about one unit an instruction. Exact when the call ended by itself, otherwise known to
    /// within one yield interval (1,000,000).
    pub fuel: u64,
    /// The most linear memory it held, in bytes.
    pub memory: u64,
    /// How long it waited for its turn and for an instance slot.
    pub queued: Duration,
    /// How long it ran, waits for the host included.
    pub ran: Duration,
}
