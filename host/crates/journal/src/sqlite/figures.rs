//! What is counted for those who watch, and whether anything can be written.

use rusqlite::Connection;

use super::{failed, letters, room};
use crate::{Figures, JournalError, Priority, Queue, SagaState, State, Timestamp};

/// Bytes that must fit: more than a page, so that some have to be found.
const PROBE: i64 = 16 << 10;

/// Everything from indexes: it is asked for every few seconds.
pub(super) fn figures(db: &Connection, capacity: u64) -> Result<Figures, JournalError> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    let size = pragma("page_count")?.saturating_mul(pragma("page_size")?).unsigned_abs();
    let work = || -> rusqlite::Result<_> {
        let mut query = db.prepare_cached(
            "SELECT state, priority, count(*), min(enqueued_at) FROM calls \
             WHERE enqueued_at IS NOT NULL AND NOT retired GROUP BY state, priority",
        )?;
        let queue = |row: &rusqlite::Row<'_>| {
            let (state, priority): (u16, u16) = (row.get(0)?, row.get(1)?);
            let (letters, oldest): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
            Ok(State::ALL.get(usize::from(state)).zip(Priority::ALL.get(usize::from(priority))).map(
                |(state, priority)| Queue {
                    state: *state,
                    priority: *priority,
                    letters: letters.unsigned_abs(),
                    oldest: oldest.map(|ms| Timestamp(ms.unsigned_abs())),
                },
            ))
        };
        let queues =
            query.query_map([], queue)?.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
        let mut query = db.prepare_cached("SELECT state, count(*) FROM sagas GROUP BY state")?;
        let saga = |row: &rusqlite::Row<'_>| {
            let (state, count): (u16, i64) = (row.get(0)?, row.get(1)?);
            Ok(SagaState::ALL.get(usize::from(state)).map(|state| (*state, count.unsigned_abs())))
        };
        let sagas =
            query.query_map([], saga)?.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
        Ok((queues, sagas))
    };
    let (queues, sagas) = work().map_err(failed)?;
    Ok(Figures { queues, sagas, open: letters::open(db).map_err(failed)?, capacity, size })
}

/// Write something that needs room, and take it away in the same breath: what is committed leaves nothing, but went to the disk.
pub(super) fn check(db: &Connection, max_size: u64) -> Result<(), JournalError> {
    room(db, max_size)?;
    let work = || -> rusqlite::Result<()> {
        db.prepare_cached("INSERT INTO history VALUES (x'', 0, 0, 0, printf('%.*c', ?1, 'x'))")?
            .execute([PROBE])?;
        db.prepare_cached("DELETE FROM history WHERE call = x''")?.execute([])?;
        Ok(())
    };
    work().map_err(failed)
}
