//! What the engine is told at start, and what a skill may use.

use std::{path::PathBuf, time::Duration};

use crate::Compiler;

/// Settings of the engine as a whole.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Calls that may run at once; further ones queue for a slot. At least 1.
    pub instances: u32,
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
}

/// What one call of a skill may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Fuel, about one unit an instruction.
    pub fuel: u64,
    /// Linear memory over all memories of the instance, in bytes.
    pub memory: usize,
    /// Table elements over all tables of the instance.
    pub table_elements: usize,
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 200_000_000_000,
            memory: 128 << 20,
            table_elements: 20_000,
            result: 8 << 20,
            log_lines: 200,
            log_bytes: 64 << 10,
            load_timeout: Duration::from_secs(5),
            max_tools: 256,
        }
    }
}
