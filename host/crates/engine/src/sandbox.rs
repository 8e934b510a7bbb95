//! What calls of one version of a skill share.

use std::sync::Arc;

use skillhost_core::SkillName;

use crate::{Limits, grants::open::Granted};

/// What calls of one version of a skill share: its name, bounds and grants. A tool with bounds of its own has one to
/// itself.
pub(crate) struct Sandbox {
    pub(crate) name: SkillName,
    pub(crate) limits: Limits,
    pub(crate) granted: Arc<Granted>,
}
