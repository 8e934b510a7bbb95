//! `[auth]`.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[auth]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    /// A file of bearer tokens by their hashes, one a line: `NAME sha256:HEX SCOPE…`. `skillhost auth token NAME` makes one. It
    /// is read anew when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<PathBuf>,
    /// The authorization server whose access tokens count, as their `iss` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// Where the keys of the issuer are: a file, or an https URL. They are fetched anew when a token has another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwks: Option<String>,
    /// What access tokens must be meant for (`aud`): one of these. By default `resource`.
    pub(crate) audience: Option<Vec<String>>,
    /// The URI of this server, as authorization servers and clients know it, such as `https://tools.example/mcp`. By default
    /// `http://ADDRESS:PORT/mcp`, where it listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    /// What each scope stands for: names of tools and prompts and URIs of resources, or their beginnings: `"text_*"`,
    /// `"note://*"`, `"*"`. What no scope of a caller stands for is neither listed nor callable. Without any, whoever is
    /// authenticated may use everything.
    pub(crate) scopes: Option<BTreeMap<String, Vec<String>>>,
}
