//! Sagas and their steps: begin, add, end, take back.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use skillhost_core::{CallId, Caller, SagaId};

use super::{
    calls, failed, letters,
    rows::{self, damaged, int, maybe_time, nth, time},
    steps::{set_undo, step, steps},
    undo,
};
use crate::{
    Afterwards, Intent, JournalError, Left, NotOpen, OnExpiry, Problem, RollBack, Rolling, Saga, SagaFilter,
    SagaLease, SagaState, SagaStep, State, StepOf, Timestamp, UndoState,
};

/// Calls in one saga.
const MAX_STEPS: i64 = 1_000;

pub(super) fn number_of(state: SagaState) -> i64 {
    SagaState::ALL.iter().position(|known| *known == state).unwrap_or_default() as i64
}

fn on_expiry(on_expiry: OnExpiry) -> bool {
    on_expiry == OnExpiry::Rollback
}

/// Why a call that is a step cannot begin, if so.
pub(super) fn closed(
    db: &Connection,
    owner: u64,
    intent: &Intent,
    of: &StepOf,
    now: Timestamp,
) -> Result<Option<NotOpen>, JournalError> {
    let rolling = Some(NotOpen::Is(SagaState::RollingBack));
    if of.parent.is_some() {
        // The top must be ours and run, and nobody have asked for its end.
        let goes_on = db
            .prepare_cached(
                "SELECT 1 FROM calls c JOIN steps s ON s.call = c.id WHERE c.id = ?1 AND c.state = 0 AND c.owner = ?2 \
                 AND NOT s.asked",
            )
            .and_then(|mut query| query.exists(params![of.root.as_bytes(), owner.cast_signed()]))
            .map_err(failed)?;
        if !goes_on {
            return Ok(rolling);
        }
    }
    let Some(id) = of.saga else { return Ok(None) };
    let Some(saga) = get(db, id)?.filter(|saga| saga.held && saga.caller == intent.caller) else {
        return Ok(Some(NotOpen::Missing));
    };
    if of.parent.is_some() {
        // It was begun while the saga was open, and only a roll-back ends what runs.
        let taken_back = !matches!(saga.state, SagaState::Open | SagaState::Committed | SagaState::Expired);
        return Ok(rolling.filter(|_| taken_back));
    }
    if saga.state != SagaState::Open {
        return Ok(Some(NotOpen::Is(saga.state)));
    }
    if saga.expires.is_some_and(|expires| expires <= now) {
        return Ok(Some(NotOpen::Is(SagaState::Expired)));
    }
    let steps: i64 = db
        .prepare_cached("SELECT count(*) FROM steps WHERE saga = ?1")
        .and_then(|mut query| query.query_row([id.as_bytes()], |row| row.get(0)))
        .map_err(failed)?;
    Ok((steps >= MAX_STEPS).then_some(NotOpen::Full))
}

pub(super) fn begin(db: &Connection, saga: &Saga, max: u32) -> Result<bool, JournalError> {
    let work = || {
        let open: i64 = db
            .prepare_cached("SELECT count(*) FROM sagas WHERE held AND state = 0 AND caller = ?1")?
            .query_row([saga.caller.as_str()], |row| row.get(0))?;
        if open >= i64::from(max) {
            return Ok(false);
        }
        db.prepare_cached(
            "INSERT INTO sagas (id, held, caller, label, state, begun_at, expires_at, on_expiry) \
             VALUES (?1, 1, ?2, ?3, 0, ?4, ?5, ?6)",
        )?
        .execute(params![
            saga.id.as_bytes(),
            saga.caller.as_str(),
            saga.label,
            int(saga.begun),
            saga.expires.map(int),
            on_expiry(saga.on_expiry),
        ])?;
        Ok(true)
    };
    work().map_err(failed)
}

pub(super) fn commit(
    db: &Connection,
    id: SagaId,
    caller: &Caller,
    now: Timestamp,
) -> Result<Option<SagaState>, JournalError> {
    let Some(saga) = get(db, id)?.filter(|saga| saga.held && saga.caller == *caller) else {
        return Ok(None);
    };
    if saga.state != SagaState::Open {
        return Ok(Some(saga.state));
    }
    end(db, id, SagaState::Committed, None, now).map_err(failed)?;
    Ok(Some(SagaState::Committed))
}

fn end(
    db: &Connection,
    id: SagaId,
    state: SagaState,
    reason: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE sagas SET state = ?2, ended_at = ?3, owner = NULL, reason = ifnull(?4, reason) WHERE id = ?1",
    )?
    .execute(params![id.as_bytes(), number_of(state), int(now), reason])
    .map(drop)
}

pub(super) fn roll_back(
    db: &Connection,
    owner: u64,
    id: SagaId,
    how: &RollBack,
    now: Timestamp,
) -> Result<Rolling, JournalError> {
    let may = |caller: &Caller| how.caller.as_ref().is_none_or(|who| who == caller);
    let known = get(db, id)?;
    if let Some(saga) = &known
        && !is_past(db, saga)?
    {
        if !may(&saga.caller) {
            return Ok(Rolling::Missing);
        }
        match saga.state {
            SagaState::Open if !how.resume => {}
            SagaState::RollingBack => return Ok(Rolling::Already),
            SagaState::Stuck if how.resume => {}
            // A call that was kept with its saga can be taken back by itself, with what it made others do.
            state => return Ok(Rolling::Is(state)),
        }
        try_again(db, &steps(db, id)?).map_err(failed)?;
        if saga.held {
            give_up_letters(db, id, &how.reason, now)?;
        }
        return lease(db, owner, id, how).map(Rolling::Yes).map_err(failed);
    }
    let call = id.call();
    let Some(record) = rows::get(db, call)?.filter(|record| may(&record.caller)) else {
        return Ok(Rolling::Missing);
    };
    let Some(step) = step(db, call)? else {
        return Ok(Rolling::No(format!(
            "the tool `{}` cannot take back what it did, and what it made others do is not known",
            record.tool
        )));
    };
    if step.of.parent.is_some() {
        let root = step.of.root;
        return Ok(Rolling::No(format!("it is part of the call {root}, which is taken back as a whole")));
    }
    if let Some(held) = step.of.saga
        && get(db, held)?.is_some_and(|saga| saga.state == SagaState::RollingBack)
    {
        return Ok(Rolling::Already);
    }
    let all = steps(db, id)?;
    if !all.iter().any(|step| step.of.undoable) {
        return Ok(Rolling::No(format!("the tool `{}` cannot take back what it did", record.tool)));
    }
    match record.state {
        State::Running => {
            db.prepare_cached("UPDATE steps SET asked = 1 WHERE call = ?1")
                .and_then(|mut update| update.execute([call.as_bytes()]))
                .map_err(failed)?;
            return Ok(Rolling::WhenEnded);
        }
        State::RollingBack => return Ok(Rolling::Already),
        State::Waiting | State::Parked => {
            letters::discard(db, call, &how.reason, now)?;
        }
        State::Done | State::Failed | State::Unknown | State::Discarded => {}
    }
    // Taken back before as part of its saga.
    if all.iter().all(|step| !step.stays()) {
        return Ok(Rolling::Is(SagaState::RolledBack));
    }
    try_again(db, &all)
        .and_then(|()| open_rollback(db, owner, call, &record.caller, None, how, now))
        .map(Rolling::Yes)
        .map_err(failed)
}

/// Whether the saga is what an earlier run of a call came to that is still to be run again, or judged.
fn is_past(db: &Connection, saga: &Saga) -> Result<bool, JournalError> {
    if saga.held || !matches!(saga.state, SagaState::RolledBack | SagaState::Partial) {
        return Ok(false);
    }
    let record = rows::get(db, saga.id.call())?;
    Ok(record.is_some_and(|record| matches!(record.state, State::Waiting | State::Parked)))
}

/// A call is run again: what its earlier run came to when it was taken back says nothing of this one.
pub(super) fn forget_past(db: &Connection, id: CallId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM sagas WHERE id = ?1 AND NOT held AND state IN (?2, ?3)")?
        .execute(params![id.as_bytes(), number_of(SagaState::RolledBack), number_of(SagaState::Partial)])
        .map(drop)
}

/// What was in conflict or stuck may not be any more.
fn try_again(db: &Connection, steps: &[SagaStep]) -> rusqlite::Result<()> {
    for step in steps {
        if matches!(step.undo, Some(UndoState::Conflict | UndoState::Stuck)) {
            db.prepare_cached("UPDATE steps SET undo = NULL, why = NULL, tries = 0 WHERE call = ?1")?
                .execute([step.call.id.as_bytes()])?;
        }
    }
    Ok(())
}

/// Take a call back with what it made others do.
pub(super) fn open_rollback(
    db: &Connection,
    owner: u64,
    call: CallId,
    caller: &Caller,
    afterwards: Option<&Afterwards>,
    how: &RollBack,
    now: Timestamp,
) -> rusqlite::Result<SagaLease> {
    let id = SagaId::from(call);
    let afterwards = afterwards.and_then(|afterwards| serde_json::to_string(afterwards).ok());
    db.prepare_cached(
        "INSERT INTO sagas (id, held, caller, state, begun_at, afterwards, epoch) VALUES (?1, 0, ?2, ?3, ?4, ?5, 0) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, ended_at = NULL, afterwards = excluded.afterwards",
    )?
    .execute(params![
        id.as_bytes(),
        caller.as_str(),
        number_of(SagaState::RollingBack),
        int(now),
        afterwards
    ])?;
    lease(db, owner, id, how)
}

fn lease(db: &Connection, owner: u64, id: SagaId, how: &RollBack) -> rusqlite::Result<SagaLease> {
    let epoch: i64 = db
        .prepare_cached(
            "UPDATE sagas SET state = ?2, owner = ?3, epoch = epoch + 1, ended_at = NULL, force = ?4, reason = ?5 \
             WHERE id = ?1 RETURNING epoch",
        )?
        .query_row(
            params![
                id.as_bytes(),
                number_of(SagaState::RollingBack),
                owner.cast_signed(),
                how.force,
                how.reason
            ],
            |row| row.get(0),
        )?;
    Ok(SagaLease { id, owner, epoch: epoch.unsigned_abs() })
}

/// Letters of a saga are not run any more.
fn give_up_letters(db: &Connection, id: SagaId, by: &str, now: Timestamp) -> Result<(), JournalError> {
    let ids = db
        .prepare_cached(
            "SELECT c.id FROM calls c JOIN steps s ON s.call = c.id WHERE s.saga = ?1 AND c.state IN (1, 2)",
        )
        .and_then(|mut query| {
            query.query_map([id.as_bytes()], |row| row.get(0))?.collect::<Result<Vec<[u8; 16]>, _>>()
        })
        .map_err(failed)?;
    for call in ids.into_iter().map(CallId::from_bytes) {
        letters::discard(db, call, by, now)?;
    }
    Ok(())
}

pub(super) fn claim(db: &Connection, owner: u64, max: u32) -> Result<Vec<SagaLease>, JournalError> {
    db.prepare_cached(
        "UPDATE sagas SET owner = ?1, epoch = epoch + 1 WHERE id IN \
         (SELECT id FROM sagas WHERE state = 3 AND owner IS NULL ORDER BY seq LIMIT ?2) RETURNING id, epoch",
    )
    .and_then(|mut claim| {
        let claimed = claim.query_map(params![owner.cast_signed(), max], |row| {
            Ok(SagaLease {
                id: SagaId::from_bytes(row.get(0)?),
                owner,
                epoch: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        })?;
        claimed.collect()
    })
    .map_err(failed)
}

/// What a dead process was taking back is free for another.
pub(super) fn release_of(db: &Connection, owner: u64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE sagas SET owner = NULL WHERE owner = ?1")?
        .execute([owner.cast_signed()])
        .map(drop)
}

pub(super) fn expire(db: &Connection, now: Timestamp) -> Result<Vec<Saga>, JournalError> {
    let over = db
        .prepare_cached("SELECT id FROM sagas WHERE state = 0 AND expires_at <= ?1 ORDER BY seq LIMIT 100")
        .and_then(|mut query| {
            query.query_map([int(now)], |row| row.get(0))?.collect::<Result<Vec<[u8; 16]>, _>>()
        })
        .map_err(failed)?;
    let mut expired = vec![];
    for id in over.into_iter().map(SagaId::from_bytes) {
        let Some(saga) = get(db, id)? else { continue };
        if saga.on_expiry == OnExpiry::Rollback {
            give_up_letters(db, id, "its saga has expired", now)?;
            db.prepare_cached(
                "UPDATE sagas SET state = 3, owner = NULL, reason = 'it has expired' WHERE id = ?1",
            )
            .and_then(|mut update| update.execute([id.as_bytes()]))
            .map_err(failed)?;
        } else {
            end(db, id, SagaState::Expired, None, now).map_err(failed)?;
        }
        expired.extend(get(db, id)?);
    }
    Ok(expired)
}

pub(super) fn next_expiry(db: &Connection) -> Result<Option<Timestamp>, JournalError> {
    let next: Option<i64> = db
        .prepare_cached("SELECT min(expires_at) FROM sagas WHERE state = 0")
        .and_then(|mut query| query.query_row([], |row| row.get(0)))
        .map_err(failed)?;
    Ok(next.map(|ms| Timestamp(ms.unsigned_abs())))
}

pub(super) fn abandon(
    db: &Connection,
    id: SagaId,
    by: &str,
    now: Timestamp,
) -> Result<Option<SagaState>, JournalError> {
    let Some(saga) = get(db, id)? else { return Ok(None) };
    if saga.state != SagaState::Stuck {
        return Ok(Some(saga.state));
    }
    let steps = steps(db, id)?;
    let work = || {
        for step in steps {
            if matches!(step.undo, Some(UndoState::Conflict | UndoState::Stuck)) {
                set_undo(db, step.call.id, UndoState::Abandoned, step.why.as_deref(), now)?;
            }
        }
        end(db, id, SagaState::Abandoned, Some(&format!("given up by {by}")), now)
    };
    work().map_err(failed)?;
    undo::unstick(db, &self::steps(db, id)?, now)?;
    Ok(Some(SagaState::Abandoned))
}

const SAGA: &str = "id, held, caller, label, state, begun_at, expires_at, on_expiry, ended_at, reason, force";

fn saga(row: &Row<'_>) -> rusqlite::Result<Saga> {
    Ok(Saga {
        id: SagaId::from_bytes(row.get("id")?),
        held: row.get("held")?,
        caller: Caller::named(&row.get::<_, String>("caller")?),
        label: row.get("label")?,
        state: nth(&SagaState::ALL, row, "state")?,
        begun: time(row, "begun_at")?,
        expires: maybe_time(row, "expires_at")?,
        on_expiry: if row.get("on_expiry")? { OnExpiry::Rollback } else { OnExpiry::Keep },
        ended: maybe_time(row, "ended_at")?,
        reason: row.get("reason")?,
        force: row.get("force")?,
    })
}

pub(super) fn get(db: &Connection, id: SagaId) -> Result<Option<Saga>, JournalError> {
    db.prepare_cached(&format!("SELECT {SAGA} FROM sagas WHERE id = ?1"))
        .and_then(|mut query| query.query_row([id.as_bytes()], saga).optional())
        .map_err(|error| damaged(id.call(), error))
}

pub(super) fn list(
    db: &Connection,
    filter: &SagaFilter,
    after: Option<SagaId>,
    limit: u32,
) -> Result<Vec<Saga>, JournalError> {
    let states: Vec<_> = filter.states.iter().map(|state| number_of(*state).to_string()).collect();
    let of_states =
        if states.is_empty() { String::new() } else { format!("AND state IN ({})", states.join(", ")) };
    db.prepare_cached(&format!(
        "SELECT {SAGA} FROM sagas WHERE (?1 IS NULL OR caller = ?1) AND (?2 IS NULL OR held = ?2) {of_states} \
         AND (?3 IS NULL OR seq < (SELECT seq FROM sagas WHERE id = ?3)) ORDER BY seq DESC LIMIT ?4"
    ))
    .and_then(|mut query| {
        let after = after.as_ref().map(SagaId::as_bytes);
        query.query_map(params![filter.caller, filter.held, after, limit], saga)?.collect()
    })
    .map_err(failed)
}

/// Apply to a call what was decided for it, when it was taken back.
pub(super) fn afterwards(
    db: &Connection,
    id: SagaId,
    state: SagaState,
    now: Timestamp,
) -> Result<(), JournalError> {
    let text: Option<String> = db
        .prepare_cached("SELECT afterwards FROM sagas WHERE id = ?1")
        .and_then(|mut query| query.query_row([id.as_bytes()], |row| row.get(0)))
        .map_err(failed)?;
    let Some(text) = text else { return Ok(()) };
    let call = id.call();
    let rolls = rows::get(db, call)?.is_some_and(|record| record.state == State::RollingBack);
    if !rolls {
        return Ok(());
    }
    let clean = state == SagaState::RolledBack;
    let left = match serde_json::from_str::<Afterwards>(&text) {
        Ok(afterwards) if clean => afterwards.clean,
        Ok(afterwards) => afterwards.stained,
        // It is judged by a person, as everything that cannot be read.
        Err(error) => Left::Parked(Problem {
            kind: "internal".into(),
            message: format!("what was to become of it cannot be read: {error}"),
            unknown_effect: !clean,
        }),
    };
    calls::leave_as(db, call, &left, clean, now).map_err(failed)
}
