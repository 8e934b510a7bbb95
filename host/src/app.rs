//! The composition root: settings -> engine -> directory -> dispatcher.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use skillhost_core::Clock;
use skillhost_engine::{Compiler, Engine, EngineSettings, OwnListeners};
use skillhost_keyvalue::Store;
use skillhost_pipeline::{Dispatcher, TokioClock};
use skillhost_skills::Directory;

use crate::config::Settings;

/// A running host. Transports are put on top of its dispatcher.
pub(crate) struct App {
    pub(crate) dispatcher: Arc<Dispatcher>,
    /// Where transports listen: no skill may reach it.
    pub(crate) listeners: OwnListeners,
    /// Watches as long as it lives.
    pub(crate) directory: Arc<Directory>,
}

impl App {
    /// Start everything below the transports. Answers at once: skills load in the background.
    pub(crate) fn start(settings: &Settings) -> anyhow::Result<Self> {
        let clock = clock();
        let listeners = OwnListeners::default();
        let engine = engine(settings, &listeners)?;
        let directory = Arc::new(Directory::open(settings.skills.clone(), engine, Arc::clone(&clock))?);
        let catalog = directory.catalog();
        for name in settings.skills.skills.keys().filter(|name| !catalog.borrow().skills.contains_key(*name))
        {
            tracing::warn!(skill = %name, "the configuration names a skill that is not in the skills folder");
        }
        let dispatcher = Dispatcher::new(catalog, clock, settings.pipeline.clone());
        Ok(Self { dispatcher, listeners, directory })
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock)
}

/// The engine alone, for commands that look at a file.
pub(crate) fn engine(settings: &Settings, listeners: &OwnListeners) -> anyhow::Result<Engine> {
    let engine = &settings.engine;
    // The program as it was started, even if its file was replaced since.
    let program = match std::fs::exists("/proc/self/exe") {
        Ok(true) => "/proc/self/exe".into(),
        _ => std::env::current_exe().context("cannot find the program's own file")?,
    };
    let settings = EngineSettings {
        instances: engine.instances,
        max_memory: engine.max_memory,
        threads: engine.threads,
        cache: settings.data.join("compiled"),
        cache_size: engine.cache_size,
        compiler: Compiler::Child {
            program,
            args: vec!["compile-one".into()],
            timeout: engine.compile_timeout,
            memory: engine.compile_memory,
        },
        listeners: listeners.clone(),
        keyvalue: Some(Arc::new(Store::new(settings.data.join("keyvalue.sqlite")))),
    };
    Ok(Engine::new(&settings, clock())?)
}

/// Run `work` on the runtime that serves I/O and keeps deadlines. Guests have their own.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 2).max(1))
        .thread_name("io")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(work);
    // A blocking read of stdin never ends by itself.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}
