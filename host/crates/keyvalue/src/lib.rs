//! The values that skills keep over calls and restarts: [`Store`], one SQLite file for all skills of a data folder.
//!
//! Several processes may share the file. A value that was set is on disk when [`KeyValue::set`] returns.
#![deny(missing_docs)]

mod schema;

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use skillhost_core::{KeyValue, KeyValueBounds, KeyValueError};

/// Keys in one page of a listing.
const PAGE: usize = 1_000;
/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// Values by bucket and key, in a file that is made with the first use.
pub struct Store {
    path: PathBuf,
    // Not in use at the moment. There are never more than calls that ran at once.
    idle: Mutex<Vec<Connection>>,
}

impl Store {
    /// A store in the file `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, KeyValueError>,
    ) -> Result<T, KeyValueError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop();
        let mut connection = match known {
            Some(connection) => connection,
            None => self.open()?,
        };
        let result = work(&mut connection);
        idle().push(connection);
        result
    }

    fn open(&self) -> Result<Connection, KeyValueError> {
        let unavailable = |error: &dyn std::fmt::Display| {
            KeyValueError::Unavailable(format!("{}: {error}", self.path.display()))
        };
        // Whatever skills keep is nobody else's to read.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.path)
            .map_err(|error| unavailable(&error))?;
        let mut connection = Connection::open(&self.path).map_err(|error| unavailable(&error))?;
        let prepare = |connection: &mut Connection| {
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            schema::ensure(connection)
        };
        prepare(&mut connection).map_err(|error| unavailable(&error))?;
        Ok(connection)
    }
}

fn failed(error: rusqlite::Error) -> KeyValueError {
    KeyValueError::Unavailable(error.to_string())
}

impl KeyValue for Store {
    fn check(&self) -> Result<(), KeyValueError> {
        self.with(|_| Ok(()))
    }

    fn get(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.with(|db| {
            db.prepare_cached("SELECT value FROM entries WHERE bucket = ?1 AND key = ?2")
                .and_then(|mut query| query.query_row(params![bucket, key], |row| row.get(0)).optional())
                .map_err(failed)
        })
    }

    fn set(
        &self,
        bucket: &str,
        key: &str,
        value: &[u8],
        bounds: &KeyValueBounds,
    ) -> Result<(), KeyValueError> {
        if value.len() as u64 > bounds.value {
            return Err(KeyValueError::Full(format!(
                "the value has {} bytes; at most {} are allowed (`keyvalue.value`)",
                value.len(),
                bounds.value
            )));
        }
        self.with(|db| {
            // Immediate, so that what is counted stays true until it is committed. Dropped, it is undone.
            let change = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            change
                .prepare_cached(
                    "INSERT INTO entries (bucket, key, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (bucket, key) DO UPDATE SET value = excluded.value",
                )
                .and_then(|mut insert| insert.execute(params![bucket, key, value]))
                .map_err(failed)?;
            let (keys, bytes): (i64, i64) = change
                .prepare_cached("SELECT keys, bytes FROM usage WHERE bucket = ?1")
                .and_then(|mut query| query.query_row([bucket], |row| Ok((row.get(0)?, row.get(1)?))))
                .map_err(failed)?;
            if keys.unsigned_abs() > bounds.keys {
                let most = bounds.keys;
                return Err(KeyValueError::Full(format!(
                    "the bucket holds {most} keys, the most it may (`keyvalue.keys`)"
                )));
            }
            if bytes.unsigned_abs() > bounds.total {
                return Err(KeyValueError::Full(format!(
                    "the bucket would hold {bytes} bytes; at most {} are allowed (`keyvalue.total`)",
                    bounds.total
                )));
            }
            change.commit().map_err(failed)
        })
    }

    fn delete(&self, bucket: &str, key: &str) -> Result<(), KeyValueError> {
        self.with(|db| {
            db.prepare_cached("DELETE FROM entries WHERE bucket = ?1 AND key = ?2")
                .and_then(|mut delete| delete.execute(params![bucket, key]))
                .map(drop)
                .map_err(failed)
        })
    }

    fn remove(&self, bucket: &str, prefix: &str) -> Result<(), KeyValueError> {
        self.with(|db| {
            // Not LIKE, whose wildcards may stand in the text; a range with two ends, so that the index serves.
            db.prepare_cached(
                "DELETE FROM entries WHERE bucket = ?1 AND key >= ?2 AND key < ?2 || char(1114111) \
                 AND substr(key, 1, length(?2)) = ?2",
            )
            .and_then(|mut delete| delete.execute(params![bucket, prefix]))
            .map(drop)
            .map_err(failed)
        })
    }

    fn exists(&self, bucket: &str, key: &str) -> Result<bool, KeyValueError> {
        self.with(|db| {
            db.prepare_cached("SELECT 1 FROM entries WHERE bucket = ?1 AND key = ?2")
                .and_then(|mut query| query.exists(params![bucket, key]))
                .map_err(failed)
        })
    }

    fn keys(&self, bucket: &str, cursor: Option<u64>) -> Result<(Vec<String>, Option<u64>), KeyValueError> {
        // A guest may hand in anything.
        let after = i64::try_from(cursor.unwrap_or(0)).unwrap_or(i64::MAX);
        self.with(|db| {
            let mut query = db
                .prepare_cached(
                    "SELECT id, key FROM entries WHERE bucket = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                )
                .map_err(failed)?;
            let rows = query
                .query_map(params![bucket, after, PAGE as i64], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get(1)?))
                })
                .and_then(Iterator::collect::<Result<Vec<(i64, String)>, _>>)
                .map_err(failed)?;
            let next = rows.last().filter(|_| rows.len() == PAGE).map(|(id, _)| id.unsigned_abs());
            Ok((rows.into_iter().map(|(_, key)| key).collect(), next))
        })
    }
}

#[cfg(test)]
mod tests;
