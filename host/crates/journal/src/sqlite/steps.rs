//! Calls that are steps: what is known of each beside its own row, and what it left behind.

use rusqlite::{Connection, Row, params};
use skillhost_core::{CallId, Caller, SagaId};

use super::{
    failed,
    rows::{self, int, maybe_time},
    sagas::get,
};
use crate::{
    Intent, JournalError, Lease, OpenOf, SagaState, SagaStep, State, StepOf, Timestamp, Token, UndoState,
    within,
};

pub(super) fn add(db: &Connection, intent: &Intent, of: &StepOf) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO steps (call, root, parent, saga, skill, changes, undoable) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        intent.id.as_bytes(),
        of.root.as_bytes(),
        of.parent.as_ref().map(CallId::as_bytes),
        of.saga.as_ref().map(SagaId::as_bytes),
        intent.skill,
        of.changes,
        of.undoable,
    ])
    .map(drop)
}

/// Whether the call's own guest may have changed the world; and that nothing of it was taken back yet.
pub(super) fn effect(db: &Connection, id: CallId, effect: Option<bool>) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE steps SET effect = ifnull(?2, changes), undo = NULL, why = NULL, tries = 0 WHERE call = ?1",
    )?
    .execute(params![id.as_bytes(), effect])
    .map(drop)
}

/// Whether somebody asked for the call to be taken back while it ran.
pub(super) fn is_asked(db: &Connection, id: CallId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM steps WHERE call = ?1 AND asked")?.exists([id.as_bytes()])
}

/// Whether the call is to be taken back when it ends, or the saga that it is part of: then it is not run again.
pub(super) fn is_withdrawn(db: &Connection, id: CallId) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM steps s WHERE call = ?1 AND (asked OR EXISTS \
         (SELECT 1 FROM sagas g WHERE g.id = s.saga AND g.state NOT IN (0, 1, 2)))",
    )?
    .exists([id.as_bytes()])
}

pub(super) fn prepare(
    db: &Connection,
    lease: Lease,
    token: &Token,
    void: &[u32],
) -> Result<bool, JournalError> {
    let held = db
        .prepare_cached("SELECT 1 FROM calls WHERE id = ?1 AND owner = ?2 AND epoch = ?3 AND state = 0")
        .and_then(|mut query| {
            query.exists(params![lease.id.as_bytes(), lease.owner.cast_signed(), lease.epoch.cast_signed()])
        })
        .map_err(failed)?;
    if !held {
        return Ok(false);
    }
    drop_tokens(db, lease.id, void).map_err(failed)?;
    keep_token(db, lease.id, token).map_err(failed)?;
    Ok(true)
}

pub(super) fn keep_token(db: &Connection, id: CallId, token: &Token) -> rusqlite::Result<()> {
    let Token { attempt, digest, token } = token;
    db.prepare_cached("INSERT OR REPLACE INTO tokens (call, attempt, digest, token) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id.as_bytes(), attempt, digest.as_bytes(), token])
        .map(drop)
}

pub(super) fn drop_tokens(db: &Connection, id: CallId, attempts: &[u32]) -> rusqlite::Result<()> {
    for attempt in attempts {
        db.prepare_cached("DELETE FROM tokens WHERE call = ?1 AND attempt = ?2")?
            .execute(params![id.as_bytes(), attempt])?;
    }
    Ok(())
}

pub(super) fn set_undo(
    db: &Connection,
    id: CallId,
    undo: UndoState,
    why: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let number = UndoState::ALL.iter().position(|known| *known == undo).unwrap_or_default() as i64;
    db.prepare_cached("UPDATE steps SET undo = ?2, why = ?3, at = ?4 WHERE call = ?1")?
        .execute(params![id.as_bytes(), number, why, int(now)])
        .map(drop)
}

const STEP: &str =
    "s.call, s.root, s.parent, s.saga, s.changes, s.undoable, s.effect, s.undo, s.why, s.tries, s.at";

fn step_of(db: &Connection, row: &Row<'_>) -> Result<Option<SagaStep>, JournalError> {
    let read = || {
        let maybe = |column| row.get::<_, Option<[u8; 16]>>(column);
        Ok((
            CallId::from_bytes(row.get("call")?),
            StepOf {
                saga: maybe("saga")?.map(SagaId::from_bytes),
                root: CallId::from_bytes(row.get("root")?),
                parent: maybe("parent")?.map(CallId::from_bytes),
                changes: row.get("changes")?,
                undoable: row.get("undoable")?,
            },
            row.get::<_, bool>("effect")?,
            rows::maybe_nth(&UndoState::ALL, row, "undo")?,
            row.get("why")?,
            rows::number(row, "tries")?,
            maybe_time(row, "at")?,
        ))
    };
    let (id, of, effect, undo, why, tries, at) = read().map_err(failed)?;
    let call = rows::brief(db, id)?;
    Ok(call.map(|call| SagaStep { call, of, effect, undo, why, tries, at }))
}

pub(super) fn step(db: &Connection, id: CallId) -> Result<Option<SagaStep>, JournalError> {
    select(db, &format!("SELECT {STEP} FROM steps s WHERE call = ?1"), &[id.as_bytes()])
        .map(|mut found| found.pop())
}

fn select(db: &Connection, sql: &str, with: &[&dyn rusqlite::ToSql]) -> Result<Vec<SagaStep>, JournalError> {
    let mut query = db.prepare_cached(sql).map_err(failed)?;
    let mut rows = query.query(with).map_err(failed)?;
    let mut steps = vec![];
    while let Some(row) = rows.next().map_err(failed)? {
        steps.extend(step_of(db, row)?);
    }
    Ok(steps)
}

pub(super) fn steps(db: &Connection, id: SagaId) -> Result<Vec<SagaStep>, JournalError> {
    // A call within another's tree is found by the top of that.
    let all = select(
        db,
        &format!(
            "SELECT {STEP} FROM steps s JOIN calls c ON c.id = s.call WHERE s.saga = ?1 \
             OR s.root = ifnull((SELECT root FROM steps WHERE call = ?1), ?1) ORDER BY c.seq"
        ),
        &[id.as_bytes()],
    )?;
    Ok(within(id, all))
}

pub(super) fn calls_of(
    db: &Connection,
    caller: &Caller,
    saga: Option<SagaId>,
    before: Option<CallId>,
    limit: u32,
) -> Result<Vec<SagaStep>, JournalError> {
    select(
        db,
        &format!(
            "SELECT {STEP} FROM steps s WHERE parent IS NULL AND (?2 IS NULL OR saga = ?2) AND (?3 IS NULL OR call < ?3) \
             AND EXISTS (SELECT 1 FROM calls c WHERE c.id = s.call AND c.caller = ?1) ORDER BY call DESC LIMIT ?4"
        ),
        &[
            &caller.as_str(),
            &saga.as_ref().map(SagaId::as_bytes),
            &before.as_ref().map(CallId::as_bytes),
            &limit,
        ],
    )
}

/// Whether calls of the saga run, or are taken back on their own.
pub(super) fn is_busy(db: &Connection, id: SagaId) -> Result<bool, JournalError> {
    for step in steps(db, id)? {
        let own = SagaId::from(step.call.id);
        let runs = matches!(step.call.state, State::Running);
        if runs || (own != id && get(db, own)?.is_some_and(|own| own.state == SagaState::RollingBack)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether anything of the call, or of what it made others do, may have to be taken back after its process has died.
pub(super) fn leaves_steps(db: &Connection, id: CallId) -> Result<bool, JournalError> {
    let left = |step: &SagaStep| {
        step.call.id != id
            && step.of.changes
            && step.undo != Some(UndoState::Undone)
            && (step.effect || step.call.state == State::Running)
    };
    Ok(steps(db, id.into())?.iter().any(left))
}

pub(super) fn versions_needed(db: &Connection) -> Result<Vec<skillhost_core::Digest>, JournalError> {
    db.prepare_cached(
        "SELECT DISTINCT digest FROM calls c WHERE state IN (0, 1, 2, 7) OR EXISTS \
         (SELECT 1 FROM steps s WHERE s.call = c.id AND s.undoable AND (s.undo IS NULL OR s.undo <> 1)) \
         UNION SELECT digest FROM tokens",
    )
    .and_then(|mut query| {
        let digests = query.query_map([], |row| row.get(0))?;
        digests.map(|digest| digest.map(skillhost_core::Digest::from_bytes)).collect()
    })
    .map_err(failed)
}

/// Counts each call of a skill that somebody may still want something of. Everything is looked through: who asks is a person.
pub(super) fn open_of(db: &Connection, skill: &str) -> Result<OpenOf, JournalError> {
    let count = |sql: &str| -> rusqlite::Result<u64> {
        db.prepare_cached(sql)?.query_row([skill], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
    };
    let all = || {
        Ok(OpenOf {
            running: count(
                "SELECT count(*) FROM calls WHERE skill = ?1 AND state IN (0, 7) AND enqueued_at IS NULL",
            )?,
            letters: count(
                "SELECT count(*) FROM calls WHERE skill = ?1 AND state IN (0, 1, 2, 7) AND enqueued_at IS NOT NULL \
                 AND NOT retired",
            )?,
            undoable: count(
                "SELECT count(*) FROM steps WHERE skill = ?1 AND undoable AND effect AND (undo IS NULL OR undo IN (0, 2, 3))",
            )?,
        })
    };
    all().map_err(failed)
}

/// Trees whose top has ended long ago and that nobody can take back any more, and steps whose call is in an archive.
pub(super) fn purge(
    db: &Connection,
    ended_before: Timestamp,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<(String, CallId)>, JournalError> {
    let work = || {
        let gone: Vec<(String, [u8; 16])> = db
            .prepare_cached(
                "SELECT s.skill, s.call FROM steps s LEFT JOIN calls r ON r.id = s.root WHERE \
                 (r.id IS NULL OR (r.enqueued_at IS NULL AND r.ended_at < ?1 AND NOT EXISTS \
                   (SELECT 1 FROM keys k WHERE k.caller = r.caller AND k.tool = r.tool AND k.key = r.key AND k.call = r.id \
                    AND k.expires_at > ?3))) \
                 AND NOT EXISTS (SELECT 1 FROM sagas g WHERE g.id IN (s.saga, s.root, s.call) AND (g.state IN (0, 3, 6) \
                   OR g.ended_at >= ?1)) \
                 LIMIT ?2",
            )?
            .query_map(params![int(ended_before), limit, int(now)], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (_, call) in &gone {
            db.prepare_cached("DELETE FROM steps WHERE call = ?1")?.execute([call])?;
            db.prepare_cached("DELETE FROM tokens WHERE call = ?1")?.execute([call])?;
            db.prepare_cached("DELETE FROM keys WHERE call = ?1 AND expires_at <= ?2")?
                .execute(params![call, int(now)])?;
            db.prepare_cached(
                "DELETE FROM calls WHERE id = ?1 AND enqueued_at IS NULL AND ended_at IS NOT NULL",
            )?
            .execute([call])?;
        }
        db.prepare_cached(
            "DELETE FROM sagas WHERE seq IN (SELECT seq FROM sagas g WHERE ended_at < ?1 AND state NOT IN (0, 3, 6) \
             AND NOT EXISTS (SELECT 1 FROM steps s WHERE s.saga = g.id OR s.root = g.id OR s.call = g.id) LIMIT ?2)",
        )?
        .execute(params![int(ended_before), limit])?;
        Ok(gone.into_iter().map(|(skill, call)| (skill, CallId::from_bytes(call))).collect())
    };
    work().map_err(failed)
}
