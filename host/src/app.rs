//! The composition root: settings -> engine and journal -> directory -> dispatcher.

use std::{fs, os::unix::fs::DirBuilderExt as _, sync::Arc, time::Duration};

use anyhow::Context as _;
use skillhost_core::{Clock, Digest, Entry, FoundVersion, KeyValue, OwnTool, SkillName, Versions};
use skillhost_engine::{Compiler, Engine, EngineSettings, OwnListeners, Upstream};
use skillhost_journal::{Observer, Phase, Sealer, Sqlite, SqliteSettings};
use skillhost_keyvalue::Store;
use skillhost_pipeline::{
    Dispatcher, Letters, Recovery, RecoverySettings, Sagas, Tasks, TokioClock, Wellness, built_in,
};
use skillhost_skills::{Directory, SkillsSettings};
use skillhost_telemetry::{Metric, Metrics, Telemetry};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Settings, ShutdownSettings},
    health::{Health, Watched},
    shutdown::Shutdown,
    transport::{self, Sources},
};

/// A running host. Transports are put on top of its dispatcher.
pub(crate) struct App {
    pub(crate) dispatcher: Arc<Dispatcher>,
    /// Where transports listen: no skill may reach it.
    pub(crate) listeners: OwnListeners,
    /// Watches as long as it lives.
    pub(crate) directory: Arc<Directory>,
    pub(crate) health: Arc<Health>,
    /// For planted faults.
    #[cfg(debug_assertions)]
    pub(crate) engine: Engine,
    recovery: Arc<Recovery>,
    clock: Arc<dyn Clock>,
    settings: ShutdownSettings,
    interval: Option<Duration>,
}

/// What stands in for the world around skills that are tried out. By default nothing does.
#[derive(Default)]
pub(crate) struct StandIns {
    /// For the tools of other skills.
    pub(crate) tools: Vec<OwnTool>,
    /// For the network.
    pub(crate) upstream: Option<Arc<dyn Upstream>>,
}

/// Versions of skills, and what stands in for other skills.
struct Among {
    others: Vec<Entry>,
    skills: Arc<dyn Versions>,
}

impl Versions for Among {
    fn version(&self, skill: &SkillName, digest: Digest) -> FoundVersion {
        match self.others.iter().find(|entry| entry.skill == *skill && entry.digest == digest) {
            Some(entry) => Box::pin(std::future::ready(Ok(Arc::clone(&entry.invoke)))),
            None => self.skills.version(skill, digest),
        }
    }

    fn keep_only(&self, needed: &[Digest]) {
        self.skills.keep_only(needed);
    }
}

/// When the journal is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// At start: a host that cannot keep its word does not begin.
    Now,
    /// With the first call that needs it.
    WithFirstUse,
}

impl App {
    /// Start everything below the transports. Answers at once: skills load in the background.
    pub(crate) async fn start(
        settings: &Settings,
        telemetry: Arc<Telemetry>,
        open: Open,
    ) -> anyhow::Result<Self> {
        Self::start_among(settings, telemetry, open, StandIns::default()).await
    }

    /// The same, with what stands in for the world around it.
    pub(crate) async fn start_among(
        settings: &Settings,
        telemetry: Arc<Telemetry>,
        open: Open,
        stand_ins: StandIns,
    ) -> anyhow::Result<Self> {
        let clock = clock();
        let listeners = OwnListeners::default();
        let keyvalue: Arc<dyn KeyValue> = Arc::new(Store::new(settings.data.join("keyvalue.sqlite")));
        let surroundings = (Arc::clone(&keyvalue), stand_ins.upstream);
        let engine = engine_with(settings, &listeners, surroundings, &telemetry.metrics)?;
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        let recovery = recovery(settings, open, &telemetry.metrics).await?;
        let mut builtin = built_in(&recovery, settings.offered);
        let others: Vec<_> = stand_ins.tools.iter().map(|own| own.entry.clone()).collect();
        builtin.extend(stand_ins.tools);
        let skills = SkillsSettings { metrics: telemetry.metrics.clone(), ..settings.skills.clone() };
        let directory = Arc::new(Directory::open(skills, engine.clone(), Arc::clone(&clock), builtin)?);
        recovery.use_versions(match others.is_empty() {
            true => directory.versions(),
            false => Arc::new(Among { others, skills: directory.versions() }),
        });
        recovery.use_keyvalue(keyvalue);
        let catalog = directory.catalog();
        for name in settings.skills.skills.keys().filter(|name| !catalog.borrow().skills.contains_key(*name))
        {
            tracing::warn!(skill = %name, "the configuration names a skill that is not in the skills folder");
        }
        let pipeline = skillhost_pipeline::Settings {
            metrics: telemetry.metrics.clone(),
            sample: telemetry.sample,
            ..settings.pipeline.clone()
        };
        let dispatcher =
            Dispatcher::new(catalog.clone(), Arc::clone(&clock), pipeline, Some(Arc::clone(&recovery)));
        let watched = Watched {
            data: settings.data.clone(),
            clock: Arc::clone(&clock),
            dispatcher: Arc::clone(&dispatcher),
            recovery: Arc::clone(&recovery),
            catalog,
            engine: engine.clone(),
            telemetry,
        };
        let health = Health::new(settings.health, watched);
        let wellness: Arc<dyn Wellness> = health.clone();
        recovery.use_wellness(Arc::downgrade(&wellness));
        let interval = settings.telemetry.otlp.as_ref().map(|otlp| otlp.interval);
        let shutdown = settings.shutdown;
        Ok(Self {
            dispatcher,
            listeners,
            directory,
            health,
            #[cfg(debug_assertions)]
            engine,
            recovery,
            clock,
            settings: shutdown,
            interval,
        })
    }

    /// Do what goes on beside calls: run dead letters that are due until `stop`, and tell of the host.
    pub(crate) fn work(&self, stop: CancellationToken) {
        let dispatcher = Arc::downgrade(&self.dispatcher);
        tokio::spawn(Arc::clone(&self.recovery).work(dispatcher, stop));
        tokio::spawn(self.health.telemetry.tell_of_floods());
        #[cfg(debug_assertions)]
        crate::fault::plant(self);
        if let Some(interval) = self.interval {
            tokio::spawn(Arc::clone(&self.health).keep_publishing(interval));
        }
    }

    /// The end of this host.
    pub(crate) fn shutdown(&self) -> Shutdown {
        Shutdown::new(self.settings, Arc::clone(&self.clock))
    }

    /// Close what is below the transports, once no call is in flight.
    pub(crate) async fn close(&self, shutdown: &mut Shutdown) {
        let recovery = &self.recovery;
        shutdown.close("journal", async { recovery.flush().await.map_err(|error| error.to_string()) }).await;
        let telemetry = Arc::clone(&self.health.telemetry);
        shutdown.close_blocking("telemetry", move |patience| telemetry.shut_down(patience)).await;
    }

    /// What clients are told of when it changes.
    pub(crate) fn sources(&self) -> Sources {
        Sources { catalog: self.directory.catalog(), updates: self.directory.updates() }
    }

    /// Calls that run as tasks.
    pub(crate) fn tasks(&self) -> Tasks {
        Tasks::new(Arc::clone(&self.recovery), Arc::clone(&self.dispatcher), transport::ended)
    }

    /// Sagas, for those who look after them.
    pub(crate) fn sagas(&self) -> Sagas {
        Sagas::new(Arc::clone(&self.recovery))
    }

    /// What keeps calls.
    pub(crate) fn keeper(&self) -> Arc<Recovery> {
        Arc::clone(&self.recovery)
    }

    /// Dead letters, for those who look after them.
    pub(crate) fn letters(&self) -> Letters {
        Letters::new(Arc::clone(&self.recovery), Some(Arc::clone(&self.dispatcher)))
    }
}

/// What keeps calls in this data folder.
pub(crate) async fn recovery(
    settings: &Settings,
    open: Open,
    metrics: &Metrics,
) -> anyhow::Result<Arc<Recovery>> {
    let Settings { data, playbooks, journal: settings, .. } = settings;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("the data folder {} cannot be made", data.display()))?;
    let sqlite = SqliteSettings {
        bounds: settings.bounds,
        max_size: settings.max_size,
        observer: metrics.is_on().then(|| observer(metrics.clone())),
        ..SqliteSettings::new(data.join("journal.sqlite"), data.join("run"))
    };
    let journal = match open {
        Open::Now => Sqlite::open(sqlite, clock()).await?,
        Open::WithFirstUse => Sqlite::lazy(sqlite, clock()),
    };
    let settings = RecoverySettings {
        key_ttl: settings.key_ttl,
        key_wait: settings.key_wait,
        park_unknown: settings.park_unknown,
        concurrency: settings.concurrency,
        keep: settings.keep,
        archive_after: settings.archive_after,
        undo_patience: settings.undo_patience,
        answer_within: settings.answer_within,
        tasks: settings.tasks,
        sagas: settings.sagas.clone(),
        metrics: metrics.clone(),
        ..RecoverySettings::new(data.join("archive"))
    };
    let recovery = Recovery::new(Arc::new(journal), Sealer::new(data.join("journal.key")), clock(), settings);
    recovery.use_playbooks(Arc::clone(playbooks));
    Ok(recovery)
}

/// Measures the journal's commits. It is told of them on the one thread that writes.
fn observer(metrics: Metrics) -> Observer {
    let (clock, began) = (clock(), std::sync::Mutex::new(None));
    Arc::new(move |phase| {
        let mut began = began.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match phase {
            Phase::Before(_) => *began = Some(clock.now()),
            Phase::After(operations) => {
                if let Some(began) = began.take() {
                    let took = clock.now().saturating_duration_since(began);
                    metrics.note(Metric::JournalCommit, took.as_secs_f64());
                }
                #[expect(clippy::cast_precision_loss, reason = "at most some hundred")]
                metrics.note(Metric::JournalBatch, operations as f64);
            }
            Phase::Failed(operations) => {
                for _ in 0..operations {
                    metrics.count(Metric::JournalErrors, []);
                }
            }
        }
    })
}

/// The time that everything goes by.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock)
}

/// The engine alone, for commands that look at a file.
pub(crate) fn engine(settings: &Settings, listeners: &OwnListeners) -> anyhow::Result<Engine> {
    let keyvalue = Arc::new(Store::new(settings.data.join("keyvalue.sqlite")));
    engine_with(settings, listeners, (keyvalue, None), &Metrics::default())
}

fn engine_with(
    settings: &Settings,
    listeners: &OwnListeners,
    (keyvalue, upstream): (Arc<dyn KeyValue>, Option<Arc<dyn Upstream>>),
    metrics: &Metrics,
) -> anyhow::Result<Engine> {
    let engine = &settings.engine;
    // The program as it was started, even if its file was replaced since.
    let program = match std::fs::exists("/proc/self/exe") {
        Ok(true) => "/proc/self/exe".into(),
        _ => std::env::current_exe().context("cannot find the program's own file")?,
    };
    let settings = EngineSettings {
        instances: engine.instances,
        pooled: true,
        max_memory: engine.max_memory,
        threads: engine.threads,
        cache: engine.cache.clone(),
        cache_size: engine.cache_size,
        compiler: Compiler::Child {
            program,
            args: vec!["compile-one".into()],
            timeout: engine.compile_timeout,
            memory: engine.compile_memory,
        },
        listeners: listeners.clone(),
        upstream,
        keyvalue: Some(keyvalue),
        metrics: metrics.clone(),
    };
    Ok(Engine::new(&settings, clock())?)
}

/// Run `work` on the runtime that serves I/O and keeps deadlines. Guests have their own.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("io")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(work);
    // The journal is closed meanwhile, on a busy disk, too; only a blocking read of stdin never ends by itself.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}
