//! How many warnings the host writes about one call: a guest that is refused again and again must not fill the log.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Warnings a call.
const MOST: u32 = 10;

/// Counts the warnings about one call.
#[derive(Clone, Default)]
pub(crate) struct Warnings(Arc<AtomicU32>);

impl Warnings {
    /// Whether to write another one.
    pub(crate) fn admit(&self) -> bool {
        // It stays where it is, so that it cannot wrap around.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < MOST).then_some(n + 1)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_end_to_warnings() {
        let warnings = Warnings::default();
        let other_part = warnings.clone();
        assert_eq!((0..1000).filter(|_| warnings.admit()).count(), MOST as usize);
        assert!(!other_part.admit(), "all parts of a call count together");
    }
}
