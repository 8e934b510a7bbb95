//! Counting the syncs of a process from outside: SQLite's, and everybody else's.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

/// A library that counts, compiled once. The compiler is the one that the host's own dependencies need.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let library = folder.path().join("syncs.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/syncs.c");
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        assert!(compiled.is_ok_and(|status| status.success()), "cc compiles the counter");
        (folder, library)
    });
    library
}

/// Counts the syncs of commands.
pub struct Syncs(PathBuf);

impl Syncs {
    /// Into a file in this folder.
    pub fn new(folder: &Path) -> Self {
        Self(folder.join("syncs"))
    }

    /// Count those of this command.
    pub fn of<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", library()).env("SYNCS", &self.0)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        std::fs::metadata(&self.0).map_or(0, |file| file.len())
    }
}
