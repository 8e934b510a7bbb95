//! The result cache, and single flight: of equal calls at one time only the first runs.

use std::{
    collections::HashMap,
    future::Future,
    hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use skillhost_core::{Caller, ClientFeatures, Clock, Failure, FailureKind, Reply};
use skillhost_policy::{keeps, weight};

/// What a result depends on. Compared whole: there are no collisions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Parts {
    pub(crate) tool: Arc<str>,
    /// The load of the skill: no two skills have the same, and another load has other code or other grants.
    pub(crate) loaded: u64,
    /// How often the skill's world has changed.
    pub(crate) generation: u64,
    /// None when callers share results.
    pub(crate) caller: Option<Caller>,
    pub(crate) client: ClientFeatures,
    pub(crate) meta: Option<Arc<str>>,
    /// Canonical JSON; none when there were none.
    pub(crate) arguments: Option<String>,
}

/// The same with its hash, which is asked for a dozen times in the life of a result.
#[derive(Debug)]
struct Key {
    hash: u64,
    parts: Parts,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.parts == other.parts
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes a key's own hash for what it is.
#[derive(Clone, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys write one number. Whatever else may come counts too.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 ^= hash;
    }
}

type ByHash = BuildHasherDefault<Hashed>;

#[derive(Clone)]
struct Kept {
    reply: Arc<Reply>,
    at: Instant,
}

/// Results by what they depend on. Bounded by bytes; the least recently used go first.
pub(crate) struct ResultCache {
    kept: moka::sync::Cache<Arc<Key>, Kept, ByHash>,
    flights: Mutex<HashMap<Arc<Key>, Arc<Flight>, ByHash>>,
    /// Seeded at random, so that nobody can choose arguments that collide.
    hasher: RandomState,
    hits: AtomicU64,
    misses: AtomicU64,
    /// Results put in, but for those in the place of an old one for the same call.
    kept_so_far: AtomicU64,
    invalidations: AtomicU64,
}

/// One call that others wait for. Who holds the lock leads; the queue for it is fair, so that when a leader is cancelled
/// the one who waited longest takes over.
#[derive(Default)]
struct Flight {
    result: tokio::sync::Mutex<Option<Result<Arc<Reply>, Failure>>>,
}

/// A result, and how old it is when it was kept.
pub(crate) struct Found {
    pub(crate) reply: Reply,
    pub(crate) age: Option<Duration>,
}

/// What the cache did so far.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CacheStats {
    /// Calls answered from it, those that waited for an equal one included.
    pub hits: u64,
    /// Calls that ran.
    pub misses: u64,
    /// Results that made room for others.
    pub evictions: u64,
    /// Times a skill's results became worthless together.
    pub invalidations: u64,
    /// Hits of all, 0 to 1.
    pub hit_rate: f64,
    /// Results that are kept, about.
    pub entries: u64,
    /// What they take, in bytes, about.
    pub bytes: u64,
}

impl ResultCache {
    pub(crate) fn new(bytes: u64) -> Self {
        let kept = moka::sync::Cache::builder()
            .max_capacity(bytes)
            .weigher(|key: &Arc<Key>, kept: &Kept| {
                let key = size_of::<Key>() + key.parts.arguments.as_ref().map_or(0, String::len);
                u32::try_from(key + weight(&kept.reply)).unwrap_or(u32::MAX)
            })
            // Not by frequency: what was just asked for is what will be asked for again.
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .build_with_hasher(ByHash::default());
        Self {
            kept,
            flights: Mutex::default(),
            hasher: RandomState::new(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            kept_so_far: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
        }
    }

    /// The result for `key`, not older than `ttl`: kept, or of an equal call that runs, or of `call`. An equal call is
    /// waited for until `impatient` has a reason not to.
    pub(crate) async fn get_or(
        &self,
        parts: Parts,
        ttl: Duration,
        clock: &dyn Clock,
        impatient: impl Future<Output = Failure>,
        call: impl Future<Output = Result<Reply, Failure>>,
    ) -> Result<Found, Failure> {
        let key = Arc::new(Key { hash: self.hasher.hash_one(&parts), parts });
        if let Some(found) = self.fresh(&key, ttl, clock) {
            return Ok(found);
        }
        let boarded = self.board(&key);
        let mut result = tokio::select! {
            biased;
            result = boarded.flight.result.lock() => result,
            reason = impatient => return Err(reason),
        };
        match &*result {
            Some(Ok(reply)) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                return Ok(Found { reply: (**reply).clone(), age: Some(Duration::ZERO) });
            }
            Some(Err(failure)) => return Err(failure.clone()),
            // The leader is gone without a result for all, or there was none. Or one landed before we came.
            None => {
                if let Some(found) = self.fresh(&key, ttl, clock) {
                    return Ok(found);
                }
            }
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let outcome = call.await.map(Arc::new);
        match &outcome {
            Ok(reply) if keeps(reply) => {
                if !self.kept.contains_key(&key) {
                    self.kept_so_far.fetch_add(1, Ordering::Relaxed);
                }
                self.kept.insert(Arc::clone(&key), Kept { reply: Arc::clone(reply), at: clock.now() });
            }
            Ok(_) => {}
            // What befell the leader alone says nothing of the others: the next one leads.
            Err(failure) if !shared(failure.kind) => return Err(failure.clone()),
            Err(_) => {}
        }
        *result = Some(outcome.clone());
        // Whoever comes from now on is on another flight: this result is for those who waited.
        boarded.land();
        drop(result);
        drop(boarded);
        outcome.map(|reply| Found { reply: Arc::unwrap_or_clone(reply), age: None })
    }

    fn fresh(&self, key: &Arc<Key>, ttl: Duration, clock: &dyn Clock) -> Option<Found> {
        let kept = self.kept.get(key)?;
        let age = clock.now().saturating_duration_since(kept.at);
        if age >= ttl {
            return None;
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(Found { reply: (*kept.reply).clone(), age: Some(age) })
    }

    fn board(&self, key: &Arc<Key>) -> Boarded<'_> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let flight = Arc::clone(flights.entry(Arc::clone(key)).or_default());
        Boarded { cache: self, key: Arc::clone(key), flight }
    }

    /// A skill's world has changed, and with it the generation in its keys.
    pub(crate) fn invalidated(&self) {
        self.invalidations.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (hits, misses) = (get(&self.hits), get(&self.misses));
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let hit_rate = hits as f64 / (hits + misses).max(1) as f64;
        CacheStats {
            hits,
            misses,
            evictions: get(&self.kept_so_far).saturating_sub(self.kept.entry_count()),
            invalidations: get(&self.invalidations),
            hit_rate,
            entries: self.kept.entry_count(),
            bytes: self.kept.weighted_size(),
        }
    }
}

/// One of those on a flight. The last one to leave takes it off the board.
struct Boarded<'a> {
    cache: &'a ResultCache,
    key: Arc<Key>,
    flight: Arc<Flight>,
}

impl Boarded<'_> {
    /// Take the flight off the board, if it is still the one there.
    fn land(&self) {
        let mut flights = self.cache.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(&self.key);
        }
    }
}

impl Drop for Boarded<'_> {
    fn drop(&mut self) {
        let mut flights = self.cache.flights.lock().unwrap_or_else(PoisonError::into_inner);
        // The board's own, and ours: nobody else can come while the board is locked.
        if Arc::strong_count(&self.flight) == 2 {
            flights.remove_entry(&self.key);
        }
    }
}

/// Whether a failure of the one who ran is one of all who waited.
fn shared(kind: FailureKind) -> bool {
    !matches!(
        kind,
        FailureKind::Cancelled
            | FailureKind::Timeout
            | FailureKind::RateLimited
            | FailureKind::Overloaded
            | FailureKind::ShuttingDown
            | FailureKind::Internal
    )
}
