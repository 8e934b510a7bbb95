//! Bearer tokens by their hashes: one a line, `NAME sha256:HEX SCOPE…`. Tokens are random, so that a plain hash tells nothing of
//! them, and looking one up by its hash takes no time that depends on how much of it is right.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use skillhost_core::{Clock, Digest};

/// Random bytes of a token.
pub(crate) const LENGTH: usize = 32;
/// How often the file is looked at: a token that is taken out counts no longer than this.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes of the file.
const MAX_FILE: u64 = 16 << 20;

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
}

type Entries = HashMap<Digest, Entry>;

/// The file, as it was last read.
pub(super) struct Tokens {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    read: Mutex<Read>,
}

struct Read {
    entries: Arc<Entries>,
    stamp: Option<Stamp>,
    looked: Instant,
}

/// A line for the file.
pub(crate) fn line(name: &str, token: &str, scopes: &[String]) -> anyhow::Result<String> {
    if !is_name(name) {
        bail!("`{}` is no name: {NAME}", name.escape_debug());
    }
    let scopes = scopes.iter().map(|scope| format!(" {scope}")).collect::<String>();
    let line = format!("{name} {}{scopes}", Digest::of(token.as_bytes()));
    parse(&line)?;
    Ok(line)
}

impl Tokens {
    pub(super) fn open(path: PathBuf, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let (entries, stamp) = read(&path)?;
        let read = Read { entries: Arc::new(entries), stamp: Some(stamp), looked: clock.now() };
        Ok(Self { path, clock, read: Mutex::new(read) })
    }

    pub(super) fn find(&self, token: &str) -> Option<Entry> {
        self.entries().get(&Digest::of(token.as_bytes())).cloned()
    }

    /// What the file holds by now. One that cannot be read any more leaves nobody in: its operator may have meant that.
    fn entries(&self) -> Arc<Entries> {
        let mut kept = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if now.saturating_duration_since(kept.looked) < LOOK {
            return Arc::clone(&kept.entries);
        }
        kept.looked = now;
        if stamp(&self.path).ok() != kept.stamp {
            match read(&self.path) {
                Ok((entries, stamp)) => {
                    tracing::info!(tokens = entries.len(), "the file of tokens was read anew");
                    (kept.entries, kept.stamp) = (Arc::new(entries), Some(stamp));
                }
                Err(error) => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the file of tokens cannot be used: no token of it counts"
                    );
                    (kept.entries, kept.stamp) = (Arc::default(), None);
                }
            }
        }
        Arc::clone(&kept.entries)
    }
}

/// What differs with each change, also of one that keeps size and time of its contents: which file it is, and when it was
/// changed in any way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    changed: (i64, i64),
    size: u64,
}

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let meta = fs::metadata(path)?;
    Ok(Stamp { file: (meta.dev(), meta.ino()), changed: (meta.ctime(), meta.ctime_nsec()), size: meta.len() })
}

fn read(path: &Path) -> anyhow::Result<(Entries, Stamp)> {
    let shown = path.display();
    let stamp = stamp(path).with_context(|| format!("the file {shown} cannot be read"))?;
    if stamp.size > MAX_FILE {
        bail!("the file {shown} has more than {} MiB", MAX_FILE >> 20);
    }
    let text = fs::read_to_string(path).with_context(|| format!("the file {shown} cannot be read"))?;
    Ok((parse(&text).with_context(|| format!("the file {shown}"))?, stamp))
}

fn parse(text: &str) -> anyhow::Result<Entries> {
    let (mut entries, mut names) = (Entries::new(), HashSet::new());
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let n = n + 1;
        let mut words = line.split_whitespace();
        let (Some(name), Some(hash)) = (words.next(), words.next()) else {
            bail!("line {n}: write NAME sha256:HEX SCOPE…; `skillhost auth token NAME` makes one");
        };
        if !is_name(name) {
            bail!("line {n}: {NAME}");
        }
        let digest: Digest = hash.parse().map_err(|_| {
            // Not shown: it may be the token itself.
            anyhow::anyhow!(
                "line {n}: what follows the name is no hash; write sha256: and 64 hexadecimal digits"
            )
        })?;
        let scopes: Vec<String> = words.map(str::to_owned).collect();
        if let Some(scope) = scopes.iter().find(|scope| !is_scope(scope)) {
            bail!("line {n}: `{}` is no scope", scope.escape_debug());
        }
        // A name may have several tokens, while one takes the place of another.
        names.insert(name.to_owned());
        if entries.insert(digest, Entry { name: name.to_owned(), scopes }).is_some() {
            bail!("line {n}: this token is there twice");
        }
    }
    Ok(entries)
}

const NAME: &str = "a name has 1 to 64 characters of A-Z a-z 0-9 . _ @ -";

fn is_name(name: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(sound)
}

/// Whether it can be a scope (RFC 6749, 3.3).
pub(crate) fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_tokens() {
        let a = line("ci", "one", &["read".into(), "write".into()]).unwrap();
        let b = line("ann@example.org", "two", &[]).unwrap();
        let entries = parse(&format!("# tokens\n\n{a}\n  {b}  \n")).unwrap();
        assert_eq!(entries.len(), 2);
        let found = &entries[&Digest::of(b"one")];
        assert_eq!(
            (found.name.as_str(), &found.scopes[..]),
            ("ci", &["read".to_owned(), "write".to_owned()][..])
        );
        for (wrong, why) in [
            ("ci", "line 1"),
            ("ci plain-token", "no hash"),
            ("c i sha256:00", "no hash"),
            (&format!("a/b sha256:{}", "0".repeat(64)), "a name has"),
            (&format!("ci sha256:{}", "0".repeat(63)), "no hash"),
            (&format!("{a}\n{}", a.replace("ci ", "other ")), "twice"),
        ] {
            let error = format!("{:#}", parse(wrong).unwrap_err());
            assert!(error.contains(why), "{wrong}: {error}");
            assert!(!error.contains("plain-token"), "it may be the token");
        }
        assert!(line("ci", "x", &["two words".into()]).is_ok(), "two scopes");
        assert!(line("ci", "x", &["quo\"te".into()]).is_err());
    }
}
