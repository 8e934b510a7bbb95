//! Looking through folders, in a stable order, without following links.
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use skillhost_sdk::{Failure, host};

use crate::roots::failed;

/// Entries below `folder`, at most `depth` levels deep, each handed to `visit` until that answers false. Answers whether
/// all were visited. What cannot be read on the way is skipped; the folder itself must be readable.
pub(crate) fn walk(
    folder: &Path,
    depth: usize,
    visit: &mut dyn FnMut(&Path, &Metadata) -> bool,
) -> Result<bool, Failure> {
    for path in entries(folder).map_err(|error| failed(folder, &error))? {
        if host::cancelled() {
            return Ok(false);
        }
        let Ok(meta) = path.symlink_metadata() else { continue };
        if !visit(&path, &meta) {
            return Ok(false);
        }
        if meta.is_dir() && depth > 1 && !walk(&path, depth - 1, visit).unwrap_or(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is in a folder, in the order of names.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    entries.sort_unstable();
    Ok(entries)
}
