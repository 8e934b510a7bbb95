//! `[skills.NAME.grants]`.

use std::{collections::BTreeMap, path::PathBuf};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{self, size};

/// `[skills.NAME.grants]`: what one skill may touch. What is not here it cannot touch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Grants {
    /// The component these grants are for: `sha256:` and 64 hexadecimal digits, as `skillhost inspect` shows it. Another
    /// file of the skill's name is then not loaded. Without it the file's name decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// Folders the skill sees: `{ host = "/srv/docs", guest = "/docs", access = "ro" }`. A folder that holds the skills,
    /// the host's data, the configuration or a secret, or lies in one of them, is refused, as are `/proc`, `/sys`, `/dev`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<Folder>,
    /// Hosts the skill may send requests to: `{ host = "api.example.com", methods = ["GET", "POST"] }`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) http: Vec<Http>,
    /// Environment variables: a text, `{ env = "VARIABLE" }` of the host, or `{ secret = "NAME" }`, one of `secrets`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) env: BTreeMap<String, EnvValue>,
    /// What the skill reads through `wasi:config/store`: any keys, texts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) config: BTreeMap<String, String>,
    /// Secrets by name: `{ env = "VARIABLE" }` or `{ file = "PATH" }`, 8 to 65,536 bytes. They are kept out of the skill's
    /// log lines, failures and replies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// A bucket in `wasi:keyvalue/store`: `true`, or its bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keyvalue: Option<KeyValueGrant>,
    /// Tools of other skills it may call: full names, or beginnings such as `text_*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<String>,
}

/// A folder of the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Folder {
    /// The folder. It must exist when the skill is loaded.
    pub(crate) host: PathBuf,
    /// What the skill calls it: an absolute path such as `/data`.
    pub(crate) guest: String,
    /// `ro` to read and list, `rw` for everything. By default `ro`.
    #[serde(default)]
    pub(crate) access: Access,
}

/// What may be done in a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Access {
    /// Read and list.
    #[default]
    #[serde(rename = "ro")]
    ReadOnly,
    /// Everything.
    #[serde(rename = "rw")]
    ReadWrite,
}

/// Hosts a skill may send requests to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// A name, `*.example.com` for those below it, `*` for every public host, an address, or a network such as
    /// `10.0.0.0/8`; with `:PORT` or `:*` where it is not the port of http or https. Addresses that are not public are
    /// reached only by an address or a network, even if a name leads to them.
    pub(crate) host: String,
    /// Methods. By default GET and HEAD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) methods: Option<Vec<String>>,
    /// Body of a request, up to 1 GiB. By default 1 MiB.
    #[serde(default, serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size")]
    pub(crate) max_request: Option<ByteSize>,
    /// Body of a response, up to 1 GiB. By default 8 MiB.
    #[serde(default, serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size")]
    pub(crate) max_response: Option<ByteSize>,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[serde(expecting = "expected a text, { env = \"VARIABLE\" } or { secret = \"NAME\" }")]
pub(crate) enum EnvValue {
    /// The value itself.
    Literal(String),
    /// A variable of the host.
    Variable(Variable),
    /// A secret of this skill.
    Secret(SecretName),
}

/// A variable of the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) env: String,
}

/// A secret of this skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretName {
    /// Its name in `secrets`.
    pub(crate) secret: String,
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[serde(
    expecting = "expected { env = \"VARIABLE\" } or { file = \"PATH\" }; a secret does not stand in the configuration"
)]
pub(crate) enum Secret {
    /// A variable of the host.
    Variable(Variable),
    /// A file.
    File(SecretFile),
}

/// A file with a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretFile {
    /// Its path. A line break at the end of the file does not count.
    pub(crate) file: PathBuf,
}

/// Whether there is a bucket, or how large it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[serde(
    expecting = "expected true, false, or bounds such as { total = \"16 MiB\", value = \"1 MiB\", keys = 10000 }"
)]
pub(crate) enum KeyValueGrant {
    /// Whether there is one, with the default bounds.
    Switch(bool),
    /// One with these bounds.
    Bounds(KeyValue),
}

/// Bounds of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeyValue {
    /// All keys and values together, 1 KiB to 1 TiB. By default 16 MiB.
    #[serde(serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size")]
    pub(crate) total: Option<ByteSize>,
    /// One value, up to 1 GiB. By default 1 MiB.
    #[serde(serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size")]
    pub(crate) value: Option<ByteSize>,
    /// Keys, 1 to 1,000,000,000. By default 10,000. A key has at most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keys: Option<u64>,
}
