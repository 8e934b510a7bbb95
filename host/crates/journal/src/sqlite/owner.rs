//! Processes that share a journal: each has a row and a locked file as long as it lives.
//!
//! The lock goes with the process, however that ends. A row whose file is not locked belongs to a dead one. The file is
//! locked before there is a row, so no row is ever without a lock while its process lives.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, params};

use crate::{JournalError, Timestamp};

/// This process's registration.
pub(super) struct Owner {
    pub(super) number: u64,
    path: PathBuf,
    _locked: File,
}

impl Owner {
    pub(super) fn register(db: &Connection, folder: &Path, now: Timestamp) -> Result<Self, JournalError> {
        let pid = std::process::id();
        let (name, path, locked) = lock(folder, pid).map_err(|error| {
            JournalError::Unavailable(format!("cannot make a lock file in {}: {error}", folder.display()))
        })?;
        let row = db.execute(
            "INSERT INTO owners (lock, pid, since) VALUES (?1, ?2, ?3)",
            params![name, pid, super::rows::int(now)],
        );
        let inserted = row.map(|_| db.last_insert_rowid().unsigned_abs());
        match inserted {
            Ok(number) => Ok(Self { number, path, _locked: locked }),
            Err(error) => {
                let _ = fs::remove_file(path);
                Err(super::failed(error))
            }
        }
    }

    pub(super) fn is_registered(&self, db: &Connection) -> rusqlite::Result<bool> {
        db.prepare_cached("SELECT 1 FROM owners WHERE number = ?1")?.exists([self.number.cast_signed()])
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // The row stays: whoever comes next sees that it is dead and looks after what it left.
        let _ = fs::remove_file(&self.path);
    }
}

fn lock(folder: &Path, pid: u32) -> io::Result<(String, PathBuf, File)> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let name = format!("{pid}-{:016x}.lock", u64::from_ne_bytes(random));
    let path = folder.join(&name);
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
    file.try_lock().map_err(io::Error::from)?;
    Ok((name, path, file))
}

/// Numbers of owners that are dead.
pub(super) fn dead(db: &Connection, folder: &Path, but: u64) -> Result<Vec<(u64, String)>, JournalError> {
    let mut query =
        db.prepare_cached("SELECT number, lock FROM owners WHERE number <> ?1").map_err(super::failed)?;
    let rows = query
        .query_map([but.cast_signed()], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?)))
        .and_then(Iterator::collect::<Result<Vec<(u64, String)>, _>>)
        .map_err(super::failed)?;
    let mut dead = vec![];
    for (number, lock) in rows {
        if is_dead(&folder.join(&lock))
            .map_err(|error| JournalError::Unavailable(format!("{lock}: {error}")))?
        {
            dead.push((number, lock));
        }
    }
    Ok(dead)
}

fn is_dead(lock: &Path) -> io::Result<bool> {
    match File::open(lock) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
