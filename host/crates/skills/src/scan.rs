//! One look at the folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use skillhost_core::SkillName;

use crate::SkillsSettings;

/// What makes a file the same as before without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub(crate) fn of(meta: &fs::Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// A file that may be a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A regular file at this path, links resolved.
    File(PathBuf, Identity),
    /// Something that is never opened, and why.
    Refused(String),
}

/// What is in the folder.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) skills: BTreeMap<SkillName, Found>,
    /// File names that cannot be skills, and why.
    pub(crate) refused: BTreeMap<String, String>,
    /// Folders below the folder that links lead into.
    pub(crate) linked: BTreeSet<PathBuf>,
}

/// The skills of the folder: each one's file with links resolved, or why it has none that is opened.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(settings: &SkillsSettings) -> io::Result<BTreeMap<SkillName, Result<PathBuf, String>>> {
    let scan = scan(&settings.dir, settings.max_skills)?;
    let file = |found| match found {
        Found::File(path, _) => Ok(path),
        Found::Refused(reason) => Err(reason),
    };
    Ok(scan.skills.into_iter().map(|(name, found)| (name, file(found))).collect())
}

/// Look at the folder. Only names that end in `.wasm` count, and not those that begin with a dot.
pub(crate) fn scan(dir: &Path, max_skills: usize) -> io::Result<Scan> {
    let root = dir.canonicalize()?;
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".wasm") && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    let mut scan = Scan::default();
    for file in names {
        let stem = file.strip_suffix(".wasm").unwrap_or(&file);
        match SkillName::new(stem) {
            Err(error) => {
                scan.refused.insert(file, format!("{error}; rename the file"));
            }
            Ok(_) if scan.skills.len() >= max_skills => {
                scan.refused.insert(file, format!("there are more than {max_skills} skills (`max_skills`)"));
            }
            Ok(name) => {
                // Gone between the listing and now: as if it had never been listed.
                if let Some(found) = look(&root, &file)? {
                    if let Found::File(path, _) = &found
                        && let Some(folder) = path.parent().filter(|folder| *folder != root)
                    {
                        scan.linked.insert(folder.to_owned());
                    }
                    scan.skills.insert(name, found);
                }
            }
        }
    }
    Ok(scan)
}

fn look(root: &Path, file: &str) -> io::Result<Option<Found>> {
    let path = root.join(file);
    let meta = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let path = if meta.is_symlink() {
        match path.canonicalize() {
            Ok(target) if target.starts_with(root) => target,
            Ok(_) => return Ok(Some(Found::Refused("it is a link that leads out of the folder".into()))),
            Err(_) => return Ok(Some(Found::Refused("it is a link that leads nowhere".into()))),
        }
    } else {
        path
    };
    Ok(match fs::metadata(&path) {
        Ok(meta) if meta.is_file() => Some(Found::File(path, Identity::of(&meta))),
        Ok(_) => Some(Found::Refused("it is not a regular file".into())),
        Err(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn found<'a>(scan: &'a Scan, name: &str) -> &'a Found {
        &scan.skills[name]
    }

    #[test]
    fn only_regular_files_inside_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.wasm"), b"x").unwrap();
        fs::create_dir(at("b.wasm")).unwrap();
        symlink("a.wasm", at("c.wasm")).unwrap();
        symlink(outside.path(), at("d.wasm")).unwrap();
        symlink("nowhere", at("e.wasm")).unwrap();
        fs::write(at("my_skill.wasm"), b"x").unwrap();
        fs::write(at("saga.wasm"), b"x").unwrap();
        fs::write(at(".hidden.wasm"), b"x").unwrap();
        fs::write(at("notes.txt"), b"x").unwrap();
        fs::create_dir(at("store")).unwrap();
        fs::write(at("store/blob"), b"x").unwrap();
        symlink("store/blob", at("f.wasm")).unwrap();
        let scan = scan(dir.path(), 100).unwrap();
        assert_eq!(
            scan.skills.keys().map(SkillName::as_str).collect::<Vec<_>>(),
            ["a", "b", "c", "d", "e", "f"]
        );
        assert!(matches!(found(&scan, "a"), Found::File(..)));
        assert!(matches!(found(&scan, "c"), Found::File(path, _) if path.ends_with("a.wasm")));
        let store = dir.path().canonicalize().unwrap().join("store");
        assert!(matches!(found(&scan, "f"), Found::File(path, _) if *path == store.join("blob")));
        assert_eq!(scan.linked, [store].into());
        for name in ["b", "d", "e"] {
            assert!(matches!(found(&scan, name), Found::Refused(_)), "{name}");
        }
        assert!(scan.refused["my_skill.wasm"].contains('_'));
        assert!(scan.refused["saga.wasm"].contains("reserved"));
        assert_eq!(scan.refused.len(), 2);
    }

    #[test]
    fn a_thousand_files_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..1001 {
            fs::write(dir.path().join(format!("s{n:04}.wasm")), b"").unwrap();
        }
        let scan = scan(dir.path(), 1000).unwrap();
        assert_eq!(scan.skills.len(), 1000);
        assert_eq!(scan.refused.keys().collect::<Vec<_>>(), ["s1000.wasm"]);
    }

    #[test]
    fn a_replaced_file_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        fs::write(&path, b"one").unwrap();
        let before = scan(dir.path(), 10).unwrap();
        let next = dir.path().join("next");
        fs::write(&next, b"two").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_ne!(before.skills["a"], scan(dir.path(), 10).unwrap().skills["a"]);
    }
}
