//! The journal in one SQLite file: WAL, every commit synced, one thread that writes, readers beside it.
//!
//! Commits are bound by the disk's sync, so the writer commits whatever has gathered while the last sync ran: one alone
//! pays a sync, sixty-four at once share it. Several processes may share the file; SQLite orders their transactions, and
//! locked files tell who lives ([`owner`]).

mod calls;
mod figures;
mod letters;
mod owner;
mod playbooks;
mod rounds;
mod rows;
mod sagas;
mod schema;
mod steps;
mod take_over;
mod tasks;
mod threads;
mod undo;

use std::{
    fs::OpenOptions,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};
use skillhost_core::{CallId, Caller, Clock, Digest, SagaId, TaskId};

use crate::{
    Answer, Begun, Bounds, Changed, Edit, Ending, Event, Figures, Filter, Intent, Journal, JournalError,
    Known, Lease, OpenOf, Page, PageOf, Problem, Record, RollBack, Rolling, Saga, SagaFilter, SagaLease,
    SagaState, SagaStep, Sagas, Settled, State, Stats, Task, TaskChange, Tasks, Timestamp, ToUndo, Token,
    UndoEnd,
};
use threads::{Readers, Writer};

/// What a journal in SQLite is told at start.
#[derive(Clone)]
pub struct SqliteSettings {
    /// The file; made with the first use.
    pub file: PathBuf,
    /// The folder of the lock files of the processes that share it.
    pub locks: PathBuf,
    /// Bounds of the queue.
    pub bounds: Bounds,
    /// Bytes of the file, its write-ahead log not counted; 0 is no bound. Over it nothing begins; what has begun can still end,
    /// and be taken back, within a quarter more, at least 4 MiB. Over that, it is as if the disk were full.
    pub max_size: u64,
    /// Whether commits are synced. Anything but [`Synchronous::Full`] loses what was answered when the power fails.
    pub synchronous: Synchronous,
    /// Told of every commit.
    pub observer: Option<Observer>,
}

impl SqliteSettings {
    /// The settings of the host's journal in this file.
    #[must_use]
    pub fn new(file: PathBuf, locks: PathBuf) -> Self {
        Self {
            file,
            locks,
            bounds: Bounds::default(),
            max_size: 0,
            synchronous: Synchronous::Full,
            observer: None,
        }
    }
}

/// When commits are synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// Before they are answered.
    Full,
    /// Never by us: for tests that show that they would notice.
    Off,
}

/// Told, on the writer's thread, of each commit: that it begins, and that it is done.
pub type Observer = Arc<dyn Fn(Phase) + Send + Sync>;

/// A point in a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// This many operations are about to be committed.
    Before(usize),
    /// They are on disk; nobody was told yet.
    After(usize),
    /// This many could not be written.
    Failed(usize),
}

/// A journal in SQLite.
pub struct Sqlite {
    writer: Writer,
    readers: Readers,
    bounds: Bounds,
    max_size: u64,
}

/// Bytes that are left, when the file is as large as it may be, for what has begun.
const ROOM_TO_END: u64 = 4 << 20;
/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

impl Sqlite {
    /// A journal that is opened with its first use. Every operation answers why that is not possible.
    #[must_use]
    pub fn lazy(settings: SqliteSettings, clock: Arc<dyn Clock>) -> Self {
        let (bounds, max_size) = (settings.bounds, settings.max_size);
        let settings = Arc::new(settings);
        Self {
            writer: Writer::start(Arc::clone(&settings), clock),
            readers: Readers::start(settings),
            bounds,
            max_size,
        }
    }

    /// Open it now.
    ///
    /// # Errors
    /// [`JournalError::Refused`] for a file that cannot be used, with advice; it is not touched.
    pub async fn open(settings: SqliteSettings, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        let journal = Self::lazy(settings, clock);
        journal.writer.run(|_, _| Ok(())).await?;
        Ok(journal)
    }
}

fn connect(settings: &SqliteSettings, check: bool) -> Result<Connection, JournalError> {
    let file = settings.file.display().to_string();
    let unavailable = |error: &dyn std::fmt::Display| JournalError::Unavailable(format!("{file}: {error}"));
    // What is kept here is nobody else's to read; SQLite gives its other files the same mode.
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&settings.file)
        .map_err(|error| unavailable(&error))?;
    let mut db = Connection::open(&settings.file).map_err(|error| unavailable(&error))?;
    let prepare = |db: &mut Connection| {
        db.busy_timeout(BUSY).map_err(failed)?;
        // Looked at before anything is written: not even the mode of a file that is not ours is changed.
        schema::look(db, &file)?;
        let mode = opened.metadata().map_err(|error| unavailable(&error))?.permissions();
        if mode.mode() & 0o077 != 0 {
            opened
                .set_permissions(std::fs::Permissions::from_mode(0o600))
                .map_err(|error| unavailable(&error))?;
        }
        let sound =
            |db: &Connection| db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        if check {
            match sound(db).map_err(failed)?.as_str() {
                "ok" => {}
                problem => return Err(JournalError::Damaged(problem.to_owned())),
            }
        }
        db.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
        let synchronous = match settings.synchronous {
            Synchronous::Full => "full",
            Synchronous::Off => "off",
        };
        db.pragma_update(None, "synchronous", synchronous).map_err(failed)?;
        schema::ensure(db, &file)?;
        if settings.max_size > 0 {
            let page: i64 = db.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(failed)?;
            let most = settings.max_size.saturating_add((settings.max_size / 4).max(ROOM_TO_END));
            let pages = i64::try_from(most).unwrap_or(i64::MAX) / page.max(1);
            db.pragma_update_and_check(None, "max_page_count", pages.max(1), |_| Ok(())).map_err(failed)?;
        }
        Ok(())
    };
    prepare(&mut db).map_err(|error| match error {
        JournalError::Damaged(problem) => JournalError::Refused(format!(
            "{file} is damaged ({problem}); it was not touched\n  \
             hint: keep a copy, then restore it from a backup, or move it away together with its -wal and -shm files and \
             start with an empty journal; `sqlite3 {file} .recover` may save what is in it"
        )),
        JournalError::Unavailable(problem) => JournalError::Unavailable(format!("{file}: {problem}")),
        refused @ JournalError::Refused(_) => refused,
    })?;
    Ok(db)
}

/// Whether anything more may begin.
fn room(db: &Connection, max_size: u64) -> Result<(), JournalError> {
    if max_size == 0 {
        return Ok(());
    }
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    let used = (pragma("page_count")? - pragma("freelist_count")?).saturating_mul(pragma("page_size")?);
    if used.unsigned_abs() < max_size {
        return Ok(());
    }
    Err(JournalError::Unavailable(format!(
        "it is as large as it may be (`journal.max_size`, {max_size} bytes)"
    )))
}

/// What SQLite says, sorted by what it means for the one who asked.
fn failed(error: rusqlite::Error) -> JournalError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            JournalError::Damaged(error.to_string())
        }
        Some(_) => JournalError::Unavailable(error.to_string()),
        None => JournalError::Damaged(error.to_string()),
    }
}

impl Journal for Sqlite {
    fn begin(&self, intent: Intent, now: Timestamp) -> Answer<Begun> {
        let (bounds, max_size) = (self.bounds, self.max_size);
        self.writer.run(move |db, owner| {
            room(db, max_size)?;
            calls::begin(db, owner, &intent, bounds, now)
        })
    }

    fn settle(&self, lease: Lease, ending: Ending, now: Timestamp) -> Answer<Settled> {
        self.writer.run(move |db, owner| calls::settle(db, owner, lease, &ending, now))
    }

    fn leave(&self, intent: Intent, problem: Problem, now: Timestamp) -> Answer<()> {
        self.writer.run(move |db, owner| calls::leave(db, owner, &intent, &problem, now))
    }

    fn known(&self, caller: &str, tool: &str, key: &str, now: Timestamp) -> Answer<Option<Known>> {
        let (caller, tool, key) = (caller.to_owned(), tool.to_owned(), key.to_owned());
        self.readers.run(move |db| calls::known(db, &caller, &tool, &key, now))
    }

    fn get(&self, id: CallId) -> Answer<Option<Record>> {
        self.readers.run(move |db| rows::get(db, id))
    }

    fn claim(&self, max: u32, now: Timestamp) -> Answer<Vec<(Lease, Record)>> {
        let ageing = self.bounds.ageing;
        self.writer.run(move |db, owner| letters::claim(db, owner, max, ageing, now))
    }

    fn next_due(&self) -> Answer<Option<Timestamp>> {
        self.readers.run(letters::next_due)
    }

    fn wake(&self, skill: &str, now: Timestamp) -> Answer<u64> {
        let skill = skill.to_owned();
        self.writer.run(move |db, _| letters::wake(db, &skill, now))
    }

    fn take_over(&self, now: Timestamp) -> Answer<Vec<Record>> {
        self.writer.take_over(now)
    }

    fn letters(&self, filter: Filter, page: PageOf) -> Answer<Page> {
        self.readers.run(move |db| letters::list(db, &filter, page))
    }

    fn history(&self, id: CallId) -> Answer<Vec<Event>> {
        self.readers.run(move |db| rows::history(db, id))
    }

    fn check(&self) -> Answer<()> {
        let max_size = self.max_size;
        self.writer.run(move |db, _| figures::check(db, max_size))
    }

    fn flush(&self) -> Answer<()> {
        self.writer.run(|_, _| Ok(()))
    }

    fn figures(&self) -> Answer<Figures> {
        let capacity = self.bounds.capacity;
        self.readers.run(move |db| figures::figures(db, capacity))
    }

    fn stats(&self) -> Answer<Stats> {
        let capacity = self.bounds.capacity;
        self.readers.run(move |db| letters::stats(db, capacity))
    }

    fn edit(&self, id: CallId, edit: Edit, by: String, now: Timestamp) -> Answer<Changed> {
        self.writer.run(move |db, _| letters::edit(db, id, &edit, &by, now))
    }

    fn replay(&self, id: CallId, due: Timestamp, pin: bool, by: String, now: Timestamp) -> Answer<Changed> {
        self.writer.run(move |db, _| letters::replay(db, id, due, pin, &by, now))
    }

    fn discard(&self, id: CallId, by: String, now: Timestamp) -> Answer<Changed> {
        self.writer.run(move |db, _| letters::discard(db, id, &by, now))
    }

    fn archivable(&self, ended_before: Timestamp, limit: u32, now: Timestamp) -> Answer<Vec<CallId>> {
        self.readers.run(move |db| letters::archivable(db, ended_before, limit, now))
    }

    fn archived(&self, id: CallId, state: State) -> Answer<bool> {
        self.writer.run(move |db, _| letters::archived(db, id, state))
    }

    fn restore(&self, letter: Box<Record>, history: Vec<Event>, now: Timestamp) -> Answer<bool> {
        self.writer.run(move |db, _| letters::restore(db, &letter, &history, now))
    }

    fn spend(&self, id: CallId, round: u32, expires: Timestamp) -> Answer<bool> {
        self.writer.run(move |db, _| rounds::spend(db, id, round, expires))
    }

    fn unspend(&self, id: CallId, round: u32) -> Answer<()> {
        self.writer.run(move |db, _| rounds::unspend(db, id, round))
    }

    fn purge(&self, ended_before: Timestamp, limit: u32, now: Timestamp) -> Answer<u64> {
        self.writer.run(move |db, _| calls::purge(db, ended_before, limit, now))
    }
}

impl Tasks for Sqlite {
    fn add_task(&self, task: Task, max: u32) -> Answer<bool> {
        self.writer.run(move |db, owner| tasks::add(db, owner, &task, max))
    }

    fn task(&self, id: TaskId) -> Answer<Option<Task>> {
        self.readers.run(move |db| tasks::get(db, id))
    }

    fn task_of(&self, call: CallId) -> Answer<Option<Task>> {
        self.readers.run(move |db| tasks::of(db, call))
    }

    fn change_task(&self, id: TaskId, epoch: u64, change: TaskChange, now: Timestamp) -> Answer<bool> {
        self.writer.run(move |db, owner| tasks::change(db, owner, (id, epoch), &change, now))
    }
}

impl Sagas for Sqlite {
    fn prepare(&self, lease: Lease, token: Token, void: Vec<u32>) -> Answer<Settled> {
        self.writer.run(move |db, _| settled(steps::prepare(db, lease, &token, &void)))
    }

    fn begin_saga(&self, saga: Saga, max: u32) -> Answer<bool> {
        self.writer.run(move |db, _| sagas::begin(db, &saga, max))
    }

    fn commit_saga(&self, id: SagaId, caller: Caller, now: Timestamp) -> Answer<Option<SagaState>> {
        self.writer.run(move |db, _| sagas::commit(db, id, &caller, now))
    }

    fn roll_back(&self, id: SagaId, how: RollBack, now: Timestamp) -> Answer<Rolling> {
        self.writer.run(move |db, owner| sagas::roll_back(db, owner, id, &how, now))
    }

    fn claim_sagas(&self, max: u32) -> Answer<Vec<SagaLease>> {
        self.writer.run(move |db, owner| sagas::claim(db, owner, max))
    }

    fn expire_sagas(&self, now: Timestamp) -> Answer<Vec<Saga>> {
        self.writer.run(move |db, _| sagas::expire(db, now))
    }

    fn next_expiry(&self) -> Answer<Option<Timestamp>> {
        self.readers.run(sagas::next_expiry)
    }

    fn abandon(&self, id: SagaId, by: String, now: Timestamp) -> Answer<Option<SagaState>> {
        self.writer.run(move |db, _| sagas::abandon(db, id, &by, now))
    }

    fn saga(&self, id: SagaId) -> Answer<Option<Saga>> {
        self.readers.run(move |db| sagas::get(db, id))
    }

    fn sagas(&self, filter: SagaFilter, after: Option<SagaId>, limit: u32) -> Answer<Vec<Saga>> {
        self.readers.run(move |db| sagas::list(db, &filter, after, limit))
    }

    fn steps(&self, id: SagaId) -> Answer<Vec<SagaStep>> {
        self.readers.run(move |db| steps::steps(db, id))
    }

    fn calls_of(
        &self,
        caller: Caller,
        saga: Option<SagaId>,
        before: Option<CallId>,
        limit: u32,
    ) -> Answer<Vec<SagaStep>> {
        self.readers.run(move |db| steps::calls_of(db, &caller, saga, before, limit))
    }

    fn is_busy(&self, id: SagaId) -> Answer<bool> {
        self.readers.run(move |db| steps::is_busy(db, id))
    }

    fn begin_undo(&self, lease: SagaLease, call: CallId, now: Timestamp) -> Answer<Option<ToUndo>> {
        self.writer.run(move |db, _| undo::begin(db, lease, call, now))
    }

    fn end_undo(&self, lease: SagaLease, call: CallId, end: UndoEnd, now: Timestamp) -> Answer<Settled> {
        self.writer.run(move |db, _| settled(undo::end(db, lease, call, &end, now)))
    }

    fn rolled_back(&self, lease: SagaLease, now: Timestamp) -> Answer<Option<SagaState>> {
        self.writer.run(move |db, _| undo::rolled_back(db, lease, now))
    }

    fn versions_needed(&self) -> Answer<Vec<Digest>> {
        self.readers.run(steps::versions_needed)
    }

    fn open_of(&self, skill: String) -> Answer<OpenOf> {
        self.readers.run(move |db| steps::open_of(db, &skill))
    }

    fn purge_steps(
        &self,
        ended_before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Answer<Vec<(String, CallId)>> {
        self.writer.run(move |db, _| steps::purge(db, ended_before, limit, now))
    }
}

fn settled(held: Result<bool, JournalError>) -> Result<Settled, JournalError> {
    held.map(|held| if held { Settled::Yes } else { Settled::Fenced })
}
