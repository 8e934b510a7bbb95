//! Whether the host lives, is ready, and is well: for probes, for operators, for agents.

mod judge;
mod machine;
mod observe;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::Value;
use skillhost_core::{Catalog, Clock, SkillState};
use skillhost_engine::Engine;
use skillhost_journal::Figures;
use skillhost_pipeline::{Dispatcher, PolicyReport, Recovery, Wellness};
use skillhost_telemetry::Telemetry;
use tokio::{sync::watch, time::timeout};

use crate::config::HealthSettings;
use judge::{Part, Status};
use machine::Room;

/// How long an executor may take to turn once.
const TURN: Duration = Duration::from_secs(2);
/// How long the journal may take to answer.
const JOURNAL: Duration = Duration::from_secs(2);
/// How long it counts that the journal could be written. That it could not is looked at again each time.
const FRESH: Duration = Duration::from_secs(5);

/// What the host knows of itself.
pub(crate) struct Health {
    settings: HealthSettings,
    data: PathBuf,
    clock: Arc<dyn Clock>,
    started: Instant,
    dispatcher: Arc<Dispatcher>,
    recovery: Arc<Recovery>,
    catalog: watch::Receiver<Arc<Catalog>>,
    engine: Engine,
    pub(crate) telemetry: Arc<Telemetry>,
    draining: AtomicBool,
    written: Mutex<Option<Instant>>,
}

/// What [`Health`] looks at.
pub(crate) struct Watched {
    pub(crate) data: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) catalog: watch::Receiver<Arc<Catalog>>,
    pub(crate) engine: Engine,
    pub(crate) telemetry: Arc<Telemetry>,
}

/// Everything, part by part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) status: Status,
    /// Whether calls should be sent here.
    pub(crate) ready: bool,
    /// Why not.
    pub(crate) reasons: Vec<String>,
    pub(crate) version: &'static str,
    pub(crate) uptime_seconds: f64,
    pub(crate) calls_in_flight: usize,
    pub(crate) parts: BTreeMap<&'static str, Part>,
}

impl Wellness for Health {
    fn told(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Value> + Send>> {
        Box::pin(async move { serde_json::to_value(self.look().await).unwrap_or_default() })
    }
}

/// What was seen in one look.
struct Seen {
    policies: PolicyReport,
    catalog: Arc<Catalog>,
    figures: Option<Figures>,
    disk: Option<Room>,
    memory: Option<Room>,
    in_flight: usize,
    uptime: Duration,
}

impl Health {
    pub(crate) fn new(settings: HealthSettings, watched: Watched) -> Arc<Self> {
        let Watched { data, clock, dispatcher, recovery, catalog, engine, telemetry } = watched;
        Arc::new(Self {
            settings,
            data,
            started: clock.now(),
            clock,
            dispatcher,
            recovery,
            catalog,
            engine,
            telemetry,
            draining: AtomicBool::new(false),
            written: Mutex::new(None),
        })
    }

    /// Not ready from now on: the host ends.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether both executors turn; which one does not. Who asks needs a bound of his own: when no thread is left that could
    /// answer, nobody does.
    pub(crate) async fn alive(&self) -> Result<(), &'static str> {
        let io = async {
            // It does nothing that panics.
            let _ = tokio::spawn(async {}).await;
        };
        let (io, guests) = tokio::join!(timeout(TURN, io), timeout(TURN, self.engine.turn()));
        match (io, guests) {
            (Err(_), _) => Err("the threads that serve clients do not turn"),
            (_, Err(_)) => Err("the threads that run skills do not turn"),
            _ => Ok(()),
        }
    }

    /// Why no calls should be sent here; nothing when they should.
    pub(crate) async fn unready(&self) -> Vec<String> {
        let (disk, memory) = self.rooms().await;
        let parts =
            [("journal", self.journal().await), ("disk", self.disk(disk)), ("memory", self.memory(memory))];
        self.reasons(parts.iter().map(|(name, part)| (*name, part)))
    }

    fn reasons<'a>(&self, parts: impl Iterator<Item = (&'static str, &'a Part)>) -> Vec<String> {
        let mut reasons = vec![];
        if self.draining.load(Ordering::Acquire) {
            reasons.push("draining: the host is stopping".to_owned());
        }
        if !self.catalog.borrow().settled {
            reasons.push("starting: skills are being loaded".to_owned());
        }
        let critical = parts.filter(|(_, part)| part.status == Status::Critical);
        reasons.extend(
            critical.map(|(name, part)| format!("{name}: {}", part.message.as_deref().unwrap_or("critical"))),
        );
        reasons
    }

    async fn journal(&self) -> Part {
        let now = self.clock.now();
        let written = *self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_some_and(|at| now.saturating_duration_since(at) < FRESH) {
            return judge::journal(Ok(()), JOURNAL);
        }
        let check = match timeout(JOURNAL, self.recovery.check()).await {
            Ok(Ok(())) => Ok(()),
            // The whole reason names files: it is for the log.
            Ok(Err(error)) => {
                tracing::warn!(%error, "health: the journal cannot be written");
                Err("it cannot be written; the log says why".to_owned())
            }
            Err(_) => Err(format!("it does not answer within {} s", JOURNAL.as_secs())),
        };
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = check.is_ok().then_some(now);
        judge::journal(check, JOURNAL)
    }

    /// What disk and memory have left. Beside the threads that serve: a disk behind a network may not answer.
    async fn rooms(&self) -> (Option<Room>, Option<Room>) {
        let data = self.data.clone();
        let look = tokio::task::spawn_blocking(move || (machine::disk(&data), machine::memory()));
        timeout(TURN, look).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    fn disk(&self, room: Option<Room>) -> Part {
        judge::room("the data folder's disk", room, &self.settings.disk, [50, 10])
    }

    fn memory(&self, room: Option<Room>) -> Part {
        judge::room("memory", room, &self.settings.memory, [10, 5])
    }

    /// Look at everything, and publish what is measured of it.
    pub(crate) async fn look(&self) -> Report {
        let figures = timeout(JOURNAL, self.recovery.figures()).await.ok().and_then(Result::ok);
        let (disk, memory) = self.rooms().await;
        let seen = Seen {
            policies: self.dispatcher.report(),
            catalog: Arc::clone(&self.catalog.borrow()),
            figures,
            disk,
            memory,
            in_flight: self.dispatcher.in_flight(),
            uptime: self.clock.now().saturating_duration_since(self.started),
        };
        let failed: Vec<String> = seen
            .catalog
            .skills
            .values()
            .filter(|skill| matches!(skill.state, SkillState::Failed(_)))
            .map(|skill| skill.name.to_string())
            .collect();
        let ready =
            seen.catalog.skills.values().filter(|skill| matches!(skill.state, SkillState::Ready)).count();
        let mut parts = BTreeMap::from([
            ("journal", self.journal().await),
            ("disk", self.disk(seen.disk)),
            ("memory", self.memory(seen.memory)),
            ("skills", judge::skills(&failed, ready)),
            ("breakers", judge::breakers(&seen.policies)),
            ("rate-limits", judge::rate_limits(&seen.policies)),
            ("cache", judge::cache(&seen.policies.cache)),
        ]);
        if let Some(figures) = &seen.figures {
            let (parked, stuck) = observe::waiting(figures);
            parts.insert("dead-letters", judge::dead_letters(parked, figures.open, figures.capacity));
            parts.insert("sagas", judge::sagas(stuck));
        }
        let reasons = self.reasons(parts.iter().map(|(name, part)| (*name, part)));
        let report = Report {
            status: parts.values().map(|part| part.status).max().unwrap_or_default(),
            ready: reasons.is_empty(),
            reasons,
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: seen.uptime.as_secs_f64(),
            calls_in_flight: seen.in_flight,
            parts,
        };
        if self.telemetry.metrics.is_on() {
            let now = self.clock.wall().into();
            self.telemetry.metrics.publish(observe::samples(&seen, &report, self.telemetry.left_out(), now));
        }
        report
    }

    /// Everything that is measured, in the text format of Prometheus.
    pub(crate) async fn metrics(&self) -> Result<String, skillhost_telemetry::TelemetryError> {
        self.look().await;
        self.telemetry.metrics.text()
    }

    /// Publish what is looked up at this interval, for a collector to which metrics are sent. For ever.
    pub(crate) async fn keep_publishing(self: Arc<Self>, interval: Duration) {
        loop {
            self.look().await;
            tokio::time::sleep(interval).await;
        }
    }
}
