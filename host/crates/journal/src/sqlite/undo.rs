//! Taking steps back, under the lease of their saga.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use skillhost_core::{CallId, Digest, SagaId};

use super::{
    failed,
    rows::{self, int},
    sagas::{afterwards, get, number_of},
    steps::{set_undo, step, steps},
};
use crate::{
    JournalError, SagaLease, SagaState, SagaStep, State, Timestamp, ToUndo, Token, UndoEnd, UndoState,
};

/// The fence: only the newest lease takes a saga back.
fn is_held(db: &Connection, lease: SagaLease) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM sagas WHERE id = ?1 AND owner = ?2 AND epoch = ?3 AND state = 3")?
        .exists(params![lease.id.as_bytes(), lease.owner.cast_signed(), lease.epoch.cast_signed()])
}

/// Whether the step is part of the saga.
fn belongs(db: &Connection, saga: SagaId, step: &SagaStep) -> Result<bool, JournalError> {
    let top = saga.call();
    let (mut at, mut parent) = (step.call.id, step.of.parent);
    while at != top {
        let Some(next) = parent else { return Ok(step.of.saga == Some(saga)) };
        (at, parent) = (next, self::step(db, next)?.and_then(|step| step.of.parent));
    }
    Ok(true)
}

pub(super) fn begin(
    db: &Connection,
    lease: SagaLease,
    id: CallId,
    now: Timestamp,
) -> Result<Option<ToUndo>, JournalError> {
    if !is_held(db, lease).map_err(failed)? {
        return Ok(None);
    }
    let Some(step) = step(db, id)?.filter(SagaStep::is_due) else { return Ok(None) };
    // The top of what is taken back has ended, though the word for it is another.
    let ended = match step.call.state {
        State::Running => false,
        State::RollingBack => lease.id == id.into(),
        _ => true,
    };
    if !ended || !belongs(db, lease.id, &step)? {
        return Ok(None);
    }
    let Some(call) = rows::get(db, id)? else { return Ok(None) };
    let work = || {
        set_undo(db, id, UndoState::Undoing, None, now)?;
        let tokens = db
            .prepare_cached(
                "SELECT attempt, digest, token FROM tokens WHERE call = ?1 ORDER BY attempt DESC",
            )?
            .query_map([id.as_bytes()], |row| {
                Ok(Token {
                    attempt: row.get(0)?,
                    digest: Digest::from_bytes(row.get(1)?),
                    token: row.get(2)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        let force = db
            .prepare_cached("SELECT force FROM sagas WHERE id = ?1")?
            .query_row([lease.id.as_bytes()], |row| row.get(0))?;
        Ok(ToUndo { call, tokens, tries: step.tries, force })
    };
    work().map(Some).map_err(failed)
}

/// Whether the lease is still the newest.
pub(super) fn end(
    db: &Connection,
    lease: SagaLease,
    id: CallId,
    end: &UndoEnd,
    now: Timestamp,
) -> Result<bool, JournalError> {
    if !is_held(db, lease).map_err(failed)? {
        return Ok(false);
    }
    let work = || {
        match end {
            UndoEnd::Undone => {
                set_undo(db, id, UndoState::Undone, None, now)?;
                // What an earlier run left behind says nothing of a later one.
                db.prepare_cached("DELETE FROM tokens WHERE call = ?1")?.execute([id.as_bytes()])?;
            }
            UndoEnd::Conflict(why) => set_undo(db, id, UndoState::Conflict, Some(why), now)?,
            UndoEnd::Stuck(why) => set_undo(db, id, UndoState::Stuck, Some(why), now)?,
            UndoEnd::Again(why) => set_undo(db, id, UndoState::Undoing, Some(why), now)?,
        }
        db.prepare_cached("UPDATE steps SET tries = tries + 1 WHERE call = ?1")?.execute([id.as_bytes()])
    };
    work().map(|_| true).map_err(failed)
}

pub(super) fn rolled_back(
    db: &Connection,
    lease: SagaLease,
    now: Timestamp,
) -> Result<Option<SagaState>, JournalError> {
    if !is_held(db, lease).map_err(failed)? {
        return Ok(None);
    }
    let state = SagaState::of(&steps(db, lease.id)?);
    db.prepare_cached("UPDATE sagas SET state = ?2, ended_at = ?3, owner = NULL WHERE id = ?1")
        .and_then(|mut update| update.execute(params![lease.id.as_bytes(), number_of(state), int(now)]))
        .map_err(failed)?;
    afterwards(db, lease.id, state, now)?;
    unstick(db, &steps(db, lease.id)?, now)?;
    Ok(Some(state))
}

/// Sagas that were stuck because of one of these steps may not be any more.
pub(super) fn unstick(db: &Connection, steps: &[SagaStep], now: Timestamp) -> Result<(), JournalError> {
    let all = steps.iter().flat_map(|step| {
        [Some(SagaId::from(step.call.id)), Some(step.of.root.into()), step.of.saga].into_iter().flatten()
    });
    for id in all.collect::<BTreeSet<_>>() {
        if get(db, id)?.is_some_and(|saga| saga.state == SagaState::Stuck) {
            let state = SagaState::of(&self::steps(db, id)?);
            db.prepare_cached("UPDATE sagas SET state = ?2, ended_at = ?3 WHERE id = ?1")
                .and_then(|mut update| update.execute(params![id.as_bytes(), number_of(state), int(now)]))
                .map_err(failed)?;
        }
    }
    Ok(())
}
