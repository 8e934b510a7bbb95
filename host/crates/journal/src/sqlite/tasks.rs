//! Tasks at rest.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use skillhost_core::{CallId, Caller, TaskId};

use super::{
    failed,
    rows::{int, nth},
};
use crate::{JournalError, Task, TaskChange, TaskState, Timestamp};

fn number(state: TaskState) -> i64 {
    TaskState::ALL.iter().position(|known| *known == state).unwrap_or_default() as i64
}

pub(super) fn add(db: &Connection, owner: u64, task: &Task, max: u32) -> Result<bool, JournalError> {
    db.prepare_cached(
        "INSERT INTO tasks (id, caller, call, tool, request, state, epoch, owner, created_at, updated_at, expires_at) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10 \
         WHERE (SELECT count(*) FROM (SELECT 1 FROM tasks WHERE caller = ?2 AND state <= 1 LIMIT ?11)) < ?11",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            task.id.as_bytes(),
            task.caller.as_str(),
            task.call.as_bytes(),
            task.tool,
            task.request,
            number(task.state),
            task.epoch.cast_signed(),
            owner.cast_signed(),
            int(task.created),
            int(task.expires),
            max,
        ])
    })
    .map(|added| added == 1)
    .map_err(failed)
}

pub(super) fn get(db: &Connection, id: TaskId) -> Result<Option<Task>, JournalError> {
    db.prepare_cached(
        "SELECT id, caller, call, tool, request, state, epoch, asking, ended, created_at, updated_at, expires_at, \
         EXISTS (SELECT 1 FROM owners WHERE number = tasks.owner) AS attended FROM tasks WHERE id = ?1",
    )
    .and_then(|mut query| query.query_row([id.as_bytes()], read).optional())
    .map_err(|error| match error {
        rusqlite::Error::SqliteFailure(..) => failed(error),
        _ => JournalError::Damaged(format!("a task: {error}")),
    })
}

/// The task whose call this is, when it has not ended.
pub(super) fn of(db: &Connection, call: CallId) -> Result<Option<Task>, JournalError> {
    let id = db
        .prepare_cached("SELECT id FROM tasks WHERE call = ?1 AND state <= 1")
        .and_then(|mut query| query.query_row([call.as_bytes()], |row| row.get(0)).optional())
        .map_err(failed)?;
    id.map_or(Ok(None), |id| get(db, TaskId::from_bytes(id)))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Task> {
    let time = |column| row.get::<_, i64>(column).map(|ms| Timestamp(ms.unsigned_abs()));
    Ok(Task {
        id: TaskId::from_bytes(row.get("id")?),
        caller: Caller::named(&row.get::<_, String>("caller")?),
        call: CallId::from_bytes(row.get("call")?),
        tool: row.get("tool")?,
        request: row.get("request")?,
        state: nth(&TaskState::ALL, row, "state")?,
        epoch: row.get::<_, i64>("epoch")?.cast_unsigned(),
        asking: row.get("asking")?,
        end: row.get("ended")?,
        created: time("created_at")?,
        updated: time("updated_at")?,
        expires: time("expires_at")?,
        attended: row.get("attended")?,
    })
}

pub(super) fn change(
    db: &Connection,
    owner: u64,
    (id, epoch): (TaskId, u64),
    change: &TaskChange,
    now: Timestamp,
) -> Result<bool, JournalError> {
    let (state, asking, end) = match change {
        TaskChange::Ask(asking) | TaskChange::Answer(asking) => (TaskState::Asking, Some(asking), None),
        TaskChange::GoOn(_) => (TaskState::Working, None, None),
        TaskChange::End(end) => (TaskState::Ended, None, Some(end)),
        TaskChange::Cancel => (TaskState::Cancelled, None, None),
    };
    let request: Option<&[u8]> = match change {
        TaskChange::GoOn(request) => Some(request),
        // Nothing is made again.
        TaskChange::End(_) | TaskChange::Cancel => Some(&[]),
        TaskChange::Ask(_) | TaskChange::Answer(_) => None,
    };
    db.prepare_cached(
        "UPDATE tasks SET state = ?3, epoch = epoch + 1, owner = ?4, asking = ?5, ended = ?6, updated_at = ?7, \
         request = ifnull(?8, request) WHERE id = ?1 AND epoch = ?2 AND state <= 1",
    )
    .and_then(|mut update| {
        update.execute(params![
            id.as_bytes(),
            epoch.cast_signed(),
            number(state),
            owner.cast_signed(),
            asking,
            end,
            int(now),
            request,
        ])
    })
    .map(|changed| changed == 1)
    .map_err(failed)
}

/// Whether the call is one of a task that has not ended.
pub(super) fn runs(db: &Connection, call: CallId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM tasks WHERE call = ?1 AND state <= 1")?.exists([call.as_bytes()])
}

/// Forget tasks whose time is over: those that have ended, and those whose call nobody knows any more.
pub(super) fn purge(db: &Connection, limit: u32, now: Timestamp) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks t WHERE expires_at <= ?1 AND (state >= 2 OR NOT EXISTS \
         (SELECT 1 FROM calls c WHERE c.id = t.call AND c.ended_at IS NULL)) LIMIT ?2)",
    )?
    .execute(params![int(now), limit])
}
