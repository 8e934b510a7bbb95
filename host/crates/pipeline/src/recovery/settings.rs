//! What is told of recovery at start.

use std::{path::PathBuf, time::Duration};

use skillhost_journal::OnExpiry;
use skillhost_telemetry::Metrics;

/// What is told of recovery at start.
#[derive(Debug, Clone)]
pub struct RecoverySettings {
    /// How long a key is held. Default 24 h.
    pub key_ttl: Duration,
    /// How long a call waits for the one that runs under the same key. Default 10 s.
    pub key_wait: Duration,
    /// Whether a call that may have changed something, and nobody knows, leaves a parked letter. Default true.
    pub park_unknown: bool,
    /// Letters that are run at once, 1 to 1,000. Default 4.
    pub concurrency: usize,
    /// How long a call that is no letter can be asked for after its end. Default 24 h.
    pub keep: Duration,
    /// How long a letter stays after its end; then it goes to the archive. Default 30 days.
    pub archive_after: Duration,
    /// The folder of archives.
    pub archive: PathBuf,
    /// How long the client of a call that failed, or of an undo, is kept waiting while something is taken back. Default 10 s.
    pub undo_patience: Duration,
    /// How long a person has to answer what a tool asks. Default 10 min.
    pub answer_within: Duration,
    /// Sagas that agents hold.
    pub sagas: SagaSettings,
    /// Calls that run as tasks.
    pub tasks: TaskSettings,
    /// What is measured. Default nothing.
    pub metrics: Metrics,
}

/// What counts for tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSettings {
    /// How long a task can be asked for, from when it began; one that goes on, for longer. Default 24 h.
    pub ttl: Duration,
    /// Tasks of a caller that have not ended, 1 to 1,000,000. Default 1,000.
    pub max_open: u32,
}

impl Default for TaskSettings {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(24 * 3_600), max_open: 1_000 }
    }
}

/// What counts for sagas that agents hold.
#[derive(Debug, Clone, PartialEq)]
pub struct SagaSettings {
    /// Whether agents have the tools for them. Default true.
    pub tools: bool,
    /// How long one is open when its agent does not say. Default 1 h.
    pub ttl: Duration,
    /// The longest that an agent may say. Default 24 h.
    pub max_ttl: Duration,
    /// Open ones of a caller at once, 1 to 10,000. Default 100.
    pub max_open: u32,
    /// What becomes of one that is not ended in time, when its agent does not say. Default keep.
    pub on_expiry: OnExpiry,
}

impl Default for SagaSettings {
    fn default() -> Self {
        Self {
            tools: true,
            ttl: Duration::from_secs(3_600),
            max_ttl: Duration::from_secs(24 * 3_600),
            max_open: 100,
            on_expiry: OnExpiry::Keep,
        }
    }
}

impl RecoverySettings {
    /// The defaults, with archives in this folder.
    #[must_use]
    pub fn new(archive: PathBuf) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3_600);
        Self {
            key_ttl: DAY,
            key_wait: Duration::from_secs(10),
            park_unknown: true,
            concurrency: 4,
            keep: DAY,
            archive_after: DAY * 30,
            archive,
            undo_patience: Duration::from_secs(10),
            answer_within: Duration::from_secs(600),
            sagas: SagaSettings::default(),
            tasks: TaskSettings::default(),
            metrics: Metrics::default(),
        }
    }
}
