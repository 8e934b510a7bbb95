//! A call on its way to a skill.

use std::{fmt, str::FromStr, sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};
use tracing::Span;
use uuid::Uuid;

use crate::{Access, CallTool, PrepareUndo, Round, Target};

/// Identifies one call over all its attempts. A UUIDv7, so ids sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(Uuid);

impl CallId {
    /// A new id, unlike every other.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The 16 bytes of it, whose order is that of the ids.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id as [`Display`](fmt::Display) writes it, in a buffer of the caller's.
    pub fn text<'a>(&self, buffer: &'a mut [u8; 36]) -> &'a str {
        self.0.hyphenated().encode_lower(buffer)
    }

    /// The id with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

/// As [`Display`](fmt::Display) writes it.
impl FromStr for CallId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "write an id such as 01990d2e-5c7a-7b31-9d0e-6f3a2b1c0d4e";
        // Other spellings of the same id would be taken too; only one is shown anywhere.
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 => Ok(Self(id)),
            _ => Err(EXPECTED),
        }
    }
}

impl Default for CallId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who makes a call. Opaque: it names what limits and state are kept by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller(Arc<str>);

impl Caller {
    /// The one caller behind stdio and unauthenticated loopback.
    #[must_use]
    pub fn local() -> Self {
        Self("local".into())
    }

    /// A caller by name, as whoever authenticates callers calls it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// The caller's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the client on the other side can do, as far as a skill may want to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientFeatures {
    /// Shows a form to the person.
    pub elicitation_form: bool,
    /// Sends the person to a URL.
    pub elicitation_url: bool,
    /// Lets a skill ask the client's model.
    pub sampling: bool,
    /// Sampling with tools.
    pub sampling_tools: bool,
    /// Tells its root folders.
    pub roots: bool,
    /// Listens to progress of this call.
    pub progress: bool,
}

impl ClientFeatures {
    /// Whether the client has what this asks for.
    #[must_use]
    pub fn can_answer(&self, ask: &crate::Ask) -> bool {
        match ask.capability() {
            "elicitation" => self.elicitation_form,
            "elicitation.url" => self.elicitation_url,
            "sampling.tools" => self.sampling_tools,
            "sampling" => self.sampling,
            _ => self.roots,
        }
    }
}

/// How far a call is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Grows from report to report.
    pub progress: f64,
    /// What `progress` will be at the end, when known.
    pub total: Option<f64>,
    /// For people.
    pub message: Option<String>,
}

/// The way back to the client while a call runs. Implementations must not block.
pub trait ClientLink: Send + Sync {
    /// Pass a progress report on; may drop it.
    fn progress(&self, progress: Progress);

    /// Whether the client has given up on the call.
    fn cancelled(&self) -> bool;

    /// Whether the client wants the skill's log lines of this level.
    fn listens(&self, _: LogLevel) -> bool {
        false
    }

    /// Pass a log line on; may drop it. It holds no secrets that the host knows of.
    fn log(&self, _: LogLevel, _logger: &str, _text: &str) {}
}

/// How much a log line matters, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// A link for calls without a client, such as those of the command line: progress is dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoClient;

impl ClientLink for NoClient {
    fn progress(&self, _: Progress) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// One call, validated, on its way to the skill.
#[derive(Clone)]
pub struct Call {
    /// The same over all attempts.
    pub id: CallId,
    /// Ties together everything one request set off.
    pub correlation_id: Arc<str>,
    /// Who calls.
    pub caller: Caller,
    /// What he may use, for the host's own tools: guests do not see it.
    pub access: Access,
    /// What it is for.
    pub target: Arc<Target>,
    /// The tool's name inside its skill.
    pub tool: Arc<str>,
    /// A JSON object as text, or nothing when the client sent none.
    pub arguments: Option<Arc<String>>,
    /// The request's `_meta` as a JSON object, without the protocol's own keys.
    pub meta: Option<Arc<str>>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// From the second round on: what was asked, answered.
    pub round: Option<Arc<Round>>,
    /// When the call must be over.
    pub deadline: Instant,
    /// What the client can do.
    pub client: ClientFeatures,
    /// The way back to the client.
    pub link: Arc<dyn ClientLink>,
    /// 0 for a client's call, 1 for a call that one makes, and so on.
    pub depth: u32,
    /// Calls other tools.
    pub tools: Arc<dyn CallTool>,
    /// Keeps what is needed to take the call back. None when it is not one that can be taken back.
    pub undo: Option<Arc<dyn PrepareUndo>>,
    /// Its span, which names it in the log: lines that belong to it may be written on threads that it was not entered on.
    pub span: Span,
}

impl fmt::Debug for Call {
    // Arguments may hold secrets: they stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("tool", &self.tool)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
