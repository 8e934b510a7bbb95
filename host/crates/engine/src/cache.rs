//! Compiled code on disk, by component digest and engine fingerprint.
//!
//! wasmtime maps such files as they are and does not notice flipped bytes, so what is mapped must be what
//! we wrote: the folder and its files belong to this user alone, and a checksum of our own is compared
//! before each mapping. Whatever does not match is thrown away and compiled again.
//!
//! Layout: `<fingerprint>/<component>.<code>.cwasm`, and `<fingerprint>/<component>.sum`, which holds the
//! digest of the code. The sum is renamed into place last, so that no reader sees a half-made entry, and
//! the code's own name is unique to its bytes, so that two processes cannot mix theirs.

mod evict;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use skillhost_core::{Clock, Digest};
use wasmtime::component::Component;

/// Bytes of a sum file: the hexadecimal digest.
const SUM: u64 = 64;

/// The folder of one engine fingerprint.
pub(crate) struct Cache {
    root: PathBuf,
    dir: PathBuf,
    max: u64,
    /// Bytes stored since the folder was last held to its bound.
    stored: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Cache {
    /// Open or make the folder, private to this user, and hold it to `max` bytes.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else.
    pub(crate) fn open(root: &Path, fingerprint: &str, max: u64, clock: Arc<dyn Clock>) -> io::Result<Self> {
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
        evict::evict(root, max, clock.wall());
        Ok(Self { root: root.to_owned(), dir, max, stored: AtomicU64::new(0), clock })
    }

    /// Keep the code of `component`.
    pub(crate) fn store(&self, component: &Digest, code: &[u8]) -> io::Result<()> {
        let sum = Digest::of(code);
        self.write(&self.code_path(component, &sum), code)?;
        self.write(&self.sum_path(component), sum.hex().as_bytes())?;
        // A look at the whole folder is worth its while only now and then.
        let stored = self.stored.fetch_add(code.len() as u64, Ordering::Relaxed) + code.len() as u64;
        if stored > self.max / 16 {
            self.stored.store(0, Ordering::Relaxed);
            evict::evict(&self.root, self.max, self.clock.wall());
        }
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(evict::UNFINISHED).tempfile_in(&self.dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
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
        let mut sum = match open_private(&self.sum_path(component)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut wanted = String::new();
        (&mut sum).take(SUM + 1).read_to_string(&mut wanted)?;
        if wanted.len() as u64 != SUM || !wanted.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid("the checksum file is malformed"));
        }
        let path = self.dir.join(format!("{}.{wanted}.cwasm", component.hex()));
        let code = open_private(&path)?;
        if Digest::of_reader(&code)?.hex() != wanted {
            return Err(invalid("the checksum of the code does not match"));
        }
        // When an entry was last used decides how long it stays. Not knowing costs a compilation at worst.
        let _ = sum.set_modified(self.clock.wall());
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

#[expect(unsafe_code, reason = "mapping compiled code is unsafe by its nature")]
fn map(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file holds what `Engine::precompile_component` wrote for this engine: its folder is
    // private to this user (owner and mode checked), as is the file, and its SHA-256 was just compared
    // with the one recorded when it was written. wasmtime itself refuses code of other versions and
    // settings. Nobody but this user can change the file between the check and the mapping.
    unsafe { Component::deserialize_file(engine, path) }
}

/// Code that was compiled just now and could not be kept on disk.
#[expect(unsafe_code, reason = "making code of bytes is unsafe by its nature")]
pub(crate) fn from_memory(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are what our own compiler wrote to a pipe of ours, and were in nobody else's hands.
    unsafe { Component::deserialize(engine, code) }
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
    use skillhost_core::SystemClock;

    use super::*;

    struct Fixture {
        _root: tempfile::TempDir,
        cache: Cache,
        engine: wasmtime::Engine,
        digest: Digest,
    }

    fn open(root: &Path) -> Cache {
        Cache::open(root, "engine", 1 << 30, Arc::new(SystemClock)).unwrap()
    }

    fn fixture() -> Fixture {
        let root = tempfile::tempdir().unwrap();
        let cache = open(root.path());
        let engine = wasmtime::Engine::new(&crate::config::codegen(crate::Metering::Fuel)).unwrap();
        let digest = Digest::of(b"component");
        let code = engine.precompile_component(&wat::parse_str("(component)").unwrap()).unwrap();
        cache.store(&digest, &code).unwrap();
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
    fn the_folder_is_made_private() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("engine")).unwrap();
        fs::set_permissions(root.path().join("engine"), fs::Permissions::from_mode(0o755)).unwrap();
        let cache = open(root.path());
        assert_eq!(fs::metadata(&cache.dir).unwrap().mode() & 0o777, 0o700);
    }
}
