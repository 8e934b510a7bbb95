//! What becomes of a step that is taken back, by how the try to do so ended.
//!
//! The skill's word decides: a conflict is for somebody to judge, `permanent` is final. What the host ended, or what may
//! pass, is tried again: taking back the same call twice does no harm, by the contract.

use std::time::Duration;

use skillhost_core::{Failure, FailureKind};

use crate::{Delays, RetryPolicy};

/// How calls of a tool are taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct UndoPolicy {
    /// How long one try may take. Default 30 s.
    pub timeout: Duration,
    /// Tries before it counts as stuck, and the delays between them. Default 5 tries, 1 s apart and twice as long each time, up
    /// to 30 s, with jitter.
    pub retry: RetryPolicy,
}

impl Default for UndoPolicy {
    fn default() -> Self {
        let delays = Delays::Exponential { first: Duration::from_secs(1), cap: Duration::from_secs(30) };
        let retry = RetryPolicy { attempts: 5, delays, jitter: true, attempt_timeout: None };
        Self { timeout: Duration::from_secs(30), retry }
    }
}

/// What becomes of the step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is taken back.
    Back,
    /// The world has changed since; nothing was touched.
    Conflict,
    /// It cannot be taken back.
    Stuck,
    /// It is tried again after this long.
    Again(Duration),
}

/// Judge a try. `tries` counts it too; `random` is from 0 to 1, for the jitter.
///
/// ```
/// use skillhost_core::{Failure, FailureKind};
/// use skillhost_policy::{Taken, UndoPolicy, taken};
///
/// let changed = Err(Failure::new(FailureKind::Conflict, "the file has changed"));
/// assert_eq!(taken(changed.as_ref().map(|&()| ()), 1, &UndoPolicy::default(), 0.5), Taken::Conflict);
/// ```
#[must_use]
pub fn taken(ended: Result<(), &Failure>, tries: u32, policy: &UndoPolicy, random: f64) -> Taken {
    let Err(failure) = ended else { return Taken::Back };
    match failure.kind {
        FailureKind::Conflict => Taken::Conflict,
        FailureKind::Permanent
        | FailureKind::InvalidInput
        | FailureKind::MissingCapability
        | FailureKind::UnknownTool
        | FailureKind::Unsupported => Taken::Stuck,
        _ if tries >= policy.retry.attempts => Taken::Stuck,
        _ => {
            let own = policy.retry.delay(tries.max(1), random);
            Taken::Again(own.max(failure.retry_after.unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: FailureKind, tries: u32) -> Taken {
        let mut policy = UndoPolicy::default();
        policy.retry.jitter = false;
        taken(Err(&Failure::new(kind, "")), tries, &policy, 0.0)
    }

    #[test]
    fn the_skill_decides_what_is_final() {
        use FailureKind::*;
        for kind in FailureKind::ALL {
            let expected = match kind {
                Conflict => Taken::Conflict,
                Permanent | InvalidInput | MissingCapability | UnknownTool | Unsupported => Taken::Stuck,
                _ => Taken::Again(Duration::from_secs(1)),
            };
            assert_eq!(judged(kind, 1), expected, "{kind}");
        }
        assert_eq!(taken(Ok(()), 1, &UndoPolicy::default(), 0.0), Taken::Back);
    }

    #[test]
    fn tries_have_an_end_and_delays_grow() {
        assert_eq!(judged(FailureKind::Trap, 3), Taken::Again(Duration::from_secs(4)));
        assert_eq!(judged(FailureKind::Trap, 5), Taken::Stuck);
        let told = Failure::new(FailureKind::Transient, "").retry_after(Duration::from_secs(99));
        let policy = UndoPolicy::default();
        assert_eq!(taken(Err(&told), 1, &policy, 0.0), Taken::Again(Duration::from_secs(99)));
    }
}
