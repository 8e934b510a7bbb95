//! The calls that rates are taken over.

use std::time::{Duration, Instant};

/// Slices of a window of time. The oldest is dropped whole, so that the window is between 90 and 100 % of its length.
const SLICES: usize = 10;

const FAILED: u8 = 1;
const SLOW: u8 = 2;

/// Counts over a sliding window. Holds all the memory it will need.
#[derive(Debug)]
pub(super) enum Sliding {
    Calls { ring: Box<[u8]>, next: usize, totals: Totals },
    Time { slices: [Totals; SLICES], newest: u64, slice: Duration, origin: Instant },
}

/// How many calls there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) calls: u32,
    pub(super) failures: u32,
    pub(super) slow: u32,
}

impl Totals {
    fn add(&mut self, failed: bool, slow: bool) {
        self.calls = self.calls.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(failed));
        self.slow = self.slow.saturating_add(u32::from(slow));
    }
}

impl Sliding {
    pub(super) fn new(window: super::Window, now: Instant) -> Self {
        match window {
            super::Window::Calls(calls) => Self::Calls {
                ring: vec![0; calls.max(1) as usize].into(),
                next: 0,
                totals: Totals::default(),
            },
            super::Window::Time(length) => Self::Time {
                slices: [Totals::default(); SLICES],
                newest: 0,
                slice: (length / SLICES as u32).max(Duration::from_nanos(1)),
                origin: now,
            },
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Calls { next, totals, .. } => (*next, *totals) = (0, Totals::default()),
            Self::Time { slices, .. } => *slices = [Totals::default(); SLICES],
        }
    }

    pub(super) fn record(&mut self, failed: bool, slow: bool, now: Instant) {
        self.advance(now);
        match self {
            Self::Calls { ring, next, totals } => {
                if totals.calls as usize == ring.len() {
                    let oldest = ring[*next];
                    totals.calls -= 1;
                    totals.failures -= u32::from(oldest & FAILED != 0);
                    totals.slow -= u32::from(oldest & SLOW != 0);
                }
                ring[*next] = (u8::from(failed) * FAILED) | (u8::from(slow) * SLOW);
                totals.add(failed, slow);
                *next = (*next + 1) % ring.len();
            }
            Self::Time { slices, newest, .. } => slices[*newest as usize % SLICES].add(failed, slow),
        }
    }

    pub(super) fn totals(&mut self, now: Instant) -> Totals {
        self.advance(now);
        match self {
            Self::Calls { totals, .. } => *totals,
            Self::Time { slices, .. } => slices.iter().fold(Totals::default(), |sum, one| Totals {
                calls: sum.calls.saturating_add(one.calls),
                failures: sum.failures.saturating_add(one.failures),
                slow: sum.slow.saturating_add(one.slow),
            }),
        }
    }

    /// Empty the slices that have gone by. A clock that is read by several threads may step back a little: then it is
    /// still the newest slice.
    fn advance(&mut self, now: Instant) {
        let Self::Time { slices, newest, slice, origin } = self else { return };
        let at = now.saturating_duration_since(*origin).as_nanos() / slice.as_nanos();
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        let passed = at.saturating_sub(*newest);
        for step in 1..=passed.min(SLICES as u64) {
            slices[(*newest + step) as usize % SLICES] = Totals::default();
        }
        // When more than a round has gone by, every slice was emptied above.
        *newest = at.max(*newest);
    }
}

#[cfg(all(test, not(skillhost_loom)))]
#[expect(clippy::disallowed_methods, reason = "an origin for arithmetic")]
mod tests {
    use super::*;
    use crate::circuit_breaker::Window;

    #[test]
    fn the_oldest_call_makes_room() {
        let now = Instant::now();
        let mut window = Sliding::new(Window::Calls(3), now);
        for failed in [true, true, false, false] {
            window.record(failed, !failed, now);
        }
        assert_eq!(window.totals(now), Totals { calls: 3, failures: 1, slow: 2 });
        window.record(false, false, now);
        assert_eq!(window.totals(now), Totals { calls: 3, failures: 0, slow: 2 });
    }

    #[test]
    fn old_slices_go_and_a_long_pause_empties_all() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Sliding::new(Window::Time(Duration::from_secs(10)), start);
        window.record(true, false, at(0));
        window.record(true, false, at(5));
        assert_eq!(window.totals(at(9)).failures, 2);
        assert_eq!(window.totals(at(10)).failures, 1);
        // A thread that read the clock earlier.
        window.record(true, false, at(8));
        assert_eq!(window.totals(at(14)).failures, 2);
        assert_eq!(window.totals(at(1_000_003)), Totals::default());
        window.record(true, false, at(1_000_004));
        assert_eq!(window.totals(at(1_000_004)).failures, 1);
    }
}
