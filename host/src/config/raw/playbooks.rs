//! Playbooks as they are written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    journal::Priority,
    policies::{Named, Retry},
    units::duration,
};

/// `[[playbooks]]`: a rule for dead letters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Playbook {
    /// Names it in histories and in the log: 1 to 64 letters, digits, `.`, `_` and `-`; no two rules have the same. Must be
    /// said. What a rule has done to a letter is counted by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Which letters it is about: everything that is said must hold. By default all.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub(crate) when: Option<Match>,
    /// What it does: "retry", "park", "undo", "call", "discard" or "archive". Must be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<PlaybookAction>,
    /// `retry`: when it is run again, and how often, its first run counted: as `redelivery`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strategy: Option<Named<Retry>>,
    /// `retry`: how long it may be a letter for that, 1 s to 365 days. By default 24h.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) max_age: Option<Duration>,
    /// `retry`: also what may have taken effect, of tools that are neither read-only nor idempotent: it may then happen twice.
    /// By default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) even_if_unknown: Option<bool>,
    /// `undo`: take back the saga that it is part of, if it is, with all its calls. By default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) saga: Option<bool>,
    /// `call`: the full name of the tool that is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool: Option<String>,
    /// `call`: what it is called with. In texts, {id}, {tool}, {skill}, {kind}, {message}, {attempts}, {caller}, {effect},
    /// {state} and {rule} stand for what they say of the letter; {{ is a brace. By default id, tool, kind, message, attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) arguments: Option<Map<String, Value>>,
    /// `call`: park the letter as well. By default false: it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) park: Option<bool>,
    /// `call`, `undo`: how often it acts on one letter, 1 to 100. By default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u32>,
}

/// Which letters a rule is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Match {
    /// Of this skill; `*` stands for any characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skill: Option<String>,
    /// Of this tool, by its full name; `*` stands for any characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool: Option<String>,
    /// Whose last run failed as one of these kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Vec<String>>,
    /// Whose last failure's message holds this regular expression, of up to 1,000 bytes; `(?i)` at its beginning for any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// With so many runs that counted, in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempts: Option<Runs>,
    /// That have been letters for so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) age: Option<Age>,
    /// "waiting": will be run again by itself; "parked": will not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<PlaybookState>,
    /// "none": certainly took no effect; "unknown": may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effect: Option<PlaybookEffect>,
    /// With one of these priorities: low, normal, high, urgent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<Vec<Priority>>,
}

/// Numbers of runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Runs {
    /// At least this many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<u32>,
    /// At most this many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<u32>,
}

/// Ages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Age {
    /// At least so long, up to 10 years. The rule is asked when it has come, without anybody looking.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) min: Option<Duration>,
    /// At most so long, up to 10 years.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) max: Option<Duration>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PlaybookAction {
    /// It is run again.
    Retry,
    /// It is left for somebody to judge.
    Park,
    /// What it did is taken back.
    Undo,
    /// A tool is called about it.
    Call,
    /// It is given up.
    Discard,
    /// It is moved to the archive.
    Archive,
}

/// Where a letter rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PlaybookState {
    /// It is run again.
    Waiting,
    /// It is not.
    Parked,
}

/// Whether it took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PlaybookEffect {
    /// Certainly not.
    None,
    /// Nobody knows.
    Unknown,
}
