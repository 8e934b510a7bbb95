//! What is wrong with a configuration, where, and the nearest right key.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file.
    #[error("the configuration {} cannot be read: {error}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Its text.
    #[error("{0}")]
    Parse(Box<Parse>),
    /// A value.
    #[error("`{key}` {problem}")]
    Value {
        /// Which, with its table.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// A place in the file and what is wrong there.
#[derive(Debug)]
pub(crate) struct Parse {
    path: PathBuf,
    line: usize,
    column: usize,
    message: String,
    hint: Option<String>,
}

impl ConfigError {
    pub(crate) fn value(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Value { key: key.into(), problem: problem.into() }
    }

    pub(crate) fn parse(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().map_or("", |span| &text[..span.start.min(text.len())]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let (message, hint) = reword(error.message());
        Self::Parse(Box::new(Parse { path: path.to_owned(), line, column, message, hint }))
    }
}

/// serde names an unknown field and then the ones it knows, each between backticks.
fn reword(message: &str) -> (String, Option<String>) {
    let Some(rest) = message.strip_prefix("unknown field ") else {
        let hint = match message {
            text if text.contains("expected parsable string") => {
                Some("write a size such as \"128MiB\" or \"64 KiB\"")
            }
            text if text.contains("expected a duration") => {
                Some("write a time such as \"250ms\", \"30s\" or \"2m\"")
            }
            _ => None,
        };
        return (message.trim().to_owned(), hint.map(str::to_owned));
    };
    let mut names = rest.split('`').skip(1).step_by(2);
    let unknown = names.next().unwrap_or_default();
    let known: Vec<_> = names.collect();
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(name, unknown), *name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(unknown.len()) / 2);
    let hint = match nearest {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("the keys here are {}", known.join(", ")),
    };
    (format!("unknown key `{unknown}`"), Some(hint))
}

impl fmt::Display for Parse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path.display(), self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}
