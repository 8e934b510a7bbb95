//! From a file to a version that serves.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use skillhost_core::{Digest, SkillName, ToolName, text::bounded};
use skillhost_engine::{Engine, LoadError, LoadStage, Loaded};

use crate::{Mount, SkillSettings, scan::Identity, slot::Version};

/// Largest file that is read, in bytes; as large as what the engine compiles.
const MAX_FILE: u64 = 64 << 20;
/// Bytes of a reason.
const MAX_REASON: usize = 2 << 10;

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

/// Load a file, unless its digest is `serving` already.
pub(crate) async fn load(
    engine: &Engine,
    skill: &SkillName,
    (path, identity): (PathBuf, Identity),
    settings: SkillSettings,
    serving: Option<Digest>,
    stage: impl Fn(LoadStage) + Send + Sync,
) -> Result<Option<Version>, Unloaded> {
    let component = tokio::task::spawn_blocking(move || read(&path, &identity))
        .await
        .map_err(|error| Unloaded::new(error.to_string(), true))??;
    if serving == Some(Digest::of(&component)) {
        return Ok(None);
    }
    let loaded = engine.load(skill, component, settings.limits, stage).await?;
    version(skill, settings.mount, settings.timeout, loaded).map(Some)
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

fn version(skill: &SkillName, mount: Mount, timeout: Duration, loaded: Loaded) -> Result<Version, Unloaded> {
    let tools = loaded
        .tools
        .into_iter()
        .map(|spec| {
            let name = match mount {
                Mount::Prefixed => ToolName::prefixed(skill, &spec.name),
                Mount::Root => ToolName::at_root(&spec.name),
            };
            let name =
                name.map_err(|error| Unloaded::new(format!("a tool is named wrongly: {error}"), false))?;
            Ok((name, Arc::new(spec)))
        })
        .collect::<Result<_, Unloaded>>()?;
    Ok(Version { digest: loaded.digest, tools, timeout, invoke: loaded.skill })
}
