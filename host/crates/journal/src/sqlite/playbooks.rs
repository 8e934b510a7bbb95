//! What rules do to letters. That they did, and what they did, is one transaction.

use rusqlite::{Connection, OptionalExtension as _, params};
use skillhost_core::{CallId, SagaId};

use super::{
    Sqlite, failed, letters,
    rows::{self, int, maybe_time, note, number, time},
    sagas, steps,
};
use crate::{
    Answer, Deed, Fired, Firing, HandlerCall, JournalError, Playbooks, Resting, RollBack, Rolling, State,
    Step, Timestamp,
};

impl Playbooks for Sqlite {
    fn to_ask(&self, after: Option<CallId>, max: u32, now: Timestamp) -> Answer<Vec<Resting>> {
        self.readers.run(move |db| to_ask(db, after, max, now))
    }

    fn resting(&self, id: CallId) -> Answer<Option<Resting>> {
        self.readers.run(move |db| resting(db, id))
    }

    fn next_ask(&self, now: Timestamp) -> Answer<Option<Timestamp>> {
        self.readers.run(move |db| next_ask(db, now))
    }

    fn asked(&self, letters: Vec<(CallId, u64, Option<Timestamp>)>) -> Answer<()> {
        self.writer.run(move |db, _| asked(db, &letters))
    }

    fn ask_all(&self, now: Timestamp) -> Answer<u64> {
        self.writer.run(move |db, _| ask_all(db, now))
    }

    fn fire(&self, id: CallId, firing: Firing, now: Timestamp) -> Answer<Fired> {
        self.writer.run(move |db, owner| fire(db, owner, id, &firing, now))
    }

    fn claim_handlers(&self, max: u32) -> Answer<Vec<HandlerCall>> {
        self.writer.run(move |db, owner| claim_handlers(db, owner, max))
    }

    fn put_back(&self, call: HandlerCall) -> Answer<()> {
        self.writer.run(move |db, owner| put_back(db, owner, &call))
    }

    fn handled(&self, call: HandlerCall, told: String, now: Timestamp) -> Answer<()> {
        self.writer.run(move |db, _| handled(db, &call, &told, now))
    }
}

/// A call comes to rest as a letter, or a hand is laid on one.
pub(super) fn ask_at(db: &Connection, id: CallId, at: Option<Timestamp>) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE calls SET ask_at = ?2 WHERE id = ?1")?
        .execute(params![id.as_bytes(), at.map(int)])
        .map(drop)
}

pub(super) fn to_ask(
    db: &Connection,
    after: Option<CallId>,
    max: u32,
    now: Timestamp,
) -> Result<Vec<Resting>, JournalError> {
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    let ids = db
        .prepare_cached(
            "SELECT id FROM calls WHERE ask_at <= ?1 AND id > ?2 AND state IN (1, 2) AND NOT retired ORDER BY id LIMIT ?3",
        )
        .and_then(|mut query| {
            query.query_map(params![int(now), after, max], |row| row.get(0))?.collect::<Result<Vec<[u8; 16]>, _>>()
        })
        .map_err(failed)?;
    let mut found = vec![];
    for id in ids.into_iter().map(CallId::from_bytes) {
        match resting(db, id) {
            Ok(letter) => found.extend(letter),
            // It must not stand in the way of the others; rules cannot judge what cannot be read.
            Err(JournalError::Damaged(problem)) => {
                tracing::debug!(call_id = %id, problem, "a letter cannot be read; no rule is asked about it");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

pub(super) fn resting(db: &Connection, id: CallId) -> Result<Option<Resting>, JournalError> {
    let Some(letter) = rows::brief(db, id)?.filter(|letter| letter.is_letter() && Resting::is(letter.state))
    else {
        return Ok(None);
    };
    let retired: bool = db
        .prepare_cached("SELECT retired FROM calls WHERE id = ?1")
        .and_then(|mut query| query.query_row([id.as_bytes()], |row| row.get(0)))
        .map_err(failed)?;
    if retired {
        return Ok(None);
    }
    let (stamp, step) = last(db, id).map_err(failed)?;
    let fired = db
        .prepare_cached("SELECT rule, times, epoch FROM firings WHERE call = ?1")
        .and_then(|mut query| {
            let rows = query.query_map([id.as_bytes()], |row| {
                Ok((row.get(0)?, number(row, "times")?, number::<u64>(row, "epoch")? == letter.epoch))
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        })
        .map_err(failed)?;
    let undoable = steps::steps(db, id.into())?.iter().any(|step| step.of.undoable && step.stays());
    Ok(Some(Resting { letter, stamp, in_hand: step.is_some_and(is_by_hand), undoable, fired }))
}

/// The newest line of a letter's history: everything that happens to it writes one.
fn last(db: &Connection, id: CallId) -> rusqlite::Result<(u64, Option<Step>)> {
    let found = db
        .prepare_cached("SELECT rowid, step FROM history WHERE call = ?1 ORDER BY rowid DESC LIMIT 1")?
        .query_row([id.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, rows::nth(&Step::ALL, row, "step")?)))
        .optional()?;
    Ok(found.map_or((0, None), |(line, step)| (line.unsigned_abs(), Some(step))))
}

fn is_by_hand(step: Step) -> bool {
    matches!(step, Step::Edited | Step::Replayed | Step::Restored)
}

pub(super) fn next_ask(db: &Connection, now: Timestamp) -> Result<Option<Timestamp>, JournalError> {
    db.prepare_cached("SELECT min(ask_at) AS ask_at FROM calls WHERE ask_at > ?1")
        .and_then(|mut query| query.query_row([int(now)], |row| maybe_time(row, "ask_at")))
        .map_err(failed)
}

pub(super) fn asked(
    db: &Connection,
    letters: &[(CallId, u64, Option<Timestamp>)],
) -> Result<(), JournalError> {
    let work = || {
        for (id, stamp, again) in letters {
            if last(db, *id)?.0 == *stamp {
                ask_at(db, *id, *again)?;
            }
        }
        Ok(())
    };
    work().map_err(failed)
}

pub(super) fn ask_all(db: &Connection, now: Timestamp) -> Result<u64, JournalError> {
    // Numbers of the steps by hand, as in `is_by_hand`.
    let by_hand: Vec<_> = (0..)
        .zip(Step::ALL)
        .filter(|(_, step)| is_by_hand(*step))
        .map(|(n, _): (i64, _)| n.to_string())
        .collect();
    db.prepare_cached(&format!(
        "UPDATE calls SET ask_at = ?1 WHERE state IN (1, 2) AND enqueued_at IS NOT NULL AND NOT retired AND \
         ifnull((SELECT step FROM history WHERE call = calls.id ORDER BY rowid DESC LIMIT 1), -1) NOT IN ({})",
        by_hand.join(", ")
    ))
    .and_then(|mut update| update.execute([int(now)]))
    .map(|letters| letters as u64)
    .map_err(failed)
}

pub(super) fn fire(
    db: &Connection,
    owner: u64,
    id: CallId,
    firing: &Firing,
    now: Timestamp,
) -> Result<Fired, JournalError> {
    let Some(Resting { letter, stamp, .. }) = resting(db, id)? else { return Ok(Fired::Changed) };
    if stamp != firing.stamp {
        return Ok(Fired::Changed);
    }
    let Firing { rule, deed, told, again, .. } = firing;
    let request = match deed {
        Deed::Call { request, .. } => Some(request),
        _ => None,
    };
    let count = || {
        note(db, id, now, Step::Playbook, letter.attempts, Some(&format!("by playbook {rule}: {told}")))?;
        ask_at(db, id, *again)?;
        db.prepare_cached(
            "INSERT INTO firings (call, rule, times, epoch, at, owner, request) VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6) \
             ON CONFLICT (call, rule) DO UPDATE SET times = times + 1, epoch = excluded.epoch, at = excluded.at, \
             owner = excluded.owner, request = excluded.request RETURNING times",
        )?
        .query_row(
            params![
                id.as_bytes(),
                rule,
                letter.epoch.cast_signed(),
                int(now),
                request.map(|_| owner.cast_signed()),
                request
            ],
            |row| number(row, "times"),
        )
    };
    let times = count().map_err(failed)?;
    let park = |retired: bool| {
        db.prepare_cached(
            "UPDATE calls SET state = ?2, due_at = NULL, dead_at = ifnull(dead_at, ?3), retired = ?4, ask_at = iif(?4, NULL, ask_at) WHERE id = ?1",
        )?
        .execute(params![id.as_bytes(), rows::state(State::Parked), int(now), retired])?;
        if letter.state == State::Waiting {
            note(db, id, now, Step::Parked, letter.attempts, None)
        } else {
            Ok(())
        }
    };
    let by = format!("playbook {rule}");
    match deed {
        Deed::Retry(due) => {
            db.prepare_cached("UPDATE calls SET state = ?2, due_at = ?3 WHERE id = ?1")
                .and_then(|mut update| {
                    update.execute(params![id.as_bytes(), rows::state(State::Waiting), int(*due)])
                })
                .map_err(failed)?;
            Ok(Fired::Yes)
        }
        Deed::Park => park(false).map_err(failed).map(|()| Fired::Yes),
        Deed::Archive => park(true).map_err(failed).map(|()| Fired::Yes),
        Deed::Discard => letters::discard(db, id, &by, now).map(|_| Fired::Yes),
        Deed::Call { request, park: parks } => {
            if *parks {
                park(false).map_err(failed)?;
            }
            let request = request.clone();
            Ok(Fired::Call(HandlerCall { letter: id, rule: rule.clone(), times, at: now, request }))
        }
        Deed::Undo { saga } => {
            let step = steps::step(db, id)?;
            let whole = step.and_then(|step| step.of.saga).filter(|_| *saga);
            let target = whole.unwrap_or_else(|| SagaId::from(id));
            let how = RollBack { reason: by, ..RollBack::default() };
            match sagas::roll_back(db, owner, target, &how, now)? {
                Rolling::Yes(lease) => Ok(Fired::RollBack(lease)),
                Rolling::Already | Rolling::WhenEnded => Ok(Fired::Yes),
                refused => {
                    let why = match refused {
                        Rolling::No(why) => why,
                        Rolling::Is(state) => format!("it is {}", state.as_str()),
                        _ => "there is nothing to take back".to_owned(),
                    };
                    park(false).map_err(failed)?;
                    let line = format!("by playbook {rule}: it could not be taken back: {why}");
                    note(db, id, now, Step::Playbook, letter.attempts, Some(&line)).map_err(failed)?;
                    Ok(Fired::Parked(why))
                }
            }
        }
    }
}

/// What a dead process was calling is free for another.
pub(super) fn release_of(db: &Connection, owner: u64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE firings SET owner = NULL WHERE owner = ?1")?
        .execute([owner.cast_signed()])
        .map(drop)
}

pub(super) fn claim_handlers(
    db: &Connection,
    owner: u64,
    max: u32,
) -> Result<Vec<HandlerCall>, JournalError> {
    db.prepare_cached(
        "UPDATE firings SET owner = ?1 WHERE (call, rule) IN \
         (SELECT call, rule FROM firings WHERE request IS NOT NULL AND owner IS NULL LIMIT ?2) \
         RETURNING call, rule, times, at, request",
    )
    .and_then(|mut claim| {
        let claimed = claim.query_map(params![owner.cast_signed(), max], |row| {
            Ok(HandlerCall {
                letter: CallId::from_bytes(row.get("call")?),
                rule: row.get("rule")?,
                times: number(row, "times")?,
                at: time(row, "at")?,
                request: row.get("request")?,
            })
        })?;
        claimed.collect()
    })
    .map_err(failed)
}

fn put_back(db: &Connection, owner: u64, call: &HandlerCall) -> Result<(), JournalError> {
    db.prepare_cached("UPDATE firings SET owner = NULL WHERE call = ?1 AND rule = ?2 AND owner = ?3")
        .and_then(|mut update| {
            update.execute(params![call.letter.as_bytes(), call.rule, owner.cast_signed()])
        })
        .map(drop)
        .map_err(failed)
}

pub(super) fn handled(
    db: &Connection,
    call: &HandlerCall,
    told: &str,
    now: Timestamp,
) -> Result<(), JournalError> {
    let id = call.letter;
    let work = || {
        let over = db
            .prepare_cached(
                "UPDATE firings SET owner = NULL, request = NULL WHERE call = ?1 AND rule = ?2 AND times = ?3 AND request IS NOT NULL",
            )?
            .execute(params![id.as_bytes(), call.rule, call.times])?;
        if over == 0 {
            return Ok(());
        }
        let attempts: Option<u32> = db
            .prepare_cached("SELECT attempts FROM calls WHERE id = ?1")?
            .query_row([id.as_bytes()], |row| row.get(0))
            .optional()?;
        // A person's hand that was laid on it meanwhile stays the last: rules leave the letter alone.
        let Some(attempts) =
            attempts.filter(|_| last(db, id).is_ok_and(|(_, step)| !step.is_some_and(is_by_hand)))
        else {
            return Ok(());
        };
        note(db, id, now, Step::Playbook, attempts, Some(&format!("by playbook {}: {told}", call.rule)))
    };
    work().map_err(failed)
}
