//! The skills folder, for who changes it: a file is there whole or not at all, whenever the process is killed.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use skillhost_core::SkillName;

use crate::cli::inspect;

/// Ends the names of files that are being written. They begin with a dot, too: no host takes them for skills.
const PART: &str = ".skillhost-part";

/// A skills folder.
pub(in crate::cli) struct Folder {
    dir: PathBuf,
}

/// What is under a skill's name.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum There {
    /// Nothing.
    Nothing,
    /// A file with this component.
    File(Vec<u8>),
    /// A link to this component. None when it leads out of the folder or nowhere: that is not looked at.
    Link(Option<Vec<u8>>),
}

impl There {
    /// The component, where it is one that a host would look at.
    pub(in crate::cli) fn component(&self) -> Option<&[u8]> {
        match self {
            Self::File(bytes) | Self::Link(Some(bytes)) => Some(bytes),
            Self::Nothing | Self::Link(None) => None,
        }
    }
}

impl Folder {
    /// # Errors
    /// When it is not there, or is no folder.
    pub(in crate::cli) fn open(dir: &Path) -> anyhow::Result<Self> {
        let problem = || {
            format!(
                "the skills folder {} cannot be read\n  hint: create it, or name another with --skills",
                dir.display()
            )
        };
        // As the host that watches it, wherever links lead.
        let dir = dir.canonicalize().with_context(problem)?;
        fs::read_dir(&dir).with_context(problem)?;
        Ok(Self { dir })
    }

    /// Where a skill is.
    pub(in crate::cli) fn file(&self, name: &SkillName) -> PathBuf {
        self.dir.join(format!("{name}.wasm"))
    }

    /// Look at what is under a skill's name.
    ///
    /// # Errors
    /// When it is neither a file nor a link, or cannot be read.
    pub(in crate::cli) fn look(&self, name: &SkillName) -> anyhow::Result<There> {
        let path = self.file(name);
        let meta = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(There::Nothing),
            meta => meta.with_context(|| format!("cannot look at {}", path.display()))?,
        };
        if meta.is_symlink() {
            let inside = path.canonicalize().ok().filter(|target| target.starts_with(&self.dir));
            return Ok(There::Link(
                inside.filter(|target| target.is_file()).and_then(|target| inspect::read(&target).ok()),
            ));
        }
        anyhow::ensure!(
            meta.is_file(),
            "{} is not a regular file\n  hint: move it away, or choose another name with --name",
            path.display()
        );
        inspect::read(&path).map(There::File)
    }

    /// Put a component under a skill's name, in the place of `before`. It is on disk when this returns. A link is replaced,
    /// never followed.
    ///
    /// # Errors
    /// When it cannot be written, or something else than `before` is there by now: nothing of it stays then.
    pub(in crate::cli) fn put(
        &self,
        name: &SkillName,
        component: &[u8],
        before: &There,
    ) -> anyhow::Result<()> {
        self.tidy();
        let (mut part, path) = self.part(name).map_err(|error| self.advice(error))?;
        let written = (|| {
            part.write_all(component).and_then(|()| part.sync_all()).map_err(|error| self.advice(error))?;
            anyhow::ensure!(
                self.look(name)? == *before,
                "somebody else has changed {} meanwhile\n  hint: run the command again and see what is there",
                self.file(name).display()
            );
            fs::rename(&path, self.file(name)).map_err(|error| self.advice(error))
        })();
        if written.is_err() {
            // What failed first is what counts.
            let _ = fs::remove_file(&path);
        }
        written?;
        self.sync()
    }

    /// Remove a skill's file, or the link that stands for it. It is gone for good when this returns.
    ///
    /// # Errors
    /// When it cannot be.
    pub(in crate::cli) fn remove(&self, name: &SkillName) -> anyhow::Result<()> {
        self.tidy();
        fs::remove_file(self.file(name)).map_err(|error| self.advice(error))?;
        self.sync()
    }

    /// The folder's own entries reach the disk.
    fn sync(&self) -> anyhow::Result<()> {
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.with_context(|| format!("it is done, but {} cannot be synced", self.dir.display()))
    }

    /// A new file that is being written, locked for as long as it is open.
    fn part(&self, name: &SkillName) -> io::Result<(File, PathBuf)> {
        loop {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(io::Error::other)?;
            let path = self.dir.join(format!(".{name}.{:016x}{PART}", u64::from_ne_bytes(random)));
            let file = File::options().write(true).create_new(true).mode(0o644).open(&path)?;
            // Whoever tidies up may have taken it for left behind before it was locked.
            match file.try_lock() {
                Ok(()) if path.exists() => return Ok((file, path)),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    let _ = fs::remove_file(&path);
                    return Err(error);
                }
            }
        }
    }

    /// Remove what a process that was killed has left half written.
    fn tidy(&self) {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_part = name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(PART));
            if !is_part || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let Ok(file) = File::open(entry.path()) else { continue };
            // Locked by another: it is being written. Ours until it is gone.
            if file.try_lock().is_ok() {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// What to do about a file system that says no.
    fn advice(&self, error: io::Error) -> anyhow::Error {
        use io::ErrorKind as Kind;
        let hint = match error.kind() {
            Kind::PermissionDenied => "run this as a user who may write there, or name another with --skills",
            Kind::ReadOnlyFilesystem => "it is read-only; name another with --skills",
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
                "make room there; nothing was left behind"
            }
            _ => "nothing was left behind",
        };
        let dir = self.dir.display();
        anyhow::anyhow!("the skills folder {dir} cannot be written: {error}\n  hint: {hint}")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn name() -> SkillName {
        SkillName::new("a").unwrap()
    }

    fn entries(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn links_are_replaced_and_never_followed() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let target = outside.path().join("target");
        fs::write(&target, b"theirs").unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        symlink(&target, folder.file(&name())).unwrap();
        assert_eq!(folder.look(&name()).unwrap(), There::Link(None));
        folder.put(&name(), b"ours", &There::Link(None)).unwrap();
        assert_eq!(folder.look(&name()).unwrap(), There::File(b"ours".to_vec()));
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        fs::rename(folder.file(&name()), dir.path().join("blob")).unwrap();
        symlink("blob", folder.file(&name())).unwrap();
        assert_eq!(folder.look(&name()).unwrap(), There::Link(Some(b"ours".to_vec())));
        folder.remove(&name()).unwrap();
        assert_eq!(entries(dir.path()), ["blob"]);
    }

    #[test]
    fn what_changed_meanwhile_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        fs::write(folder.file(&name()), b"new").unwrap();
        for before in [There::Nothing, There::File(b"old".to_vec())] {
            let error = folder.put(&name(), b"ours", &before).unwrap_err().to_string();
            assert!(error.contains("meanwhile"), "{error}");
        }
        assert_eq!(fs::read(folder.file(&name())).unwrap(), b"new");
        assert_eq!(entries(dir.path()), ["a.wasm"]);
    }

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_write_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let (living, path) = folder.part(&name()).unwrap();
        fs::write(dir.path().join(format!(".b.0{PART}")), b"half").unwrap();
        fs::write(dir.path().join(".b.wasm.swp"), b"somebody else's").unwrap();
        folder.put(&name(), b"x", &There::Nothing).unwrap();
        let living_name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut expected = vec![living_name, ".b.wasm.swp".to_owned(), "a.wasm".to_owned()];
        expected.sort();
        assert_eq!(entries(dir.path()), expected);
        drop(living);
        folder.remove(&name()).unwrap();
        assert_eq!(entries(dir.path()), [".b.wasm.swp"]);
    }

    #[test]
    fn a_folder_under_the_name_is_no_skill() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        fs::create_dir(folder.file(&name())).unwrap();
        assert!(folder.look(&name()).unwrap_err().to_string().contains("not a regular file"));
        assert!(Folder::open(&dir.path().join("nowhere")).is_err());
    }
}
