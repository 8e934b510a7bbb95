//! Why a call failed, and what follows from it.

use std::{fmt, time::Duration};

use crate::text::bounded;

/// What kind of failure it is. One row each in the table of `docs/failures.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No such tool.
    UnknownTool,
    /// The skill is still compiling, or failed to load.
    NotReady,
    /// The arguments do not match, by the schema's or the skill's word.
    InvalidInput,
    /// The client lacks a feature the skill needs.
    MissingCapability,
    /// The world is not as the skill expected it.
    Conflict,
    /// No instance slot became free in time.
    Overloaded,
    /// The skill: nothing took effect, try again.
    Transient,
    /// The skill: nothing took effect, trying again will not help.
    Permanent,
    /// The skill's result breaks its own schema, is not JSON, or is over a bound.
    InvalidOutput,
    /// The guest trapped or exited.
    Trap,
    /// The fuel ran out.
    OutOfFuel,
    /// The guest needed more memory, tables or stack than it may have.
    OutOfMemory,
    /// The time ran out.
    Timeout,
    /// The client gave up.
    Cancelled,
    /// The contract offers it, this host does not yet.
    Unsupported,
    /// A fault of the host.
    Internal,
}

/// Whether the call can have changed the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Certainly not.
    None,
    /// Nobody knows.
    Unknown,
}

impl FailureKind {
    /// All kinds, in the order of the table.
    pub const ALL: [Self; 16] = [
        Self::UnknownTool,
        Self::NotReady,
        Self::InvalidInput,
        Self::MissingCapability,
        Self::Conflict,
        Self::Overloaded,
        Self::Transient,
        Self::Permanent,
        Self::InvalidOutput,
        Self::Trap,
        Self::OutOfFuel,
        Self::OutOfMemory,
        Self::Timeout,
        Self::Cancelled,
        Self::Unsupported,
        Self::Internal,
    ];

    /// The stable word for it in replies, logs and documents.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownTool => "unknown-tool",
            Self::NotReady => "not-ready",
            Self::InvalidInput => "invalid-input",
            Self::MissingCapability => "missing-capability",
            Self::Conflict => "conflict",
            Self::Overloaded => "overloaded",
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::InvalidOutput => "invalid-output",
            Self::Trap => "trap",
            Self::OutOfFuel => "out-of-fuel",
            Self::OutOfMemory => "out-of-memory",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }

    /// Whether the call can have changed the world, given whether the guest had `started`.
    #[must_use]
    pub fn effect(self, started: bool) -> Effect {
        match self {
            Self::UnknownTool
            | Self::NotReady
            | Self::InvalidInput
            | Self::MissingCapability
            | Self::Conflict
            | Self::Overloaded
            | Self::Transient
            | Self::Permanent
            | Self::Unsupported => Effect::None,
            _ if !started => Effect::None,
            Self::InvalidOutput
            | Self::Trap
            | Self::OutOfFuel
            | Self::OutOfMemory
            | Self::Timeout
            | Self::Cancelled
            | Self::Internal => Effect::Unknown,
        }
    }

    /// What the caller should do, in a sentence a model can follow.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::UnknownTool => "List the tools and use one of their names.",
            Self::InvalidInput => "Mend the arguments and call again.",
            Self::NotReady | Self::Overloaded | Self::Transient => "Nothing took effect; try again later.",
            Self::MissingCapability => "Use a client that has this capability.",
            Self::Conflict => "Nothing was touched. Look at the present state before you decide what to do.",
            Self::Permanent | Self::Unsupported => "Nothing took effect. Do not retry.",
            Self::InvalidOutput | Self::Trap => "Do not retry with the same arguments; the skill is faulty.",
            Self::OutOfFuel | Self::OutOfMemory => {
                "Do not retry with the same arguments; ask for less at once."
            }
            Self::Timeout => "It may have taken effect: check before you call again.",
            Self::Cancelled => "It may have taken effect.",
            Self::Internal => "This is a fault of the host; report it with the correlation id.",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Bytes of a message; more is cut. Some of it is a skill's own words.
const MAX_MESSAGE: usize = 8 << 10;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What happened, for people and models. Holds no path of the host.
    pub message: String,
    /// When another attempt makes sense, where that is known.
    pub retry_after: Option<Duration>,
    /// JSON pointers into the arguments, for `InvalidInput` by the schema.
    pub pointers: Vec<String>,
    /// The capabilities that lack, for `MissingCapability`.
    pub missing: Vec<String>,
}

impl Failure {
    /// A failure of this kind. The message is cut at 8 KiB.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let message = bounded(message.into(), MAX_MESSAGE);
        Self { kind, message, retry_after: None, pointers: vec![], missing: vec![] }
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_take_effect_before_the_start() {
        for kind in FailureKind::ALL {
            assert_eq!(kind.effect(false), Effect::None, "{kind}");
        }
    }

    // The table of DESIGN, as far as these kinds exist: kind, code, effect once started.
    #[test]
    fn the_table_row_by_row() {
        use Effect::{None, Unknown};
        let table = [
            ("unknown-tool", None),
            ("not-ready", None),
            ("invalid-input", None),
            ("missing-capability", None),
            ("conflict", None),
            ("overloaded", None),
            ("transient", None),
            ("permanent", None),
            ("invalid-output", Unknown),
            ("trap", Unknown),
            ("out-of-fuel", Unknown),
            ("out-of-memory", Unknown),
            ("timeout", Unknown),
            ("cancelled", Unknown),
            ("unsupported", None),
            ("internal", Unknown),
        ];
        for (kind, (code, effect)) in FailureKind::ALL.into_iter().zip(table) {
            assert_eq!((kind.code(), kind.effect(true)), (code, effect));
        }
    }
}
