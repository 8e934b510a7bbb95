//! `skillhost.toml`: as written ([`raw`]), and checked ([`settings`]).

mod error;
pub(crate) mod raw;
mod settings;

use std::path::{Path, PathBuf};

pub(crate) use error::ConfigError;
pub(crate) use raw::Raw;
pub(crate) use settings::{HttpSettings, Settings};

/// The file that is read when no other is named and it is there.
pub(crate) const DEFAULT_FILE: &str = "skillhost.toml";

/// Read a configuration file. Relative paths in it start from its folder.
pub(crate) fn read(path: &Path) -> Result<Raw, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    let mut raw = parse(path, &text)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for relative in [&mut raw.server.skills, &mut raw.server.data].into_iter().flatten() {
        // An empty one stays that, to be refused.
        if !relative.as_os_str().is_empty() {
            *relative = folder.join(&relative);
        }
    }
    Ok(raw)
}

fn parse(path: &Path, text: &str) -> Result<Raw, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::parse(path, text, &error))
}

/// Where state is kept when nothing else is said: the XDG state folder.
pub(crate) fn default_data() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .map(|state| state.join("skillhost"))
}

#[cfg(test)]
mod tests;
