//! The skills directory.
//!
//! [`Directory::open`] watches a folder. Each `*.wasm` file in it is a skill; what is copied in, replaced,
//! renamed or deleted shows in the published [`Catalog`](skillhost_core::Catalog) soon after. A version that
//! fails to load leaves the last good one serving, and one broken skill takes nothing from the others.
#![deny(missing_docs)]

mod contest;
mod directory;
mod kept;
mod listing;
mod load;
mod offer;
mod scan;
mod settings;
mod slot;
mod versions;
mod watch;

pub use directory::{Directory, DirectoryError};
pub use kept::Kept;
pub use scan::files;
pub use settings::{SkillSettings, SkillsSettings, ToolSettings};
