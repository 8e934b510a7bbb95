//! What must outlive the process: calls that are keyed, durable or can be taken back, their outcomes, dead letters, sagas.
//!
//! [`Journal`] is the seam: every method is one transaction, over calls, keys and letters together. [`Sqlite`] keeps it
//! in one file that several processes of a machine share. The pipeline decides what becomes of a call; the journal sees
//! to it that it is written down once, by who holds the lease, and stays.
//!
//! Plain calls never come here.
#![deny(missing_docs)]

pub mod archive;
mod call;
mod error;
mod journal;
mod letter;
mod playbooks;
mod saga;
mod sagas;
mod seal;
mod sqlite;
mod step;
mod task;
mod time;

pub use call::{Arguments, Delivery, Ending, Intent, Key, Lease, Problem, Record, State};
pub use error::JournalError;
pub use journal::{Answer, Begun, Bounds, Journal, Known, OnFull, Settled};
pub use letter::{Changed, Edit, Event, Figures, Filter, Page, PageOf, Priority, Queue, Stats, Step};
pub use playbooks::{Deed, Fired, Firing, HandlerCall, Playbooks, Resting};
pub use saga::{
    Afterwards, Left, NotOpen, OnExpiry, OpenOf, RollBack, Rolling, Saga, SagaFilter, SagaLease, SagaState,
};
pub use sagas::Sagas;
pub use seal::{SealError, Sealer};
pub use sqlite::{Observer, Phase, Sqlite, SqliteSettings, Synchronous};
pub use step::{SagaStep, StepOf, ToUndo, Token, UndoEnd, UndoState, undo_order, within};
pub use task::{Task, TaskChange, TaskState, Tasks};
pub use time::Timestamp;
