//! The seam between the pipeline and what keeps calls.

use std::{future::Future, pin::Pin, time::Duration};

use skillhost_core::CallId;

use crate::{
    Changed, Edit, Ending, Event, Figures, Filter, Intent, JournalError, Lease, NotOpen, Page, PageOf,
    Playbooks, Record, SagaLease, Sagas, State, Stats, Tasks, Timestamp,
};

/// What a journal answers. The operation is under way when the method returns: dropping the answer does not take it back.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, JournalError>> + Send>>;

/// Keeps calls. Every method is one transaction, and what it wrote has reached the disk when it answers.
///
/// # What an implementation owes
/// - A lease is given to one owner at a time. [`settle`](Self::settle) takes effect only for the newest lease of a call:
///   compare `id`, `owner` and `epoch`, in the same transaction.
/// - [`take_over`](Self::take_over) takes leases of owners that are dead, never of one that lives. What "dead" means is
///   its own affair: a file lock, a heartbeat.
/// - Everything that is read back is checked; what cannot be is [`JournalError::Damaged`], never a guess.
/// - Times are the caller's: it reads no clock.
pub trait Journal: Sagas + Tasks + Playbooks {
    /// Write the intent of a call down and take its lease, unless its key is held already.
    fn begin(&self, intent: Intent, now: Timestamp) -> Answer<Begun>;

    /// Write down what became of a run.
    fn settle(&self, lease: Lease, ending: Ending, now: Timestamp) -> Answer<Settled>;

    /// Leave a parked letter for a call that was not written down before it began.
    fn leave(&self, intent: Intent, problem: crate::Problem, now: Timestamp) -> Answer<()>;

    /// What is known of a key of a caller and a tool, when it is held.
    fn known(&self, caller: &str, tool: &str, key: &str, now: Timestamp) -> Answer<Option<Known>>;

    /// A call.
    fn get(&self, id: CallId) -> Answer<Option<Record>>;

    /// Take the lease of up to `max` letters that are due, in the order they are to be run.
    fn claim(&self, max: u32, now: Timestamp) -> Answer<Vec<(Lease, Record)>>;

    /// When the next letter is due.
    fn next_due(&self) -> Answer<Option<Timestamp>>;

    /// Make every waiting letter of a skill due now: it has changed.
    fn wake(&self, skill: &str, now: Timestamp) -> Answer<u64>;

    /// Take over what dead owners left behind: what can be taken back is to be; durable calls that are safe wait again, due
    /// at once; others that must be judged are parked; the rest is unknown. Answers each call as it is now.
    fn take_over(&self, now: Timestamp) -> Answer<Vec<Record>>;

    /// Letters, by filter.
    fn letters(&self, filter: Filter, page: PageOf) -> Answer<Page>;

    /// The life of a letter so far, oldest step first.
    fn history(&self, id: CallId) -> Answer<Vec<Event>>;

    /// Whether something could be written down now: something is, and leaves nothing.
    fn check(&self) -> Answer<()>;

    /// Answers when everything that was asked for until now is written down.
    fn flush(&self) -> Answer<()>;

    /// What is counted for those who watch. Cheap, whatever there is.
    fn figures(&self) -> Answer<Figures>;

    /// All letters together.
    fn stats(&self) -> Answer<Stats>;

    /// Change a letter that waits or is parked. `by` goes into its history.
    fn edit(&self, id: CallId, edit: Edit, by: String, now: Timestamp) -> Answer<Changed>;

    /// Make a parked letter wait, or a waiting one due, at `due`; its tries count anew. `pin`: with the version of the skill
    /// that failed.
    fn replay(&self, id: CallId, due: Timestamp, pin: bool, by: String, now: Timestamp) -> Answer<Changed>;

    /// Give up a letter that waits or is parked. Its key is free again when it certainly took no effect.
    fn discard(&self, id: CallId, by: String, now: Timestamp) -> Answer<Changed>;

    /// Letters to archive: those marked when the queue was full, and those that ended before `ended_before` and hold no key.
    fn archivable(&self, ended_before: Timestamp, limit: u32, now: Timestamp) -> Answer<Vec<CallId>>;

    /// Remove a letter that was archived, if it is still in `state`. A key that is held stays held.
    fn archived(&self, id: CallId, state: State) -> Answer<bool>;

    /// Put a letter with its history back from an archive, unless there is one with its id. One that was running or waiting
    /// comes back parked.
    fn restore(&self, letter: Box<Record>, history: Vec<Event>, now: Timestamp) -> Answer<bool>;

    /// Use the answers to a round of a call up, until `expires`; false when they were used before.
    fn spend(&self, id: CallId, round: u32, expires: Timestamp) -> Answer<bool>;

    /// The answers to a round were not used after all.
    fn unspend(&self, id: CallId, round: u32) -> Answer<()>;

    /// Forget up to `limit` calls that are no letters, nor steps, and ended before `ended_before`, and keys that are held no more.
    fn purge(&self, ended_before: Timestamp, limit: u32, now: Timestamp) -> Answer<u64>;
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq)]
pub enum Begun {
    /// It is written down; run it.
    Yes(Lease),
    /// Its key is held already.
    Known(Known),
    /// There are as many letters as there may be, and it is durable.
    Full,
    /// Its saga, or the call that it is made for, takes no more.
    NotOpen(NotOpen),
}

/// What is known of a key that is held.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The call that was made under it.
    pub id: CallId,
    /// Of that call's arguments.
    pub fingerprint: skillhost_core::Digest,
    /// That call; none when it was archived.
    pub record: Option<Box<Record>>,
}

/// What became of an ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Written down.
    Yes,
    /// Written down, and the call is to be taken back: go on with this lease.
    RollBack(SagaLease),
    /// The lease is not the newest one any more: somebody else says what becomes of the call.
    Fenced,
}

/// What an implementation is told at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Letters that may be open at once, 1 to 10,000,000. Default 10,000.
    pub capacity: u64,
    /// What becomes of a durable call over it.
    pub on_full: OnFull,
    /// A letter that has waited this much longer is as good as one priority higher. Default 10 min.
    pub ageing: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { capacity: 10_000, on_full: OnFull::Refuse, ageing: Duration::from_secs(600) }
    }
}

/// What becomes of a durable call when there are as many letters as there may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFull {
    /// It is refused.
    #[default]
    Refuse,
    /// The letter that was parked first makes room; it goes to the archive. Refused when none is parked.
    ArchiveOldest,
}
