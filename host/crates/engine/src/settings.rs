//! What the engine is told at start, and what a skill may use.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use skillhost_core::{KeyValue, Mount};
use skillhost_telemetry::Metrics;

use crate::{Compiler, Grants, OwnListeners, Upstream};

/// Settings of the engine as a whole.
#[derive(Clone)]
pub struct EngineSettings {
    /// Calls that may run at once; further ones queue for a slot. At least 1.
    pub instances: u32,
    /// Whether instances come from a pool. Without one each is mapped anew, which is slower and sets no address space aside: for
    /// tools that watch the process and cannot carry as much.
    pub pooled: bool,
    /// The most linear memory a single memory of any skill may be given, in bytes. Address space is set
    /// aside for it; [`Limits::memory`] says what a skill may use of it.
    pub max_memory: usize,
    /// Threads that run guests. At least 1.
    pub threads: usize,
    /// Where compiled code is kept: a folder of the engine's own.
    pub cache: PathBuf,
    /// Bytes of compiled code that are kept; what was not used for longest goes first.
    pub cache_size: u64,
    /// How components are compiled.
    pub compiler: Compiler,
    /// Where the host listens: no skill reaches it. May grow later.
    pub listeners: OwnListeners,
    /// Answers skills' requests over HTTP in the place of the network. By default none does.
    pub upstream: Option<Arc<dyn Upstream>>,
    /// Keeps skills' values. Without it no skill has a bucket, whatever was granted.
    pub keyvalue: Option<Arc<dyn KeyValue>>,
    /// What is measured. By default nothing.
    pub metrics: Metrics,
}

impl fmt::Debug for EngineSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineSettings").field("instances", &self.instances).finish_non_exhaustive()
    }
}

/// What one skill may use and touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// What each of its calls may use, and what listing its tools may.
    pub limits: Limits,
    /// The same for tools that have their own, by their name within the skill.
    pub tools: BTreeMap<String, Limits>,
    /// How its tools are named.
    pub mount: Mount,
    /// Of a plain component: the function that takes back what another did, by the name of that.
    pub undone_by: BTreeMap<String, String>,
    /// What they may touch.
    pub grants: Grants,
    /// What no grant may reach.
    pub protected: Protected,
}

/// Folders and files of the host's own that no grant may reach, each with a word for it.
pub type Protected = Arc<[(&'static str, PathBuf)]>;

/// What bounds how long a guest computes, beside the deadline of its call, which always does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Metering {
    /// Its instructions are counted: a call ends at the same one on any machine, and its use is told. Code is slower for it, by a
    /// tenth (small calls) to a quarter (interpreters).
    #[default]
    Fuel,
    /// Only the clock.
    Time,
}

/// What one call of a skill may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// What is counted. One for all tools of a skill: its code is made for it.
    pub metering: Metering,
    /// Fuel, about one unit an instruction, where that is counted.
    pub fuel: u64,
    /// Linear memory over all memories of the instance, in bytes.
    pub memory: usize,
    /// Table elements over all tables of the instance.
    pub table_elements: usize,
    /// Things of the host's that a call may hold at once: open files, folders, requests, buckets, timers.
    pub handles: usize,
    /// Bytes that may cross from the guest to the host at once, hence the size of a result.
    pub result: usize,
    /// Lines a call may log over stdout, stderr and `wasi:logging`.
    pub log_lines: usize,
    /// Bytes of such lines.
    pub log_bytes: usize,
    /// How long instantiation and `tools.list` may take when the skill is loaded.
    pub load_timeout: Duration,
    /// Tools a skill may declare.
    pub max_tools: usize,
    /// Calls that one instance may serve, one after the other, of tools that declare that they bear it. 1: each has a fresh one.
    pub reuse_calls: u32,
    /// How old such an instance may become.
    pub reuse_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            metering: Metering::Fuel,
            fuel: 200_000_000_000,
            memory: 128 << 20,
            table_elements: 20_000,
            handles: 256,
            result: 8 << 20,
            log_lines: 200,
            log_bytes: 64 << 10,
            load_timeout: Duration::from_secs(5),
            max_tools: 256,
            reuse_calls: 1,
            reuse_age: Duration::from_secs(60),
        }
    }
}
