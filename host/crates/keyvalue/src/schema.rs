//! The tables, and which version of them a file has.

use rusqlite::{Connection, Result, TransactionBehavior};

/// Version of the tables, in SQLite's `user_version`.
const VERSION: i64 = 1;

/// Make the tables in a new file. A file of a newer version is left alone.
pub(crate) fn ensure(connection: &mut Connection) -> Result<()> {
    match version(connection)? {
        VERSION => return Ok(()),
        0 => {}
        newer => {
            let message = format!(
                "it was written by a newer skillhost (version {newer} of its tables); it was not touched"
            );
            return Err(rusqlite::Error::ToSqlConversionFailure(message.into()));
        }
    }
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    if version(&change)? == 0 {
        change.execute_batch(TABLES)?;
        change.pragma_update(None, "user_version", VERSION)?;
    }
    change.commit()
}

fn version(connection: &Connection) -> Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// `usage` is kept by triggers, so that it cannot drift from `entries`. An `id` is never used again, so that a cursor
/// stays good while entries come and go.
const TABLES: &str = "
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (bucket, key)
) STRICT;
CREATE TABLE usage (bucket TEXT PRIMARY KEY, keys INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
    INSERT INTO usage VALUES (new.bucket, 1, octet_length(new.key) + length(new.value))
    ON CONFLICT (bucket) DO UPDATE SET keys = keys + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER entry_changed AFTER UPDATE ON entries BEGIN
    UPDATE usage SET bytes = bytes + length(new.value) - length(old.value) WHERE bucket = new.bucket;
END;
CREATE TRIGGER entry_removed AFTER DELETE ON entries BEGIN
    UPDATE usage SET keys = keys - 1, bytes = bytes - octet_length(old.key) - length(old.value)
    WHERE bucket = old.bucket;
END;
";
