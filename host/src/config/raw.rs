//! The configuration as it is written. Every key is optional. The comments here become the reference page
//! and the JSON Schema for editors: each says unit and range; defaults are taken from [`Raw::filled`].

mod auth;
mod grants;
mod journal;
mod operation;
mod playbooks;
mod policies;
mod skill;
mod tools;
mod units;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Source;
pub(crate) use auth::Auth;
pub(crate) use grants::{Access, EnvValue, Folder, Grants, Http, KeyValueGrant, Secret};
pub(crate) use journal::{
    Admin, DeadLetters, Delivery, Journal, OnExpiry, OnFull, Priority, Sagas, Task, Tasks,
};
pub(crate) use operation::{Health, Log, Shutdown, Telemetry};
pub(crate) use playbooks::{Match, Playbook, PlaybookAction, PlaybookEffect, PlaybookState};
pub(crate) use policies::{
    Breaker, BreakerMode, Cache, Concurrency, ControlCharacters, Limits, Named, RateLimit, ResultFilter,
    Retry, RetryBudget,
};
pub(crate) use skill::{Bounds, Defaults, Metering, Mount, Skill, Tool};
pub(crate) use tools::{ByCount, OfferSearch, Tools};
use units::{duration, size};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "skillhost.toml")]
pub(crate) struct Raw {
    /// Transports and folders. Changes need a restart.
    pub(crate) server: Server,
    /// The engine. Changes need a restart.
    pub(crate) engine: Engine,
    /// What is logged to stderr. Changes need a restart, but for what `PUT /admin/log` changes.
    pub(crate) log: Log,
    /// Metrics and traces. Changes need a restart.
    pub(crate) telemetry: Telemetry,
    /// When the host is well. Changes need a restart.
    pub(crate) health: Health,
    /// How the host ends. Changes need a restart.
    pub(crate) shutdown: Shutdown,
    /// Idempotency keys, and what is kept of calls. Changes need a restart.
    pub(crate) journal: Journal,
    /// Dead letters. Changes need a restart.
    pub(crate) dead_letters: DeadLetters,
    /// Calls that are kept or taken back together. Changes need a restart.
    pub(crate) sagas: Sagas,
    /// Calls that run as tasks, and questions. Changes need a restart.
    pub(crate) tasks: Tasks,
    /// The host's own tools for agents. Changes need a restart.
    pub(crate) tools: Tools,
    /// Who may call over HTTP. Changes need a restart, but for the tokens' file.
    pub(crate) auth: Auth,
    /// The admin API. Changes need a restart.
    pub(crate) admin: Admin,
    /// Limits of the host as a whole. Changes are taken over while the host runs.
    pub(crate) limits: Limits,
    /// What counts for every skill that says nothing else. Changes are taken over while the host runs.
    pub(crate) defaults: Defaults,
    /// Rules for dead letters, asked in this order; the first that matches counts. Changes are taken over while the host runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) playbooks: Vec<Playbook>,
    /// Skills by name. Changes are taken over while the host runs.
    pub(crate) skills: BTreeMap<String, Skill>,
    /// Where it was read.
    #[serde(skip)]
    pub(crate) source: Option<Source>,
}

impl Raw {
    /// Whether the two say the same, wherever that stands.
    pub(crate) fn says_the_same_as(&self, other: &Self) -> bool {
        let keys = |raw: &Self| Self { source: None, ..raw.clone() };
        keys(self) == keys(other)
    }
}

/// `[server]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Where `serve` listens: ADDRESS:PORT. `--listen` and `SKILLHOST_LISTEN` win.
    pub(crate) listen: Option<String>,
    /// The folder with the skills. `--skills` and `SKILLHOST_SKILLS` win.
    pub(crate) skills: Option<PathBuf>,
    /// The host's own folder: compiled code, values of skills. `--data` and `SKILLHOST_DATA` win. By default
    /// `skillhost` in `$XDG_STATE_HOME`, else in `~/.local/state`.
    pub(crate) data: Option<PathBuf>,
    /// Listen beyond loopback although nobody is authenticated.
    pub(crate) allow_unauthenticated_network: Option<bool>,
    /// `Host` values that are served beside the loopback names and the address itself; with or without a port.
    pub(crate) allowed_hosts: Option<Vec<String>>,
    /// Pages that may call, beside those of the allowed hosts: `scheme://name:port`.
    pub(crate) allowed_origins: Option<Vec<String>>,
    /// Body of an HTTP request, 1 KiB to 1 GiB; more is answered 413. All messages over 64 KiB that are there at once,
    /// until they are answered, may take eight times as much; one more waits, and is answered 503 after 10 s.
    #[serde(serialize_with = "units::write_size")]
    #[schemars(schema_with = "size")]
    pub(crate) max_request: Option<ByteSize>,
    /// Arguments of a call, as compact JSON, 2 B to 1 GiB.
    #[serde(serialize_with = "units::write_size")]
    #[schemars(schema_with = "size")]
    pub(crate) max_arguments: Option<ByteSize>,
    /// Nesting of arguments, 1 to 100.
    pub(crate) max_depth: Option<usize>,
    /// Files that are loaded, 1 to 10,000; further ones, by name, are refused.
    pub(crate) max_skills: Option<usize>,
    /// How long a call or a listing waits for skills that still compile, up to 10 min.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) ready_wait: Option<Duration>,
}

/// `[engine]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Engine {
    /// Calls that run at once, 1 to 10,000; more queue, in order, within their time. Calls that tools make of each
    /// other have a quarter as many, at each depth.
    pub(crate) instances: Option<u32>,
    /// Threads that run guests, 1 to 1,024; by default one a core. I/O and deadlines have their own.
    pub(crate) threads: Option<usize>,
    /// Upper bound of every `memory`, 64 KiB to 4 GiB. Only address space is set aside.
    #[serde(serialize_with = "units::write_size")]
    #[schemars(schema_with = "size")]
    pub(crate) max_memory: Option<ByteSize>,
    /// How long one component may compile, 1 ms to 24 h.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) compile_timeout: Option<Duration>,
    /// What the compiling process may allocate, 64 MiB to 1 TiB.
    #[serde(serialize_with = "units::write_size")]
    #[schemars(schema_with = "size")]
    pub(crate) compile_memory: Option<ByteSize>,
    /// Compiled code kept in the data folder, 1 MiB to 1 TiB; what was not used for longest goes first.
    #[serde(serialize_with = "units::write_size")]
    #[schemars(schema_with = "size")]
    pub(crate) cache_size: Option<ByteSize>,
}
