//! What is wrong with a configuration, where, and the nearest right key.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::source::{Source, position};

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
    #[error("{}`{key}` {problem}", .at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default())]
    Value {
        /// Which, with its table.
        key: String,
        /// What is wrong with it.
        problem: String,
        /// Where it was said.
        at: Option<String>,
    },
    /// It cannot be served by: what it names is not there, or it lets everybody in.
    #[error("{0:#}")]
    Serve(anyhow::Error),
    /// A variable of the environment.
    #[error("the environment variable {name}: {message}{}", .hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default())]
    Variable {
        /// Which.
        name: String,
        /// What is wrong with it.
        message: String,
        /// What to write instead.
        hint: Option<String>,
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
        Self::Value { key: key.into(), problem: problem.into(), at: None }
    }

    pub(super) fn variable(name: &str, message: &str) -> Self {
        let (message, hint) = reword(message);
        Self::Variable { name: name.to_owned(), message, hint }
    }

    /// The same with the place of the value, where that is known. A key that was not said itself is looked for in
    /// the tables around it.
    pub(super) fn at(self, source: Option<&Source>) -> Self {
        match self {
            Self::Value { key, problem, at: None } => {
                let ends = key.match_indices(['.', '[']).map(|(end, _)| end).chain([key.len()]);
                let at = source.and_then(|source| {
                    ends.collect::<Vec<_>>().into_iter().rev().find_map(|end| source.place(&key[..end]))
                });
                Self::Value { key, problem, at }
            }
            other => other,
        }
    }

    pub(crate) fn parse(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
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
