//! A journal for tests in paused time: it answers before time can pass, and fails when told to.

use std::{
    path::Path,
    sync::atomic::AtomicBool,
    time::{Instant, SystemTime},
};

use futures::executor::block_on;
use skillhost_core::TaskId;
use skillhost_journal::{
    Answer, Begun, Bounds, Changed, Edit, Ending, Event, Figures, Filter, Fired, Firing, HandlerCall, Intent,
    Journal, JournalError, Known, Lease, Observer, Page, PageOf, Playbooks, Problem, Record, Resting,
    RollBack, Rolling, Saga, SagaFilter, SagaLease, SagaState, SagaStep, Sagas, Sealer, Settled, Sqlite,
    SqliteSettings, State, Stats, Synchronous, Task, TaskChange, Tasks, Timestamp, ToUndo, Token, UndoEnd,
};

use super::*;
use crate::{Letters, Recovery, RecoverySettings};

/// Wall-clock time that goes as tokio's does.
struct Wall {
    began: tokio::time::Instant,
}

impl Clock for Wall {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + self.began.elapsed()
    }
}

/// Everything that keeps calls, in a folder of its own.
pub(super) struct Keeping {
    pub(super) recovery: Arc<Recovery>,
    pub(super) journal: Arc<Immediate>,
    pub(super) folder: Arc<tempfile::TempDir>,
}

impl Keeping {
    pub(super) fn new(change: impl FnOnce(&mut RecoverySettings, &mut Bounds)) -> Self {
        Self::of(Arc::new(tempfile::tempdir().unwrap()), change)
    }

    /// Another process on the folder.
    pub(super) fn of(
        folder: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut RecoverySettings, &mut Bounds),
    ) -> Self {
        Self::observed(folder, change, None)
    }

    fn observed(
        folder: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut RecoverySettings, &mut Bounds),
        observer: Option<Observer>,
    ) -> Self {
        let path = folder.path().to_owned();
        let (settings, sqlite) = settings(&path, change, observer);
        Self::with(&path, folder, settings, sqlite)
    }

    /// A process on this folder, which is somebody else's; it tells of its commits.
    pub(super) fn shared(path: &Path, own: Arc<tempfile::TempDir>, observer: Option<Observer>) -> Self {
        let (settings, sqlite) = settings(path, undoing::patient, observer);
        Self::with(path, own, settings, sqlite)
    }

    fn with(
        path: &Path,
        folder: Arc<tempfile::TempDir>,
        settings: RecoverySettings,
        sqlite: SqliteSettings,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Wall { began: tokio::time::Instant::now() });
        let inner = Sqlite::lazy(sqlite, Arc::clone(&clock));
        let journal = Arc::new(Immediate {
            inner,
            ailing: AtomicBool::default(),
            slow: AtomicBool::default(),
            go: Arc::default(),
            dead: AtomicBool::default(),
        });
        let sealer = Sealer::new(path.join("journal.key"));
        let recovery = Recovery::new(journal.clone(), sealer, clock, settings);
        Self { recovery, journal, folder }
    }

    pub(super) fn letters(&self) -> Letters {
        Letters::new(Arc::clone(&self.recovery), None)
    }

    pub(super) async fn all(&self) -> Vec<Record> {
        let page = PageOf { after: None, limit: 1_000 };
        let mut all = vec![];
        for brief in self.journal.letters(Filter::default(), page).await.unwrap().letters {
            all.extend(self.journal.get(brief.id).await.unwrap());
        }
        all
    }

    /// The only letter there is.
    pub(super) async fn only(&self) -> Record {
        let mut all = self.all().await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Rows in the journal, letters or not.
    pub(super) fn rows(&self) -> u64 {
        let file = self.folder.path().join("journal.sqlite");
        if !file.exists() {
            return 0;
        }
        let db = rusqlite::Connection::open(file).unwrap();
        db.query_row("SELECT count(*) FROM calls", [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    }
}

fn settings(
    path: &Path,
    change: impl FnOnce(&mut RecoverySettings, &mut Bounds),
    observer: Option<Observer>,
) -> (RecoverySettings, SqliteSettings) {
    let mut settings = RecoverySettings::new(path.join("archive"));
    let mut sqlite = SqliteSettings {
        synchronous: Synchronous::Off,
        observer,
        ..SqliteSettings::new(path.join("journal.sqlite"), path.join("run"))
    };
    change(&mut settings, &mut sqlite.bounds);
    (settings, sqlite)
}

/// Waits for each answer in place: paused time goes on when every task waits, and must not while a disk works.
pub(super) struct Immediate {
    inner: Sqlite,
    /// Whether the disk is full.
    pub(super) ailing: AtomicBool,
    /// Whether intents are answered only when `go` says so, though they are written at once.
    pub(super) slow: AtomicBool,
    pub(super) go: Arc<tokio::sync::Notify>,
    /// Whether its process is dead, as far as calls are concerned: none begins any more.
    pub(super) dead: AtomicBool,
}

impl Immediate {
    fn now<T: Send + 'static>(&self, answer: impl FnOnce(&Sqlite) -> Answer<T>) -> Answer<T> {
        let answer = match self.ailing.load(Ordering::SeqCst) {
            true => Err(JournalError::Unavailable("the disk is full".into())),
            false => block_on(answer(&self.inner)),
        };
        Box::pin(async { answer })
    }
}

impl Journal for Immediate {
    fn begin(&self, intent: Intent, now: Timestamp) -> Answer<Begun> {
        if self.dead.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        let answer = self.now(|inner| inner.begin(intent, now));
        if !self.slow.load(Ordering::SeqCst) {
            return answer;
        }
        let go = Arc::clone(&self.go);
        Box::pin(async move {
            go.notified().await;
            answer.await
        })
    }

    fn settle(&self, lease: Lease, ending: Ending, now: Timestamp) -> Answer<Settled> {
        self.now(|inner| inner.settle(lease, ending, now))
    }

    fn leave(&self, intent: Intent, problem: Problem, now: Timestamp) -> Answer<()> {
        self.now(|inner| inner.leave(intent, problem, now))
    }

    fn known(&self, caller: &str, tool: &str, key: &str, now: Timestamp) -> Answer<Option<Known>> {
        self.now(|inner| inner.known(caller, tool, key, now))
    }

    fn get(&self, id: CallId) -> Answer<Option<Record>> {
        self.now(|inner| inner.get(id))
    }

    fn claim(&self, max: u32, now: Timestamp) -> Answer<Vec<(Lease, Record)>> {
        self.now(|inner| inner.claim(max, now))
    }

    fn check(&self) -> Answer<()> {
        self.now(|inner| inner.check())
    }

    fn flush(&self) -> Answer<()> {
        self.now(|inner| inner.flush())
    }

    fn figures(&self) -> Answer<Figures> {
        self.now(|inner| inner.figures())
    }

    fn next_due(&self) -> Answer<Option<Timestamp>> {
        self.now(|inner| inner.next_due())
    }

    fn wake(&self, skill: &str, now: Timestamp) -> Answer<u64> {
        self.now(|inner| inner.wake(skill, now))
    }

    fn take_over(&self, now: Timestamp) -> Answer<Vec<Record>> {
        self.now(|inner| inner.take_over(now))
    }

    fn letters(&self, filter: Filter, page: PageOf) -> Answer<Page> {
        self.now(|inner| inner.letters(filter, page))
    }

    fn history(&self, id: CallId) -> Answer<Vec<Event>> {
        self.now(|inner| inner.history(id))
    }

    fn stats(&self) -> Answer<Stats> {
        self.now(|inner| inner.stats())
    }

    fn edit(&self, id: CallId, edit: Edit, by: String, now: Timestamp) -> Answer<Changed> {
        self.now(|inner| inner.edit(id, edit, by, now))
    }

    fn replay(&self, id: CallId, due: Timestamp, pin: bool, by: String, now: Timestamp) -> Answer<Changed> {
        self.now(|inner| inner.replay(id, due, pin, by, now))
    }

    fn discard(&self, id: CallId, by: String, now: Timestamp) -> Answer<Changed> {
        self.now(|inner| inner.discard(id, by, now))
    }

    fn archivable(&self, ended_before: Timestamp, limit: u32, now: Timestamp) -> Answer<Vec<CallId>> {
        self.now(|inner| inner.archivable(ended_before, limit, now))
    }

    fn archived(&self, id: CallId, state: State) -> Answer<bool> {
        self.now(|inner| inner.archived(id, state))
    }

    fn restore(&self, letter: Box<Record>, history: Vec<Event>, now: Timestamp) -> Answer<bool> {
        self.now(|inner| inner.restore(letter, history, now))
    }

    fn spend(&self, id: CallId, round: u32, expires: Timestamp) -> Answer<bool> {
        self.now(|inner| inner.spend(id, round, expires))
    }

    fn unspend(&self, id: CallId, round: u32) -> Answer<()> {
        self.now(|inner| inner.unspend(id, round))
    }

    fn purge(&self, ended_before: Timestamp, limit: u32, now: Timestamp) -> Answer<u64> {
        self.now(|inner| inner.purge(ended_before, limit, now))
    }
}

impl Playbooks for Immediate {
    fn to_ask(&self, after: Option<CallId>, max: u32, now: Timestamp) -> Answer<Vec<Resting>> {
        self.now(|inner| inner.to_ask(after, max, now))
    }

    fn resting(&self, id: CallId) -> Answer<Option<Resting>> {
        self.now(|inner| inner.resting(id))
    }

    fn next_ask(&self, now: Timestamp) -> Answer<Option<Timestamp>> {
        self.now(|inner| inner.next_ask(now))
    }

    fn asked(&self, letters: Vec<(CallId, u64, Option<Timestamp>)>) -> Answer<()> {
        self.now(|inner| inner.asked(letters))
    }

    fn ask_all(&self, now: Timestamp) -> Answer<u64> {
        self.now(|inner| inner.ask_all(now))
    }

    fn fire(&self, id: CallId, firing: Firing, now: Timestamp) -> Answer<Fired> {
        self.now(|inner| inner.fire(id, firing, now))
    }

    fn claim_handlers(&self, max: u32) -> Answer<Vec<HandlerCall>> {
        self.now(|inner| inner.claim_handlers(max))
    }

    fn put_back(&self, call: HandlerCall) -> Answer<()> {
        self.now(|inner| inner.put_back(call))
    }

    fn handled(&self, call: HandlerCall, told: String, now: Timestamp) -> Answer<()> {
        self.now(|inner| inner.handled(call, told, now))
    }
}

impl Tasks for Immediate {
    fn add_task(&self, task: Task, max: u32) -> Answer<bool> {
        self.now(|inner| inner.add_task(task, max))
    }

    fn task(&self, id: TaskId) -> Answer<Option<Task>> {
        self.now(|inner| inner.task(id))
    }

    fn task_of(&self, call: CallId) -> Answer<Option<Task>> {
        self.now(|inner| inner.task_of(call))
    }

    fn change_task(&self, id: TaskId, epoch: u64, change: TaskChange, now: Timestamp) -> Answer<bool> {
        self.now(|inner| inner.change_task(id, epoch, change, now))
    }
}

impl Sagas for Immediate {
    fn prepare(&self, lease: Lease, token: Token, void: Vec<u32>) -> Answer<Settled> {
        self.now(|inner| inner.prepare(lease, token, void))
    }

    fn begin_saga(&self, saga: Saga, max: u32) -> Answer<bool> {
        self.now(|inner| inner.begin_saga(saga, max))
    }

    fn commit_saga(&self, id: SagaId, caller: Caller, now: Timestamp) -> Answer<Option<SagaState>> {
        self.now(|inner| inner.commit_saga(id, caller, now))
    }

    fn roll_back(&self, id: SagaId, how: RollBack, now: Timestamp) -> Answer<Rolling> {
        self.now(|inner| inner.roll_back(id, how, now))
    }

    fn claim_sagas(&self, max: u32) -> Answer<Vec<SagaLease>> {
        self.now(|inner| inner.claim_sagas(max))
    }

    fn expire_sagas(&self, now: Timestamp) -> Answer<Vec<Saga>> {
        self.now(|inner| inner.expire_sagas(now))
    }

    fn next_expiry(&self) -> Answer<Option<Timestamp>> {
        self.now(|inner| inner.next_expiry())
    }

    fn abandon(&self, id: SagaId, by: String, now: Timestamp) -> Answer<Option<SagaState>> {
        self.now(|inner| inner.abandon(id, by, now))
    }

    fn saga(&self, id: SagaId) -> Answer<Option<Saga>> {
        self.now(|inner| inner.saga(id))
    }

    fn sagas(&self, filter: SagaFilter, after: Option<SagaId>, limit: u32) -> Answer<Vec<Saga>> {
        self.now(|inner| inner.sagas(filter, after, limit))
    }

    fn steps(&self, id: SagaId) -> Answer<Vec<SagaStep>> {
        self.now(|inner| inner.steps(id))
    }

    fn calls_of(
        &self,
        caller: Caller,
        saga: Option<SagaId>,
        before: Option<CallId>,
        limit: u32,
    ) -> Answer<Vec<SagaStep>> {
        self.now(|inner| inner.calls_of(caller, saga, before, limit))
    }

    fn is_busy(&self, id: SagaId) -> Answer<bool> {
        self.now(|inner| inner.is_busy(id))
    }

    fn begin_undo(&self, lease: SagaLease, call: CallId, now: Timestamp) -> Answer<Option<ToUndo>> {
        self.now(|inner| inner.begin_undo(lease, call, now))
    }

    fn end_undo(&self, lease: SagaLease, call: CallId, end: UndoEnd, now: Timestamp) -> Answer<Settled> {
        self.now(|inner| inner.end_undo(lease, call, end, now))
    }

    fn rolled_back(&self, lease: SagaLease, now: Timestamp) -> Answer<Option<SagaState>> {
        self.now(|inner| inner.rolled_back(lease, now))
    }

    fn versions_needed(&self) -> Answer<Vec<skillhost_core::Digest>> {
        self.now(|inner| inner.versions_needed())
    }

    fn open_of(&self, skill: String) -> Answer<skillhost_journal::OpenOf> {
        self.now(|inner| inner.open_of(skill))
    }

    fn purge_steps(
        &self,
        ended_before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Answer<Vec<(String, CallId)>> {
        self.now(|inner| inner.purge_steps(ended_before, limit, now))
    }
}

impl Bench {
    pub(super) fn keeping(&self) -> &Keeping {
        self.keeping.as_ref().expect("a journal is kept")
    }

    /// Run letters that are due, for as long as the answer lives.
    pub(super) fn work(&self) -> tokio_util::sync::DropGuard {
        self.work_with(&self.keeping().recovery)
    }

    pub(super) fn work_with(&self, recovery: &Arc<Recovery>) -> tokio_util::sync::DropGuard {
        let stop = CancellationToken::new();
        let recovery = Arc::clone(recovery);
        tokio::spawn(recovery.work(Arc::downgrade(&self.dispatcher), stop.clone()));
        stop.drop_guard()
    }

    /// What `call_status` says.
    pub(super) async fn status(&self, id: CallId) -> Value {
        let reply = self.call_with("call_status", json!({"id": id.to_string()})).await.result.unwrap();
        reply.structured.unwrap_or_else(|| json!({"none": reply.content.len()}))
    }
}

/// A call with a key.
pub(super) fn keyed(tool: &str, arguments: Value, key: &str) -> Request {
    Request { asked: Asked { key: Some(key.into()), ..Asked::default() }, ..request(tool, arguments) }
}

/// A durable call.
pub(super) fn durable(tool: &str, arguments: Value) -> Request {
    Request { asked: Asked { durable: true, ..Asked::default() }, ..request(tool, arguments) }
}

/// No retry within a call, no breaker, and letters that come back every ten seconds.
pub(super) fn plainly() -> Policies {
    policies(|skill, tool| {
        tool.retry.attempts = 1;
        skill.breaker.mode = Mode::Disabled;
        tool.redelivery.retry.delays = Delays::Listed(Arc::new([Duration::from_secs(10)]));
        tool.redelivery.retry.jitter = false;
        tool.undo.retry.jitter = false;
        tool.redelivery.retry.attempts = 3;
    })
}
