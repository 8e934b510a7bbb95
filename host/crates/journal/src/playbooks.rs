//! The seam between the pipeline and what keeps what rules do to letters.

use skillhost_core::CallId;

use crate::{Answer, Record, SagaLease, State, Timestamp};

/// Keeps what rules are to be asked, and what they did. The same promises as [`Journal`](crate::Journal)'s.
///
/// A letter that comes to rest, waiting or parked, is to be asked about at once. A person's hand on it (edited, replayed,
/// restored) takes it off the rules until it has run again.
pub trait Playbooks: Send + Sync {
    /// Up to `max` letters that rules are to be asked about by `now`, after this one, in the order of their ids.
    fn to_ask(&self, after: Option<CallId>, max: u32, now: Timestamp) -> Answer<Vec<Resting>>;

    /// A letter as rules see it; none when it does not rest.
    fn resting(&self, id: CallId) -> Answer<Option<Resting>>;

    /// When rules are to be asked about the next letter after `now`.
    fn next_ask(&self, now: Timestamp) -> Answer<Option<Timestamp>>;

    /// Rules were asked and nothing is to be done: ask again at the time beside each, or not until it has run again. Of those that
    /// have changed since they were looked at, nothing is noted.
    fn asked(&self, letters: Vec<(CallId, u64, Option<Timestamp>)>) -> Answer<()>;

    /// There are other rules: ask about every letter that rests. Answers how many.
    fn ask_all(&self, now: Timestamp) -> Answer<u64>;

    /// Do what a rule says, and note that it did, in one transaction.
    fn fire(&self, id: CallId, firing: Firing, now: Timestamp) -> Answer<Fired>;

    /// Take up to `max` calls of handlers that nobody sees to.
    fn claim_handlers(&self, max: u32) -> Answer<Vec<HandlerCall>>;

    /// A handler's call was not made after all: somebody is to make it later.
    fn put_back(&self, call: HandlerCall) -> Answer<()>;

    /// A handler's call is over, or given up: what to say of it in the letter's history.
    fn handled(&self, call: HandlerCall, told: String, now: Timestamp) -> Answer<()>;
}

/// A letter that waits or is parked, as rules see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resting {
    /// Without what may be large, as in lists.
    pub letter: Record,
    /// Changes with everything that happens to the letter.
    pub stamp: u64,
    /// Whether a person's hand was on it since its last run.
    pub in_hand: bool,
    /// Whether something of it, or of what it made others do, may still be there and can be taken back.
    pub undoable: bool,
    /// Rules that have acted on it: name, how often, and whether since its last run.
    pub fired: Vec<(String, u32, bool)>,
}

/// What a rule does to a letter that rests.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// The rule's name.
    pub rule: String,
    /// The letter as it was when the rule was asked; nothing is done when that has changed.
    pub stamp: u64,
    /// What.
    pub deed: Deed,
    /// For the history: what is done, and why.
    pub told: String,
    /// When to ask again, for a rule that waits for the letter's age.
    pub again: Option<Timestamp>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// It waits, and is run again at this time.
    Retry(Timestamp),
    /// It is parked.
    Park,
    /// It is given up and taken back; parked, when that cannot be.
    Undo {
        /// With the saga that it is part of, if it is.
        saga: bool,
    },
    /// A tool is called about it.
    Call {
        /// What is called and with what, as the pipeline wrote it.
        request: String,
        /// Whether it is parked as well.
        park: bool,
    },
    /// It is given up.
    Discard,
    /// It is parked, and goes to the archive.
    Archive,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Fired {
    /// Done.
    Yes,
    /// Done; go on with taking it back.
    RollBack(SagaLease),
    /// Done; the tool is yours to call.
    Call(HandlerCall),
    /// It was to be taken back and is parked: why.
    Parked(String),
    /// The letter has changed since; nothing was done.
    Changed,
}

/// A call of a handler. It is kept until it is over.
#[derive(Debug, Clone, PartialEq)]
pub struct HandlerCall {
    /// The letter.
    pub letter: CallId,
    /// The rule.
    pub rule: String,
    /// How often the rule has acted on the letter, this time included.
    pub times: u32,
    /// When it acted.
    pub at: Timestamp,
    /// What is called and with what.
    pub request: String,
}

impl Resting {
    /// Whether a letter in this state rests.
    #[must_use]
    pub fn is(state: State) -> bool {
        matches!(state, State::Waiting | State::Parked)
    }
}
