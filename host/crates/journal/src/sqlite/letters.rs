//! Letters: claim, list, change, archive.

use std::{collections::BTreeMap, time::Duration};

use rusqlite::{Connection, OptionalExtension as _, ToSql, params, params_from_iter};
use skillhost_core::CallId;

use super::{
    calls::release,
    failed, playbooks,
    rows::{self, COLUMNS, int, note},
    sagas,
};
use crate::{
    Changed, Delivery, Edit, Event, Filter, JournalError, Lease, Page, PageOf, Priority, Record, State,
    Stats, Step, Timestamp,
};

/// Letters that wait, run or are parked.
pub(super) fn open(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT n FROM open_letters")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// Mark the letter that was parked first for the archive; whether there is one.
pub(super) fn retire_oldest(db: &Connection) -> rusqlite::Result<bool> {
    let changed = db
        .prepare_cached(
            "UPDATE calls SET retired = 1 WHERE seq = \
             (SELECT seq FROM calls WHERE state = 2 AND NOT retired ORDER BY dead_at, id LIMIT 1)",
        )?
        .execute([])?;
    Ok(changed == 1)
}

/// Within a priority, who is due first is first. Over priorities, `ageing` of waiting makes up for one.
pub(super) fn claim(
    db: &Connection,
    owner: u64,
    max: u32,
    ageing: Duration,
    now: Timestamp,
) -> Result<Vec<(Lease, Record)>, JournalError> {
    let ageing = i64::try_from(ageing.as_millis()).unwrap_or(i64::MAX / 8);
    let mut due = vec![];
    for priority in Priority::ALL.map(rows::priority) {
        let mut query = db
            .prepare_cached(
                "SELECT due_at, id FROM calls WHERE state = 1 AND priority = ?1 AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3",
            )
            .map_err(failed)?;
        let found = query
            .query_map(params![priority, int(now), max], |row| {
                Ok((row.get::<_, i64>(0)?.saturating_sub(priority.saturating_mul(ageing)), row.get(1)?))
            })
            .and_then(Iterator::collect::<Result<Vec<(i64, [u8; 16])>, _>>)
            .map_err(failed)?;
        due.extend(found);
    }
    due.sort_unstable();
    due.truncate(max as usize);
    let mut claimed = vec![];
    for id in due.into_iter().map(|(_, id)| CallId::from_bytes(id)) {
        let record = match rows::get(db, id) {
            Ok(Some(record)) => record,
            Ok(None) => continue,
            // It must not stand in the way of the others.
            Err(JournalError::Damaged(problem)) => {
                tracing::error!(call_id = %id, problem, "a letter cannot be read; it is parked");
                park_damaged(db, id, &problem, now).map_err(failed)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let epoch = record.epoch.saturating_add(1);
        db.prepare_cached(
            "UPDATE calls SET state = 0, due_at = NULL, ask_at = NULL, owner = ?2, epoch = ?3 WHERE id = ?1",
        )
        .and_then(|mut update| {
            update.execute(params![id.as_bytes(), owner.cast_signed(), epoch.cast_signed()])
        })
        .map_err(failed)?;
        sagas::forget_past(db, id).map_err(failed)?;
        note(db, id, now, Step::Retried, record.attempts.saturating_add(1), None).map_err(failed)?;
        let record = Record { state: State::Running, due: None, epoch, ..record };
        claimed.push((Lease { id, owner, epoch }, record));
    }
    Ok(claimed)
}

pub(super) fn park_damaged(
    db: &Connection,
    id: CallId,
    problem: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE calls SET state = ?2, due_at = NULL, ask_at = NULL, owner = NULL, dead_at = ?3, enqueued_at = ifnull(enqueued_at, ?3) WHERE id = ?1")?
        .execute(params![id.as_bytes(), rows::state(State::Parked), int(now)])?;
    note(db, id, now, Step::Parked, 0, Some(problem))
}

pub(super) fn next_due(db: &Connection) -> Result<Option<Timestamp>, JournalError> {
    let mut next: Option<i64> = None;
    for priority in Priority::ALL.map(rows::priority) {
        let first: Option<i64> = db
            .prepare_cached("SELECT min(due_at) FROM calls WHERE state = 1 AND priority = ?1")
            .and_then(|mut query| query.query_row([priority], |row| row.get(0)))
            .map_err(failed)?;
        next = [next, first].into_iter().flatten().min();
    }
    Ok(next.map(|ms| Timestamp(ms.unsigned_abs())))
}

pub(super) fn wake(db: &Connection, skill: &str, now: Timestamp) -> Result<u64, JournalError> {
    db.prepare_cached("UPDATE calls SET due_at = ?2 WHERE state = 1 AND skill = ?1 AND due_at > ?2 AND (tries > 0 OR attempts = 0)")
        .and_then(|mut update| update.execute(params![skill, int(now)]))
        .map(|woken| woken as u64)
        .map_err(failed)
}

/// What a filter says, as SQL over the index `letters`, and over the row for what is not in there.
fn conditions(filter: &Filter) -> (String, Vec<Box<dyn ToSql>>) {
    let mut sql = String::from("enqueued_at IS NOT NULL");
    // Those that are on their way to the archive are found only by who knows them.
    if filter.ids.is_empty() {
        sql.push_str(" AND NOT retired");
    }
    let mut values: Vec<Box<dyn ToSql>> = vec![];
    let mut and = |condition: &str, value: Box<dyn ToSql>| {
        values.push(value);
        sql.push_str(" AND ");
        sql.push_str(&condition.replace('?', &format!("?{}", values.len())));
    };
    for (condition, value) in [
        ("skill = ?", &filter.skill),
        ("tool = ?", &filter.tool),
        ("kind = ?", &filter.kind),
        ("caller = ?", &filter.caller),
    ] {
        if let Some(value) = value {
            and(condition, Box::new(value.clone()));
        }
    }
    if let Some(priority) = filter.priority {
        and("priority = ?", Box::new(rows::priority(priority)));
    }
    if let Some(before) = filter.before {
        and("enqueued_at < ?", Box::new(int(before)));
    }
    if let Some(since) = filter.since {
        and("enqueued_at >= ?", Box::new(int(since)));
    }
    if let Some(text) = &filter.text {
        // Not LIKE, whose wildcards may stand in the text.
        and("instr(lower(message), lower(?)) > 0", Box::new(text.clone()));
    }
    if !filter.states.is_empty() {
        let states: Vec<_> = filter.states.iter().map(|state| rows::state(*state).to_string()).collect();
        sql.push_str(&format!(" AND state IN ({})", states.join(", ")));
    }
    if !filter.ids.is_empty() {
        let ids: Vec<_> = filter
            .ids
            .iter()
            .map(|id| {
                values.push(Box::new(*id.as_bytes()));
                format!("?{}", values.len())
            })
            .collect();
        sql.push_str(&format!(" AND id IN ({})", ids.join(", ")));
    }
    (sql, values)
}

pub(super) fn list(db: &Connection, filter: &Filter, page: PageOf) -> Result<Page, JournalError> {
    let (mut sql, mut values) = conditions(filter);
    if let Some(after) = page.after {
        values.push(Box::new(*after.as_bytes()));
        sql.push_str(&format!(" AND id > ?{}", values.len()));
    }
    let limit = page.limit.clamp(1, 1_000);
    // One more tells whether there is a next page.
    let sql = format!("SELECT id FROM calls WHERE {sql} ORDER BY id LIMIT {}", limit + 1);
    let mut ids = db
        .prepare_cached(&sql)
        .and_then(|mut query| {
            query.query_map(params_from_iter(values), |row| row.get(0))?.collect::<Result<Vec<[u8; 16]>, _>>()
        })
        .map_err(failed)?;
    let more = ids.len() > limit as usize;
    ids.truncate(limit as usize);
    let next = ids.last().filter(|_| more).map(|id| CallId::from_bytes(*id));
    let (mut letters, mut unreadable) = (vec![], vec![]);
    for id in ids.into_iter().map(CallId::from_bytes) {
        match rows::brief(db, id) {
            Ok(letter) => letters.extend(letter),
            Err(JournalError::Damaged(_)) => unreadable.push(id),
            Err(error) => return Err(error),
        }
    }
    Ok(Page { letters, next, damaged: unreadable })
}

pub(super) fn stats(db: &Connection, capacity: u64) -> Result<Stats, JournalError> {
    let work = || {
        let groups = |sql: &str| -> rusqlite::Result<Vec<(String, u64)>> {
            let mut query = db.prepare_cached(sql)?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
            rows.collect()
        };
        let open = "enqueued_at IS NOT NULL AND NOT retired AND state IN (1, 2)";
        let named = |groups: Vec<(String, u64)>, word: &dyn Fn(usize) -> Option<&'static str>| {
            let named =
                groups.into_iter().filter_map(|(n, count)| Some((word(n.parse().ok()?)?.to_owned(), count)));
            named.collect::<BTreeMap<_, _>>()
        };
        let states = groups(
            "SELECT cast(state AS TEXT), count(*) FROM calls WHERE enqueued_at IS NOT NULL AND NOT retired GROUP BY state",
        )?;
        let priorities = groups(&format!(
            "SELECT cast(priority AS TEXT), count(*) FROM calls WHERE {open} GROUP BY priority"
        ))?;
        let steps = groups("SELECT cast(step AS TEXT), n FROM counters WHERE step >= 0")?;
        let archived: Option<i64> = db
            .prepare_cached("SELECT n FROM counters WHERE step = ?1")?
            .query_row([rows::ARCHIVED], |row| row.get(0))
            .optional()?;
        let oldest: Option<i64> = db
            .prepare_cached(&format!("SELECT min(enqueued_at) FROM calls WHERE {open}"))?
            .query_row([], |row| row.get(0))?;
        Ok(Stats {
            states: named(states, &|n| Some(State::ALL.get(n)?.as_str(true))),
            priorities: named(priorities, &|n| Some(Priority::ALL.get(n)?.as_str())),
            kinds: groups(&format!(
                "SELECT ifnull(kind, 'none'), count(*) FROM calls WHERE {open} GROUP BY kind"
            ))?
            .into_iter()
            .collect(),
            skills: groups(&format!("SELECT skill, count(*) FROM calls WHERE {open} GROUP BY skill"))?
                .into_iter()
                .collect(),
            steps: named(steps, &|n| Some(Step::ALL.get(n)?.as_str())),
            archived: archived.unwrap_or(0).unsigned_abs(),
            oldest: oldest.map(|ms| Timestamp(ms.unsigned_abs())),
            next_due: None,
            open: self::open(db)?,
            capacity,
        })
    };
    let stats: Stats = work().map_err(failed)?;
    Ok(Stats { next_due: next_due(db)?, ..stats })
}

/// The letter, if it waits or is parked.
fn changeable(db: &Connection, id: CallId) -> Result<Result<Record, Changed>, JournalError> {
    Ok(match rows::get(db, id)?.filter(Record::is_letter) {
        None => Err(Changed::Missing),
        Some(letter) if matches!(letter.state, State::Waiting | State::Parked) => Ok(letter),
        Some(letter) => Err(Changed::Not(letter.state)),
    })
}

pub(super) fn edit(
    db: &Connection,
    id: CallId,
    edit: &Edit,
    by: &str,
    now: Timestamp,
) -> Result<Changed, JournalError> {
    let letter = match changeable(db, id)? {
        Ok(letter) => letter,
        Err(refused) => return Ok(refused),
    };
    let work = || {
        let mut what = vec![];
        if let Some(arguments) = &edit.arguments {
            db.prepare_cached("UPDATE calls SET arguments = ?2, sealed = ?3 WHERE id = ?1")?
                .execute(params![id.as_bytes(), arguments.shown, arguments.sealed])?;
            what.push("arguments".to_owned());
        }
        if let Some(priority) = edit.priority {
            db.prepare_cached("UPDATE calls SET priority = ?2 WHERE id = ?1")?
                .execute(params![id.as_bytes(), rows::priority(priority)])?;
            what.push(format!("priority {}", priority.as_str()));
        }
        playbooks::ask_at(db, id, None)?;
        note(db, id, now, Step::Edited, letter.attempts, Some(&format!("{} by {by}", what.join(", "))))
    };
    work().map_err(failed).map(|()| Changed::Yes)
}

pub(super) fn replay(
    db: &Connection,
    id: CallId,
    due: Timestamp,
    pin: bool,
    by: &str,
    now: Timestamp,
) -> Result<Changed, JournalError> {
    let letter = match changeable(db, id)? {
        Ok(letter) => letter,
        Err(refused) => return Ok(refused),
    };
    let work = || {
        // Who asks for another run wants it whatever its age.
        let patience = letter.gives_up.since(letter.begun);
        db.prepare_cached(
            "UPDATE calls SET state = ?2, due_at = ?3, tries = 0, pinned = ?4, gives_up_at = ?5, retired = 0, ask_at = NULL WHERE id = ?1",
        )?
        .execute(params![
            id.as_bytes(),
            rows::state(State::Waiting),
            int(due),
            pin,
            int(now.plus(patience))
        ])?;
        let how = if pin { ", with the version that failed" } else { "" };
        note(db, id, now, Step::Replayed, letter.attempts, Some(&format!("by {by}{how}, due {due}")))
    };
    work().map_err(failed).map(|()| Changed::Yes)
}

pub(super) fn discard(
    db: &Connection,
    id: CallId,
    by: &str,
    now: Timestamp,
) -> Result<Changed, JournalError> {
    let attempts = match changeable(db, id) {
        Ok(Ok(letter)) => letter.attempts,
        Ok(Err(refused)) => return Ok(refused),
        // It can still be given up; nothing else can be done with it.
        Err(JournalError::Damaged(_)) => 0,
        Err(error) => return Err(error),
    };
    let work = || {
        db.prepare_cached(
            "UPDATE calls SET state = ?2, due_at = NULL, ask_at = NULL, ended_at = ?3 WHERE id = ?1",
        )?
        .execute(params![id.as_bytes(), rows::state(State::Discarded), int(now)])?;
        note(db, id, now, Step::Discarded, attempts, Some(&format!("by {by}")))?;
        release(db, id)
    };
    work().map_err(failed).map(|()| Changed::Yes)
}

pub(super) fn archivable(
    db: &Connection,
    ended_before: Timestamp,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<CallId>, JournalError> {
    db.prepare_cached(
        "SELECT id FROM calls c WHERE enqueued_at IS NOT NULL AND (retired AND state = 2 OR ended_at < ?1 AND NOT EXISTS \
         (SELECT 1 FROM keys k WHERE k.caller = c.caller AND k.tool = c.tool AND k.key = c.key AND k.call = c.id \
         AND k.expires_at > ?3)) ORDER BY id LIMIT ?2",
    )
    .and_then(|mut query| {
        let ids = query.query_map(params![int(ended_before), limit, int(now)], |row| row.get(0))?;
        ids.map(|id| id.map(CallId::from_bytes)).collect()
    })
    .map_err(failed)
}

pub(super) fn archived(db: &Connection, id: CallId, state: State) -> Result<bool, JournalError> {
    let work = || {
        let removed = db
            .prepare_cached("DELETE FROM calls WHERE id = ?1 AND state = ?2 AND enqueued_at IS NOT NULL")?
            .execute(params![id.as_bytes(), rows::state(state)])?;
        if removed == 1 {
            rows::count(db, rows::ARCHIVED)?;
        }
        Ok(removed == 1)
    };
    work().map_err(failed)
}

pub(super) fn restore(
    db: &Connection,
    letter: &Record,
    history: &[Event],
    now: Timestamp,
) -> Result<bool, JournalError> {
    if rows::get(db, letter.id)?.is_some() {
        return Ok(false);
    }
    let state = match letter.state {
        State::Running | State::Waiting | State::RollingBack => State::Parked,
        state => state,
    };
    let work = || {
        db.execute(
            &format!(
                "INSERT INTO calls ({COLUMNS}, park_unknown) VALUES (?1, ?2, ?3, NULL, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
                 ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, 1)"
            ),
            params![
                letter.id.as_bytes(),
                rows::state(state),
                rows::priority(letter.priority),
                letter.epoch.cast_signed(),
                letter.skill,
                letter.tool,
                letter.digest.as_bytes(),
                letter.pinned,
                letter.caller.as_str(),
                letter.correlation_id,
                letter.key,
                letter.delivery == Delivery::Durable,
                letter.safe,
                letter.attempts,
                letter.tries,
                letter.max_tries,
                int(letter.gives_up),
                int(letter.begun),
                letter.ended.map(int),
                int(letter.enqueued.unwrap_or(now)),
                letter.dead.map(int),
                letter.problem.as_ref().map(|problem| &problem.kind),
                letter.problem.as_ref().is_some_and(|problem| problem.unknown_effect),
                letter.problem.as_ref().map(|problem| &problem.message),
                letter.meta,
                letter.arguments.shown,
                letter.arguments.sealed,
                letter.outcome,
            ],
        )?;
        // Not counted: they were when they happened.
        for event in history {
            rows::write(db, letter.id, event)?;
        }
        note(db, letter.id, now, Step::Restored, letter.attempts, None)
    };
    work().map_err(failed).map(|()| true)
}
