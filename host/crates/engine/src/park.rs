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

/// How many of them may be of one sandbox.
const MOST: usize = 8;

/// Those of one sandbox, the one that served last on top.
pub(crate) struct Park<S = Store<State>> {
    yard: Mutex<Yard<S>>,
    calls: u32,
    age: Duration,
}

struct Yard<S> {
    waiting: Vec<Waiting<S>>,
    /// Somebody comes by when the first becomes too old.
    watched: bool,
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
        Self { yard: Mutex::new(Yard { waiting: vec![], watched: false }), calls, age }
    }

    /// One that waits, if there is any.
    pub(crate) fn take(&self, now: Instant) -> Option<(S, Past)> {
        let mut yard = self.yard();
        let _old = self.old(&mut yard, now);
        let last = yard.waiting.pop();
        // Stores are dropped when nobody waits for the lock: that takes a while.
        drop(yard);
        last.map(|Waiting { store, past, .. }| (store, past))
    }

    /// Let an instance wait that has served a call, or drop it when it has served enough. Tells when somebody must come by, where
    /// nobody does yet.
    pub(crate) fn put(
        &self,
        store: S,
        past: Past,
        now: Instant,
        place: OwnedSemaphorePermit,
    ) -> Option<Instant> {
        let past = Past { calls: past.calls + 1, ..past };
        let mut yard = self.yard();
        if past.calls >= self.calls || self.is_old(past, now) || yard.waiting.len() >= MOST {
            drop(yard);
            return None;
        }
        yard.waiting.push(Waiting { store, past, _place: place });
        let watched = std::mem::replace(&mut yard.watched, true);
        (!watched).then_some(past.born + self.age)
    }

    /// Drop those that are too old. Tells when to come by again; none when nobody waits.
    pub(crate) fn swept(&self, now: Instant) -> Option<Instant> {
        let mut yard = self.yard();
        let _old = self.old(&mut yard, now);
        let next = yard.waiting.iter().map(|waiting| waiting.past.born + self.age).min();
        yard.watched = next.is_some();
        drop(yard);
        next
    }

    fn old(&self, yard: &mut Yard<S>, now: Instant) -> Vec<Waiting<S>> {
        yard.waiting.extract_if(.., |waiting| self.is_old(waiting.past, now)).collect()
    }

    fn is_old(&self, past: Past, now: Instant) -> bool {
        now.saturating_duration_since(past.born) >= self.age
    }

    fn yard(&self) -> MutexGuard<'_, Yard<S>> {
        self.yard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A park, where a call may have an instance of it.
pub(crate) type MayPark = Option<Arc<Park>>;

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    const AGE: Duration = Duration::from_secs(60);

    struct Tried {
        park: Park<&'static str>,
        places: Arc<Semaphore>,
        start: Instant,
    }

    impl Tried {
        fn new(calls: u32) -> Self {
            let start = Instant::from(tokio::time::Instant::now());
            Self { park: Park::new(calls, AGE), places: Arc::new(Semaphore::new(100)), start }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn put(&self, store: &'static str, past: Past, seconds: u64) -> Option<Instant> {
            let place = Arc::clone(&self.places).try_acquire_owned().unwrap();
            self.park.put(store, past, self.at(seconds), place)
        }

        fn waiting(&self) -> usize {
            100 - self.places.available_permits()
        }
    }

    #[test]
    fn it_serves_so_many_calls() {
        let tried = Tried::new(3);
        let watch = tried.put("a", Past::new(tried.at(0)), 1);
        assert_eq!(watch, Some(tried.at(60)), "the first is watched");
        let (store, past) = tried.park.take(tried.at(2)).unwrap();
        assert!(tried.park.take(tried.at(2)).is_none(), "one call at a time");
        assert_eq!(tried.put(store, past, 3), None, "somebody watches already");
        let (store, past) = tried.park.take(tried.at(4)).unwrap();
        tried.put(store, past, 5);
        assert!(tried.park.take(tried.at(6)).is_none(), "it has served three");
        assert_eq!(tried.waiting(), 0);
    }

    #[test]
    fn it_becomes_so_old() {
        let tried = Tried::new(100);
        assert!(tried.put("old", Past::new(tried.at(0)), 1).is_some());
        tried.put("young", Past::new(tried.at(30)), 31);
        let (store, past) = tried.park.take(tried.at(59)).unwrap();
        assert_eq!(store, "young", "the last one serves again");
        tried.put(store, past, 59);
        assert_eq!(tried.park.swept(tried.at(60)), Some(tried.at(90)));
        assert_eq!(tried.waiting(), 1, "the old one is gone, though nobody came for it");
        let (store, past) = tried.park.take(tried.at(89)).unwrap();
        assert_eq!(tried.put(store, past, 90), None, "it ran until it was too old");
        assert_eq!(tried.park.swept(tried.at(90)), None);
        assert_eq!(tried.waiting(), 0);
        assert!(tried.put("new", Past::new(tried.at(91)), 92).is_some(), "watched anew");
        assert!(tried.park.take(tried.at(151)).is_none(), "nobody gets one that is too old");
    }

    #[test]
    fn only_so_many_wait() {
        let tried = Tried::new(2);
        for _ in 0..2 * MOST {
            tried.put("a", Past::new(tried.at(0)), 0);
        }
        assert_eq!(tried.waiting(), MOST);
    }

    #[test]
    fn nobody_reuses_what_serves_once() {
        let tried = Tried::new(1);
        assert_eq!(tried.put("a", Past::new(tried.at(0)), 0), None);
        assert_eq!(tried.waiting(), 0);
    }
}
