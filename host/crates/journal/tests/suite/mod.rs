//! What every journal must do, held against a model: any order of operations, by two processes of which either may die.
//!
//! Nothing in here knows of SQLite: another implementation brings a [`Subject`] of its own.

mod model;

use std::{marker::PhantomData, time::Duration};

use futures::executor::block_on;
use proptest::{prelude::*, sample::Index};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use skillhost_core::{CallId, Caller, Digest};
use skillhost_journal::{
    Arguments, Begun, Bounds, Changed, Delivery, Edit, Ending, Filter, Intent, Journal, Key, Known, Lease,
    OnFull, PageOf, Priority, Problem, Settled, State, Step, Timestamp,
};

pub(crate) use model::Model;

/// Processes that share the journal.
pub(crate) const PROCESSES: usize = 2;

/// A journal that two processes share.
pub(crate) trait Subject: 'static {
    fn new(bounds: Bounds) -> Self;
    fn of(&self, process: usize) -> &dyn Journal;
    /// The process dies, whatever it holds, and another comes in its place.
    fn kill(&mut self, process: usize);
}

/// A call that one may begin.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) process: usize,
    pub(crate) caller: u8,
    pub(crate) tool: u8,
    pub(crate) key: Option<(u8, u8)>,
    pub(crate) durable: bool,
    pub(crate) safe: bool,
    pub(crate) park_unknown: bool,
    pub(crate) priority: Priority,
    pub(crate) max_tries: u32,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Pass(u64),
    Begin(Start),
    Leave(Start),
    /// By the lease that was given as the nth, which may be no good any more.
    Settle(Index, usize, Ended),
    Claim(usize, u32),
    Kill(usize),
    TakeOver(usize),
    Known(Start),
    Wake(u8),
    Edit(Index, Priority),
    Replay(Index, u64, bool),
    Discard(Index),
    Archive,
    Purge,
    Restore(Index),
    Compare,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended {
    Done,
    Failed,
    Unknown,
    Again { unknown: bool, after: u64, spent: bool },
    Parked { unknown: bool },
}

pub(crate) fn problem(unknown_effect: bool) -> Problem {
    Problem { kind: "transient".into(), message: "no such luck".into(), unknown_effect }
}

pub(crate) fn ending(ended: Ended, now: Timestamp) -> Ending {
    match ended {
        Ended::Done => Ending::Done { outcome: r#"{"content":[]}"#.into(), token: None, void: vec![] },
        Ended::Failed => Ending::Failed(problem(false)),
        Ended::Unknown => Ending::Unknown(problem(true)),
        Ended::Again { unknown, after, spent } => {
            Ending::Again { problem: problem(unknown), due: now.plus(Duration::from_millis(after)), spent }
        }
        Ended::Parked { unknown } => Ending::Parked(problem(unknown)),
    }
}

/// Time that a key is held, and that a letter is run again.
pub(crate) const TTL: Duration = Duration::from_millis(400);

pub(crate) fn intent(start: &Start, n: u64, now: Timestamp) -> Intent {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    Intent {
        again: false,
        id: CallId::from_bytes(bytes),
        tool: format!("skill{}_tool", start.tool),
        skill: format!("skill{}", start.tool),
        digest: Digest::of(b"component"),
        caller: Caller::named(&format!("caller{}", start.caller)),
        correlation_id: format!("c{n}"),
        arguments: Arguments { shown: Some(r#"{"a":1}"#.into()), sealed: Some(vec![1, 2, 3]) },
        meta: None,
        delivery: if start.durable { Delivery::Durable } else { Delivery::Plain },
        safe: start.safe,
        priority: start.priority,
        max_tries: start.max_tries,
        gives_up: now.plus(TTL),
        park_unknown: start.park_unknown,
        key: start.key.map(|(key, print)| Key {
            key: format!("key{key}"),
            fingerprint: Digest::of(&[print]),
            expires: now.plus(TTL),
        }),
        step: None,
    }
}

fn start() -> impl Strategy<Value = Start> {
    let key = proptest::option::of((0..2u8, 0..2u8));
    let priority = proptest::sample::select(&Priority::ALL[..]);
    let bools = (any::<bool>(), any::<bool>(), any::<bool>());
    (0..PROCESSES, 0..2u8, 0..2u8, key, bools, priority, 1..3u32).prop_map(
        |(process, caller, tool, key, (durable, safe, park_unknown), priority, max_tries)| Start {
            process,
            caller,
            tool,
            key,
            durable,
            safe,
            park_unknown,
            priority,
            max_tries,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let ended = prop_oneof![
        3 => Just(Ended::Done),
        2 => Just(Ended::Failed),
        1 => Just(Ended::Unknown),
        5 => (any::<bool>(), 0..200u64, any::<bool>())
            .prop_map(|(unknown, after, spent)| Ended::Again { unknown, after, spent }),
        3 => any::<bool>().prop_map(|unknown| Ended::Parked { unknown }),
    ];
    let nth = || any::<Index>();
    prop_oneof![
        4 => (0..200u64).prop_map(Op::Pass),
        8 => start().prop_map(Op::Begin),
        1 => start().prop_map(Op::Leave),
        8 => (nth(), 0..PROCESSES, ended).prop_map(|(nth, process, ended)| Op::Settle(nth, process, ended)),
        4 => (0..PROCESSES, 1..4u32).prop_map(|(process, max)| Op::Claim(process, max)),
        1 => (0..PROCESSES).prop_map(Op::Kill),
        2 => (0..PROCESSES).prop_map(Op::TakeOver),
        2 => start().prop_map(Op::Known),
        1 => (0..2u8).prop_map(Op::Wake),
        1 => (nth(), proptest::sample::select(&Priority::ALL[..])).prop_map(|(nth, priority)| Op::Edit(nth, priority)),
        2 => (nth(), 0..100u64, any::<bool>()).prop_map(|(nth, after, pin)| Op::Replay(nth, after, pin)),
        2 => nth().prop_map(Op::Discard),
        2 => Just(Op::Archive),
        1 => Just(Op::Purge),
        1 => nth().prop_map(Op::Restore),
        2 => Just(Op::Compare),
    ]
}

/// The model as proptest drives it.
pub(crate) struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Model> {
        let on_full = prop_oneof![Just(OnFull::Refuse), Just(OnFull::ArchiveOldest)];
        (1..5u64, on_full)
            .prop_map(|(capacity, on_full)| Bounds { capacity, on_full, ageing: Duration::from_millis(50) })
            .prop_map(Model::new)
            .boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Op> {
        op().boxed()
    }

    // What the model answers is compared in `apply`, which has both.
    fn apply(mut model: Model, op: &Op) -> Model {
        model.told = model.apply(op);
        model
    }
}

/// What an operation answers, of the model and of the journal alike.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) leases: Vec<(CallId, u64)>,
}

impl Told {
    pub(crate) fn of(text: impl std::fmt::Debug) -> Self {
        Self { text: format!("{text:?}"), leases: vec![] }
    }
}

/// A journal under test, with the leases that it gave.
pub(crate) struct Test<S> {
    subject: S,
    leases: Vec<Lease>,
    archive: Vec<String>,
    marker: PhantomData<S>,
}

pub(crate) fn known(known: Option<Known>) -> String {
    format!("{:?}", known.map(|known| (known.id, known.fingerprint, known.record.map(|record| record.state))))
}

impl<S: Subject> Test<S> {
    fn do_it(&mut self, op: &Op, model: &Model) -> Told {
        let now = model.now;
        let journal = |process| self.subject.of(process);
        let any = journal(0);
        match op {
            Op::Pass(_) => Told::default(),
            Op::Begin(start) => {
                let answer =
                    block_on(journal(start.process).begin(intent(start, model.count, now), now)).unwrap();
                match answer {
                    Begun::Yes(lease) => {
                        self.leases.push(lease);
                        Told { leases: vec![(lease.id, lease.epoch)], text: "begun".into() }
                    }
                    Begun::Known(held) => Told::of(known(Some(held))),
                    Begun::Full => Told::of("full"),
                    Begun::NotOpen(why) => panic!("it is no step, and yet {why:?}"),
                }
            }
            Op::Leave(start) => {
                let start = Start { key: None, ..start.clone() };
                block_on(journal(start.process).leave(intent(&start, model.count, now), problem(true), now))
                    .unwrap();
                Told::default()
            }
            Op::Settle(nth, process, ended) => {
                if self.leases.is_empty() {
                    return Told::default();
                }
                let lease = *nth.get(&self.leases);
                let settled = block_on(journal(*process).settle(lease, ending(*ended, now), now)).unwrap();
                Told::of(settled == Settled::Yes)
            }
            Op::Claim(process, max) => {
                let claimed = block_on(journal(*process).claim(*max, now)).unwrap();
                self.leases.extend(claimed.iter().map(|(lease, _)| *lease));
                for (lease, record) in &claimed {
                    assert_eq!((lease.id, lease.epoch), (record.id, record.epoch));
                    assert_eq!(record.state, State::Running);
                }
                let leases = claimed.iter().map(|(lease, _)| (lease.id, lease.epoch)).collect();
                Told { leases, text: "claimed".into() }
            }
            Op::Kill(process) => {
                self.subject.kill(*process);
                Told::default()
            }
            Op::TakeOver(process) => {
                let mut taken = block_on(journal(*process).take_over(now)).unwrap();
                taken.sort_by_key(|record| record.id);
                Told::of(taken.iter().map(|record| (record.id, record.state)).collect::<Vec<_>>())
            }
            Op::Known(start) => {
                let intent = intent(start, 0, now);
                let key = intent.key.map_or("none".into(), |key| key.key);
                let found = block_on(any.known(intent.caller.as_str(), &intent.tool, &key, now)).unwrap();
                Told::of(known(found))
            }
            Op::Wake(tool) => Told::of(block_on(any.wake(&format!("skill{tool}"), now)).unwrap()),
            Op::Edit(nth, priority) => match model.nth(nth) {
                None => Told::default(),
                Some(id) => {
                    let edit = Edit { priority: Some(*priority), arguments: None };
                    Told::of(block_on(any.edit(id, edit, "me".into(), now)).unwrap())
                }
            },
            Op::Replay(nth, after, pin) => match model.nth(nth) {
                None => Told::default(),
                Some(id) => {
                    let due = now.plus(Duration::from_millis(*after));
                    Told::of(block_on(any.replay(id, due, *pin, "me".into(), now)).unwrap())
                }
            },
            Op::Discard(nth) => match model.nth(nth) {
                None => Told::default(),
                Some(id) => Told::of(block_on(any.discard(id, "me".into(), now)).unwrap()),
            },
            Op::Archive => {
                let ids = block_on(any.archivable(now, 100, now)).unwrap();
                for id in &ids {
                    let record = block_on(any.get(*id)).unwrap().unwrap();
                    let history = block_on(any.history(*id)).unwrap();
                    self.archive.push(skillhost_journal::archive::write(&record, history).unwrap());
                    assert!(block_on(any.archived(*id, record.state)).unwrap());
                    assert_eq!(block_on(any.get(*id)).unwrap(), None);
                    assert_eq!(block_on(any.history(*id)).unwrap(), []);
                }
                Told::of(ids)
            }
            Op::Purge => Told::of(block_on(any.purge(now, 100, now)).unwrap()),
            Op::Restore(nth) => {
                if self.archive.is_empty() {
                    return Told::default();
                }
                let (record, history) =
                    skillhost_journal::archive::read(nth.get::<String>(&self.archive)).unwrap();
                let id = record.id;
                let new = block_on(any.restore(Box::new(record), history.clone(), now)).unwrap();
                if new {
                    let told = block_on(any.history(id)).unwrap();
                    assert_eq!(told[..history.len()], history[..]);
                    assert_eq!(told.last().unwrap().step, Step::Restored);
                }
                Told::of(new)
            }
            Op::Compare => Told::default(),
        }
    }

    /// Everything that can be asked, asked of both.
    fn compare(&self, model: &Model) {
        let journal = self.subject.of(1);
        for (id, expected) in &model.calls {
            let record = block_on(journal.get(*id)).unwrap();
            assert_eq!(record.as_ref(), Some(&expected.record), "call {id}");
            let history = block_on(journal.history(*id)).unwrap();
            let steps: Vec<_> = history.iter().map(|event| (event.at, event.step, event.attempt)).collect();
            assert_eq!(steps, expected.history, "the history of {id}");
        }
        for id in &model.gone {
            assert_eq!(block_on(journal.get(*id)).unwrap(), None, "call {id}");
        }
        let listed = |filter: Filter| -> Vec<CallId> {
            let (mut all, mut after) = (vec![], None);
            loop {
                let page = block_on(journal.letters(filter.clone(), PageOf { after, limit: 2 })).unwrap();
                assert_eq!(page.damaged, []);
                all.extend(page.letters.iter().map(|letter| letter.id));
                after = page.next;
                if after.is_none() {
                    return all;
                }
            }
        };
        assert_eq!(listed(Filter::default()), model.letters(|_| true));
        let filter = Filter {
            states: vec![State::Parked, State::Waiting],
            skill: Some("skill1".into()),
            ..Filter::default()
        };
        let wanted = model.letters(|letter| {
            matches!(letter.state, State::Parked | State::Waiting) && letter.skill == "skill1"
        });
        assert_eq!(listed(filter), wanted);
        assert_eq!(block_on(journal.next_due()).unwrap(), model.next_due());
        let stats = block_on(journal.stats()).unwrap();
        assert_eq!(stats.open, model.open());
        assert_eq!(stats.states.values().sum::<u64>(), model.letters(|_| true).len() as u64);
    }
}

impl<S: Subject> StateMachineTest for Test<S> {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(model: &Model) -> Self {
        Self { subject: S::new(model.bounds), leases: vec![], archive: vec![], marker: PhantomData }
    }

    fn apply(mut this: Self, model: &Model, op: Op) -> Self {
        // `model` is already past the operation: what it says of before is kept beside.
        let before = model.before.as_deref().expect("an operation was applied");
        let told = this.do_it(&op, before);
        assert_eq!(told, model.told, "{op:?}");
        if matches!(op, Op::Compare) {
            this.compare(model);
        }
        this
    }

    fn teardown(this: Self, model: Model) {
        this.compare(&model);
    }
}

/// What somebody may do to a letter.
pub(crate) fn changed(state: Option<State>) -> Changed {
    match state {
        None => Changed::Missing,
        Some(State::Waiting | State::Parked) => Changed::Yes,
        Some(other) => Changed::Not(other),
    }
}
