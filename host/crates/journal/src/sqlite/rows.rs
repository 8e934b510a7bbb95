//! Rows as values, and back. Everything that is read is checked.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use skillhost_core::{CallId, Caller, Digest};

use crate::{
    Arguments, Delivery, Event, JournalError, Priority, Problem, Record, SagaState, State, Step, Timestamp,
    UndoState,
};

pub(super) const COLUMNS: &str = "id, state, priority, due_at, epoch, skill, tool, digest, pinned, caller, correlation, key, \
     durable, safe, attempts, tries, max_tries, gives_up_at, begun_at, ended_at, enqueued_at, dead_at, kind, \
     unknown_effect, message, meta, arguments, sealed, outcome";

/// What is read of a call: its columns, and where taking it back is.
pub(super) const READ: &str = "id, state, priority, due_at, epoch, skill, tool, digest, pinned, caller, correlation, key, \
     durable, safe, attempts, tries, max_tries, gives_up_at, begun_at, ended_at, enqueued_at, dead_at, kind, \
     unknown_effect, message, meta, arguments, sealed, outcome, \
     (SELECT undo FROM steps WHERE call = calls.id) AS undo, (SELECT state FROM sagas WHERE id = calls.id) AS rollback";

/// A time as a column.
pub(super) fn int(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

pub(super) fn state(state: State) -> i64 {
    State::ALL.iter().position(|known| *known == state).unwrap_or_default() as i64
}

pub(super) fn priority(priority: Priority) -> i64 {
    Priority::ALL.iter().position(|known| *known == priority).unwrap_or_default() as i64
}

pub(super) fn nth<T: Copy>(all: &[T], row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let n: i64 = row.get(column)?;
    let found = usize::try_from(n).ok().and_then(|n| all.get(n));
    found.copied().ok_or_else(|| wrong(column))
}

pub(super) fn maybe_nth<T: Copy>(all: &[T], row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(_) => nth(all, row, column).map(Some),
    }
}

fn wrong(what: &str) -> rusqlite::Error {
    rusqlite::Error::InvalidParameterName(format!("`{what}` has a value that cannot be"))
}

pub(super) fn number<T: TryFrom<i64>>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    T::try_from(row.get::<_, i64>(column)?).map_err(|_| wrong(column))
}

pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    number(row, column).map(Timestamp)
}

pub(super) fn maybe_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(ms) => u64::try_from(ms).map(|ms| Some(Timestamp(ms))).map_err(|_| wrong(column)),
    }
}

/// JSON that must be an object, when it is there, however deep.
fn object(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<String>> {
    let text: Option<String> = row.get(column)?;
    let sound = |text: &String| {
        text.starts_with('{') && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
    };
    match text {
        Some(text) if !sound(&text) => Err(wrong(column)),
        text => Ok(text),
    }
}

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let kind: Option<String> = row.get("kind")?;
    let problem = match kind {
        None => None,
        Some(kind) => Some(Problem {
            kind,
            message: row.get::<_, Option<String>>("message")?.unwrap_or_default(),
            unknown_effect: row.get("unknown_effect")?,
        }),
    };
    let record = Record {
        id: CallId::from_bytes(row.get("id")?),
        tool: row.get("tool")?,
        skill: row.get("skill")?,
        digest: Digest::from_bytes(row.get("digest")?),
        pinned: row.get("pinned")?,
        caller: Caller::named(&row.get::<_, String>("caller")?),
        correlation_id: row.get("correlation")?,
        arguments: Arguments { shown: object(row, "arguments")?, sealed: row.get("sealed")? },
        meta: object(row, "meta")?,
        key: row.get("key")?,
        delivery: if row.get("durable")? { Delivery::Durable } else { Delivery::Plain },
        safe: row.get("safe")?,
        priority: nth(&Priority::ALL, row, "priority")?,
        state: nth(&State::ALL, row, "state")?,
        epoch: number(row, "epoch")?,
        attempts: number(row, "attempts")?,
        tries: number(row, "tries")?,
        max_tries: number(row, "max_tries")?,
        gives_up: time(row, "gives_up_at")?,
        begun: time(row, "begun_at")?,
        ended: maybe_time(row, "ended_at")?,
        enqueued: maybe_time(row, "enqueued_at")?,
        dead: maybe_time(row, "dead_at")?,
        due: maybe_time(row, "due_at")?,
        problem,
        outcome: object(row, "outcome")?,
        undo: maybe_nth(&UndoState::ALL, row, "undo")?,
        rollback: maybe_nth(&SagaState::ALL, row, "rollback")?,
    };
    // What must go together.
    if (record.state == State::Waiting) != record.due.is_some() {
        return Err(wrong("due_at"));
    }
    if (record.state == State::Done) != record.outcome.is_some() {
        return Err(wrong("outcome"));
    }
    Ok(record)
}

/// One call without what may be large: its arguments, its `_meta`, and its outcome but for there being one.
pub(super) fn brief(db: &Connection, id: CallId) -> Result<Option<Record>, JournalError> {
    let columns = READ.replace(
        "meta, arguments, sealed, outcome",
        "NULL AS meta, NULL AS arguments, NULL AS sealed, iif(outcome IS NULL, NULL, '{}') AS outcome",
    );
    let mut query =
        db.prepare_cached(&format!("SELECT {columns} FROM calls WHERE id = ?1")).map_err(super::failed)?;
    query.query_row([id.as_bytes()], record).optional().map_err(|error| damaged(id, error))
}

/// One call; a row that cannot be read is damage, not absence.
pub(super) fn get(db: &Connection, id: CallId) -> Result<Option<Record>, JournalError> {
    let mut query =
        db.prepare_cached(&format!("SELECT {READ} FROM calls WHERE id = ?1")).map_err(super::failed)?;
    query.query_row([id.as_bytes()], record).optional().map_err(|error| damaged(id, error))
}

pub(super) fn damaged(id: CallId, error: rusqlite::Error) -> JournalError {
    match error {
        rusqlite::Error::SqliteFailure(..) => super::failed(error),
        _ => JournalError::Damaged(format!("call {id}: {error}")),
    }
}

/// Write a line in the history of a letter, and count the step.
pub(super) fn note(
    db: &Connection,
    id: CallId,
    at: Timestamp,
    step: Step,
    attempt: u32,
    detail: Option<&str>,
) -> rusqlite::Result<()> {
    write(db, id, &Event { at, step, attempt, detail: detail.map(ToOwned::to_owned) })?;
    count(db, number_of(step))
}

fn number_of(step: Step) -> i64 {
    Step::ALL.iter().position(|known| *known == step).unwrap_or_default() as i64
}

/// A line in the history of a letter.
pub(super) fn write(db: &Connection, id: CallId, event: &Event) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO history (call, at, step, attempt, detail) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![id.as_bytes(), int(event.at), number_of(event.step), event.attempt, event.detail])
        .map(drop)
}

/// Letters that were archived, among the counters of steps.
pub(super) const ARCHIVED: i64 = -1;

pub(super) fn count(db: &Connection, counter: i64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO counters VALUES (?1, 1) ON CONFLICT (step) DO UPDATE SET n = n + 1")?
        .execute([counter])
        .map(drop)
}

pub(super) fn history(db: &Connection, id: CallId) -> Result<Vec<Event>, JournalError> {
    let mut query = db
        .prepare_cached("SELECT at, step, attempt, detail FROM history WHERE call = ?1 ORDER BY rowid")
        .map_err(super::failed)?;
    let events = query.query_map([id.as_bytes()], |row| {
        Ok(Event {
            at: time(row, "at")?,
            step: nth(&Step::ALL, row, "step")?,
            attempt: number(row, "attempt")?,
            detail: row.get("detail")?,
        })
    });
    events.and_then(Iterator::collect).map_err(|error| damaged(id, error))
}
