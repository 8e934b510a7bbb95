//! The thread that writes, and those that read.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use skillhost_core::Clock;
use tokio::sync::oneshot;

use super::{Phase, SqliteSettings, connect, failed, owner::Owner};
use crate::{Answer, JournalError, Record, Timestamp};

/// Operations in one commit. More only make the first of them wait longer.
const BATCH: usize = 512;
/// Threads that read.
const READERS: usize = 2;

/// An operation that waits for its commit.
trait Operation: Send {
    fn run(&mut self, db: &Connection, writing: &Writing) -> Result<(), JournalError>;
    fn answer(self: Box<Self>, committed: Result<(), JournalError>);
}

struct Typed<T, F> {
    work: Option<F>,
    result: Option<T>,
    answer: oneshot::Sender<Result<T, JournalError>>,
}

impl<T: Send, F: FnOnce(&Connection, &Writing) -> Result<T, JournalError> + Send> Operation for Typed<T, F> {
    fn run(&mut self, db: &Connection, writing: &Writing) -> Result<(), JournalError> {
        let work = self.work.take().expect("run once");
        self.result = Some(work(db, writing)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), JournalError>) {
        let Self { result, answer, .. } = *self;
        // Whoever asked may be gone; it is done all the same.
        let _ = answer.send(committed.map(|()| result.expect("it ran")));
    }
}

/// What operations are told of the one who writes.
pub(super) struct Writing {
    pub(super) owner: Owner,
    settings: Arc<SqliteSettings>,
}

pub(super) struct Writer {
    /// None while it is dropped.
    operations: Option<Sender<Box<dyn Operation>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Writer {
    /// What is under way is committed first.
    fn drop(&mut self) {
        self.operations = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Writer {
    pub(super) fn start(settings: Arc<SqliteSettings>, clock: Arc<dyn Clock>) -> Self {
        let (operations, waiting) = channel();
        let run = move || write(&waiting, &settings, &*clock);
        let thread =
            thread::Builder::new().name("journal".into()).spawn(run).expect("a thread can be started");
        Self { operations: Some(operations), thread: Some(thread) }
    }

    /// Run `work` in a transaction. It is under way when this returns.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, u64) -> Result<T, JournalError> + Send + 'static,
    ) -> Answer<T> {
        self.submit(move |db, writing: &Writing| work(db, writing.owner.number))
    }

    pub(super) fn take_over(&self, now: Timestamp) -> Answer<Vec<Record>> {
        self.submit(move |db, writing: &Writing| {
            super::take_over::take_over(db, &writing.settings.locks, writing.owner.number, now)
        })
    }

    fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Writing) -> Result<T, JournalError> + Send + 'static,
    ) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        let operation = Typed { work: Some(work), result: None, answer };
        // If the thread is gone, the answer's sender goes with the operation.
        if let Some(operations) = &self.operations {
            let _ = operations.send(Box::new(operation));
        }
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(gone())) })
    }
}

fn gone() -> JournalError {
    JournalError::Unavailable("its thread has ended".into())
}

/// Commit whatever has gathered, until nobody can ask any more.
fn write(waiting: &Receiver<Box<dyn Operation>>, settings: &Arc<SqliteSettings>, clock: &dyn Clock) {
    let mut open: Option<(Connection, Writing)> = None;
    // After a failure each goes alone, so that a large one that does not fit on the disk does not take others with it.
    let mut ailing = false;
    while let Ok(first) = waiting.recv() {
        let most = if ailing { 1 } else { BATCH };
        let mut batch = vec![first];
        while batch.len() < most
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let ready = match open.take() {
            Some((db, writing)) if writing.owner.is_registered(&db).unwrap_or(true) => Ok((db, writing)),
            // Somebody took us for dead. What we hold is theirs now; what comes is under a new number.
            Some((db, _)) => register(db, settings, clock),
            None => connect(settings, true).and_then(|db| register(db, settings, clock)),
        };
        match ready {
            Ok((mut db, writing)) => {
                ailing = !commit(&mut db, &writing, batch);
                open = Some((db, writing));
            }
            Err(error) => {
                for operation in batch {
                    operation.answer(Err(error.clone()));
                }
            }
        }
    }
}

fn register(
    db: Connection,
    settings: &Arc<SqliteSettings>,
    clock: &dyn Clock,
) -> Result<(Connection, Writing), JournalError> {
    let owner = Owner::register(&db, &settings.locks, clock.wall().into())?;
    Ok((db, Writing { owner, settings: Arc::clone(settings) }))
}

/// Whether all went well.
fn commit(db: &mut Connection, writing: &Writing, batch: Vec<Box<dyn Operation>>) -> bool {
    let observe = |phase| {
        if let Some(observer) = &writing.settings.observer {
            observer(phase);
        }
    };
    let (mut ran, mut refused) = (vec![], vec![]);
    let result = (|| {
        let mut all = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let mut batch = batch.into_iter();
        while let Some(mut operation) = batch.next() {
            match one(&mut all, &mut *operation, writing) {
                Ok(()) => ran.push(operation),
                Err(error) => {
                    refused.push((operation, error.clone()));
                    // Some errors undo the whole transaction.
                    if all.is_autocommit() {
                        refused.extend(batch.map(|operation| (operation, error.clone())));
                        return Err(error);
                    }
                }
            }
        }
        observe(Phase::Before(ran.len()));
        all.commit().map_err(failed)?;
        observe(Phase::After(ran.len()));
        Ok(())
    })();
    let failures = refused.len() + if result.is_ok() { 0 } else { ran.len() };
    if failures > 0 {
        observe(Phase::Failed(failures));
    }
    let well = failures == 0;
    for operation in ran {
        operation.answer(result.clone());
    }
    for (operation, error) in refused {
        operation.answer(Err(error));
    }
    well
}

/// One operation leaves nothing behind when it fails.
fn one(
    all: &mut Transaction<'_>,
    operation: &mut dyn Operation,
    writing: &Writing,
) -> Result<(), JournalError> {
    let own = all.savepoint().map_err(failed)?;
    // One that panics must not take the thread with it, and every later one with that.
    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| operation.run(&own, writing)));
    ran.unwrap_or_else(|_| Err(JournalError::Damaged("an operation panicked".into())))?;
    own.commit().map_err(failed)
}

type Query = Box<dyn FnOnce(Result<&Connection, JournalError>) + Send>;

pub(super) struct Readers {
    /// None while it is dropped.
    queries: Option<Sender<Query>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Drop for Readers {
    /// Whoever closes the file last leaves nothing beside it.
    fn drop(&mut self) {
        self.queries = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Readers {
    pub(super) fn start(settings: Arc<SqliteSettings>) -> Self {
        let (queries, waiting) = channel::<Query>();
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |_| {
            let (waiting, settings) = (Arc::clone(&waiting), Arc::clone(&settings));
            let run = move || read(&waiting, &settings);
            thread::Builder::new().name("journal-read".into()).spawn(run).expect("a thread can be started")
        };
        Self { queries: Some(queries), threads: (0..READERS).map(start).collect() }
    }

    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        let query: Query = Box::new(move |db| {
            // One snapshot: what is read later fits to what was read first.
            let read = |db: &Connection| {
                let snapshot = db.unchecked_transaction().map_err(failed)?;
                work(&snapshot)
            };
            let _ = answer.send(db.and_then(read));
        });
        if let Some(queries) = &self.queries {
            let _ = queries.send(query);
        }
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(gone())) })
    }
}

fn read(waiting: &Mutex<Receiver<Query>>, settings: &SqliteSettings) {
    let mut open = None;
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(query) = next else { return };
        if open.is_none() {
            match connect(settings, false) {
                Ok(db) => open = Some(db),
                Err(error) => {
                    query(Err(error));
                    continue;
                }
            }
        }
        // As above: it answers by being dropped.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| query(open.as_ref().ok_or_else(gone))));
    }
}
