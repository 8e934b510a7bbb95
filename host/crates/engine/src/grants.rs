//! What a skill may touch, as its operator wrote it.
//!
//! A [`Grants`] is plain data. [`open`](open::open) turns it into what a call uses, when the skill is loaded: folders
//! are looked up, secrets read, so that a mistake shows at load and not at the first call.

mod ask;
pub(crate) mod open;
mod tool;

use std::{collections::BTreeMap, path::PathBuf};

use skillhost_core::{Digest, KeyValueBounds};

use crate::http::HttpRule;

pub use ask::{Ask, asked, unasked};
pub use open::{GrantError, check};
pub use tool::ToolPattern;

/// What a skill may touch. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// The component these grants are for. Another one with the skill's name is not loaded. Without it the
    /// file's name decides.
    pub digest: Option<Digest>,
    /// Folders.
    pub files: Vec<FolderGrant>,
    /// Requests over HTTP.
    pub http: Vec<HttpRule>,
    /// Environment variables of the guest.
    pub env: BTreeMap<String, EnvValue>,
    /// What `wasi:config/store` tells.
    pub config: BTreeMap<String, String>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The skill's bucket in `wasi:keyvalue/store`.
    pub keyvalue: Option<KeyValueBounds>,
    /// Tools of other skills it may call.
    pub tools: Vec<ToolPattern>,
}

impl Grants {
    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { digest: self.digest, ..Self::default() }
    }
}

/// A folder of the host that a skill sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderGrant {
    /// Where it is on the host.
    pub host: PathBuf,
    /// What the guest calls it: an absolute path.
    pub guest: String,
    /// What may be done in it.
    pub access: Access,
}

/// What may be done in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and list.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

/// Where the value of an environment variable comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// The configuration.
    Literal(String),
    /// A variable of the host.
    Variable(String),
    /// A secret of this skill, by its name.
    Secret(String),
}

/// Where a secret is kept. Never in the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the host.
    Variable(String),
    /// A file; a line break at its end does not count.
    File(PathBuf),
}
