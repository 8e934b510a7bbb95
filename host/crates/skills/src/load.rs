//! From a file to a version that serves.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use skillhost_core::{Digest, SkillName, text::bounded};
use skillhost_engine::{Engine, Listed, LoadError, LoadStage, Loaded, Protected, asked, unasked};

use crate::{Kept, SkillSettings, offer::offers, scan::Identity, slot::Version};

/// Largest file that is read, in bytes; as large as what the engine compiles.
const MAX_FILE: u64 = 64 << 20;
/// Bytes of a reason.
const MAX_REASON: usize = 2 << 10;

/// Versions that were loaded so far.
static LOADS: AtomicU64 = AtomicU64::new(0);

/// Why a file does not serve.
#[derive(Debug)]
pub(crate) struct Unloaded {
    /// For people.
    pub(crate) reason: String,
    /// The same file may load later: the machine was at fault.
    pub(crate) may_pass: bool,
}

impl Unloaded {
    /// Some reasons hold names of the component's choosing, of any length.
    fn new(reason: impl Into<String>, may_pass: bool) -> Self {
        Self { reason: bounded(reason.into(), MAX_REASON), may_pass }
    }
}

impl From<LoadError> for Unloaded {
    fn from(error: LoadError) -> Self {
        Self::new(error.to_string(), error.may_pass())
    }
}

/// Load a file, unless its digest is `serving` already, with the same settings.
pub(crate) async fn load(
    engine: &Engine,
    skill: &SkillName,
    (path, identity): (PathBuf, Identity),
    (settings, protected, kept): (Arc<SkillSettings>, Protected, Option<Kept>),
    serving: Option<(Digest, Arc<SkillSettings>)>,
    stage: impl Fn(LoadStage) + Send + Sync,
) -> Result<Option<Version>, Unloaded> {
    let component = tokio::task::spawn_blocking(move || read(&path, &identity))
        .await
        .map_err(|error| Unloaded::new(error.to_string(), true))??;
    if serving.is_some_and(|(digest, with)| with == settings && digest == Digest::of(&component)) {
        return Ok(None);
    }
    let component = match kept {
        Some(kept) => keep(skill, kept, component).await?,
        None => component,
    };
    let loaded = engine.load(skill, component, settings.allowance(&protected), stage).await?;
    tell(skill, &settings, &loaded);
    version(skill, settings, loaded).map(Some)
}

/// Keep a component for the time after it was replaced. Before it serves: its first call may have to be taken back.
async fn keep(skill: &SkillName, kept: Kept, component: Vec<u8>) -> Result<Vec<u8>, Unloaded> {
    let work = move || {
        let stored = kept.store(Digest::of(&component), &component);
        (component, stored)
    };
    let (component, stored) =
        tokio::task::spawn_blocking(work).await.map_err(|error| Unloaded::new(error.to_string(), true))?;
    if let Err(error) = stored {
        tracing::error!(%skill, %error, "the component cannot be kept in the data folder: once its file is replaced, what it did cannot be taken back");
    }
    Ok(component)
}

/// Read a whole file, unless it is too large or changes meanwhile.
fn read(path: &Path, identity: &Identity) -> Result<Vec<u8>, Unloaded> {
    let unreadable = |error: io::Error| Unloaded::new(format!("it cannot be read: {error}"), true);
    let file = fs::File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if meta.len() > MAX_FILE {
        let reason = format!("it has {} bytes; at most {MAX_FILE} (64 MiB) are loaded", meta.len());
        return Err(Unloaded::new(reason, false));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    (&file).take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let after = file.metadata().map_err(unreadable)?;
    if Identity::of(&after) != *identity || bytes.len() as u64 != after.len() {
        return Err(Unloaded::new("it changed while it was read; is it still being copied?", true));
    }
    Ok(bytes)
}

/// What an operator should know of a version: what it lacks, and what was granted for nothing.
fn tell(skill: &SkillName, settings: &SkillSettings, loaded: &Loaded) {
    let grants = &settings.grants;
    for ask in asked(&loaded.interfaces, grants).iter().filter(|ask| !ask.granted) {
        tracing::info!(%skill, import = ask.import, grant = ask.needs, "the skill asks for what it was not granted: {}", ask.gets);
    }
    for grant in unasked(&loaded.interfaces, grants) {
        tracing::warn!(%skill, grant, "the skill was granted what it does not ask for; take the grant away");
    }
    if grants.digest.is_none() && !grants.is_empty() {
        tracing::info!(%skill, digest = %loaded.digest,
            "the grants of the skill are not pinned: whatever file has its name gets them");
    }
    for tool in settings.tools.keys().filter(|tool| loaded.tools.iter().all(|spec| spec.name != **tool)) {
        tracing::warn!(%skill, tool, "the configuration names a tool that the skill does not have");
    }
}

fn version(skill: &SkillName, settings: Arc<SkillSettings>, loaded: Loaded) -> Result<Version, Unloaded> {
    let Loaded { digest, tools, features, skill: serving, .. } = loaded;
    let offers = offers(skill, &settings, tools, features).map_err(|why| Unloaded::new(why, false))?;
    let number = LOADS.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(Version { digest, offers: Arc::new(offers), skill: serving, loaded: number, settings })
}

/// What a version that serves offers by now.
pub(crate) async fn list_again(
    engine: &Engine,
    skill: &SkillName,
    version: Version,
) -> Result<Version, Unloaded> {
    let Listed { tools, features, .. } = engine.list(&version.skill).await?;
    let offers =
        offers(skill, &version.settings, tools, features).map_err(|why| Unloaded::new(why, false))?;
    Ok(Version { offers: Arc::new(offers), ..version })
}
