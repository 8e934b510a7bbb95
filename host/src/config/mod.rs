//! `skillhost.toml`: as written ([`raw`]), and checked ([`settings`]).

mod effective;
mod env;
mod error;
pub(crate) mod raw;
mod reference;
mod settings;
mod source;

use std::path::{Path, PathBuf};

pub(crate) use effective::{effective, split};
pub(crate) use error::ConfigError;
pub(crate) use raw::Raw;
pub(crate) use reference::{page, schema};
pub(crate) use settings::{
    AdminSettings, AuthSettings, HealthSettings, HttpSettings, Least, Settings, ShutdownSettings,
};
pub(crate) use source::Source;

/// The file that is read when no other is named and it is there.
pub(crate) const DEFAULT_FILE: &str = "skillhost.toml";

/// Read a configuration file. Relative paths in it start from its folder.
pub(crate) fn read(path: &Path) -> Result<Raw, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    let mut raw = parse(path, &text)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for relative in paths(&mut raw) {
        // An empty one stays that, to be refused.
        if !relative.as_os_str().is_empty() {
            *relative = folder.join(&relative);
        }
    }
    if let Some(jwks) = raw.auth.jwks.as_mut().filter(|jwks| !jwks.is_empty() && !jwks.contains("://")) {
        *jwks = folder.join(&jwks).to_string_lossy().into_owned();
    }
    Ok(raw)
}

/// `raw` with what the process's environment says over it.
///
/// # Errors
/// With the variable's name, when it says something wrong.
pub(crate) fn with_environment(raw: Raw) -> Result<Raw, ConfigError> {
    env::over(
        raw,
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )
}

/// Let relative paths in `grants` start from `folder`.
pub(crate) fn rooted(grants: &mut raw::Grants, folder: &Path) {
    for relative in granted(grants).filter(|path| !path.as_os_str().is_empty()) {
        *relative = folder.join(&relative);
    }
}

/// Every path of the machine in `grants`.
fn granted(grants: &mut raw::Grants) -> impl Iterator<Item = &mut PathBuf> {
    let secrets = grants.secrets.values_mut().filter_map(|secret| match secret {
        raw::Secret::File(file) => Some(&mut file.file),
        raw::Secret::Variable(_) => None,
    });
    grants.files.iter_mut().map(|folder| &mut folder.host).chain(secrets)
}

/// Every path of the machine in `raw`.
fn paths(raw: &mut Raw) -> impl Iterator<Item = &mut PathBuf> {
    let grants = raw.skills.values_mut().filter_map(|skill| skill.grants.as_mut());
    let granted = grants.flat_map(granted);
    let token = match &mut raw.admin.token {
        Some(raw::Secret::File(file)) => Some(&mut file.file),
        _ => None,
    };
    let ours = [&mut raw.server.skills, &mut raw.server.data, &mut raw.auth.tokens];
    ours.into_iter().flatten().chain(token).chain(granted)
}

fn parse(path: &Path, text: &str) -> Result<Raw, ConfigError> {
    let raw: Raw = toml::from_str(text).map_err(|error| ConfigError::parse(path, text, &error))?;
    Ok(Raw { source: Some(Source::new(path, text)), ..raw })
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
