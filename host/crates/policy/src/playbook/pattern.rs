//! What rules compare texts with.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// Bytes of an expression.
const MAX_PATTERN: usize = 1_000;
/// Bytes of an expression as it is compiled.
const MAX_COMPILED: usize = 1 << 18;

/// A name, or several by `*`, which stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// From a text of 1 to 64 characters of names, and `*`.
    ///
    /// # Errors
    /// What it must be.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let of_names = |c: char| c.is_ascii_alphanumeric() || "_-*".contains(c);
        if !(1..=64).contains(&text.len()) || !text.chars().all(of_names) {
            return Err("write a name of letters, digits, `_` and `-`, with `*` for any of them");
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it stands for `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        // Each part where it comes first leaves most for those after it.
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A regular expression, compiled once. Its time is linear in the text, whatever it is.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiled, within bounds of its size.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_PATTERN {
            return Err(format!("it has {} bytes; 1 to {MAX_PATTERN} are taken", text.len()));
        }
        let built = RegexBuilder::new(text).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large when it is compiled".to_owned(),
            // The last line says what; those before it draw where.
            error => {
                let told = error.to_string();
                let last = told.lines().next_back().unwrap_or_default().trim();
                last.strip_prefix("error: ").unwrap_or(last).to_owned()
            }
        })
    }

    /// Whether it is found in `text`.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}
