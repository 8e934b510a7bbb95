//! The task that keeps the catalog true to the folder.

mod announced;
mod loaded;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use announced::Relisted;
use skillhost_core::{Catalog, Clock, Kind, OwnTool, SkillName, SkillState, Versions};
use skillhost_engine::{Engine, LOADING, LoadStage, Notice};
use tokio::{
    sync::{Semaphore, broadcast, mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use crate::{
    SkillsSettings,
    listing::{self, AllOwners},
    load::{Unloaded, load},
    scan::{Found, Identity, Scan, scan},
    slot::{Slot, Version},
    versions::AllVersions,
    watch::{Change, Watch},
};

/// Files that come together are looked at together.
const SOON: Duration = Duration::from_millis(20);
/// A file that is written but not closed is looked at after this long without a write.
const QUIET: Duration = Duration::from_millis(500);
/// While skills are being loaded the catalog is published at most this often.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);
/// Announced changes of resources that wait for a slow reader.
const UPDATES: usize = 1_024;

/// A watched folder. Dropping it stops watching; versions in use go on.
pub struct Directory {
    catalog: watch::Receiver<Arc<Catalog>>,
    settings: mpsc::UnboundedSender<SkillsSettings>,
    /// Those of today, for versions that do not serve.
    current: watch::Sender<Arc<SkillsSettings>>,
    engine: Engine,
    updates: broadcast::Sender<Arc<str>>,
    task: JoinHandle<()>,
}

/// Why the folder cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It is not there or cannot be read.
    #[error("the skills folder {} cannot be read: {error}. Create it, or name another with --skills", .dir.display())]
    Folder {
        /// Which.
        dir: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It cannot be watched.
    #[error("the skills folder {} cannot be watched: {error}", .dir.display())]
    Watch {
        /// Which.
        dir: PathBuf,
        /// Why.
        error: notify::Error,
    },
}

impl Directory {
    /// Watch the folder and load what is in it, in the background. `builtin` are the host's own tools.
    ///
    /// # Errors
    /// [`DirectoryError`] when the folder cannot be read or watched now. Later it may go and come back.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(
        settings: SkillsSettings,
        engine: Engine,
        clock: Arc<dyn Clock>,
        builtin: Vec<OwnTool>,
    ) -> Result<Self, DirectoryError> {
        let folder = |error| DirectoryError::Folder { dir: settings.dir.clone(), error };
        let dir = settings.dir.canonicalize().map_err(folder)?;
        // Watch before the first look, so that nothing falls between the two.
        let (mut watch, changes) =
            Watch::start(&dir).map_err(|error| DirectoryError::Watch { dir: settings.dir.clone(), error })?;
        let first = scan(&dir, settings.max_skills).map_err(folder)?;
        let (publish, catalog) = watch::channel(Arc::new(Catalog::default()));
        let (stages, stage_events) = mpsc::unbounded_channel();
        let updates = broadcast::Sender::new(UPDATES);
        let notices = engine.notices();
        let settings = SkillsSettings { dir, ..settings };
        let current = watch::Sender::new(Arc::new(settings.clone()));
        let mut keeper = Keeper {
            settings,
            engine: engine.clone(),
            clock,
            slots: BTreeMap::new(),
            refused: BTreeMap::new(),
            owners: AllOwners::default(),
            builtin,
            loads: JoinSet::new(),
            turns: Arc::new(Semaphore::new(LOADING as usize)),
            stages,
            writing: HashMap::new(),
            look_at: None,
            settled: false,
            to_relist: BTreeMap::new(),
            relist_at: None,
            relists: JoinSet::new(),
            announced: BTreeSet::new(),
            updates: updates.clone(),
            publish,
            to_tell: vec![],
            published_at: Instant::now(),
            publish_at: None,
        };
        // What changed in a folder before it was watched shows in the next look.
        keeper.look_at = watch.follow(&first.linked).then(|| Instant::now() + SOON);
        keeper.apply(first);
        keeper.publish();
        let (sender, new_settings) = mpsc::unbounded_channel();
        let task = tokio::spawn(keeper.run(watch, changes, stage_events, new_settings, notices));
        Ok(Self { catalog, settings: sender, current, engine, updates, task })
    }

    /// Go on with these settings. Skills whose own have changed are loaded again; one that cannot be loaded with
    /// the new ones serves no more, since the old ones do not count any longer. The folder itself stays.
    pub fn reconfigure(&self, settings: SkillsSettings) {
        self.current.send_replace(Arc::new(settings.clone()));
        // A task that is gone has nothing to load.
        let _ = self.settings.send(settings);
    }

    /// Finds every version there is, not only those that serve.
    #[must_use]
    pub fn versions(&self) -> Arc<dyn Versions> {
        Arc::new(AllVersions {
            engine: self.engine.clone(),
            catalog: self.catalog.clone(),
            settings: self.current.subscribe(),
            kept: self.current.borrow().kept.clone(),
        })
    }

    /// URIs of resources whose contents have changed, by their skills' own word. Who reads too slowly misses some.
    #[must_use]
    pub fn updates(&self) -> broadcast::Sender<Arc<str>> {
        self.updates.clone()
    }

    /// The catalog, now and in future.
    #[must_use]
    pub fn catalog(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.clone()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The answer of a load.
struct Answer {
    skill: SkillName,
    generation: u64,
    result: Result<Option<Version>, Unloaded>,
}

struct Keeper {
    settings: SkillsSettings,
    engine: Engine,
    clock: Arc<dyn Clock>,
    slots: BTreeMap<SkillName, Slot>,
    refused: BTreeMap<String, String>,
    owners: AllOwners,
    builtin: Vec<OwnTool>,
    loads: JoinSet<Answer>,
    turns: Arc<Semaphore>,
    stages: mpsc::UnboundedSender<(SkillName, u64, LoadStage)>,
    /// Files being written, with when they count as quiet.
    writing: HashMap<PathBuf, Instant>,
    look_at: Option<Instant>,
    settled: bool,
    /// Skills that say they offer something else now, and when they are asked.
    to_relist: BTreeMap<SkillName, BTreeSet<Kind>>,
    relist_at: Option<Instant>,
    relists: JoinSet<Relisted>,
    /// What clients are to be told of with the next catalog, also when nothing differs.
    announced: BTreeSet<Kind>,
    updates: broadcast::Sender<Arc<str>>,
    publish: watch::Sender<Arc<Catalog>>,
    /// Log lines that are true once what changed is published: who reads them may count on it.
    to_tell: Vec<Box<dyn FnOnce() + Send>>,
    published_at: Instant,
    /// When what changed since is to be published.
    publish_at: Option<Instant>,
}

impl Keeper {
    async fn run(
        mut self,
        mut watch: Watch,
        mut changes: mpsc::UnboundedReceiver<Change>,
        mut stages: mpsc::UnboundedReceiver<(SkillName, u64, LoadStage)>,
        mut settings: mpsc::UnboundedReceiver<SkillsSettings>,
        mut notices: Option<mpsc::Receiver<Notice>>,
    ) {
        loop {
            let changed = tokio::select! {
                Some(change) = changes.recv() => {
                    if change == Change::Folder {
                        watch.renew();
                    }
                    self.note(change);
                    false
                }
                () = sleep_until(self.look_at) => self.look(&mut watch).await,
                () = sleep_until(self.retry_at()) => {
                    self.retry();
                    false
                }
                Some(settings) = settings.recv() => self.reconfigure(settings),
                () = sleep_until(self.publish_at) => {
                    self.publish();
                    false
                }
                Some(notice) = next(&mut notices) => {
                    self.noticed(notice);
                    false
                }
                () = sleep_until(self.relist_at) => {
                    self.relist();
                    false
                }
                Some(relisted) = self.relists.join_next() => match relisted {
                    Ok(relisted) => self.relisted(relisted),
                    Err(error) => {
                        tracing::error!(%error, "listing what a skill offers panicked");
                        false
                    }
                },
                Some((skill, generation, stage)) = stages.recv() => self.stage(&skill, generation, stage),
                Some(answer) = self.loads.join_next() => match answer {
                    Ok(answer) => self.loaded(answer),
                    // Aborted because the file changed again or went away.
                    Err(error) if error.is_cancelled() => false,
                    Err(error) => {
                        tracing::error!(%error, "loading a skill panicked");
                        false
                    }
                },
            };
            if changed {
                self.changed();
            }
        }
    }

    /// Publish soon; at once when no more is to come.
    fn changed(&mut self) {
        if self.slots.values().all(Slot::settled) {
            self.publish();
        } else {
            self.publish_at.get_or_insert(self.published_at + PUBLISH_EVERY);
        }
    }

    fn retry_at(&self) -> Option<Instant> {
        self.slots.values().filter_map(|slot| slot.retry_at).min()
    }

    /// Load again what failed for reasons that may have passed.
    fn retry(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self
            .slots
            .iter_mut()
            .filter(|(_, slot)| slot.retry_at.is_some_and(|at| at <= now))
            .filter_map(|(name, slot)| {
                slot.retry_at = None;
                match &slot.found {
                    Found::File(path, identity) => {
                        Some((name.clone(), slot.generation, (path.clone(), *identity)))
                    }
                    Found::Refused(_) => None,
                }
            })
            .collect();
        for (name, generation, file) in due {
            self.load(name, generation, file);
        }
    }

    /// Load again what has other settings now. Answers whether anything changed.
    fn reconfigure(&mut self, settings: SkillsSettings) -> bool {
        let before = std::mem::replace(&mut self.settings, settings);
        self.settings.dir = before.dir.clone();
        self.settings.metrics = before.metrics.clone();
        if self.settings.max_skills != before.max_skills {
            self.look_at = Some(Instant::now());
        }
        let now = self.clock.wall();
        let mut changed = vec![];
        for (name, slot) in &mut self.slots {
            if let Found::File(path, identity) = slot.found.clone()
                && self.settings.of(name) != before.of(name)
            {
                let generation = slot.replaced(slot.found.clone(), now);
                changed.push((name.clone(), generation, (path, identity)));
            }
        }
        let any = !changed.is_empty();
        for (name, generation, file) in changed {
            tracing::info!(skill = %name, "the skill's settings have changed; loading it again");
            self.load(name, generation, file);
        }
        any
    }

    /// Note when to look.
    fn note(&mut self, change: Change) {
        let now = Instant::now();
        let at = match change {
            Change::Writing(path) => {
                self.writing.insert(path, now + QUIET);
                now + QUIET
            }
            Change::Written(path) => {
                self.writing.remove(&path);
                now + SOON
            }
            Change::Names | Change::Folder => now + SOON,
        };
        self.look_at = Some(self.look_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Look at the folder. Answers whether anything changed.
    async fn look(&mut self, watch: &mut Watch) -> bool {
        let now = Instant::now();
        self.writing.retain(|_, quiet_at| *quiet_at > now);
        self.look_at = self.writing.values().min().copied();
        let (dir, max) = (self.settings.dir.clone(), self.settings.max_skills);
        match tokio::task::spawn_blocking(move || scan(&dir, max)).await {
            Ok(Ok(scan)) => {
                if watch.follow(&scan.linked) {
                    self.look_at = Some(Instant::now() + SOON);
                }
                self.apply(scan)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the skills folder cannot be read; what was loaded goes on");
                false
            }
            Err(error) => {
                tracing::error!(%error, "looking at the skills folder panicked");
                false
            }
        }
    }

    fn apply(&mut self, scan: Scan) -> bool {
        let mut changed = self.refused != scan.refused;
        for (file, reason) in &scan.refused {
            if self.refused.get(file) != Some(reason) {
                tracing::warn!(file, reason, "a file in the skills folder is not loaded");
            }
        }
        self.refused = scan.refused;
        let gone: Vec<_> =
            self.slots.keys().filter(|name| !scan.skills.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(mut slot) = self.slots.remove(&name) {
                slot.abort();
            }
            tracing::info!(skill = %name, "skill removed");
            changed = true;
        }
        for (name, found) in scan.skills {
            let still_written = matches!(&found, Found::File(path, _) if self.writing.contains_key(path));
            let known = self.slots.get(&name).is_some_and(|slot| slot.found == found);
            if known || (still_written && self.slots.contains_key(&name)) {
                continue;
            }
            changed = true;
            let now = self.clock.wall();
            let slot = self.slots.entry(name.clone()).or_insert_with(|| {
                // Until it is quiet the file is known by name only.
                Slot::new(Found::Refused(String::new()), now)
            });
            if still_written {
                continue;
            }
            let generation = slot.replaced(found.clone(), now);
            match found {
                Found::Refused(reason) => {
                    tracing::warn!(skill = %name, reason, "skill not loaded");
                    slot.enter(SkillState::Failed(reason), now);
                }
                Found::File(path, identity) => {
                    self.load(name, generation, (path, identity));
                }
            }
        }
        changed
    }

    fn load(&mut self, skill: SkillName, generation: u64, file: (PathBuf, Identity)) {
        let settings = Arc::new(self.settings.of(&skill).clone());
        let (protected, kept) = (self.settings.protected.clone(), self.settings.kept.clone());
        let serving = self.slots.get(&skill).and_then(|slot| slot.serving.as_ref());
        let serving = serving.map(|version| (version.digest, Arc::clone(&version.settings)));
        let (engine, turns, stages) = (self.engine.clone(), Arc::clone(&self.turns), self.stages.clone());
        let name = skill.clone();
        let task = self.loads.spawn(async move {
            let _turn = turns.acquire_owned().await.expect("never closed");
            let stage = |stage| {
                // Nobody listens any more when the directory is being closed.
                let _ = stages.send((skill.clone(), generation, stage));
            };
            let result = load(&engine, &skill, file, (settings, protected, kept), serving, stage).await;
            Answer { skill, generation, result }
        });
        if let Some(slot) = self.slots.get_mut(&name) {
            slot.loading(task);
        }
    }

    fn stage(&mut self, skill: &SkillName, generation: u64, stage: LoadStage) -> bool {
        let now = self.clock.wall();
        match self.slots.get_mut(skill) {
            Some(slot) if slot.generation == generation && !slot.settled() => slot.enter(
                match stage {
                    LoadStage::Waiting => SkillState::Waiting,
                    LoadStage::Compiling => SkillState::Compiling,
                },
                now,
            ),
            _ => false,
        }
    }

    /// Publish the catalog as it is now.
    fn publish(&mut self) {
        (self.published_at, self.publish_at) = (Instant::now(), None);
        self.settled |= self.slots.values().all(Slot::settled);
        let announced = std::mem::take(&mut self.announced);
        let before = Arc::clone(&self.publish.borrow());
        let (catalog, owners) =
            listing::catalog(&self.slots, &self.owners, &self.builtin, &before, &announced);
        // Until all have had their chance, names are nobody's: who compiles first must not have them for good.
        self.owners = if self.settled { owners } else { AllOwners::default() };
        let catalog = Catalog { settled: self.settled, refused: self.refused.clone(), ..catalog };
        self.publish.send_replace(Arc::new(catalog));
        self.to_tell.drain(..).for_each(|tell| tell());
    }
}

async fn next(notices: &mut Option<mpsc::Receiver<Notice>>) -> Option<Notice> {
    match notices {
        Some(notices) => notices.recv().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
