//! From grants as written to what a call uses.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use skillhost_core::{KeyValue, KeyValueBounds, KeyValueError};

use super::{Access, EnvValue, FolderGrant, Grants, SecretSource, ToolPattern};
use crate::{
    http::{self, OwnListeners},
    redact::Redactor,
};

/// Bytes of a secret. Shorter ones could not be hidden: they stand in ordinary text.
const SECRET: std::ops::RangeInclusive<usize> = 8..=64 << 10;

/// What looks like folders and is the machine itself: its processes with their memory, and its devices.
const SYSTEM: [(&str, &str); 3] =
    [("the system's own", "/proc"), ("the system's own", "/sys"), ("the system's own", "/dev")];

/// Why what was granted cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// A folder.
    #[error("the granted folder {} cannot be used: {error}", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A folder that holds, or is held by, something of the host's own.
    #[error(
        "the granted folder {} overlaps {what} {}: a skill must not reach it; grant another folder",
        .path.display(), .other.display()
    )]
    Overlap {
        /// The folder.
        path: PathBuf,
        /// What it overlaps.
        what: &'static str,
        /// Where that is.
        other: PathBuf,
    },
    /// A variable of the host.
    #[error("the environment variable `{name}`, which {wanted_by} is to come from, is not set or not UTF-8")]
    Variable {
        /// Which.
        name: String,
        /// For what.
        wanted_by: String,
    },
    /// The file of a secret.
    #[error("the file {} of the secret `{secret}` cannot be read: {error}", .path.display())]
    SecretFile {
        /// Whose.
        secret: String,
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A secret that cannot be hidden.
    #[error(
        "the secret `{0}` has fewer than 8 or more than 65536 bytes; it could not be kept out of logs and replies"
    )]
    SecretSize(String),
    /// The store for values.
    #[error("a bucket of values is granted, but {0}")]
    KeyValue(KeyValueError),
    /// The certificates of the machine.
    #[error("requests over HTTPS are granted, but {0}")]
    Certificates(String),
}

/// What a call of the skill may touch.
#[derive(Default)]
pub(crate) struct Granted {
    pub(crate) folders: Vec<Folder>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) http: Option<Arc<http::Client>>,
    pub(crate) keyvalue: Option<Keeping>,
    pub(crate) tools: Vec<ToolPattern>,
    pub(crate) redactor: Redactor,
}

/// Where the skill's values are kept, and how much of them.
pub(crate) type Keeping = (Arc<dyn KeyValue>, KeyValueBounds);

/// A granted folder.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Without links: each call opens it without following any, so that it cannot be swapped for another.
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) access: Access,
}

/// What grants are opened with.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) keyvalue: Option<Arc<dyn KeyValue>>,
    pub(crate) listeners: OwnListeners,
    pub(crate) upstream: Option<Arc<dyn http::Upstream>>,
}

/// Look up everything that `grants` names. Blocks.
pub(crate) fn open(
    grants: &Grants,
    protected: &[(&'static str, PathBuf)],
    around: &Surroundings,
) -> Result<Granted, GrantError> {
    let folders =
        grants.files.iter().map(|folder| self::folder(folder, protected)).collect::<Result<_, _>>()?;
    let secrets = secrets(&grants.secrets)?;
    let env = grants.env.iter().map(|(name, value)| Ok((name.clone(), self::env(name, value, &secrets)?)));
    Ok(Granted {
        folders,
        env: env.collect::<Result<_, _>>()?,
        config: grants.config.clone(),
        redactor: Redactor::new(secrets.values()),
        secrets,
        http: http::Client::new(&grants.http, &around.listeners, around.upstream.as_ref())
            .map_err(GrantError::Certificates)?
            .map(Arc::new),
        keyvalue: keyvalue(grants.keyvalue, around)?,
        tools: grants.tools.clone(),
    })
}

/// Whether everything that `grants` names is there now, for a check of the configuration. `protected` are places
/// of the host's own, each with a word for it. Blocks.
///
/// # Errors
/// The first that is not.
pub fn check(grants: &Grants, protected: &[(&'static str, PathBuf)]) -> Result<(), GrantError> {
    let around = Surroundings { keyvalue: None, listeners: OwnListeners::default(), upstream: None };
    open(grants, protected, &around).map(drop)
}

fn folder(grant: &FolderGrant, protected: &[(&'static str, PathBuf)]) -> Result<Folder, GrantError> {
    let unusable = |error| GrantError::Folder { path: grant.host.clone(), error };
    let host = grant.host.canonicalize().map_err(unusable)?;
    if !host.is_dir() {
        return Err(unusable(io::ErrorKind::NotADirectory.into()));
    }
    let systems_own = SYSTEM.map(|(what, place)| (what, PathBuf::from(place)));
    for (what, place) in protected.iter().chain(&systems_own) {
        let real = resolved(place);
        if host.starts_with(&real) || real.starts_with(&host) {
            return Err(GrantError::Overlap { path: grant.host.clone(), what, other: place.clone() });
        }
    }
    Ok(Folder { host, guest: grant.guest.clone(), access: grant.access })
}

/// `path` without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .ancestors()
        .find_map(|there| Some(there.canonicalize().ok()?.join(absolute.strip_prefix(there).ok()?)))
        .unwrap_or(absolute)
}

fn secrets(sources: &BTreeMap<String, SecretSource>) -> Result<BTreeMap<String, String>, GrantError> {
    let read = |(name, source): (&String, &SecretSource)| {
        let value = match source {
            SecretSource::Variable(variable) => self::variable(variable, || format!("the secret `{name}`"))?,
            SecretSource::File(path) => {
                let unreadable =
                    |error| GrantError::SecretFile { secret: name.clone(), path: path.clone(), error };
                let text = fs::read_to_string(path).map_err(unreadable)?;
                if fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o007 != 0 {
                    tracing::warn!(secret = name, file = %path.display(),
                        "everybody on this machine can read the file of a secret; chmod 600 would change that");
                }
                text.strip_suffix('\n')
                    .map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t))
                    .to_owned()
            }
        };
        if SECRET.contains(&value.len()) {
            Ok((name.clone(), value))
        } else {
            Err(GrantError::SecretSize(name.clone()))
        }
    };
    sources.iter().map(read).collect()
}

fn keyvalue(bounds: Option<KeyValueBounds>, around: &Surroundings) -> Result<Option<Keeping>, GrantError> {
    let Some((bounds, store)) = bounds.zip(around.keyvalue.clone()) else { return Ok(None) };
    store.check().map_err(GrantError::KeyValue)?;
    Ok(Some((store, bounds)))
}

fn env(name: &str, value: &EnvValue, secrets: &BTreeMap<String, String>) -> Result<String, GrantError> {
    match value {
        EnvValue::Literal(text) => Ok(text.clone()),
        EnvValue::Variable(variable) => self::variable(variable, || format!("`env.{name}`")),
        // The configuration has checked that there is one of that name.
        EnvValue::Secret(secret) => Ok(secrets.get(secret).cloned().unwrap_or_default()),
    }
}

fn variable(name: &str, wanted_by: impl Fn() -> String) -> Result<String, GrantError> {
    std::env::var(name).map_err(|_| GrantError::Variable { name: name.to_owned(), wanted_by: wanted_by() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(host: &Path) -> FolderGrant {
        FolderGrant { host: host.to_owned(), guest: "/data".into(), access: Access::ReadOnly }
    }

    #[test]
    fn what_is_the_hosts_own_cannot_be_granted() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        for name in ["work/skills", "work/docs", "elsewhere"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("work/skills"), root.join("link")).unwrap();
        // Not there yet, but will be.
        let protected =
            [("the skills folder", root.join("link")), ("the data folder", root.join("work/state/data"))];
        let refused =
            |path: &str| folder(&grant(&root.join(path)), &protected).map(drop).unwrap_err().to_string();
        for path in ["work/skills", "link", "work", "work/../work", "."] {
            assert!(refused(path).contains("overlaps"), "{path}: {}", refused(path));
        }
        for path in ["work/docs", "elsewhere"] {
            assert!(folder(&grant(&root.join(path)), &protected).is_ok(), "{path}");
        }
        assert!(refused("missing").contains("cannot be used"));
        for system in ["/proc/self", "/dev", "/"] {
            let error = folder(&grant(Path::new(system)), &[]).map(drop).unwrap_err().to_string();
            assert!(error.contains("overlaps the system's own"), "{system}: {error}");
        }
    }

    #[test]
    fn a_secret_must_be_long_enough_to_be_hidden() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("token");
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            secrets(&BTreeMap::from([("token".into(), SecretSource::File(file.clone()))]))
        };
        assert_eq!(read("12345678\n").unwrap()["token"], "12345678");
        assert_eq!(read("12345678\r\n").unwrap()["token"], "12345678");
        assert!(matches!(read("1234567\n"), Err(GrantError::SecretSize(_))));
    }
}
