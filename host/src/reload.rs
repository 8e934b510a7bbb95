//! Takes over changes of the configuration file while the host runs, as far as that is safe: what is said of skills, limits
//! and playbooks.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use notify::{RecursiveMode, Watcher as _};
use skillhost_pipeline::{Dispatcher, Recovery};
use skillhost_skills::Directory;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Duration, timeout},
};

use crate::config::{ConfigError, Raw};

/// Editors write a file in several steps: it is read when it was left alone for this long.
const QUIET: Duration = Duration::from_millis(200);

/// Those that go by the configuration.
type Told = (Arc<Directory>, Arc<Dispatcher>, Arc<Recovery>);

/// Watches the configuration file. Dropping it stops that.
pub(crate) struct Reload {
    task: JoinHandle<()>,
    _watcher: notify::RecommendedWatcher,
}

impl Reload {
    /// Watch the file `current` was read from, and tell those in `told` of changes. None when there is no file.
    pub(crate) fn start(
        current: Raw,
        read: impl Fn() -> Result<Raw, ConfigError> + Send + 'static,
        told: Told,
    ) -> anyhow::Result<Option<Self>> {
        let Some(path) = current.source.as_ref().and_then(|source| source.path()) else { return Ok(None) };
        let path = std::path::absolute(path)?;
        let (tell, changes) = mpsc::unbounded_channel();
        let again = tell.clone();
        let name = path.file_name().map(ToOwned::to_owned);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let ours = |paths: &[PathBuf]| {
                paths.is_empty() || paths.iter().any(|path| path.file_name() == name.as_deref())
            };
            if event.is_ok_and(|event| !event.kind.is_access() && ours(&event.paths)) {
                // The task ends only with the watcher.
                let _ = tell.send(());
            }
        })?;
        // The folder, not the file: editors put a new file in its place.
        let folder = path.parent().context("a file has a folder")?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        // It may have changed since it was read.
        let _ = again.send(());
        let task = tokio::spawn(follow(current, read, told, changes));
        Ok(Some(Self { task, _watcher: watcher }))
    }
}

impl Drop for Reload {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    mut current: Raw,
    read: impl Fn() -> Result<Raw, ConfigError>,
    (directory, dispatcher, recovery): Told,
    mut changes: mpsc::UnboundedReceiver<()>,
) {
    while changes.recv().await.is_some() {
        while let Ok(Some(())) = timeout(QUIET, changes.recv()).await {}
        let next = match read() {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "the configuration has changed and is not sound; what counted before goes on");
                continue;
            }
        };
        if next.says_the_same_as(&current) {
            continue;
        }
        let settings = match next.clone().check() {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!(%error, "the configuration has changed and is not sound; what counted before goes on");
                continue;
            }
        };
        for (section, changed) in [
            ("server", next.server != current.server),
            ("engine", next.engine != current.engine),
            ("log", next.log != current.log),
            ("telemetry", next.telemetry != current.telemetry),
            ("health", next.health != current.health),
            ("shutdown", next.shutdown != current.shutdown),
            ("journal", next.journal != current.journal),
            ("dead_letters", next.dead_letters != current.dead_letters),
            ("sagas", next.sagas != current.sagas),
            ("tasks", next.tasks != current.tasks),
            ("tools", next.tools != current.tools),
            ("auth", next.auth != current.auth),
            ("admin", next.admin != current.admin),
            ("limits.cache_size", next.limits.cache_size != current.limits.cache_size),
        ] {
            if changed {
                tracing::warn!(
                    section,
                    "this section of the configuration has changed; restart the host to take it over"
                );
            }
        }
        tracing::info!(
            "the configuration has changed; what it says of skills, limits and playbooks counts now"
        );
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        dispatcher.reconfigure(Arc::clone(&settings.pipeline.policies));
        directory.reconfigure(settings.skills);
        if next.playbooks != current.playbooks {
            recovery.use_playbooks(settings.playbooks);
        }
        current = next;
    }
}
