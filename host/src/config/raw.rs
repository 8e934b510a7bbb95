//! The configuration as it is written. Every key is optional; `docs/configuration.md` describes each.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use skillhost_telemetry::Format;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Raw {
    pub(crate) server: Server,
    pub(crate) engine: Engine,
    pub(crate) log: Log,
    pub(crate) defaults: Skill,
    pub(crate) skills: BTreeMap<String, Skill>,
}

/// `[server]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    pub(crate) listen: Option<String>,
    pub(crate) skills: Option<PathBuf>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) allow_unauthenticated_network: Option<bool>,
    pub(crate) allowed_hosts: Option<Vec<String>>,
    pub(crate) allowed_origins: Option<Vec<String>>,
    pub(crate) max_request: Option<ByteSize>,
    pub(crate) max_arguments: Option<ByteSize>,
    pub(crate) max_depth: Option<usize>,
    pub(crate) max_skills: Option<usize>,
    #[serde(with = "humantime_serde")]
    pub(crate) ready_wait: Option<Duration>,
}

/// `[engine]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Engine {
    pub(crate) instances: Option<u32>,
    pub(crate) threads: Option<usize>,
    pub(crate) max_memory: Option<ByteSize>,
    #[serde(with = "humantime_serde")]
    pub(crate) compile_timeout: Option<Duration>,
    pub(crate) compile_memory: Option<ByteSize>,
}

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) format: Option<Format>,
    pub(crate) level: Option<String>,
}

/// `[defaults]` and `[skills.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Skill {
    pub(crate) mount: Option<Mount>,
    #[serde(with = "humantime_serde")]
    pub(crate) timeout: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(crate) load_timeout: Option<Duration>,
    pub(crate) fuel: Option<u64>,
    pub(crate) memory: Option<ByteSize>,
    pub(crate) table_elements: Option<usize>,
    pub(crate) result: Option<ByteSize>,
    pub(crate) log_lines: Option<usize>,
    pub(crate) log_bytes: Option<ByteSize>,
    pub(crate) max_tools: Option<usize>,
}

/// How tools are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mount {
    /// `skill_tool`
    Prefixed,
    /// `tool`
    Root,
}
