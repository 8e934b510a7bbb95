//! Holds the folder of compiled code to its bound.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What the names of unfinished files begin with.
pub(super) const UNFINISHED: &str = ".unfinished-";
/// Longer than anybody writes a file.
const ABANDONED: Duration = Duration::from_secs(3600);

/// One component's compiled code: files whose names begin alike.
struct Item {
    used: SystemTime,
    bytes: u64,
    complete: bool,
    files: Vec<PathBuf>,
}

/// Remove what was not used for longest until at most `max` bytes are left, and what a killed process left
/// half-done. Entries of every engine under `root` count. Code that is mapped stays usable when its file goes.
///
/// Another process may be at it too, so what cannot be read or removed is left: the next one tries again.
pub(super) fn evict(root: &Path, max: u64, now: SystemTime) {
    let mut items: Vec<Item> = entries(root)
        .unwrap_or_default()
        .iter()
        .flat_map(|engine| items(engine).unwrap_or_default())
        .collect();
    let abandoned =
        |item: &Item| !item.complete && now.duration_since(item.used).is_ok_and(|age| age > ABANDONED);
    items.sort_by_key(|item| (!abandoned(item), item.used));
    let mut bytes: u64 = items.iter().map(|item| item.bytes).sum();
    for item in &items {
        if bytes <= max && !abandoned(item) {
            break;
        }
        for file in &item.files {
            let _ = fs::remove_file(file);
        }
        bytes -= item.bytes;
    }
}

fn items(engine: &Path) -> io::Result<Vec<Item>> {
    let mut items: HashMap<String, Item> = HashMap::new();
    for file in entries(engine)? {
        let Ok(meta) = fs::symlink_metadata(&file) else { continue };
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let key = match name.split_once('.') {
            Some((component, _)) if !component.is_empty() => component.to_owned(),
            _ => name.clone(),
        };
        let used = meta.modified()?;
        let item =
            items.entry(key).or_insert_with(|| Item { used, bytes: 0, complete: false, files: vec![] });
        item.used = item.used.max(used);
        item.bytes += meta.len();
        item.complete |= name.ends_with(".sum");
        item.files.push(file);
    }
    Ok(items.into_values().collect())
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn file(root: &Path, name: &str, bytes: usize, used: u64) {
        let path = root.join("engine").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![0; bytes]).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(START + Duration::from_secs(used)).unwrap();
    }

    fn left(root: &Path) -> Vec<String> {
        let mut names: Vec<_> = entries(&root.join("engine"))
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_used_last_stays() {
        let root = tempfile::tempdir().unwrap();
        for (component, used) in [("a", 3), ("b", 1), ("c", 2)] {
            file(root.path(), &format!("{component}.code.cwasm"), 90, 0);
            file(root.path(), &format!("{component}.sum"), 10, used);
        }
        evict(root.path(), 300, START);
        assert_eq!(left(root.path()).len(), 6, "within the bound");
        evict(root.path(), 299, START);
        assert_eq!(left(root.path()), ["a.code.cwasm", "a.sum", "c.code.cwasm", "c.sum"]);
        evict(root.path(), 0, START);
        assert!(left(root.path()).is_empty());
    }

    #[test]
    fn what_a_killed_process_left_goes_in_time() {
        let root = tempfile::tempdir().unwrap();
        file(root.path(), ".unfinished-x", 1, 10);
        file(root.path(), "a.code.cwasm", 1, 10);
        file(root.path(), "b.code.cwasm", 1, 0);
        file(root.path(), "b.sum", 1, 0);
        evict(root.path(), 100, START + Duration::from_secs(10) + ABANDONED);
        assert_eq!(left(root.path()).len(), 4, "somebody may still be at it");
        evict(root.path(), 100, START + Duration::from_secs(11) + ABANDONED);
        assert_eq!(left(root.path()), ["b.code.cwasm", "b.sum"]);
    }
}
