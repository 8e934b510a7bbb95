//! Answers to questions that were used: each is good for one run of a tool that must not run twice.

use rusqlite::{Connection, params};
use skillhost_core::CallId;

use super::{failed, rows::int};
use crate::{JournalError, Timestamp};

pub(super) fn spend(
    db: &Connection,
    id: CallId,
    round: u32,
    expires: Timestamp,
) -> Result<bool, JournalError> {
    db.prepare_cached("INSERT OR IGNORE INTO rounds (call, round, expires_at) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| insert.execute(params![id.as_bytes(), round, int(expires)]))
        .map(|new| new == 1)
        .map_err(failed)
}

pub(super) fn unspend(db: &Connection, id: CallId, round: u32) -> Result<(), JournalError> {
    db.prepare_cached("DELETE FROM rounds WHERE call = ?1 AND round = ?2")
        .and_then(|mut delete| delete.execute(params![id.as_bytes(), round]))
        .map(drop)
        .map_err(failed)
}

/// Forget those that are of no use any more.
pub(super) fn purge(db: &Connection, limit: u32, now: Timestamp) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM rounds WHERE (call, round) IN (SELECT call, round FROM rounds WHERE expires_at <= ?1 LIMIT ?2)",
    )?
    .execute(params![int(now), limit])
}
