//! The engine as a whole, and how a component becomes a skill.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use skillhost_core::{Clock, Digest, Failure, Features, SkillName, ToolSpec, ToolSpecError};
use skillhost_telemetry::Metric;
use tokio::sync::{Semaphore, mpsc};
use wasmtime::component::{Component, HasSelf, Linker};

use crate::{
    Allowance, CompileError, EngineSettings, GrantError, Interfaces, Listed, Metering, Notice, Skill,
    bindings,
    cache::{self, Cache},
    changes, config,
    grants::open::{self, Surroundings},
    guest::Guests,
    http,
    pace::Pace,
    plain::{Docs, Plain},
    sandbox::{Offered, Sandbox},
    state::State,
};

/// Components compiled at the same time.
const COMPILING: usize = 2;

/// Runs skills. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    settings: EngineSettings,
    metered: Arc<Flavour>,
    /// For skills that only the clock bounds; made with the first of them, since it has a pool of its own.
    timed: Mutex<Option<Arc<Flavour>>>,
    compiling: Semaphore,
    guests: Arc<Guests>,
    around: Surroundings,
    notices: Mutex<Option<mpsc::Receiver<Notice>>>,
}

/// wasmtime for code that counts one thing.
struct Flavour {
    metering: Metering,
    engine: wasmtime::Engine,
    linker: Linker<State>,
    cache: Cache,
}

impl Flavour {
    fn new(
        settings: &EngineSettings,
        metering: Metering,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EngineError> {
        let refused = |error: wasmtime::Error| EngineError::Engine(format!("{error:#}"));
        let engine = wasmtime::Engine::new(&config::wasmtime_config(settings, metering)).map_err(refused)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(refused)?;
        http::add_to_linker(&mut linker).map_err(refused)?;
        bindings::Skill::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)
            .map_err(refused)?;
        let cache = Cache::open(&settings.cache, &fingerprint(&engine), settings.cache_size, clock)
            .map_err(|error| EngineError::Cache { dir: settings.cache.clone(), error })?;
        Ok(Self { metering, engine, linker, cache })
    }

    /// Keep `compiled` on disk and map it from there. It is only a cache: without it the code serves from
    /// memory, and the next start compiles again.
    fn keep(&self, digest: &Digest, compiled: &[u8]) -> wasmtime::Result<Component> {
        let Self { cache, engine, .. } = self;
        if let Err(error) = cache.store(digest, compiled) {
            tracing::warn!(component = %digest, %error, "compiled code cannot be kept in the data folder; it serves from memory");
        } else if let Some(code) = cache.load(engine, digest) {
            return Ok(code);
        }
        cache::from_memory(engine, compiled)
    }
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refuses the settings or the machine.
    #[error(
        "the engine cannot start: {0}. It sets address space aside for its instances; \
         lower `instances` or `max_memory`, or raise the limit on address space (ulimit -v)"
    )]
    Engine(String),
    /// The folder for compiled code.
    #[error("the folder for compiled code {} cannot be used: {error}", .dir.display())]
    Cache {
        /// Which.
        dir: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Threads.
    #[error("the engine's threads cannot start: {0}")]
    Threads(std::io::Error),
}

/// Why a component is not served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not a component at all.
    #[error("{0}")]
    NotComponent(&'static str),
    /// No code.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Not a skill.
    #[error("{0}")]
    Contract(String),
    /// It asks for something that is not there.
    #[error("it asks for what this host does not offer: {0}")]
    Imports(String),
    /// It is larger than the engine's instances.
    #[error("it does not fit the engine: {0}")]
    TooBig(String),
    /// Its `tools.list`, or the list of something else, failed.
    #[error("listing its tools failed: {0}")]
    List(Failure),
    /// Its `tools.list` takes too long.
    #[error("listing its tools took longer than {} s (`load_timeout`) and was ended", .0.as_secs_f32())]
    ListTimeout(Duration),
    /// There is no engine for what its skill is to count.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A declaration is refused.
    #[error(transparent)]
    Tools(#[from] ToolSpecError),
    /// Something that was granted is not there.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The grants are for another component.
    #[error(
        "its grants are pinned to {pinned}, and this file is {found}: look at what has changed, then put its digest \
         into the skill's grants"
    )]
    Pinned {
        /// What the grants are for.
        pinned: Digest,
        /// What the file is.
        found: Digest,
    },
}

impl LoadError {
    /// Whether the next attempt may go better though nothing about the component changed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Compile(CompileError::Io(_)) | Self::ListTimeout(_) | Self::Grant(_))
    }
}

/// How far loading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadStage {
    /// Waiting for its turn to be compiled.
    Waiting,
    /// Being compiled or checked.
    Compiling,
}

/// A component that was loaded.
pub struct Loaded {
    /// The digest of its bytes.
    pub digest: Digest,
    /// What it imports and exports.
    pub interfaces: Interfaces,
    /// The tools it declares.
    pub tools: Vec<ToolSpec>,
    /// Of a plain component: what it exports and is no tool, and why.
    pub no_tools: Vec<String>,
    /// What it offers beside them.
    pub features: Features,
    /// Runs them.
    pub skill: Arc<Skill>,
    /// Whether compiled code was found on disk.
    pub cached: bool,
}

impl Engine {
    /// Start the engine's threads and open its folder.
    ///
    /// # Errors
    /// [`EngineError`] says which setting to change.
    pub fn new(settings: &EngineSettings, clock: Arc<dyn Clock>) -> Result<Self, EngineError> {
        let metered = Flavour::new(settings, Metering::Fuel, Arc::clone(&clock))?;
        let (sender, notices) = mpsc::channel(changes::QUEUE);
        let guests =
            Guests::new(metered.engine.clone(), settings, clock, sender).map_err(EngineError::Threads)?;
        Ok(Self {
            inner: Arc::new(Inner {
                metered: Arc::new(metered),
                timed: Mutex::new(None),
                compiling: Semaphore::new(COMPILING),
                guests: Arc::new(guests),
                around: Surroundings {
                    keyvalue: settings.keyvalue.clone(),
                    listeners: settings.listeners.clone(),
                    upstream: settings.upstream.clone(),
                },
                notices: Mutex::new(Some(notices)),
                settings: settings.clone(),
            }),
        })
    }

    /// The one for code that counts this.
    fn flavour(&self, metering: Metering) -> Result<Arc<Flavour>, EngineError> {
        let Inner { settings, metered, timed, guests, .. } = &*self.inner;
        if metering == Metering::Fuel {
            return Ok(Arc::clone(metered));
        }
        let mut timed = timed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flavour) = &*timed {
            return Ok(Arc::clone(flavour));
        }
        let flavour = Arc::new(Flavour::new(settings, metering, Arc::clone(guests.clock()))?);
        guests.also(flavour.engine.clone());
        *timed = Some(Arc::clone(&flavour));
        Ok(flavour)
    }

    /// Make a skill of `component`: look up what was granted to it, compile or find its code, check it, list its tools. `stage` is told
    /// how far it is.
    ///
    /// # Errors
    /// [`LoadError`] says what its author, or the operator, has to mend.
    pub async fn load(
        &self,
        name: &SkillName,
        component: Vec<u8>,
        allowance: Allowance,
        stage: impl Fn(LoadStage) + Send + Sync,
    ) -> Result<Loaded, LoadError> {
        sniff(&component)?;
        let inner = &self.inner;
        let digest = Digest::of(&component);
        // What was granted comes first: a component it was not meant for is not even compiled.
        let Allowance { limits, tools: own_limits, mount, undone_by, grants, protected } = allowance;
        if let Some(pinned) = grants.digest.filter(|pinned| *pinned != digest) {
            return Err(LoadError::Pinned { pinned, found: digest });
        }
        let around = inner.around.clone();
        let granted = Arc::new(blocking(move || open::open(&grants, &protected, &around)).await?);
        let docs = Docs::of(&component);
        let (this, metering) = (self.clone(), limits.metering);
        let flavour = blocking(move || this.flavour(metering)).await?;
        let (code, cached) = self.code(&flavour, &digest, component, &stage).await?;
        stage(LoadStage::Compiling);
        let interfaces = Interfaces::of(&code, &flavour.engine);
        let is_skill = interfaces.is_skill().map_err(LoadError::Contract)?;
        let pre = flavour.linker.instantiate_pre(&code).map_err(|e| LoadError::Imports(format!("{e:#}")))?;
        let plain = if is_skill {
            if !undone_by.is_empty() {
                tracing::warn!(skill = %name, "`undone_by` is for plain components; this skill says itself what it takes back");
            }
            None
        } else {
            // What a component exports may be as much as it likes: not beside those who serve.
            let (code, pre) = (code.clone(), pre.clone());
            let plain = blocking(move || Plain::of(&code, &pre, docs, mount, &undone_by)).await;
            Some(plain.map_err(LoadError::Contract)?)
        };
        let offered = Arc::new(Offered::default());
        let sandbox = |limits| {
            let (granted, offered) = (Arc::clone(&granted), Arc::clone(&offered));
            let (pace, engine) = (Pace::default(), flavour.engine.clone());
            Arc::new(Sandbox { name: name.clone(), limits, granted, offered, pace, engine })
        };
        let by_tool = own_limits.into_iter().map(|(tool, limits)| (tool, sandbox(limits))).collect();
        let skill = Skill::new(sandbox(limits), by_tool, pre, plain, Arc::clone(&inner.guests))
            .map_err(|e| LoadError::Contract(format!("its exports do not match the contract: {e:#}")))?;
        let Listed { tools, no_tools, features } = self.list(&skill).await?;
        if let Some(first) = no_tools.first() {
            tracing::info!(skill = %name, first, "not all that it exports can be a tool; `skillhost inspect` tells why");
        }
        if skill.reuses() && !skill.sandbox.offered.has_reusable() {
            tracing::warn!(skill = %name, "`reuse_calls` has no effect: no tool of this skill declares that it bears it");
        }
        Ok(Loaded { digest, interfaces, tools, no_tools, features, skill: Arc::new(skill), cached })
    }

    /// What a skill offers by now.
    ///
    /// # Errors
    /// [`LoadError`], as when it is loaded.
    pub async fn list(&self, skill: &Skill) -> Result<Listed, LoadError> {
        let timeout = skill.sandbox.limits.load_timeout;
        let listed = match tokio::time::timeout(timeout, skill.list()).await {
            Err(_) => return Err(LoadError::ListTimeout(timeout)),
            Ok(listed) => listed.map_err(LoadError::List)??,
        };
        if let Some(tool) = listed.tools.iter().find(|tool| tool.undoable && !skill.can_undo()) {
            return Err(LoadError::Contract(format!(
                "its tool `{}` is declared undoable, but it does not export `skillhost:skill/undo@0.1.0`",
                tool.name
            )));
        }
        skill.sandbox.offered.set(&listed.tools, &listed.features);
        Ok(listed)
    }

    /// Ends when the threads that run guests have turned once from now: while they are all stuck, it does not.
    pub async fn turn(&self) {
        // It does nothing that panics.
        let _ = self.inner.guests.turn().await;
    }

    /// Block every thread that runs guests, for ever: a planted fault, for tests of those who watch.
    #[cfg(debug_assertions)]
    pub fn block(&self) {
        self.inner.guests.block();
    }

    /// What skills say has changed. There is one listener: only the first who asks gets it.
    #[must_use]
    pub fn notices(&self) -> Option<mpsc::Receiver<Notice>> {
        self.inner.notices.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn code(
        &self,
        flavour: &Arc<Flavour>,
        digest: &Digest,
        component: Vec<u8>,
        stage: &(impl Fn(LoadStage) + Send + Sync),
    ) -> Result<(Component, bool), LoadError> {
        let inner = &self.inner;
        let (cached, key) = (Arc::clone(flavour), *digest);
        if let Some(code) = blocking(move || cached.cache.load(&cached.engine, &key)).await {
            return Ok((code, true));
        }
        stage(LoadStage::Waiting);
        let _turn = inner.compiling.acquire().await.expect("open for the life of the engine");
        stage(LoadStage::Compiling);
        let began = inner.guests.clock().now();
        let compiled = inner.settings.compiler.compile(&component, flavour.metering).await?;
        let took = inner.guests.clock().now().saturating_duration_since(began);
        inner.settings.metrics.note(Metric::Compile, took.as_secs_f64());
        let flavour = Arc::clone(flavour);
        let code = blocking(move || flavour.keep(&key, &compiled)).await;
        // The code is sound, so what is wrong is its fit: more memories or tables than the pool has.
        code.map(|code| (code, false)).map_err(|error| LoadError::TooBig(format!("{error:#}")))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends, and who asked with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Changes with everything that makes compiled code unusable for this engine.
fn fingerprint(engine: &wasmtime::Engine) -> String {
    struct Hasher(Vec<u8>);
    impl std::hash::Hasher for Hasher {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }
    let mut hasher = Hasher(Vec::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    Digest::of(&hasher.0).hex()[..16].to_owned()
}

/// Tell apart what is no component before anything looks closer.
fn sniff(bytes: &[u8]) -> Result<(), LoadError> {
    Err(LoadError::NotComponent(match bytes {
        [] => "the file is empty",
        [b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0, sections @ ..] => {
            if whole(sections) {
                return Ok(());
            }
            "the file ends in the middle of a section; is it still being copied?"
        }
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "it is a core WebAssembly module, not a component; \
             build for wasm32-wasip2, or wrap it with a component tool"
        }
        _ if bytes.len() < 8 && b"\0asm\x0d\0\x01\0".starts_with(bytes) => {
            "the file ends within the WebAssembly header; is it still being copied?"
        }
        [b'\0', b'a', b's', b'm', ..] => "it is a component of a version this host does not read",
        _ => "it is not WebAssembly: its first bytes are not `\\0asm`",
    }))
}

/// Whether every section is there to its end: an identifier, a length in LEB128, and that many bytes.
fn whole(mut sections: &[u8]) -> bool {
    while let [_id, rest @ ..] = sections {
        let mut length: u64 = 0;
        let Some(last) = rest.iter().take(5).position(|byte| byte & 0x80 == 0) else {
            return rest.len() >= 5;
        };
        for (n, byte) in rest[..=last].iter().enumerate() {
            length |= u64::from(byte & 0x7f) << (7 * n);
        }
        match usize::try_from(length).ok().and_then(|length| rest[last + 1..].get(length..)) {
            Some(next) => sections = next,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_cut_anywhere_is_told_apart_from_a_bad_one() {
        let component = wat::parse_str("(component (core module (func)) (core module))").unwrap();
        assert!(sniff(&component).is_ok());
        let mut cuts = 0;
        for end in 1..component.len() {
            if let Err(error) = sniff(&component[..end]) {
                assert!(error.to_string().contains("still being copied"), "cut at {end}: {error}");
                cuts += 1;
            }
        }
        // Between two sections a cut cannot be seen.
        assert!(cuts >= component.len() - 4, "{cuts} of {}", component.len());
    }

    #[test]
    fn what_is_no_component_is_named() {
        for (bytes, expected) in [
            (&b""[..], "empty"),
            (b"\0asm\x01\0\0\0", "core WebAssembly module"),
            (b"\0asm\x0e\0\x01\0", "version"),
            (b"MZ\x90", "not WebAssembly"),
        ] {
            assert!(sniff(bytes).unwrap_err().to_string().contains(expected), "{bytes:?}");
        }
    }
}
