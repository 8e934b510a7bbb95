//! Components that were loaded, by their digest: what a version did is taken back by that version, however often its file was
//! replaced since.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use skillhost_core::Digest;

/// A file that is younger may belong to a process that has only begun to use it.
const YOUNG: Duration = Duration::from_secs(3_600);

/// A folder of components that only its user can read. Several processes may share it.
#[derive(Debug, Clone)]
pub struct Kept {
    dir: PathBuf,
}

impl Kept {
    /// In this folder, which is made with the first use.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn file(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{}.wasm", digest.hex()))
    }

    /// Keep a component. It is on disk when this returns.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn store(&self, digest: Digest, component: &[u8]) -> io::Result<()> {
        let file = self.file(digest);
        let is_whole = File::open(&file).and_then(Digest::of_reader).is_ok_and(|found| found == digest);
        // A use is as good as a new file, for whoever looks what may go.
        let used = || File::options().append(true).open(&file).and_then(|file| file.set_modified(now()));
        if is_whole && used().is_ok() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let new = self.dir.join(format!("{}.{}.new", digest.hex(), std::process::id()));
        let written = (|| {
            let mut to = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            to.write_all(component)?;
            to.sync_all()?;
            fs::rename(&new, &file)?;
            File::open(&self.dir)?.sync_all()
        })();
        if written.is_err() {
            // What failed first is what counts.
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// A component. None when it is not there, or not what it was.
    pub(crate) fn read(&self, digest: Digest) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.file(digest)) {
            Ok(bytes) if Digest::of(&bytes) == digest => Ok(Some(bytes)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remove what is not `needed`, and was not needed for a while by anybody. Answers how many.
    ///
    /// # Errors
    /// What the file system says.
    pub fn retain(&self, needed: &HashSet<Digest>) -> io::Result<usize> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let needed: HashSet<_> = needed.iter().map(|digest| self.file(*digest)).collect();
        for file in &needed {
            // For those who share the folder. It need not be there.
            let _ = File::options().append(true).open(file).and_then(|file| file.set_modified(now()));
        }
        let mut removed = 0;
        for entry in entries {
            let path = entry?.path();
            if !needed.contains(&path) && is_old(&path) {
                fs::remove_file(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn now() -> SystemTime {
    use skillhost_core::Clock as _;
    skillhost_core::SystemClock.wall()
}

fn is_old(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|meta| meta.modified()).map(|then| now().duration_since(then));
    matches!(age, Ok(Ok(age)) if age > YOUNG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_it_was_until_nobody_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path().join("components"));
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        assert_eq!(kept.retain(&HashSet::new()).unwrap(), 0);
        kept.store(one, b"one").unwrap();
        kept.store(one, b"one").unwrap();
        kept.store(other, b"other").unwrap();
        assert_eq!(kept.read(one).unwrap(), Some(b"one".to_vec()));
        // Young ones stay: somebody may be about to use them.
        assert_eq!(kept.retain(&HashSet::new()).unwrap(), 0);
        for digest in [one, other] {
            let file = File::options().append(true).open(kept.file(digest)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        assert_eq!(kept.retain(&HashSet::from([one])).unwrap(), 1);
        assert_eq!(kept.read(other).unwrap(), None);
        fs::write(kept.file(one), b"not it").unwrap();
        assert_eq!(kept.read(one).unwrap(), None);
        kept.store(one, b"one").unwrap();
        assert_eq!(kept.read(one).unwrap(), Some(b"one".to_vec()), "a damaged one is made anew");
    }
}
