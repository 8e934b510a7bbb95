//! Which tools there are right now.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{Digest, Invoke, PromptSpec, ResourceSpec, Served, SkillName, TemplateSpec, ToolName, ToolSpec};

/// A snapshot of all skills and their tools. Replaced whole, never changed.
#[derive(Default)]
pub struct Catalog {
    /// By full name, hence in a stable order.
    pub tools: BTreeMap<ToolName, Entry>,
    /// By full name, as tools.
    pub prompts: BTreeMap<ToolName, Served<PromptSpec>>,
    /// By URI.
    pub resources: BTreeMap<String, Served<ResourceSpec>>,
    /// By URI template.
    pub templates: BTreeMap<String, Served<TemplateSpec>>,
    /// By name.
    pub skills: BTreeMap<SkillName, SkillStatus>,
    /// File names that cannot be skills, and why.
    pub refused: BTreeMap<String, String>,
    /// Grows when `tools` changes in a way a client can see.
    pub revision: u64,
    /// The same for `prompts`.
    pub prompts_revision: u64,
    /// The same for `resources` and `templates`.
    pub resources_revision: u64,
    /// Whether the first look at the directory is done and every skill found there was tried.
    pub settled: bool,
}

impl Catalog {
    /// The skill whose tools begin with the same prefix as `tool`, when there is one.
    #[must_use]
    pub fn skill_of(&self, tool: &str) -> Option<&SkillStatus> {
        self.skills.get(tool.split_once('_')?.0)
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog")
            .field("tools", &self.tools.keys())
            .field("skills", &self.skills)
            .field("revision", &self.revision)
            .field("settled", &self.settled)
            .finish()
    }
}

/// A tool and the version of its skill that serves it.
#[derive(Clone)]
pub struct Entry {
    /// What it is.
    pub spec: Arc<ToolSpec>,
    /// Whose it is.
    pub skill: SkillName,
    /// The digest of the version that serves it.
    pub digest: Digest,
    /// Grows with every load of any skill: another version, or the same with other grants.
    pub loaded: u64,
    /// How long a call may take, waits included.
    pub timeout: Duration,
    /// Whether its skill may call other tools.
    pub calls_tools: bool,
    /// Runs it.
    pub invoke: Arc<dyn Invoke>,
}

/// A tool of the host's own.
#[derive(Clone)]
pub struct OwnTool {
    /// Reserved: no skill has it.
    pub name: ToolName,
    /// What it is.
    pub entry: Entry,
    /// Offered while skills have more tools than this; none for always.
    pub above: Option<usize>,
}

/// One file of the directory and what became of it.
#[derive(Debug, Clone)]
pub struct SkillStatus {
    /// Its name.
    pub name: SkillName,
    /// What the newest version of the file is doing.
    pub state: SkillState,
    /// The version that serves calls; an older one than the file's when the newest failed to load.
    pub serving: Option<Digest>,
    /// When `state` was entered.
    pub since: SystemTime,
    /// Full names of the tools it serves.
    pub tools: Vec<ToolName>,
    /// Names of tools and prompts, and URIs, that it could not have because another skill held them, with that skill.
    pub contested: Vec<(String, SkillName)>,
}

/// What the newest version of a skill is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkillState {
    /// Seen, not yet begun.
    Waiting,
    /// Being compiled or checked.
    Compiling,
    /// Serving.
    Ready,
    /// Not serving, and why. An older version may go on serving.
    Failed(String),
}

impl SkillState {
    /// One lower-case word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Compiling => "compiling",
            Self::Ready => "ready",
            Self::Failed(_) => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_names_the_skill() {
        let mut catalog = Catalog::default();
        let name = SkillName::new("text").unwrap();
        catalog.skills.insert(
            name.clone(),
            SkillStatus {
                name,
                state: SkillState::Waiting,
                serving: None,
                since: SystemTime::UNIX_EPOCH,
                tools: vec![],
                contested: vec![],
            },
        );
        assert!(catalog.skill_of("text_word_count").is_some());
        assert!(catalog.skill_of("json_query").is_none());
        assert!(catalog.skill_of("text").is_none());
    }
}
