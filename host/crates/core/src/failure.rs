//! Why a call failed, and what follows from it.

use std::{fmt, time::Duration};

use crate::{InputRequired, text::bounded};

/// What kind of failure it is. One row each in the table of `docs/failures.md`, and a page in `docs/errors/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No such tool.
    UnknownTool,
    /// The skill is still compiling, or failed to load.
    NotReady,
    /// The arguments do not match, by the schema's or the skill's word.
    InvalidInput,
    /// The caller may not use it.
    Denied,
    /// The client lacks a feature the skill needs.
    MissingCapability,
    /// The skill needs answers first; what it asks is in [`Failure::asked`].
    InputRequired,
    /// The state or the answers that came back from the client cannot be used.
    InvalidAnswers,
    /// The idempotency key was used before, with other arguments.
    KeyConflict,
    /// The world is not as the skill expected it.
    Conflict,
    /// A rate limit.
    RateLimited,
    /// No permit or instance slot became free in time.
    Overloaded,
    /// The circuit breaker refuses calls for now.
    CircuitOpen,
    /// What must be written down before the call begins cannot be.
    JournalUnavailable,
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
    /// The host is stopping.
    ShuttingDown,
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

impl Effect {
    /// One word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }
}

/// What a call says of the health of its skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is well.
    Success,
    /// It is ill.
    Failure,
    /// Nothing.
    Neutral,
}

/// Whether the host may make another attempt by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No.
    Never,
    /// If running twice does no harm: the tool is read-only or idempotent.
    IfSafe,
    /// Yes: nothing took effect.
    Always,
}

impl Retry {
    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::IfSafe => "if safe",
            Self::Always => "yes",
        }
    }
}

/// What the caller should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Call again later; the failure may say when.
    RetryLater,
    /// Mend the arguments, then call again.
    MendArguments,
    /// Look at the world before deciding.
    CheckFirst,
    /// Answer what it asks; the client calls again by itself.
    Answer,
    /// Leave it.
    DoNotRetry,
}

impl Hint {
    /// The stable word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetryLater => "retry-later",
            Self::MendArguments => "mend-arguments",
            Self::CheckFirst => "check-first",
            Self::Answer => "answer",
            Self::DoNotRetry => "do-not-retry",
        }
    }
}

/// What follows from a kind of failure: one row of the table.
struct Row {
    code: &'static str,
    /// Once the guest has started.
    effect: Effect,
    breaker: Verdict,
    retry: Retry,
    hint: Hint,
}

impl FailureKind {
    /// All kinds, in the order of the table.
    pub const ALL: [Self; 24] = [
        Self::UnknownTool,
        Self::NotReady,
        Self::InvalidInput,
        Self::Denied,
        Self::MissingCapability,
        Self::InputRequired,
        Self::InvalidAnswers,
        Self::KeyConflict,
        Self::Conflict,
        Self::RateLimited,
        Self::Overloaded,
        Self::CircuitOpen,
        Self::JournalUnavailable,
        Self::Transient,
        Self::Permanent,
        Self::InvalidOutput,
        Self::Trap,
        Self::OutOfFuel,
        Self::OutOfMemory,
        Self::Timeout,
        Self::Cancelled,
        Self::ShuttingDown,
        Self::Unsupported,
        Self::Internal,
    ];

    /// THE table.
    const fn row(self) -> Row {
        use Effect::{None as Nothing, Unknown};
        use Hint::{Answer, CheckFirst, DoNotRetry, MendArguments, RetryLater};
        use Retry::{Always, IfSafe, Never};
        use Verdict::{Failure as Counts, Neutral};
        let (code, effect, breaker, retry, hint) = match self {
            Self::UnknownTool => ("unknown-tool", Nothing, Neutral, Never, MendArguments),
            Self::NotReady => ("not-ready", Nothing, Neutral, Never, RetryLater),
            Self::InvalidInput => ("invalid-input", Nothing, Neutral, Never, MendArguments),
            Self::Denied => ("denied", Nothing, Neutral, Never, DoNotRetry),
            Self::MissingCapability => ("missing-capability", Nothing, Neutral, Never, DoNotRetry),
            Self::InputRequired => ("input-required", Nothing, Neutral, Never, Answer),
            Self::InvalidAnswers => ("invalid-answers", Nothing, Neutral, Never, MendArguments),
            Self::KeyConflict => ("key-conflict", Nothing, Neutral, Never, MendArguments),
            Self::Conflict => ("conflict", Nothing, Neutral, Never, CheckFirst),
            Self::RateLimited => ("rate-limited", Nothing, Neutral, Never, RetryLater),
            Self::Overloaded => ("overloaded", Nothing, Neutral, Never, RetryLater),
            Self::CircuitOpen => ("circuit-open", Nothing, Neutral, Never, RetryLater),
            Self::JournalUnavailable => ("journal-unavailable", Nothing, Neutral, Never, RetryLater),
            Self::Transient => ("transient", Nothing, Counts, Always, RetryLater),
            Self::Permanent => ("permanent", Nothing, Neutral, Never, DoNotRetry),
            Self::InvalidOutput => ("invalid-output", Unknown, Counts, Never, DoNotRetry),
            Self::Trap => ("trap", Unknown, Counts, IfSafe, DoNotRetry),
            Self::OutOfFuel => ("out-of-fuel", Unknown, Counts, Never, DoNotRetry),
            Self::OutOfMemory => ("out-of-memory", Unknown, Counts, Never, DoNotRetry),
            Self::Timeout => ("timeout", Unknown, Counts, IfSafe, CheckFirst),
            Self::Cancelled => ("cancelled", Unknown, Neutral, Never, CheckFirst),
            Self::ShuttingDown => ("shutting-down", Nothing, Neutral, Never, RetryLater),
            Self::Unsupported => ("unsupported", Nothing, Neutral, Never, DoNotRetry),
            Self::Internal => ("internal", Unknown, Neutral, Never, CheckFirst),
        };
        Row { code, effect, breaker, retry, hint }
    }

    /// The stable word for it in replies, logs, documents and the configuration.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The kind with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether the call can have changed the world, given whether the guest had `started`.
    #[must_use]
    pub const fn effect(self, started: bool) -> Effect {
        if started { self.row().effect } else { Effect::None }
    }

    /// What it says of the skill's health, unless the operator says otherwise.
    #[must_use]
    pub const fn breaker(self) -> Verdict {
        self.row().breaker
    }

    /// Whether the host may make another attempt by itself.
    #[must_use]
    pub const fn retry(self) -> Retry {
        self.row().retry
    }

    /// What the caller should do.
    #[must_use]
    pub const fn hint(self) -> Hint {
        self.row().hint
    }

    /// What the caller should do, in a sentence a model can follow.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::UnknownTool => "List the tools and use one of their names.",
            Self::InvalidInput => "Mend the arguments and call again.",
            Self::KeyConflict => {
                "Nothing was called. Use a new key for a new call, or the same arguments to learn what became of the first."
            }
            Self::NotReady
            | Self::RateLimited
            | Self::Overloaded
            | Self::CircuitOpen
            | Self::JournalUnavailable
            | Self::Transient
            | Self::ShuttingDown => "Nothing took effect; try again later.",
            Self::Denied => "Nothing was called. Ask for leave, or use another tool.",
            Self::InputRequired => "Nothing took effect. It goes on when its questions are answered.",
            Self::InvalidAnswers => "Nothing was called. Make the call anew, without its state.",
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
    /// What is asked, for `InputRequired`.
    pub asked: Option<Box<InputRequired>>,
}

impl Failure {
    /// A failure of this kind. The message is cut at 8 KiB.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let message = bounded(message.into(), MAX_MESSAGE);
        Self { kind, message, retry_after: None, pointers: vec![], missing: vec![], asked: None }
    }

    /// The skill asks its client before it goes on.
    #[must_use]
    pub fn asks(asked: InputRequired) -> Self {
        let failure = Self::new(FailureKind::InputRequired, "the tool asks its client before it goes on");
        Self { asked: Some(Box::new(asked)), ..failure }
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

    // The table of DESIGN as it was decided, so that a slip of the hand in the code shows.
    #[test]
    fn the_table_row_by_row() {
        let table = "\
            unknown-tool       none     Neutral  Never   MendArguments
            not-ready          none     Neutral  Never   RetryLater
            invalid-input      none     Neutral  Never   MendArguments
            denied             none     Neutral  Never   DoNotRetry
            missing-capability none     Neutral  Never   DoNotRetry
            input-required     none     Neutral  Never   Answer
            invalid-answers    none     Neutral  Never   MendArguments
            key-conflict       none     Neutral  Never   MendArguments
            conflict           none     Neutral  Never   CheckFirst
            rate-limited       none     Neutral  Never   RetryLater
            overloaded         none     Neutral  Never   RetryLater
            circuit-open       none     Neutral  Never   RetryLater
            journal-unavailable none    Neutral  Never   RetryLater
            transient          none     Failure  Always  RetryLater
            permanent          none     Neutral  Never   DoNotRetry
            invalid-output     unknown  Failure  Never   DoNotRetry
            trap               unknown  Failure  IfSafe  DoNotRetry
            out-of-fuel        unknown  Failure  Never   DoNotRetry
            out-of-memory      unknown  Failure  Never   DoNotRetry
            timeout            unknown  Failure  IfSafe  CheckFirst
            cancelled          unknown  Neutral  Never   CheckFirst
            shutting-down      none     Neutral  Never   RetryLater
            unsupported        none     Neutral  Never   DoNotRetry
            internal           unknown  Neutral  Never   CheckFirst";
        for (kind, line) in FailureKind::ALL.into_iter().zip(table.lines()) {
            let row = format!(
                "{} {} {:?} {:?} {:?}",
                kind.code(),
                kind.effect(true).as_str(),
                kind.breaker(),
                kind.retry(),
                kind.hint()
            );
            assert_eq!(row, line.split_whitespace().collect::<Vec<_>>().join(" "));
            assert_eq!(FailureKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(table.lines().count(), FailureKind::ALL.len());
    }

    #[test]
    fn only_what_had_no_effect_is_always_run_again() {
        for kind in FailureKind::ALL {
            if kind.retry() == Retry::Always {
                assert_eq!(kind.effect(true), Effect::None, "{kind}");
            }
        }
    }
}
