//! The configuration as it is written. Every key is optional; `docs/configuration.md` describes each.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize, Serializer};
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

/// A size in the largest unit that loses nothing.
fn size<S: Serializer>(size: &Option<ByteSize>, serializer: S) -> Result<S::Ok, S::Error> {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some(ByteSize(bytes)) = *size else { return serializer.serialize_none() };
    match UNITS.iter().find(|(unit, _)| bytes > 0 && bytes % unit == 0) {
        Some((unit, name)) => serializer.serialize_str(&format!("{} {name}", bytes / unit)),
        None => serializer.serialize_u64(bytes),
    }
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
    #[serde(serialize_with = "size")]
    pub(crate) max_request: Option<ByteSize>,
    #[serde(serialize_with = "size")]
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
    #[serde(serialize_with = "size")]
    pub(crate) max_memory: Option<ByteSize>,
    #[serde(with = "humantime_serde")]
    pub(crate) compile_timeout: Option<Duration>,
    #[serde(serialize_with = "size")]
    pub(crate) compile_memory: Option<ByteSize>,
    #[serde(serialize_with = "size")]
    pub(crate) cache_size: Option<ByteSize>,
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
    #[serde(serialize_with = "size")]
    pub(crate) memory: Option<ByteSize>,
    pub(crate) table_elements: Option<usize>,
    #[serde(serialize_with = "size")]
    pub(crate) result: Option<ByteSize>,
    pub(crate) log_lines: Option<usize>,
    #[serde(serialize_with = "size")]
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
