//! What a caller may use.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a caller may use: everything, or what patterns stand for. A pattern is a full name of a tool or prompt or the URI of a
/// resource, or the beginning of such, ending in `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<Vec<String>>", into = "Option<Vec<String>>")]
pub struct Access(Option<Arc<[String]>>);

impl Access {
    /// What these patterns stand for.
    #[must_use]
    pub fn to(patterns: Vec<String>) -> Self {
        Self(Some(patterns.into()))
    }

    /// Whether there is nothing that may not be used.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.is_none()
    }

    /// Whether `name`, a name or a URI, may be used.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| stands_for(pattern, name)))
    }
}

impl From<Option<Vec<String>>> for Access {
    fn from(patterns: Option<Vec<String>>) -> Self {
        Self(patterns.map(Into::into))
    }
}

impl From<Access> for Option<Vec<String>> {
    fn from(Access(patterns): Access) -> Self {
        patterns.map(|patterns| patterns.to_vec())
    }
}

/// Whether `pattern` stands for `name`.
#[must_use]
pub fn stands_for(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_allowed_that_no_pattern_stands_for() {
        assert!(Access::default().allows("anything") && Access::default().is_full());
        let access = Access::to(vec!["text_*".into(), "note://*".into(), "json_query".into()]);
        for name in ["text_diff", "note://a", "json_query"] {
            assert!(access.allows(name), "{name}");
        }
        for name in ["json_query2", "textual", "", "file://text_"] {
            assert!(!access.allows(name), "{name}");
        }
        assert!(!Access::to(vec![]).allows("text_diff"));
    }
}
