//! The journal, dead letters and the admin API as they are written.

use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    grants::Secret,
    units::{self, duration, size},
};

/// `[journal]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Journal {
    /// How long an idempotency key is held, 1 s to 365 days; longer while its call goes on.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) key_ttl: Option<Duration>,
    /// How long a call waits for the one that runs under the same key, up to 10 min; then it is told that it is in progress.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) key_wait: Option<Duration>,
    /// How long the result of a call that is no dead letter can be asked for, and the call be undone, 1 s to 365 days.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) keep: Option<Duration>,
    /// Size of the file `journal.sqlite` in the data folder, 1 MiB to 1 TiB; 0 for no bound. Over it, calls that must be
    /// written down are refused, and others go on; what has begun can still end, and be taken back, within a quarter more, at
    /// least 4 MiB.
    #[serde(serialize_with = "units::write_size")]
    #[schemars(schema_with = "size")]
    pub(crate) max_size: Option<ByteSize>,
}

/// `[dead_letters]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeadLetters {
    /// Letters that may wait, run or be parked, 1 to 10,000,000.
    pub(crate) capacity: Option<u64>,
    /// What becomes of a durable call over it: it is refused, or the letter that was parked first goes to the archive.
    pub(crate) on_full: Option<OnFull>,
    /// Park calls that may have changed something when nobody knows, though they are not durable: those of tools that are
    /// neither read-only nor idempotent.
    pub(crate) unknown_effects: Option<bool>,
    /// Letters that are run at once, 1 to 1,000.
    pub(crate) concurrency: Option<usize>,
    /// Waiting this much longer is worth one priority, 1 s to 365 days: low ones are not starved.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) ageing: Option<Duration>,
    /// How long a letter stays after its end, 1 s to 10 years; then it goes to `archive/` in the data folder.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) archive_after: Option<Duration>,
}

/// `[sagas]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sagas {
    /// Offer agents the tools `saga_begin`, `saga_call`, `saga_commit`, `saga_rollback`, `undo_call` and `list_calls`.
    pub(crate) tools: Option<bool>,
    /// How long a saga may stay open when its agent does not say, 1 s to 365 days.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) ttl: Option<Duration>,
    /// The longest that an agent may say, 1 s to 365 days.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) max_ttl: Option<Duration>,
    /// Sagas that a caller may have open at once, 1 to 10,000.
    pub(crate) max_open: Option<u32>,
    /// What becomes of the calls of a saga that is not ended in time, when its agent does not say.
    pub(crate) on_expiry: Option<OnExpiry>,
    /// How long a client is kept waiting while something is taken back, up to 10 min; it goes on after that.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) patience: Option<Duration>,
}

/// `[tasks]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tasks {
    /// How long a client can ask for a task, from when it began, 60 s to 365 days; for one that goes on, for longer.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) ttl: Option<Duration>,
    /// Tasks that a caller may have at once, not counting those that have ended, 1 to 1,000,000.
    pub(crate) max_open: Option<u32>,
    /// How long a person has to answer what a tool asks, in a task or not, 1 s to 365 days.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) answer_within: Option<Duration>,
}

/// What becomes of a saga that nobody ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnExpiry {
    /// What was done stays.
    Keep,
    /// It is taken back.
    Rollback,
}

/// `[admin]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// Serves `/admin/*` beside `/mcp` to who sends this as a bearer token: `{ env = "VARIABLE" }` or `{ file = "PATH" }`,
    /// 16 to 4,096 bytes. Without it there is only the socket in the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Secret>,
}

/// What becomes of a durable call when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnFull {
    /// It is refused.
    Refuse,
    /// The letter that was parked first makes room.
    ArchiveOldest,
}

/// What is owed to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Delivery {
    /// To try.
    Plain,
    /// That it happens.
    Durable,
}

/// Whether a call answers with a handle at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Task {
    /// It does not.
    No,
    /// Where the client can follow one.
    Optional,
    /// Always; other clients are refused.
    Required,
    /// As `required`, once what it asks is answered.
    Answered,
}

/// Which letters are run first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Priority {
    /// Last.
    Low,
    /// As most.
    Normal,
    /// Before most.
    High,
    /// First.
    Urgent,
}
