//! Where calls of a sandbox begin: those that are short in place, on the thread of whoever waits for them, and those that are not
//! on the runtime of guests.
//!
//! To hand a call over to another thread and back costs about as much as a small call itself. One that goes on after its first
//! slice is handed over all the same, and so are the next ones of its sandbox, as many as pay for what it took: threads that keep
//! deadlines spend [`SHARE`] a call on guests on average, whatever these do.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// What a call may take of the thread it begins on.
const SHARE: Duration = Duration::from_micros(250);

/// How long the calls of a sandbox have taken lately.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Calls that begin elsewhere before one may begin in place again.
    debt: AtomicU32,
}

impl Pace {
    /// Whether the next call may begin in place. A call that may not pays for one share.
    pub(crate) fn in_place(&self) -> bool {
        self.debt.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |debt| debt.checked_sub(1)).is_err()
    }

    /// A call took so long in place, up to its end or its first yield.
    pub(crate) fn took(&self, time: Duration) {
        let shares = time.as_micros() / SHARE.as_micros();
        if shares > 0 {
            let shares = u32::try_from(shares).unwrap_or(u32::MAX);
            // Of several that were too long at once, each is paid for.
            let add = |debt: u32| Some(debt.saturating_add(shares));
            let _ = self.debt.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_calls_begin_in_place() {
        let pace = Pace::default();
        for _ in 0..10 {
            assert!(pace.in_place());
            pace.took(SHARE - Duration::from_micros(1));
        }
    }

    proptest! {
        /// However long they are, on average no more than a share goes to each call, but for what the last one has still to pay.
        #[test]
        fn a_share_a_call_is_all_that_is_spent(calls in prop::collection::vec(0_u64..20_000, 1..2_000)) {
            let pace = Pace::default();
            let (mut spent, mut last) = (Duration::ZERO, Duration::ZERO);
            for micros in &calls {
                if pace.in_place() {
                    last = Duration::from_micros(*micros);
                    spent += last;
                    pace.took(last);
                }
            }
            let share = SHARE * u32::try_from(calls.len()).unwrap();
            prop_assert!(spent <= share + last, "{spent:?} in {} calls", calls.len());
        }
    }
}
