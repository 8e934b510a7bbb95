//! Sampling of floods: of lines that come from the same place in the code, and name the same skill, only so many a second are
//! written.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use skillhost_core::Clock;
use tokio::sync::Notify;
use tracing::{
    Event, Metadata,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::LevelFilter,
    layer::{Context, Filter},
};

/// How often it is told what was left out.
const TELL: Duration = Duration::from_secs(10);

/// Lines of one place in the code that are written. 0 a second is no bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloodSettings {
    /// Lines a second, in the long run. Default 100.
    pub per_second: u32,
    /// Lines at once. Default 1,000.
    pub burst: u32,
}

impl Default for FloodSettings {
    fn default() -> Self {
        Self { per_second: 100, burst: 1_000 }
    }
}

/// The skill that a line names; none, or one too many, is the empty one.
type Skill = Box<str>;
/// Skills that have buckets of their own; the lines of further ones share one.
const SKILLS: usize = 10_000;

/// Finds the field that names a skill.
#[derive(Default)]
struct Named(Option<Skill>);

impl Visit for Named {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "skill" {
            self.0 = Some(value.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "skill" {
            self.0 = Some(format!("{value:?}").into());
        }
    }
}

/// A token bucket for each place and skill.
struct Bucket {
    tokens: f64,
    filled: Instant,
    left_out: u64,
    metadata: &'static Metadata<'static>,
}

/// What lines go through.
#[derive(Clone)]
pub(crate) struct Flood(Arc<State>);

struct State {
    settings: FloodSettings,
    clock: Arc<dyn Clock>,
    buckets: Mutex<HashMap<(Identifier, Skill), Bucket>>,
    left_out: AtomicU64,
    begun: Notify,
}

impl Flood {
    pub(crate) fn new(settings: FloodSettings, clock: Arc<dyn Clock>) -> Self {
        let (buckets, left_out, begun) = (Mutex::default(), AtomicU64::new(0), Notify::new());
        Self(Arc::new(State { settings, clock, buckets, left_out, begun }))
    }

    /// Lines that were left out so far.
    pub(crate) fn left_out(&self) -> u64 {
        self.0.left_out.load(Ordering::Relaxed)
    }

    fn admits(&self, metadata: &'static Metadata<'static>, skill: Skill, now: Instant) -> bool {
        let FloodSettings { per_second, burst } = self.0.settings;
        if per_second == 0 {
            return true;
        }
        let mut buckets = self.0.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = f64::from(burst.max(1));
        let key = (metadata.callsite(), skill);
        let known = buckets.len() < SKILLS || buckets.contains_key(&key);
        let key = if known { key } else { (key.0, Skill::default()) };
        let bucket =
            buckets.entry(key).or_insert_with(|| Bucket { tokens: full, filled: now, left_out: 0, metadata });
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = passed.mul_add(f64::from(per_second), bucket.tokens).min(full);
        bucket.filled = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        } else {
            bucket.left_out += 1;
            self.0.left_out.fetch_add(1, Ordering::Relaxed);
            self.0.begun.notify_one();
        }
        admitted
    }

    /// What was left out since this was asked last: where, and how often.
    fn take(&self) -> Vec<(&'static Metadata<'static>, Skill, u64)> {
        let mut buckets = self.0.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = buckets.iter_mut().filter(|(_, bucket)| bucket.left_out > 0);
        left_out
            .map(|((_, skill), bucket)| {
                (bucket.metadata, skill.clone(), std::mem::take(&mut bucket.left_out))
            })
            .collect()
    }

    /// Tell in the log what was left out of it.
    pub(crate) fn tell(&self) {
        for (metadata, skill, lines) in self.take() {
            let (from, line) = (metadata.target(), metadata.line());
            let of = (!skill.is_empty()).then_some(&*skill);
            tracing::warn!(lines, of, from, line, level = %metadata.level(), "log lines were left out: there were too many of them");
        }
    }

    /// Tell it now and then, for ever.
    pub(crate) async fn keep_telling(self) {
        loop {
            self.0.begun.notified().await;
            tokio::time::sleep(TELL).await;
            self.tell();
        }
    }
}

impl<S> Filter<S> for Flood {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    /// It has no say in levels. None would mean that every `trace!` of every library is looked at.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut named = Named::default();
        // Most name none: those are not looked at.
        if event.metadata().fields().field("skill").is_some() {
            event.record(&mut named);
        }
        self.admits(event.metadata(), named.0.unwrap_or_default(), self.0.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    struct Stopped(Instant);

    impl Clock for Stopped {
        fn now(&self) -> Instant {
            self.0
        }
        fn wall(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }
    }

    fn places() -> [&'static Metadata<'static>; 2] {
        // Its own each time: tests run at once.
        #[derive(Clone, Default)]
        struct Catch(Arc<Mutex<Vec<&'static Metadata<'static>>>>);
        impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Catch {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                self.0.lock().unwrap().push(event.metadata());
            }
        }
        use tracing_subscriber::layer::SubscriberExt as _;
        let caught = Catch::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(caught.clone()), || {
            tracing::info!("one place");
            tracing::info!("another");
        });
        let places = caught.0.lock().unwrap();
        [places[0], places[1]]
    }

    #[test]
    fn one_place_does_not_take_from_another_and_all_is_accounted_for() {
        let [one, other] = places();
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        let flood = Flood::new(FloodSettings { per_second: 10, burst: 3 }, Arc::new(Stopped(start)));
        let written = |place, n: u32, at: Duration| {
            (0..n).filter(|_| flood.admits(place, "".into(), start + at)).count()
        };
        assert_eq!(written(one, 8, Duration::ZERO), 3, "the burst");
        assert_eq!(written(other, 2, Duration::ZERO), 2, "has its own");
        assert_eq!(written(one, 8, Duration::from_millis(200)), 2, "ten a second");
        assert_eq!(written(one, 8, Duration::from_secs(60)), 3, "never more than the burst");
        assert_eq!(flood.left_out(), 16);
        assert!(
            flood.admits(one, "quiet".into(), start + Duration::from_secs(60)),
            "another skill has its own"
        );
        let told = flood.take();
        assert!(matches!(&told[..], [(place, _, 16)] if place.callsite() == one.callsite()));
        assert!(flood.take().is_empty(), "told once");
    }

    #[test]
    fn no_bound_is_none() {
        let [place, _] = places();
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let flood = Flood::new(FloodSettings { per_second: 0, burst: 0 }, Arc::new(Stopped(now)));
        assert!((0..10_000).all(|_| flood.admits(place, "".into(), now)));
    }
}
