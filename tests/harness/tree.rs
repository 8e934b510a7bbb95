//! What is in a folder, so that before and after can be compared byte for byte.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A folder's contents by path: of files the bytes, of folders none. Links are told by where they lead.
///
/// # Panics
/// When something cannot be read.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let kind = path.symlink_metadata().expect("it is there").file_type();
            let what = if kind.is_dir() {
                open.push(path.clone());
                None
            } else if kind.is_symlink() {
                Some(fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes())
            } else {
                Some(fs::read(&path).expect("a file"))
            };
            all.insert(path.strip_prefix(folder).expect("inside").to_owned(), what);
        }
    }
    all
}
