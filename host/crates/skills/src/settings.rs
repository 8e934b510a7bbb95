//! What the directory is told at start.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use skillhost_core::SkillName;
use skillhost_engine::Limits;

/// Settings of the directory.
#[derive(Debug, Clone)]
pub struct SkillsSettings {
    /// The folder.
    pub dir: PathBuf,
    /// Files that are loaded; further ones, by name, are refused. Default 1,000.
    pub max_skills: usize,
    /// For skills that are not named in `skills`.
    pub defaults: SkillSettings,
    /// By name.
    pub skills: BTreeMap<SkillName, SkillSettings>,
}

impl SkillsSettings {
    /// The settings of one skill.
    #[must_use]
    pub fn of(&self, name: &SkillName) -> &SkillSettings {
        self.skills.get(name).unwrap_or(&self.defaults)
    }
}

/// Settings of one skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillSettings {
    /// What a call may use.
    pub limits: Limits,
    /// How long a call may take, waits included. Default 30 s.
    pub timeout: Duration,
    /// How its tools are named.
    pub mount: Mount,
}

impl Default for SkillSettings {
    fn default() -> Self {
        Self { limits: Limits::default(), timeout: Duration::from_secs(30), mount: Mount::Prefixed }
    }
}

/// How the tools of a skill are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mount {
    /// `skill_tool`.
    #[default]
    Prefixed,
    /// `tool`.
    Root,
}
