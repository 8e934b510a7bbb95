//! Names of skills and of tools, checked once and carried as types.

use std::{borrow::Borrow, fmt, sync::Arc};

/// Longest name an agent may see, in bytes.
pub const MAX_TOOL_NAME: usize = 64;
/// Longest name of a skill, in bytes. Leaves room for `_` and a tool's own name.
pub const MAX_SKILL_NAME: usize = 32;

const HOST: &str = "skillhost";

/// Prefixes that belong to the host's built-in tools (`saga_begin`, `call_status`, …), those of today
/// and those that are planned, so that no skill has to be renamed when they come.
pub const RESERVED: &[&str] =
    &["call", "dlq", "health", "host", "list", "saga", "skillhost", "task", "tool", "undo"];

/// Names of the host's own tools that no prefix above stands for. A skill may be loaded all the same; what it has under such
/// a name is not served, as when another skill had it.
pub const RESERVED_TOOLS: &[&str] = &["search_tools"];

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// Over the bound.
    #[error("the name `{name}` has {length} characters, at most {max} are allowed")]
    TooLong {
        /// The name, cut.
        name: String,
        /// Its length in bytes.
        length: usize,
        /// The bound.
        max: usize,
    },
    /// A character outside the set.
    #[error("the name `{name}` holds {character:?}; allowed are {allowed}")]
    Character {
        /// The name, cut.
        name: String,
        /// The first offender.
        character: char,
        /// The set, for people.
        allowed: &'static str,
    },
    /// Kept for the host.
    #[error("the name `{0}` is reserved for the host's own tools")]
    Reserved(String),
}

fn check(name: &str, max: usize, allowed: &'static str, ok: impl Fn(char) -> bool) -> Result<(), NameError> {
    let cut = || name.chars().take(MAX_TOOL_NAME).collect();
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some(character) = name.chars().find(|&c| !ok(c)) {
        return Err(NameError::Character { name: cut(), character, allowed });
    }
    if name.len() > max {
        return Err(NameError::TooLong { name: cut(), length: name.len(), max });
    }
    Ok(())
}

/// The name of a skill: its file name without `.wasm`.
///
/// 1 to 32 characters of `A-Z a-z 0-9 -`. No `_`, which ends the skill's part in a tool's full name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SkillName(Arc<str>);

impl SkillName {
    /// Check a name.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, too long, reserved, or holds other characters.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check(name, MAX_SKILL_NAME, "A-Z a-z 0-9 -", |c| c.is_ascii_alphanumeric() || c == '-')?;
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(NameError::Reserved(name.into()));
        }
        Ok(Self(name.into()))
    }

    /// The one behind the host's own tools; reserved, so no file has it.
    #[must_use]
    pub fn host() -> Self {
        Self(HOST.into())
    }

    /// Whether it is the one behind the host's own tools.
    #[must_use]
    pub fn is_host(&self) -> bool {
        &*self.0 == HOST
    }

    /// The name as shared text.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SkillName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for SkillName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The full name of a tool as agents see it: `skill_tool`, or the bare tool name when the skill is
/// mounted at the root. At most 64 characters of `A-Z a-z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToolName(Arc<str>);

impl ToolName {
    /// `skill_tool`.
    ///
    /// # Errors
    /// [`NameError`] when the tool's name is empty, the whole too long, or other characters are in it.
    pub fn prefixed(skill: &SkillName, tool: &str) -> Result<Self, NameError> {
        check_tool(tool)?;
        Self::bare(&format!("{skill}_{tool}"))
    }

    /// The tool's own name.
    ///
    /// # Errors
    /// As [`ToolName::prefixed`].
    pub fn bare(tool: &str) -> Result<Self, NameError> {
        check_tool(tool)?;
        Ok(Self(tool.into()))
    }

    /// The tool's own name, for a skill that is mounted at the root, where names of the host live too.
    ///
    /// # Errors
    /// As [`ToolName::prefixed`], and when the part before the first `_` is reserved.
    pub fn at_root(tool: &str) -> Result<Self, NameError> {
        if RESERVED.contains(&tool.split('_').next().unwrap_or(tool)) {
            return Err(NameError::Reserved(tool.into()));
        }
        Self::bare(tool)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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

impl Mount {
    /// The name that agents see.
    ///
    /// # Errors
    /// As [`ToolName::prefixed`] or [`ToolName::at_root`].
    pub fn tool(self, skill: &SkillName, own: &str) -> Result<ToolName, NameError> {
        match self {
            Self::Prefixed => ToolName::prefixed(skill, own),
            Self::Root => ToolName::at_root(own),
        }
    }
}

fn check_tool(tool: &str) -> Result<(), NameError> {
    check(tool, MAX_TOOL_NAME, "A-Z a-z 0-9 _ -", |c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for ToolName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skill_names() {
        for good in ["text", "a", "my-skill2", "Text", &"x".repeat(32)] {
            assert_eq!(SkillName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a_b", "a b", "a.b", "é", "../x", "saga", "Undo", &"x".repeat(33)] {
            assert!(SkillName::new(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn tool_names() {
        let skill = SkillName::new("text").unwrap();
        assert_eq!(ToolName::prefixed(&skill, "word_count").unwrap().as_str(), "text_word_count");
        assert!(ToolName::prefixed(&skill, &"x".repeat(59)).is_ok());
        for bad in ["", "two words", "a/b", "ä", &"x".repeat(60)] {
            assert!(ToolName::prefixed(&skill, bad).is_err(), "{bad:?} must be refused");
        }
    }
}
