//! Instances that wait for their skill's next call, where its operator allows that and the tool declares that it bears it.
//!
//! One serves one call at a time, so many calls, and for so long; whatever ends in any other way than well is dropped.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;

use crate::state::State;

/// Instances that may wait, of all skills together. Each keeps its memory.
pub(crate) const PLACES: u32 = 16;

/// Those of one sandbox, the one that served last on top.
pub(crate) struct Park<S = Store<State>> {
    waiting: Mutex<Vec<Waiting<S>>>,
    calls: u32,
    age: Duration,
}

struct Waiting<S> {
    store: S,
    past: Past,
    _place: OwnedSemaphorePermit,
}

/// What an instance has behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past {
    born: Instant,
    calls: u32,
}

impl Past {
    /// One that is made now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { born: now, calls: 0 }
    }
}

impl<S> Park<S> {
    /// For instances that serve at most so many `calls`, and begin none at that `age`.
    pub(crate) fn new(calls: u32, age: Duration) -> Self {
        Self { waiting: Mutex::new(Vec::new()), calls, age }
    }

    /// How old an instance may become.
    pub(crate) fn age(&self) -> Duration {
        self.age
    }

    /// One that waits, if there is any.
    pub(crate) fn take(&self, now: Instant) -> Option<(S, Past)> {
        self.sweep(now);
        self.waiting().pop().map(|Waiting { store, past, .. }| (store, past))
    }

    /// Let an instance wait that has served a call, or drop it when it has served enough. Whether it is a new one that waits.
    pub(crate) fn put(&self, store: S, past: Past, now: Instant, place: OwnedSemaphorePermit) -> bool {
        let past = Past { calls: past.calls + 1, ..past };
        let waits = past.calls < self.calls && !self.is_old(past, now);
        if waits {
            self.waiting().push(Waiting { store, past, _place: place });
        }
        waits && past.calls == 1
    }

    /// Drop those that are too old.
    pub(crate) fn sweep(&self, now: Instant) {
        // Dropped when nobody waits for the lock any more: a store takes a while.
        let _old: Vec<_> = self.waiting().extract_if(.., |waiting| self.is_old(waiting.past, now)).collect();
    }

    fn is_old(&self, past: Past, now: Instant) -> bool {
        now.saturating_duration_since(past.born) >= self.age
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<S>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A park, where a call may have an instance of it.
pub(crate) type MayPark = Option<Arc<Park>>;

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    const AGE: Duration = Duration::from_secs(60);

    struct Yard {
        park: Park<&'static str>,
        places: Arc<Semaphore>,
        start: Instant,
    }

    impl Yard {
        fn new(calls: u32) -> Self {
            let start = Instant::from(tokio::time::Instant::now());
            Self { park: Park::new(calls, AGE), places: Arc::new(Semaphore::new(2)), start }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn put(&self, store: &'static str, past: Past, seconds: u64) -> bool {
            let place = Arc::clone(&self.places).try_acquire_owned().unwrap();
            self.park.put(store, past, self.at(seconds), place)
        }
    }

    #[test]
    fn it_serves_so_many_calls() {
        let yard = Yard::new(3);
        assert!(yard.put("a", Past::new(yard.at(0)), 1), "it waits for the first time");
        let (store, past) = yard.park.take(yard.at(2)).unwrap();
        assert!(yard.park.take(yard.at(2)).is_none(), "one call at a time");
        assert!(!yard.put(store, past, 3), "its end is known already");
        let (store, past) = yard.park.take(yard.at(4)).unwrap();
        assert!(!yard.put(store, past, 5));
        assert!(yard.park.take(yard.at(6)).is_none(), "it has served three");
        assert_eq!(yard.places.available_permits(), 2);
    }

    #[test]
    fn it_becomes_so_old() {
        let yard = Yard::new(100);
        yard.put("old", Past::new(yard.at(0)), 1);
        yard.put("young", Past::new(yard.at(30)), 31);
        assert_eq!(yard.places.available_permits(), 0);
        let (store, past) = yard.park.take(yard.at(59)).unwrap();
        assert_eq!(store, "young");
        yard.put(store, past, 60);
        yard.park.sweep(yard.at(60));
        assert_eq!(yard.places.available_permits(), 1, "the old one is gone, though nobody came for it");
        let (store, past) = yard.park.take(yard.at(89)).unwrap();
        assert_eq!(store, "young");
        assert!(!yard.put(store, past, 90));
        assert!(yard.park.take(yard.at(90)).is_none(), "it ran until it was too old");
    }

    #[test]
    fn nobody_reuses_what_serves_once() {
        let yard = Yard::new(1);
        assert!(!yard.put("a", Past::new(yard.at(0)), 0));
        assert_eq!(yard.places.available_permits(), 2);
    }
}
