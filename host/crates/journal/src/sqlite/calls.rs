//! Calls and keys: begin, settle, take over, forget.

use rusqlite::{Connection, OptionalExtension as _, params};
use skillhost_core::{CallId, Caller, Digest};

use super::{
    failed, letters, rounds,
    rows::{self, int, note},
    sagas, steps, tasks,
};
use crate::{
    Afterwards, Begun, Bounds, Delivery, Ending, Intent, JournalError, Known, Lease, Left, OnFull, Problem,
    RollBack, Settled, State, Step, Timestamp,
};

pub(super) fn begin(
    db: &Connection,
    owner: u64,
    intent: &Intent,
    bounds: Bounds,
    now: Timestamp,
) -> Result<Begun, JournalError> {
    if let Some(key) = &intent.key
        && let Some(known) = known(db, intent.caller.as_str(), &intent.tool, &key.key, now)?
    {
        return Ok(Begun::Known(known));
    }
    if let Some(of) = &intent.step
        && let Some(closed) = sagas::closed(db, owner, intent, of, now)?
    {
        return Ok(Begun::NotOpen(closed));
    }
    if intent.delivery == Delivery::Durable && letters::open(db).map_err(failed)? >= bounds.capacity {
        let room = bounds.on_full == OnFull::ArchiveOldest && letters::retire_oldest(db).map_err(failed)?;
        if !room {
            return Ok(Begun::Full);
        }
    }
    insert(db, owner, intent, now).map_err(failed)?;
    Ok(Begun::Yes(Lease { id: intent.id, owner, epoch: 1 }))
}

fn insert(db: &Connection, owner: u64, intent: &Intent, now: Timestamp) -> rusqlite::Result<()> {
    if let Some(key) = &intent.key {
        // One that is held no more makes room.
        db.prepare_cached(
            "INSERT OR REPLACE INTO keys (caller, tool, key, call, fingerprint, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            intent.caller.as_str(),
            intent.tool,
            key.key,
            intent.id.as_bytes(),
            key.fingerprint.as_bytes(),
            int(key.expires)
        ])?;
    }
    if intent.again {
        // An earlier round of it ended with questions.
        for forget in [
            "DELETE FROM steps WHERE call IN (SELECT id FROM calls WHERE id = ?1 AND state = ?2)",
            "DELETE FROM calls WHERE id = ?1 AND state = ?2",
        ] {
            db.prepare_cached(forget)?.execute(params![intent.id.as_bytes(), rows::state(State::Failed)])?;
        }
    }
    db.prepare_cached(
        "INSERT INTO calls (id, state, priority, owner, epoch, skill, tool, digest, caller, correlation, key, durable, safe, \
         park_unknown, max_tries, gives_up_at, begun_at, meta, arguments, sealed) \
         VALUES (?1, 0, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?
    .execute(params![
        intent.id.as_bytes(),
        rows::priority(intent.priority),
        owner.cast_signed(),
        intent.skill,
        intent.tool,
        intent.digest.as_bytes(),
        intent.caller.as_str(),
        intent.correlation_id,
        intent.key.as_ref().map(|key| &key.key),
        intent.delivery == Delivery::Durable,
        intent.safe,
        intent.park_unknown,
        intent.max_tries,
        int(intent.gives_up),
        int(now),
        intent.meta,
        intent.arguments.shown,
        intent.arguments.sealed,
    ])?;
    match &intent.step {
        Some(of) => steps::add(db, intent, of),
        None => Ok(()),
    }
}

/// What a held key stands for. A key is held until it expires, and for as long as its call is not at an end.
pub(super) fn known(
    db: &Connection,
    caller: &str,
    tool: &str,
    key: &str,
    now: Timestamp,
) -> Result<Option<Known>, JournalError> {
    let found = db
        .prepare_cached(
            "SELECT call, fingerprint, expires_at FROM keys WHERE caller = ?1 AND tool = ?2 AND key = ?3",
        )
        .and_then(|mut query| {
            let row = query.query_row(params![caller, tool, key], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?))
            });
            row.optional()
        })
        .map_err(failed)?;
    let Some((call, fingerprint, expires)) = found else { return Ok(None) };
    let id = CallId::from_bytes(call);
    let record = rows::get(db, id)?;
    let goes_on = record.as_ref().is_some_and(|record| !record.state.is_end());
    if !goes_on && expires <= int(now) {
        return Ok(None);
    }
    Ok(Some(Known { id, fingerprint: Digest::from_bytes(fingerprint), record: record.map(Box::new) }))
}

pub(super) fn settle(
    db: &Connection,
    owner: u64,
    lease: Lease,
    ending: &Ending,
    now: Timestamp,
) -> Result<Settled, JournalError> {
    // The fence: only the newest lease says what becomes of a call, and only once.
    let held = db
        .prepare_cached(
            "SELECT attempts, tries, enqueued_at IS NOT NULL, durable FROM calls \
             WHERE id = ?1 AND owner = ?2 AND epoch = ?3 AND state = 0",
        )
        .and_then(|mut query| {
            query
                .query_row(
                    params![lease.id.as_bytes(), lease.owner.cast_signed(), lease.epoch.cast_signed()],
                    |row| {
                        Ok(Was {
                            attempts: row.get(0)?,
                            tries: row.get(1)?,
                            letter: row.get(2)?,
                            durable: row.get(3)?,
                        })
                    },
                )
                .optional()
        })
        .map_err(failed)?;
    let Some(was) = held else { return Ok(Settled::Fenced) };
    let withdrawn = steps::is_withdrawn(db, lease.id).map_err(failed)?;
    step_ends(db, lease.id, ending, was, now).map_err(failed)?;
    if let Ending::RollBack { problem, afterwards, .. } = ending {
        let never = Afterwards::never_again(problem);
        let afterwards = if withdrawn { &never } else { &**afterwards };
        let how = RollBack { reason: "the call failed".into(), ..RollBack::default() };
        return roll_back(db, owner, lease.id, Some(afterwards), &how, now).map(Settled::RollBack);
    }
    // Somebody asked for it to be taken back while it ran: then it is not run again either.
    if withdrawn {
        letters::discard(db, lease.id, "undo", now)?;
    }
    if steps::is_asked(db, lease.id).map_err(failed)?
        && steps::steps(db, lease.id.into())?.iter().any(crate::SagaStep::stays)
    {
        let how = RollBack { reason: "asked for while it ran".into(), ..RollBack::default() };
        return roll_back(db, owner, lease.id, None, &how, now).map(Settled::RollBack);
    }
    Ok(Settled::Yes)
}

pub(super) fn roll_back(
    db: &Connection,
    owner: u64,
    id: CallId,
    afterwards: Option<&Afterwards>,
    how: &RollBack,
    now: Timestamp,
) -> Result<crate::SagaLease, JournalError> {
    let caller: String = db
        .prepare_cached("SELECT caller FROM calls WHERE id = ?1")
        .and_then(|mut query| query.query_row([id.as_bytes()], |row| row.get(0)))
        .map_err(failed)?;
    sagas::open_rollback(db, owner, id, &Caller::named(&caller), afterwards, how, now).map_err(failed)
}

/// A running call, as far as its ending depends on it.
#[derive(Clone, Copy)]
pub(super) struct Was {
    pub(super) attempts: u32,
    pub(super) tries: u32,
    pub(super) letter: bool,
    pub(super) durable: bool,
}

/// What `ending` makes of a running call that may be a step.
pub(super) fn step_ends(
    db: &Connection,
    id: CallId,
    ending: &Ending,
    was: Was,
    now: Timestamp,
) -> rusqlite::Result<()> {
    end(db, id, ending, was, now)?;
    let effect = match ending {
        // As its tool is said to do.
        Ending::Done { .. } | Ending::Unknown(_) => None,
        Ending::Failed(_) => Some(false),
        Ending::Again { problem, .. } | Ending::Parked(problem) => Some(problem.unknown_effect),
        Ending::RollBack { effect, .. } => Some(*effect),
    };
    steps::effect(db, id, effect)
}

/// What `ending` makes of a running call.
fn end(db: &Connection, id: CallId, ending: &Ending, was: Was, now: Timestamp) -> rusqlite::Result<()> {
    let spent = u32::from(!matches!(ending, Ending::Again { spent: false, .. }));
    let (attempts, tries) = (was.attempts.saturating_add(spent), was.tries.saturating_add(spent));
    // Its life is told in a history.
    let told = was.letter || was.durable;
    let fails = |problem: &Problem, step| {
        note(db, id, now, step, attempts, Some(&format!("{}: {}", problem.kind, problem.message)))
    };
    if let Ending::Done { outcome, token, void } = ending {
        steps::drop_tokens(db, id, void)?;
        if let Some(token) = token {
            steps::keep_token(db, id, token)?;
        }
        db.prepare_cached(
            "UPDATE calls SET owner = NULL, attempts = ?2, tries = ?3, state = ?4, ended_at = ?5, outcome = ?6 WHERE id = ?1",
        )?
        .execute(params![id.as_bytes(), attempts, tries, rows::state(State::Done), int(now), outcome])?;
        // Only a letter recovers; a durable call that succeeds at once is nothing to tell of.
        return if was.letter { note(db, id, now, Step::Recovered, attempts, None) } else { Ok(()) };
    }
    if let Ending::RollBack { problem, void, .. } = ending {
        steps::drop_tokens(db, id, void)?;
        // The run is counted when it is known what becomes of the call.
        return db
            .prepare_cached(
                "UPDATE calls SET owner = NULL, state = ?2, kind = ?3, message = ?4 WHERE id = ?1",
            )?
            .execute(params![id.as_bytes(), rows::state(State::RollingBack), problem.kind, problem.message])
            .map(drop);
    }
    db.prepare_cached("UPDATE calls SET owner = NULL, attempts = ?2, tries = ?3 WHERE id = ?1")?
        .execute(params![id.as_bytes(), attempts, tries])?;
    match ending {
        Ending::Done { .. } | Ending::RollBack { .. } => Ok(()),
        Ending::Failed(problem) => {
            if told {
                fails(problem, Step::Failed)?;
            }
            finish(db, id, State::Failed, problem, now)?;
            release(db, id)
        }
        Ending::Unknown(problem) => {
            if told {
                fails(problem, Step::Failed)?;
            }
            finish(db, id, State::Unknown, problem, now)
        }
        Ending::Again { problem, due, .. } => {
            fails(problem, if spent == 1 { Step::Failed } else { Step::Refused })?;
            explain(db, id, problem)?;
            db.prepare_cached(
                "UPDATE calls SET state = ?2, due_at = ?3, enqueued_at = ifnull(enqueued_at, ?4), ask_at = ?4 WHERE id = ?1",
            )?
            .execute(params![id.as_bytes(), rows::state(State::Waiting), int(*due), int(now)])?;
            note(db, id, now, Step::Scheduled, attempts, Some(&format!("due {due}")))
        }
        Ending::Parked(problem) => {
            fails(problem, Step::Failed)?;
            explain(db, id, problem)?;
            db.prepare_cached(
                "UPDATE calls SET state = ?2, enqueued_at = ifnull(enqueued_at, ?3), dead_at = ?3, ask_at = ?3 WHERE id = ?1",
            )?
            .execute(params![id.as_bytes(), rows::state(State::Parked), int(now)])?;
            note(db, id, now, Step::Parked, attempts, None)
        }
    }
}

/// What is left of a call that was taken back.
pub(super) fn leave_as(
    db: &Connection,
    id: CallId,
    left: &Left,
    clean: bool,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let was = db
        .prepare_cached("SELECT attempts, tries, enqueued_at IS NOT NULL, durable FROM calls WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| {
            Ok(Was { attempts: row.get(0)?, tries: row.get(1)?, letter: row.get(2)?, durable: row.get(3)? })
        })?;
    if was.letter || was.durable {
        let detail = if clean { "nothing of it stays" } else { "something of it stays" };
        note(db, id, now, Step::RolledBack, was.attempts, Some(detail))?;
    }
    if clean {
        db.prepare_cached("UPDATE calls SET unknown_effect = 0 WHERE id = ?1")?.execute([id.as_bytes()])?;
    }
    let ending = match left.clone() {
        // Not as one that took no effect: its key stays held.
        Left::Failed(problem) => {
            db.prepare_cached("UPDATE calls SET attempts = attempts + 1 WHERE id = ?1")?
                .execute([id.as_bytes()])?;
            return finish(db, id, State::Failed, &problem, now);
        }
        Left::Unknown(problem) => Ending::Unknown(problem),
        Left::Parked(problem) => Ending::Parked(problem),
        Left::Again { problem, due, spent } => Ending::Again { problem, due, spent },
    };
    end(db, id, &ending, was, now)
}

fn finish(
    db: &Connection,
    id: CallId,
    state: State,
    problem: &Problem,
    now: Timestamp,
) -> rusqlite::Result<()> {
    explain(db, id, problem)?;
    db.prepare_cached("UPDATE calls SET state = ?2, ended_at = ?3 WHERE id = ?1")?
        .execute(params![id.as_bytes(), rows::state(state), int(now)])
        .map(drop)
}

/// Why it failed. What one attempt may have done stays possible, whatever a later one says.
fn explain(db: &Connection, id: CallId, problem: &Problem) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE calls SET kind = ?2, message = ?3, unknown_effect = unknown_effect OR ?4 WHERE id = ?1",
    )?
    .execute(params![id.as_bytes(), problem.kind, problem.message, problem.unknown_effect])
    .map(drop)
}

/// The key of a call that took no effect is free, unless another call holds it by now.
pub(super) fn release(db: &Connection, id: CallId) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM keys WHERE call = ?1 AND (caller, tool, key) IN \
         (SELECT caller, tool, key FROM calls WHERE id = ?1 AND NOT unknown_effect)",
    )?
    .execute([id.as_bytes()])
    .map(drop)
}

pub(super) fn leave(
    db: &Connection,
    owner: u64,
    intent: &Intent,
    problem: &Problem,
    now: Timestamp,
) -> Result<(), JournalError> {
    insert(db, owner, intent, now)
        .and_then(|()| {
            end(
                db,
                intent.id,
                &Ending::Parked(problem.clone()),
                Was { attempts: 0, tries: 0, letter: false, durable: false },
                now,
            )
        })
        .map_err(failed)
}

pub(super) fn purge(
    db: &Connection,
    ended_before: Timestamp,
    limit: u32,
    now: Timestamp,
) -> Result<u64, JournalError> {
    let work = || {
        // First the keys: what holds none may go.
        let keys = db
            .prepare_cached(
                "DELETE FROM keys WHERE (caller, tool, key) IN (SELECT caller, tool, key FROM keys WHERE expires_at <= ?1 \
                 AND NOT EXISTS (SELECT 1 FROM calls WHERE id = keys.call AND ended_at IS NULL) LIMIT ?2)",
            )?
            .execute(params![int(now), limit])?;
        let calls = db
            .prepare_cached(
                "DELETE FROM calls WHERE seq IN (SELECT seq FROM calls c WHERE ended_at IS NOT NULL AND ended_at < ?1 \
                 AND enqueued_at IS NULL AND NOT EXISTS (SELECT 1 FROM steps s WHERE s.call = c.id) AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.caller = c.caller AND k.tool = c.tool \
                 AND k.key = c.key AND k.call = c.id) LIMIT ?2)",
            )?
            .execute(params![int(ended_before), limit])?;
        let rounds = rounds::purge(db, limit, now)?;
        let tasks = tasks::purge(db, limit, now)?;
        Ok((keys + calls + rounds + tasks) as u64)
    };
    work().map_err(failed)
}
