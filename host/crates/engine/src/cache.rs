//! Compiled code on disk, by component digest and engine fingerprint.
//!
//! wasmtime maps such files as they are and does not notice flipped bytes, so what is mapped must be what
//! we wrote: the folder and its files belong to this user alone, and a checksum of our own is compared
//! before each mapping. Whatever does not match is thrown away and compiled again.
//!
//! Layout: `<fingerprint>/<component>.<code>.cwasm`, and `<fingerprint>/<component>.sum`, which holds the
//! digest of the code. The sum is renamed into place last, so that no reader sees a half-made entry, and
//! the code's own name is unique to its bytes, so that two processes cannot mix theirs.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use skillhost_core::Digest;
use tempfile::NamedTempFile;
use wasmtime::component::Component;

/// Bytes of a sum file: the hexadecimal digest.
const SUM: u64 = 64;

/// Longer than any compilation may take.
const ABANDONED: Duration = Duration::from_secs(25 * 3600);

/// The folder of one engine fingerprint.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Open or make the folder, private to this user, and clear what a killed process left behind.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else.
    pub(crate) fn open(root: &Path, fingerprint: &str, now: SystemTime) -> io::Result<Self> {
        let dir = root.join(fingerprint);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        for folder in [root, &dir] {
            let meta = fs::symlink_metadata(folder)?;
            if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("{} must be a folder owned by the user who runs skillhost", folder.display()),
                ));
            }
            if meta.mode() & 0o077 != 0 {
                fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
            }
        }
        clear(&dir, now)?;
        Ok(Self { dir })
    }

    /// A file to compile into; handed back to [`Cache::store`].
    pub(crate) fn scratch(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix(".compiling-").tempfile_in(&self.dir)
    }

    /// Keep what was compiled into `scratch`.
    pub(crate) fn store(&self, component: &Digest, mut scratch: NamedTempFile) -> io::Result<()> {
        scratch.as_file_mut().rewind()?;
        let code = Digest::of_reader(scratch.as_file())?;
        scratch.as_file().sync_all()?;
        scratch.persist(self.code_path(component, &code)).map_err(|e| e.error)?;
        let mut sum = tempfile::Builder::new().prefix(".sum-").tempfile_in(&self.dir)?;
        sum.write_all(code.hex().as_bytes())?;
        sum.as_file().sync_all()?;
        sum.persist(self.sum_path(component)).map_err(|e| e.error)?;
        Ok(())
    }

    /// Map the compiled code of `component`, if a sound entry is there.
    pub(crate) fn load(&self, engine: &wasmtime::Engine, component: &Digest) -> Option<Component> {
        match self.try_load(engine, component) {
            Ok(component) => component,
            Err(error) => {
                tracing::warn!(component = %component, %error, "a cached compilation is damaged and will be made anew");
                self.discard(component);
                None
            }
        }
    }

    fn try_load(&self, engine: &wasmtime::Engine, component: &Digest) -> io::Result<Option<Component>> {
        let sum = match open_private(&self.sum_path(component)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut wanted = String::new();
        sum.take(SUM + 1).read_to_string(&mut wanted)?;
        if wanted.len() as u64 != SUM || !wanted.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid("the checksum file is malformed"));
        }
        let path = self.dir.join(format!("{}.{wanted}.cwasm", component.hex()));
        let code = open_private(&path)?;
        if Digest::of_reader(&code)?.hex() != wanted {
            return Err(invalid("the checksum of the code does not match"));
        }
        map(engine, &path).map(Some).map_err(|e| invalid(&format!("{e:#}")))
    }

    /// Throw an entry away. Failing that is no harm: it will be refused again.
    pub(crate) fn discard(&self, component: &Digest) {
        if let Ok(sum) = fs::read_to_string(self.sum_path(component)) {
            let _ = fs::remove_file(self.dir.join(format!("{}.{sum}.cwasm", component.hex())));
        }
        let _ = fs::remove_file(self.sum_path(component));
    }

    fn sum_path(&self, component: &Digest) -> PathBuf {
        self.dir.join(format!("{}.sum", component.hex()))
    }

    fn code_path(&self, component: &Digest, code: &Digest) -> PathBuf {
        self.dir.join(format!("{}.{}.cwasm", component.hex(), code.hex()))
    }
}

/// Remove unfinished files so old that nobody can still be writing them.
fn clear(dir: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let unfinished = entry.file_name().to_string_lossy().starts_with('.');
        let written = entry.metadata()?.modified()?;
        let age = now.duration_since(written).unwrap_or_default();
        if unfinished && age > ABANDONED {
            // Another process may have been quicker.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// The only unsafe code of the project.
#[expect(unsafe_code, reason = "mapping compiled code is unsafe by its nature")]
fn map(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file holds what `Engine::precompile_component` wrote for this engine: its folder is
    // private to this user (owner and mode checked), as is the file, and its SHA-256 was just compared
    // with the one recorded when it was written. wasmtime itself refuses code of other versions and
    // settings. Nobody but this user can change the file between the check and the mapping.
    unsafe { Component::deserialize_file(engine, path) }
}

/// Open a regular file that only this user can have written.
fn open_private(path: &Path) -> io::Result<File> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_follow).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
        return Err(invalid("the file is not private to this user"));
    }
    Ok(file)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        _root: tempfile::TempDir,
        cache: Cache,
        engine: wasmtime::Engine,
        digest: Digest,
    }

    fn fixture() -> Fixture {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(root.path(), "engine", SystemTime::UNIX_EPOCH).unwrap();
        let engine = wasmtime::Engine::new(&crate::config::codegen()).unwrap();
        let digest = Digest::of(b"component");
        let mut scratch = cache.scratch().unwrap();
        let code = engine.precompile_component(&wat::parse_str("(component)").unwrap()).unwrap();
        scratch.write_all(&code).unwrap();
        cache.store(&digest, scratch).unwrap();
        Fixture { _root: root, cache, engine, digest }
    }

    fn code_file(fixture: &Fixture) -> PathBuf {
        let mut files = fs::read_dir(&fixture.cache.dir).unwrap().map(|f| f.unwrap().path());
        files.find(|path| path.extension().is_some_and(|e| e == "cwasm")).unwrap()
    }

    #[test]
    fn a_sound_entry_loads() {
        let f = fixture();
        assert!(f.cache.load(&f.engine, &f.digest).is_some());
        assert!(f.cache.load(&f.engine, &Digest::of(b"another")).is_none());
    }

    #[test]
    fn each_flipped_byte_is_noticed_and_the_entry_thrown_away() {
        let len = fs::metadata(code_file(&fixture())).unwrap().len();
        for at in [0, len / 3, len / 2, len - 1] {
            let f = fixture();
            let path = code_file(&f);
            let mut bytes = fs::read(&path).unwrap();
            bytes[usize::try_from(at).unwrap()] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert!(f.cache.load(&f.engine, &f.digest).is_none(), "a flip at {at} must be noticed");
            assert!(!path.exists());
        }
    }

    #[test]
    fn files_that_others_can_write_are_refused() {
        let f = fixture();
        let path = code_file(&f);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(f.cache.load(&f.engine, &f.digest).is_none());
    }

    #[test]
    fn a_link_is_not_followed() {
        let f = fixture();
        let path = code_file(&f);
        let elsewhere = f.cache.dir.join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(f.cache.load(&f.engine, &f.digest).is_none());
    }

    #[test]
    fn what_a_killed_process_left_is_cleared_in_time() {
        let f = fixture();
        let left = f.cache.dir.join(".compiling-x");
        fs::write(&left, "half").unwrap();
        let written = fs::metadata(&left).unwrap().modified().unwrap();
        clear(&f.cache.dir, written + ABANDONED).unwrap();
        assert!(left.exists(), "somebody may still be at it");
        clear(&f.cache.dir, written + ABANDONED + Duration::from_secs(1)).unwrap();
        assert!(!left.exists());
        assert!(f.cache.load(&f.engine, &f.digest).is_some());
    }

    #[test]
    fn the_folder_is_made_private() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("engine")).unwrap();
        fs::set_permissions(root.path().join("engine"), fs::Permissions::from_mode(0o755)).unwrap();
        let cache = Cache::open(root.path(), "engine", SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(fs::metadata(&cache.dir).unwrap().mode() & 0o777, 0o700);
    }
}
