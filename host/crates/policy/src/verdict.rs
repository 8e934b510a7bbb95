//! What a call says of its skill's health: the taxonomy's word, or the operator's over it.

use skillhost_core::{FailureKind, Reply, Verdict};

/// Which kinds of failure count against a breaker. Small: a bit a kind.
///
/// ```
/// use skillhost_core::{FailureKind, Verdict};
/// use skillhost_policy::Counting;
///
/// let counting = Counting::default().with(&["permanent"], &["timeout"]).unwrap();
/// assert_eq!(counting.of(FailureKind::Permanent), Verdict::Failure);
/// assert_eq!(counting.of(FailureKind::Timeout), Verdict::Neutral);
/// assert_eq!(counting.of(FailureKind::Trap), Verdict::Failure);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counting {
    kinds: u32,
    is_error: bool,
}

/// The word for a reply with `isError`, beside the codes of failures.
const IS_ERROR: &str = "is-error";

/// What an attempt can end with; of the other kinds none says anything of the skill.
const CAN_COUNT: [FailureKind; 9] = [
    FailureKind::InvalidInput,
    FailureKind::Conflict,
    FailureKind::Transient,
    FailureKind::Permanent,
    FailureKind::InvalidOutput,
    FailureKind::Trap,
    FailureKind::OutOfFuel,
    FailureKind::OutOfMemory,
    FailureKind::Timeout,
];

impl Default for Counting {
    fn default() -> Self {
        let counts = |kind: &FailureKind| kind.breaker() == Verdict::Failure;
        let kinds = FailureKind::ALL.into_iter().filter(counts).fold(0, |bits, kind| bits | bit(kind));
        Self { kinds, is_error: false }
    }
}

impl Counting {
    /// The same, but the kinds with the codes `counts` count, and those in `ignores` do not.
    ///
    /// # Errors
    /// The word that is no code, or the code of a kind that cannot count.
    pub fn with<'a>(mut self, counts: &[&'a str], ignores: &[&'a str]) -> Result<Self, &'a str> {
        for (words, on) in [(counts, true), (ignores, false)] {
            for word in words {
                if *word == IS_ERROR {
                    self.is_error = on;
                    continue;
                }
                let kind =
                    FailureKind::from_code(word).filter(|kind| CAN_COUNT.contains(kind)).ok_or(*word)?;
                self.kinds = if on { self.kinds | bit(kind) } else { self.kinds & !bit(kind) };
            }
        }
        Ok(self)
    }

    /// The words that [`Counting::with`] takes.
    #[must_use]
    pub fn words() -> Vec<&'static str> {
        CAN_COUNT.iter().map(|kind| kind.code()).chain([IS_ERROR]).collect()
    }

    /// What a failure of this kind says.
    #[must_use]
    pub fn of(self, kind: FailureKind) -> Verdict {
        if self.kinds & bit(kind) != 0 { Verdict::Failure } else { Verdict::Neutral }
    }

    /// What this reply says.
    #[must_use]
    pub fn of_reply(self, reply: &Reply) -> Verdict {
        if reply.is_error && self.is_error { Verdict::Failure } else { Verdict::Success }
    }
}

fn bit(kind: FailureKind) -> u32 {
    1 << kind as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_the_table_counts() {
        for kind in FailureKind::ALL {
            assert_eq!(Counting::default().of(kind), kind.breaker(), "{kind}");
        }
    }

    #[test]
    fn a_reply_that_says_no_counts_where_the_operator_says_so() {
        let reply = Reply { is_error: true, ..Reply::default() };
        assert_eq!(Counting::default().of_reply(&reply), Verdict::Success);
        let counting = Counting::default().with(&["is-error"], &[]).unwrap();
        assert_eq!(counting.of_reply(&reply), Verdict::Failure);
        assert_eq!(counting.of_reply(&Reply::default()), Verdict::Success);
    }

    #[test]
    fn what_never_comes_from_a_skill_cannot_count() {
        assert_eq!(Counting::default().with(&["rate-limited"], &[]), Err("rate-limited"));
        assert_eq!(Counting::default().with(&[], &["nonsense"]), Err("nonsense"));
        for word in Counting::words() {
            assert!(Counting::default().with(&[word], &[]).is_ok(), "{word}");
        }
    }
}
