//! What the directory is told at start.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use skillhost_core::{Annotations, Mount, SkillName};
use skillhost_engine::{Allowance, Grants, Limits, Protected};
use skillhost_policy::FilterMode;
use skillhost_telemetry::Metrics;

use crate::Kept;

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
    /// Folders and files of the host's own that no grant may reach, each with a word for it.
    pub protected: Protected,
    /// Where components are kept, so that what a version did can be taken back by it. Default none: only by what serves.
    pub kept: Option<Kept>,
    /// What is measured. Default nothing.
    pub metrics: Metrics,
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
    /// What its calls may touch.
    pub grants: Grants,
    /// What becomes of what its descriptions and schemas should not hold. Default off.
    pub filter: FilterMode,
    /// For tools that have settings of their own, by their name within the skill.
    pub tools: BTreeMap<String, ToolSettings>,
}

impl SkillSettings {
    /// What the engine is told. No grant may reach what is `protected`.
    #[must_use]
    pub fn allowance(&self, protected: &Protected) -> Allowance {
        let tools = self.tools.iter().map(|(name, tool)| (name.clone(), tool.limits.clone()));
        let undone_by =
            self.tools.iter().filter_map(|(name, tool)| Some((name.clone(), tool.undone_by.clone()?)));
        Allowance {
            mount: self.mount,
            undone_by: undone_by.collect(),
            limits: self.limits.clone(),
            tools: tools.collect(),
            grants: self.grants.clone(),
            protected: protected.clone(),
        }
    }
}

/// Settings of one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSettings {
    /// Whether it is offered at all. Default true.
    pub enabled: bool,
    /// What a call may use.
    pub limits: Limits,
    /// How long a call may take, waits included.
    pub timeout: Duration,
    /// The operator's word on what it does, over the skill's where it says something.
    pub annotations: Annotations,
    /// Of a plain component: the tool that takes back what this one does. Default none.
    pub undone_by: Option<String>,
}

impl Default for SkillSettings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            timeout: Duration::from_secs(30),
            mount: Mount::Prefixed,
            grants: Grants::default(),
            filter: FilterMode::Off,
            tools: BTreeMap::new(),
        }
    }
}
