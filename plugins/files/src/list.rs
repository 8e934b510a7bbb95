//! The tool `list`.
use std::time::UNIX_EPOCH;

use skillhost_sdk::prelude::*;

use crate::roots::{failed, granted, resolve};
use crate::walk::walk;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The folder; `/` lists the granted folders.
    #[serde(default = "here")]
    path: String,
    /// How many levels deep to look.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 32))]
    depth: usize,
    /// How many entries to give at most.
    #[serde(default = "five_hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    max_entries: usize,
}

fn here() -> String {
    "/".into()
}

fn one() -> usize {
    1
}

fn five_hundred() -> usize {
    500
}

#[derive(Serialize, JsonSchema)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Listing {
    /// In alphabetical order.
    entries: Vec<Entry>,
    /// Whether there are more than `max_entries`.
    truncated: bool,
}

#[derive(Serialize, JsonSchema)]
#[cfg_attr(test, derive(Debug))]
struct Entry {
    path: String,
    /// `file`, `folder`, `link` or `other`.
    kind: &'static str,
    /// Bytes of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// When it was last changed, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<u64>,
}

/// Lists what is in a folder, with kind, size and time of the last change. Links are shown, not followed.
#[tool(read_only, idempotent, open_world = false, title = "List a folder")]
pub(crate) fn list(args: Args) -> Result<Listing, Failure> {
    let roots = granted();
    if args.path == "/" && !roots.is_empty() && roots.iter().all(|root| root.as_os_str() != "/") {
        let root = |root: &std::path::PathBuf| Entry {
            path: root.display().to_string(),
            kind: "folder",
            size: None,
            modified: None,
        };
        return Ok(Listing { entries: roots.iter().map(root).collect(), truncated: false });
    }
    let folder = resolve(&args.path)?;
    if !folder.metadata().map_err(|error| failed(&folder, &error))?.is_dir() {
        return Err(Failure::invalid_input(format_args!("`{}` is no folder", folder.display())));
    }
    let mut entries = vec![];
    let mut truncated = false;
    walk(&folder, args.depth, &mut |path, meta| {
        if entries.len() == args.max_entries {
            truncated = true;
            return false;
        }
        let kind = match meta.file_type() {
            kind if kind.is_file() => "file",
            kind if kind.is_dir() => "folder",
            kind if kind.is_symlink() => "link",
            _ => "other",
        };
        let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        entries.push(Entry {
            path: path.display().to_string(),
            kind,
            size: meta.is_file().then_some(meta.len()),
            modified: modified.map(|since| since.as_secs()),
        });
        true
    })?;
    Ok(Listing { entries, truncated })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::tests::granted;

    #[test]
    fn a_listing_is_sorted_and_bounded() {
        let root = granted();
        for name in ["b", "a/x", "a/y/z"] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "12").unwrap();
        }
        std::os::unix::fs::symlink("/etc", root.path().join("link")).unwrap();
        let run = |path: &str, depth, max_entries| {
            let listing = list(Args { path: path.into(), depth, max_entries }).unwrap();
            let entry = |entry: &Entry| {
                let path = entry.path.strip_prefix(root.path().to_str().unwrap()).unwrap().to_owned();
                (path, entry.kind, entry.size)
            };
            (listing.entries.iter().map(entry).collect::<Vec<_>>(), listing.truncated)
        };
        let (entries, truncated) = run(".", 2, 100);
        let expected = [
            ("/a", "folder", None),
            ("/a/x", "file", Some(2)),
            ("/a/y", "folder", None),
            ("/b", "file", Some(2)),
            ("/link", "link", None),
        ];
        assert_eq!(entries, expected.map(|(path, kind, size)| (path.to_owned(), kind, size)));
        assert!(!truncated);
        assert!(run(".", 9, 2).1);
        assert_eq!(run("/", 1, 9).0, [(String::new(), "folder", None)]);
        assert!(matches!(
            list(Args { path: "b".into(), depth: 1, max_entries: 1 }),
            Err(Failure::InvalidInput(_))
        ));
    }
}
