//! The configuration, checked and with every default filled in.

mod auth;
mod expand;
mod grants;
mod journal;
mod operation;
mod playbooks;
mod policies;
mod skill;
mod values;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::http::uri::Authority;
use bytesize::ByteSize;
use skillhost_core::SkillName;
use skillhost_engine::{Limits, SecretSource};
use skillhost_pipeline::{self as pipeline, HostPolicy, SkillPolicy, ToolPolicy};
use skillhost_policy::{ArgumentBounds, ConcurrencyLimit, playbook::Playbook};
use skillhost_skills::{Kept, SkillSettings, SkillsSettings};
use skillhost_telemetry::{FloodSettings, Format, Metrics};

use super::{
    ConfigError, Raw, Source, default_data,
    raw::{self, Named},
};
pub(crate) use auth::AuthSettings;
pub(crate) use journal::AdminSettings;
use journal::JournalSettings;
pub(crate) use operation::{HealthSettings, Least, ShutdownSettings};
use values::{at_most, bytes, time, within};

/// Everything the host runs by.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) http: HttpSettings,
    pub(crate) data: PathBuf,
    pub(crate) skills: SkillsSettings,
    pub(crate) engine: EngineSection,
    pub(crate) pipeline: pipeline::Settings,
    pub(crate) journal: JournalSettings,
    pub(crate) offered: pipeline::Offered,
    pub(crate) playbooks: Arc<[Playbook]>,
    /// What is sound, and hardly meant so.
    pub(crate) warnings: Vec<String>,
    pub(crate) admin: AdminSettings,
    pub(crate) telemetry: skillhost_telemetry::Settings,
    pub(crate) health: HealthSettings,
    pub(crate) shutdown: ShutdownSettings,
}

/// The HTTP transport.
#[derive(Debug, Clone)]
pub(crate) struct HttpSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) allow_unauthenticated_network: bool,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) auth: AuthSettings,
    pub(crate) max_request: usize,
    /// Whether `/metrics` and `/health` are for everybody who reaches the address.
    pub(crate) open: bool,
}

/// The engine.
#[derive(Debug, Clone)]
pub(crate) struct EngineSection {
    /// Where compiled code is kept.
    pub(crate) cache: PathBuf,
    pub(crate) instances: u32,
    pub(crate) threads: usize,
    pub(crate) max_memory: usize,
    pub(crate) compile_timeout: Duration,
    pub(crate) compile_memory: u64,
    pub(crate) cache_size: u64,
}

const MIB: u64 = 1 << 20;

impl Raw {
    /// The same with every default written out, for `config show`.
    pub(crate) fn filled(mut self) -> Self {
        fn off<T>() -> Named<T> {
            Named::Preset("off".into())
        }
        fn fill<T>(slot: &mut Option<T>, value: T) {
            slot.get_or_insert(value);
        }
        let server = &mut self.server;
        fill(&mut server.listen, "127.0.0.1:8000".into());
        fill(&mut server.skills, "skills".into());
        if server.data.is_none() {
            server.data = default_data();
        }
        fill(&mut server.allow_unauthenticated_network, false);
        fill(&mut server.allowed_hosts, vec![]);
        fill(&mut server.allowed_origins, vec![]);
        fill(&mut server.max_request, ByteSize(8 * MIB));
        let bounds = ArgumentBounds::default();
        fill(&mut server.max_arguments, ByteSize(bounds.bytes as u64));
        fill(&mut server.max_depth, bounds.depth);
        fill(&mut server.max_skills, 1_000);
        fill(&mut server.ready_wait, pipeline::Settings::default().ready_wait);
        let engine = &mut self.engine;
        fill(&mut engine.instances, 64);
        fill(&mut engine.threads, std::thread::available_parallelism().map_or(1, usize::from));
        fill(&mut engine.max_memory, ByteSize(256 * MIB));
        fill(&mut engine.compile_timeout, Duration::from_secs(120));
        fill(&mut engine.compile_memory, ByteSize(2048 * MIB));
        fill(&mut engine.cache_size, ByteSize(4096 * MIB));
        let recovery = pipeline::RecoverySettings::new(PathBuf::new());
        let (journal, queue) = (&mut self.journal, skillhost_journal::Bounds::default());
        fill(&mut journal.key_ttl, recovery.key_ttl);
        fill(&mut journal.key_wait, recovery.key_wait);
        fill(&mut journal.keep, recovery.keep);
        fill(&mut journal.max_size, ByteSize(0));
        let letters = &mut self.dead_letters;
        fill(&mut letters.capacity, queue.capacity);
        fill(&mut letters.on_full, raw::OnFull::Refuse);
        fill(&mut letters.unknown_effects, recovery.park_unknown);
        fill(&mut letters.concurrency, recovery.concurrency);
        fill(&mut letters.ageing, queue.ageing);
        fill(&mut letters.archive_after, recovery.archive_after);
        let sagas = &mut self.sagas;
        fill(&mut sagas.tools, recovery.sagas.tools);
        fill(&mut sagas.ttl, recovery.sagas.ttl);
        fill(&mut sagas.max_ttl, recovery.sagas.max_ttl);
        fill(&mut sagas.max_open, recovery.sagas.max_open);
        fill(&mut sagas.on_expiry, raw::OnExpiry::Keep);
        fill(&mut sagas.patience, recovery.undo_patience);
        let auth = &mut self.auth;
        fill(&mut auth.audience, vec![]);
        fill(&mut auth.scopes, BTreeMap::new());
        let tasks = &mut self.tasks;
        fill(&mut tasks.ttl, recovery.tasks.ttl);
        fill(&mut tasks.max_open, recovery.tasks.max_open);
        fill(&mut tasks.answer_within, recovery.answer_within);
        fill(&mut self.tools.health, false);
        fill(&mut self.tools.search, raw::OfferSearch::ByCount(raw::ByCount::Auto));
        fill(&mut self.log.format, Format::default());
        fill(&mut self.log.level, "info".into());
        let flood = FloodSettings::default();
        fill(&mut self.log.max_per_second, flood.per_second);
        fill(&mut self.log.burst, flood.burst);
        fill(&mut self.log.arguments, false);
        let telemetry = &mut self.telemetry;
        fill(&mut telemetry.metrics, true);
        fill(&mut telemetry.open, false);
        fill(&mut telemetry.interval, Duration::from_secs(15));
        fill(&mut telemetry.sample, 0.01);
        let shutdown = &mut self.shutdown;
        fill(&mut shutdown.drain, Duration::from_secs(15));
        fill(&mut shutdown.cancel, Duration::from_secs(3));
        fill(&mut shutdown.cleanup, Duration::from_secs(5));
        let skill = &mut self.defaults;
        let (limits, built_in) = (Limits::default(), SkillSettings::default());
        fill(&mut skill.mount, raw::Mount::Prefixed);
        fill(&mut skill.timeout, built_in.timeout);
        fill(&mut skill.load_timeout, limits.load_timeout);
        fill(&mut skill.fuel, limits.fuel);
        fill(&mut skill.memory, ByteSize(limits.memory as u64));
        fill(&mut skill.table_elements, limits.table_elements);
        fill(&mut skill.handles, limits.handles);
        fill(&mut skill.result, ByteSize(limits.result as u64));
        fill(&mut skill.log_lines, limits.log_lines);
        fill(&mut skill.log_bytes, ByteSize(limits.log_bytes as u64));
        fill(&mut skill.max_tools, limits.max_tools);
        let policy = SkillPolicy::default();
        let concurrency = ConcurrencyLimit::of_a_skill();
        fill(&mut skill.rate_limit, off());
        fill(&mut skill.concurrency, Named::Own((&concurrency).into()));
        fill(&mut skill.breaker, Named::Own((&policy.breaker).into()));
        fill(&mut skill.retry_budget, (&policy.retry_budget).into());
        fill(&mut skill.result_filter, raw::ResultFilter::Off);
        fill(&mut skill.retry, Named::Own((&policy.defaults.retry).into()));
        fill(&mut skill.cache, off());
        fill(&mut skill.control_characters, raw::ControlCharacters::Allow);
        fill(&mut skill.breaker_counts, vec![]);
        fill(&mut skill.breaker_ignores, vec![]);
        let tool = ToolPolicy::default();
        fill(&mut skill.patience, tool.patience);
        fill(&mut skill.redelivery, Named::Own((&tool.redelivery.retry).into()));
        fill(&mut skill.max_age, tool.redelivery.max_age);
        fill(&mut skill.undo, Named::Own((&tool.undo.retry).into()));
        fill(&mut skill.undo_timeout, tool.undo.timeout);
        fill(&mut skill.priority, raw::Priority::Normal);
        fill(&mut skill.secret_arguments, vec![]);
        let (host, limits) = (HostPolicy::default(), &mut self.limits);
        fill(&mut limits.rate_limit, off());
        fill(&mut limits.caller_rate_limit, off());
        fill(&mut limits.caller_concurrency, off());
        fill(&mut limits.callers, host.callers);
        fill(&mut limits.cache_size, ByteSize(host.cache_size));
        self.playbooks.iter_mut().for_each(playbooks::filled);
        self
    }

    /// Check everything.
    ///
    /// # Errors
    /// The first key that is wrong, where it stands, and what it may be.
    pub(crate) fn check(mut self) -> Result<Settings, ConfigError> {
        let source = self.source.take();
        self.settings(source.as_ref()).map_err(|error| error.at(source.as_ref()))
    }

    fn settings(self, source: Option<&Source>) -> Result<Settings, ConfigError> {
        let Self {
            server,
            engine,
            log,
            telemetry,
            health,
            shutdown,
            journal,
            dead_letters,
            sagas,
            tasks,
            tools,
            auth,
            admin,
            limits,
            defaults,
            playbooks,
            skills,
            source: _,
        } = self.filled();
        let set = "filled above";
        let listen = server.listen.expect(set);
        let max_memory = bytes("engine.max_memory", engine.max_memory, 1 << 16, 4 << 30)?;
        let policies = policies::all(&limits, &skills, &defaults)?;
        let by_name = skills.iter().map(|(name, own)| {
            let table = format!("skills.{name}");
            let name = SkillName::new(name)
                .map_err(|error| ConfigError::value(&table, format!("names no skill: {error}")))?;
            Ok((name, skill::settings(&table, Some(own), &defaults, max_memory)?))
        });
        let data = server.data.ok_or_else(|| {
            ConfigError::value(
                "server.data",
                "is not set and neither XDG_STATE_HOME nor HOME is; name a folder with --data",
            )
        })?;
        let skills_dir = folder("server.skills", server.skills.expect(set))?;
        let data = folder("server.data", data)?;
        let mut protected =
            vec![("the skills folder", skills_dir.clone()), ("the data folder", data.clone())];
        let file = source.and_then(Source::path);
        protected.extend(file.map(|path| ("the configuration", path.to_owned())));
        let auth = auth::auth(auth)?;
        protected.extend(auth.files().map(|path| ("the callers' tokens", path)));
        let admin = journal::admin(&admin)?;
        protected.extend(admin.file().map(|path| ("the admin token", path)));
        let by_name: BTreeMap<SkillName, SkillSettings> = by_name.collect::<Result<_, _>>()?;
        let secrets = by_name.values().flat_map(|skill| skill.grants.secrets.values());
        protected.extend(secrets.filter_map(|secret| match secret {
            SecretSource::File(path) => Some(("a secret", path.clone())),
            SecretSource::Variable(_) => None,
        }));
        let playbooks = playbooks::all(&playbooks)?;
        let (kept, cache) = (Some(Kept::new(data.join("components"))), data.join("compiled"));
        Ok(Settings {
            http: HttpSettings {
                listen: resolve(&listen)?,
                allow_unauthenticated_network: server.allow_unauthenticated_network.expect(set),
                allowed_hosts: each("server.allowed_hosts", server.allowed_hosts, host)?,
                allowed_origins: each("server.allowed_origins", server.allowed_origins, origin)?,
                auth,
                max_request: bytes("server.max_request", server.max_request, 1 << 10, 1 << 30)?,
                open: telemetry.open.expect(set),
            },
            data,
            skills: SkillsSettings {
                dir: skills_dir,
                protected: protected.into(),
                kept,
                metrics: Metrics::default(),
                max_skills: within("server.max_skills", server.max_skills.expect(set), 1, 10_000)?,
                skills: by_name,
                defaults: skill::settings("defaults", None, &defaults, max_memory)?,
            },
            engine: EngineSection {
                cache,
                instances: within("engine.instances", engine.instances.expect(set), 1, 10_000)?,
                threads: within("engine.threads", engine.threads.expect(set), 1, 1_024)?,
                max_memory,
                compile_timeout: time("engine.compile_timeout", engine.compile_timeout)?,
                compile_memory: bytes("engine.compile_memory", engine.compile_memory, 64 << 20, 1 << 40)?
                    as u64,
                cache_size: bytes("engine.cache_size", engine.cache_size, 1 << 20, 1 << 40)? as u64,
            },
            pipeline: pipeline::Settings {
                arguments: ArgumentBounds {
                    bytes: bytes("server.max_arguments", server.max_arguments, 2, 1 << 30)?,
                    depth: within("server.max_depth", server.max_depth.expect(set), 1, 100)?,
                },
                policies: Arc::new(policies),
                ready_wait: at_most("server.ready_wait", server.ready_wait, Duration::from_secs(600))?,
                log_arguments: log.arguments.expect(set),
                ..pipeline::Settings::default()
            },
            journal: journal::journal(&journal, &dead_letters, &sagas, &tasks)?,
            offered: pipeline::Offered {
                search: match tools.search.expect(set) {
                    raw::OfferSearch::Switch(true) => pipeline::OfferSearch::Always,
                    raw::OfferSearch::Switch(false) => pipeline::OfferSearch::Never,
                    raw::OfferSearch::ByCount(raw::ByCount::Auto) => pipeline::OfferSearch::default(),
                },
                health: tools.health.expect(set),
            },
            warnings: playbooks::covered(&playbooks).collect(),
            playbooks,
            admin,
            telemetry: operation::telemetry(&log, &telemetry)?,
            health: operation::health(&health)?,
            shutdown: operation::shutdown(&shutdown)?,
        })
    }
}

fn folder(key: &str, path: PathBuf) -> Result<PathBuf, ConfigError> {
    if path.as_os_str().is_empty() {
        return Err(ConfigError::value(key, "is empty; name a folder"));
    }
    Ok(path)
}

fn each(
    key: &str,
    values: Option<Vec<String>>,
    problem: fn(&str) -> Option<&'static str>,
) -> Result<Vec<String>, ConfigError> {
    let values = values.expect("filled");
    match values.iter().find_map(|value| Some((value, problem(value)?))) {
        Some((value, problem)) => Err(ConfigError::value(key, format!("holds `{value}`: {problem}"))),
        None => Ok(values),
    }
}

/// What is wrong with a value for the header `Host`.
fn host(value: &str) -> Option<&'static str> {
    let sound =
        value.parse::<Authority>().is_ok_and(|it| !it.host().is_empty() && !it.as_str().contains('@'));
    (!sound).then_some("write a name such as `tools.example`, with a port where only that counts")
}

/// What is wrong with a value for the header `Origin`.
fn origin(value: &str) -> Option<&'static str> {
    let sound = value
        .trim_end_matches('/')
        .split_once("://")
        .is_some_and(|(scheme, rest)| !scheme.is_empty() && host(rest).is_none());
    (!sound).then_some("write `scheme://name`, with a port where it is not the scheme's own")
}

fn resolve(listen: &str) -> Result<SocketAddr, ConfigError> {
    let problem = |why: String| {
        ConfigError::value(
            "server.listen",
            format!("is `{listen}`, which is no address: {why}; write ADDRESS:PORT such as 127.0.0.1:8000"),
        )
    };
    let mut found = listen.to_socket_addrs().map_err(|error| problem(error.to_string()))?;
    found.next().ok_or_else(|| problem("it resolves to nothing".into()))
}
