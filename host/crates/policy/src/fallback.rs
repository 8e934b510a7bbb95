//! Fallbacks: another tool answers when this one cannot.

use skillhost_core::{Effect, FailureKind};

/// Whether another tool may answer in the place of one that failed this way. Not when the caller is at fault or gone, and
/// not when the first may have taken effect and does harm when it runs twice.
#[must_use]
pub fn stands_in(kind: FailureKind, effect: Effect, safe: bool) -> bool {
    let may = match kind {
        FailureKind::RateLimited
        | FailureKind::Overloaded
        | FailureKind::CircuitOpen
        | FailureKind::Transient
        | FailureKind::Permanent
        | FailureKind::InvalidOutput
        | FailureKind::Trap
        | FailureKind::OutOfFuel
        | FailureKind::OutOfMemory
        | FailureKind::Timeout
        | FailureKind::Unsupported => true,
        // Without a tool there is no policy of a tool.
        FailureKind::UnknownTool
        | FailureKind::NotReady
        | FailureKind::InvalidInput
        | FailureKind::MissingCapability
        | FailureKind::Denied
        | FailureKind::InputRequired
        | FailureKind::InvalidAnswers
        | FailureKind::KeyConflict
        | FailureKind::JournalUnavailable
        | FailureKind::Conflict
        | FailureKind::Cancelled
        | FailureKind::ShuttingDown
        | FailureKind::Internal => false,
    };
    may && (safe || effect == Effect::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_may_have_happened_is_done_twice() {
        assert!(stands_in(FailureKind::CircuitOpen, Effect::None, false));
        assert!(!stands_in(FailureKind::Trap, Effect::Unknown, false));
        assert!(stands_in(FailureKind::Trap, Effect::Unknown, true));
        assert!(!stands_in(FailureKind::InvalidInput, Effect::None, true));
        assert!(!stands_in(FailureKind::Cancelled, Effect::None, true));
    }
}
