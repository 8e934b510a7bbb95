//! What dead processes left behind.

use std::{fs, path::Path};

use rusqlite::Connection;
use skillhost_core::CallId;

use super::{
    calls::{Was, roll_back, step_ends},
    failed, letters, owner, playbooks,
    rows::{self, READ, damaged, note},
    sagas, steps, tasks,
};
use crate::{Afterwards, Delivery, Ending, JournalError, Left, Problem, Record, RollBack, Step, Timestamp};

pub(super) fn take_over(
    db: &Connection,
    locks: &Path,
    own: u64,
    now: Timestamp,
) -> Result<Vec<Record>, JournalError> {
    let mut taken = vec![];
    for (number, lock) in owner::dead(db, locks, own)? {
        let ids = db
            .prepare_cached("SELECT id FROM calls WHERE state = 0 AND owner = ?1 ORDER BY id")
            .and_then(|mut query| {
                query
                    .query_map([number.cast_signed()], |row| row.get(0))?
                    .collect::<Result<Vec<[u8; 16]>, _>>()
            })
            .map_err(failed)?;
        sagas::release_of(db, number).map_err(failed)?;
        playbooks::release_of(db, number).map_err(failed)?;
        for id in ids.into_iter().map(CallId::from_bytes) {
            match orphaned(db, id, number, now) {
                Ok(record) => taken.push(record),
                // It must not stand in the way of the others.
                Err(JournalError::Damaged(problem)) => {
                    tracing::error!(call_id = %id, problem, "a call cannot be read; it is parked");
                    letters::park_damaged(db, id, &problem, now).map_err(failed)?;
                }
                Err(error) => return Err(error),
            }
        }
        db.execute("DELETE FROM owners WHERE number = ?1", [number.cast_signed()]).map_err(failed)?;
        // Nobody looks for it any more, whether it is there or not.
        let _ = fs::remove_file(locks.join(lock));
    }
    Ok(taken)
}

/// What becomes of a call whose process is dead.
fn orphaned(db: &Connection, id: CallId, owner: u64, now: Timestamp) -> Result<Record, JournalError> {
    let query = format!("SELECT {READ}, park_unknown FROM calls WHERE id = ?1");
    let (record, park_unknown) = db
        .prepare_cached(&query)
        .and_then(|mut query| {
            query.query_row([id.as_bytes()], |row| {
                Ok((rows::record(row)?, row.get::<_, bool>("park_unknown")?))
            })
        })
        .map_err(|error| damaged(id, error))?;
    let problem = Problem::interrupted();
    // A task's client still waits for it: what may run twice is run again, as if it had to happen.
    let durable =
        record.delivery == Delivery::Durable || record.safe && tasks::runs(db, id).map_err(failed)?;
    let ending = if durable
        && record.safe
        && record.tries.saturating_add(1) < record.max_tries
        && now < record.gives_up
    {
        Ending::Again { problem, due: now, spent: true }
    } else if durable || record.is_letter() || (park_unknown && !record.safe) {
        Ending::Parked(problem)
    } else {
        Ending::Unknown(problem)
    };
    let told = durable || record.is_letter();
    if told {
        let detail = format!("from process {owner}, which is dead");
        note(db, id, now, Step::TakenOver, record.attempts, Some(&detail)).map_err(failed)?;
    }
    let was = Was { attempts: record.attempts, tries: record.tries, letter: record.is_letter(), durable };
    match steps::step(db, id)? {
        // The call at the top decides, and has the same owner.
        Some(step) if step.of.parent.is_some() => {
            step_ends(db, id, &Ending::Unknown(Problem::interrupted()), was, now).map_err(failed)?;
        }
        // What may run twice need not be taken back; what it made others do is, first.
        Some(step) if step.of.undoable && !(durable && record.safe) || steps::leaves_steps(db, id)? => {
            let effect = step.of.changes && !(durable && record.safe);
            let again = durable && record.tries.saturating_add(1) < record.max_tries && now < record.gives_up;
            let taken_back = Problem { unknown_effect: false, ..Problem::interrupted() };
            let clean = match (durable || record.is_letter(), again) {
                (true, true) => Left::Again { problem: taken_back, due: now, spent: true },
                (true, false) => Left::Parked(taken_back),
                (false, _) => Left::Failed(taken_back),
            };
            let stained = match ending {
                Ending::Parked(problem) | Ending::Again { problem, .. } => Left::Parked(problem),
                _ => Left::Unknown(Problem::interrupted()),
            };
            let afterwards = if steps::is_withdrawn(db, id).map_err(failed)? {
                Afterwards::never_again(&Problem::interrupted())
            } else {
                Afterwards { clean, stained }
            };
            let ending = Ending::RollBack {
                problem: Problem::interrupted(),
                effect,
                void: vec![],
                afterwards: Box::new(afterwards.clone()),
            };
            step_ends(db, id, &ending, was, now).map_err(failed)?;
            let how =
                RollBack { reason: format!("process {owner} died while it ran"), ..RollBack::default() };
            roll_back(db, owner, id, Some(&afterwards), &how, now)?;
            sagas::release_of(db, owner).map_err(failed)?;
        }
        step => {
            step_ends(db, id, &ending, was, now).map_err(failed)?;
            if step.is_some() && steps::is_withdrawn(db, id).map_err(failed)? {
                letters::discard(db, id, "undo", now)?;
            }
        }
    }
    let now_is = rows::get(db, id)?;
    now_is.ok_or_else(|| JournalError::Damaged(format!("call {id} is gone while it is looked at")))
}
