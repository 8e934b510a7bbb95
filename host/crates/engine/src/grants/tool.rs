//! Which tools of others a skill may call.

/// The full name of a tool, or the beginning of names: `text_word_count`, `text_*`, `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolPattern(String);

impl ToolPattern {
    /// Check a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let name = pattern.strip_suffix('*').unwrap_or(pattern);
        let sound = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if !sound || pattern.is_empty() || name.len() > 64 {
            return Err(
                "write a tool's full name such as `text_diff`, or its beginning such as `text_*`".into()
            );
        }
        Ok(Self(pattern.to_owned()))
    }

    /// Whether it stands for the tool with this full name.
    #[must_use]
    pub fn matches(&self, tool: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => tool.starts_with(beginning),
            None => self.0 == tool,
        }
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_beginnings() {
        let all = |pattern, tool| ToolPattern::new(pattern).unwrap().matches(tool);
        assert!(all("text_diff", "text_diff") && !all("text_diff", "text_diff2"));
        assert!(all("text_*", "text_diff") && !all("text_*", "textual_diff"));
        assert!(all("*", "anything"));
        for wrong in ["", "a*b", "a b", "**"] {
            assert!(ToolPattern::new(wrong).is_err(), "{wrong}");
        }
    }
}
