//! `[tools]`: the host's own tools for agents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[tools]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tools {
    /// Offer agents `search_tools`, which finds the tools that fit a task: `true`, `false`, or `"auto"`, while skills have more
    /// than 30 tools.
    pub(crate) search: Option<OfferSearch>,
    /// Offer agents `host_health`, which tells whether the host is well; callers with scopes hear no names of skills.
    pub(crate) health: Option<bool>,
}

/// When agents are offered `search_tools`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[serde(expecting = "expected true, false or \"auto\"")]
pub(crate) enum OfferSearch {
    /// Always or never.
    Switch(bool),
    /// By how many tools there are.
    ByCount(ByCount),
}

/// The word for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ByCount {
    /// While there are many.
    Auto,
}
