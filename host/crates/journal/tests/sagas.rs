//! Sagas in the journal: fences, bounds, what is remembered and for how long. That the world comes out right is the
//! pipeline's property.

use std::sync::Arc;

use futures::executor::block_on;
use skillhost_core::{CallId, Caller, Digest, SagaId, SystemClock};
use skillhost_journal::{
    Afterwards, Arguments, Begun, Delivery, Ending, Intent, Journal as _, Lease, Left, NotOpen, OnExpiry,
    OpenOf, Priority, Problem, RollBack, Rolling, Saga, SagaFilter, SagaLease, SagaState, Sagas as _,
    Settled, Sqlite, SqliteSettings, State, StepOf, Synchronous, Timestamp, Token, UndoEnd, UndoState,
    undo_order,
};

struct Fixture {
    folder: tempfile::TempDir,
    journal: Sqlite,
}

fn open(folder: &tempfile::TempDir) -> Sqlite {
    let path = folder.path();
    let settings = SqliteSettings {
        synchronous: Synchronous::Off,
        ..SqliteSettings::new(path.join("journal.sqlite"), path.join("run"))
    };
    block_on(Sqlite::open(settings, Arc::new(SystemClock))).unwrap()
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder);
    Fixture { folder, journal }
}

const NOW: Timestamp = Timestamp(1_000_000);

fn later(ms: u64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

fn intent(id: CallId, of: StepOf) -> Intent {
    Intent {
        again: false,
        id,
        tool: "skill_tool".into(),
        skill: "skill".into(),
        digest: Digest::of(b"component"),
        caller: Caller::local(),
        correlation_id: id.to_string(),
        arguments: Arguments::default(),
        meta: None,
        delivery: Delivery::Plain,
        safe: false,
        priority: Priority::Normal,
        max_tries: 3,
        gives_up: later(1_000_000),
        park_unknown: true,
        key: None,
        step: Some(of),
    }
}

fn top(id: CallId, saga: Option<SagaId>) -> StepOf {
    StepOf { saga, root: id, parent: None, changes: true, undoable: true }
}

fn under(root: CallId, parent: CallId) -> StepOf {
    StepOf { saga: None, root, parent: Some(parent), changes: true, undoable: true }
}

fn saga(ttl: u64, on_expiry: OnExpiry) -> Saga {
    Saga {
        id: SagaId::random(),
        held: true,
        caller: Caller::local(),
        label: None,
        state: SagaState::Open,
        begun: NOW,
        expires: Some(later(ttl)),
        on_expiry,
        ended: None,
        reason: None,
        force: false,
    }
}

fn done() -> Ending {
    Ending::Done { outcome: r#"{"content":[]}"#.into(), token: None, void: vec![] }
}

impl Fixture {
    fn begin(&self, of: impl FnOnce(CallId) -> StepOf) -> Lease {
        let id = CallId::new();
        match block_on(self.journal.begin(intent(id, of(id)), NOW)).unwrap() {
            Begun::Yes(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    fn refused(&self, of: impl FnOnce(CallId) -> StepOf, now: Timestamp) -> NotOpen {
        let id = CallId::new();
        match block_on(self.journal.begin(intent(id, of(id)), now)).unwrap() {
            Begun::NotOpen(why) => why,
            other => panic!("{other:?}"),
        }
    }

    fn settle(&self, lease: Lease, ending: Ending) -> Settled {
        block_on(self.journal.settle(lease, ending, later(1))).unwrap()
    }

    fn roll_back(&self, id: SagaId) -> Rolling {
        block_on(self.journal.roll_back(id, RollBack::default(), later(2))).unwrap()
    }

    fn lease_of(&self, id: SagaId) -> SagaLease {
        match self.roll_back(id) {
            Rolling::Yes(lease) => lease,
            other => panic!("{other:?}"),
        }
    }
}

fn problem() -> Problem {
    Problem { kind: "trap".into(), message: "it crashed".into(), unknown_effect: true }
}

fn failing(effect: bool) -> Ending {
    let left = Left::Failed(Problem { unknown_effect: false, ..problem() });
    let afterwards = Box::new(Afterwards { clean: left, stained: Left::Unknown(problem()) });
    Ending::RollBack { problem: problem(), effect, void: vec![], afterwards }
}

#[test]
fn tokens_are_given_newest_first_and_void_ones_not_at_all() {
    let f = fixture();
    let lease = f.begin(|id| top(id, None));
    let token = |attempt, text: &str| Token { attempt, digest: Digest::of(b"v"), token: text.into() };
    let prepare = |token, void| block_on(f.journal.prepare(lease, token, void)).unwrap();
    assert_eq!(prepare(token(1, "1"), vec![]), Settled::Yes);
    assert_eq!(prepare(token(2, "2"), vec![]), Settled::Yes);
    assert_eq!(prepare(token(3, "3"), vec![2]), Settled::Yes);
    let reply = Some(token(3, "\"reply\""));
    f.settle(lease, Ending::Done { outcome: r#"{"content":[]}"#.into(), token: reply, void: vec![2] });
    // It is over: nothing more is taken.
    assert_eq!(prepare(token(4, "4"), vec![]), Settled::Fenced);
    let rolling = f.lease_of(lease.id.into());
    let step = block_on(f.journal.begin_undo(rolling, lease.id, later(3))).unwrap().unwrap();
    let tokens: Vec<_> = step.tokens.iter().map(|token| (token.attempt, &*token.token)).collect();
    assert_eq!(tokens, [(3, "\"reply\""), (1, "1")]);
}

#[test]
fn only_the_newest_lease_takes_back() {
    let f = fixture();
    let lease = f.begin(|id| top(id, None));
    f.settle(lease, done());
    let mine = f.lease_of(lease.id.into());
    assert_eq!(f.roll_back(lease.id.into()), Rolling::Already);
    let stale = SagaLease { epoch: mine.epoch - 1, ..mine };
    assert_eq!(block_on(f.journal.begin_undo(stale, lease.id, NOW)).unwrap(), None);
    assert_eq!(block_on(f.journal.end_undo(stale, lease.id, UndoEnd::Undone, NOW)).unwrap(), Settled::Fenced);
    assert_eq!(block_on(f.journal.rolled_back(stale, NOW)).unwrap(), None);
    assert!(block_on(f.journal.begin_undo(mine, lease.id, NOW)).unwrap().is_some());
    // Its process dies; another goes on, with the step that was under way.
    let Fixture { folder, journal } = f;
    drop(journal);
    let f = Fixture { journal: open(&folder), folder };
    block_on(f.journal.take_over(NOW)).unwrap();
    let next = block_on(f.journal.claim_sagas(9)).unwrap();
    assert_eq!((next.len(), next[0].id), (1, lease.id.into()));
    assert!(block_on(f.journal.claim_sagas(9)).unwrap().is_empty());
    assert_eq!(block_on(f.journal.end_undo(mine, lease.id, UndoEnd::Undone, NOW)).unwrap(), Settled::Fenced);
    assert!(block_on(f.journal.begin_undo(next[0], lease.id, NOW)).unwrap().is_some());
    assert_eq!(block_on(f.journal.end_undo(next[0], lease.id, UndoEnd::Undone, NOW)).unwrap(), Settled::Yes);
    assert_eq!(block_on(f.journal.begin_undo(next[0], lease.id, NOW)).unwrap(), None, "it is taken back");
    let state = block_on(f.journal.rolled_back(next[0], NOW)).unwrap();
    assert_eq!(state, Some(SagaState::RolledBack));
    assert_eq!(f.roll_back(lease.id.into()), Rolling::Is(SagaState::RolledBack));
    assert!(f.folder.path().exists());
}

#[test]
fn a_call_that_failed_becomes_what_was_decided() {
    for (stuck, state, unknown) in [(false, State::Failed, false), (true, State::Unknown, true)] {
        let f = fixture();
        let lease = f.begin(|id| top(id, None));
        let Settled::RollBack(rolling) = f.settle(lease, failing(true)) else { panic!() };
        let get = || block_on(f.journal.get(lease.id)).unwrap().unwrap();
        assert_eq!(get().state, State::RollingBack);
        block_on(f.journal.begin_undo(rolling, lease.id, NOW)).unwrap().unwrap();
        let end = if stuck { UndoEnd::Stuck("no".into()) } else { UndoEnd::Undone };
        block_on(f.journal.end_undo(rolling, lease.id, end, NOW)).unwrap();
        block_on(f.journal.rolled_back(rolling, NOW)).unwrap();
        assert_eq!((get().state, get().problem.unwrap().unknown_effect), (state, unknown));
        assert_eq!(get().undo, Some(if stuck { UndoState::Stuck } else { UndoState::Undone }));
    }
}

#[test]
fn the_order_is_the_reverse_and_a_call_comes_before_what_it_made_others_do() {
    let f = fixture();
    let root = f.begin(|id| top(id, None));
    let a = f.begin(|_| under(root.id, root.id));
    let a1 = f.begin(|_| under(root.id, a.id));
    let a2 = f.begin(|_| under(root.id, a.id));
    let b = f.begin(|_| under(root.id, root.id));
    let steps = block_on(f.journal.steps(root.id.into())).unwrap();
    assert_eq!(undo_order(&steps), [root.id, b.id, a.id, a2.id, a1.id]);
    // Of a part, that part alone.
    let part = block_on(f.journal.steps(a.id.into())).unwrap();
    assert_eq!(undo_order(&part), [a.id, a2.id, a1.id]);
    assert!(block_on(f.journal.is_busy(root.id.into())).unwrap());
}

#[test]
fn a_saga_takes_calls_only_while_it_is_open_and_its_callers() {
    let f = fixture();
    let (open, short) = (saga(10_000, OnExpiry::Keep), saga(5, OnExpiry::Keep));
    assert!(block_on(f.journal.begin_saga(open.clone(), 2)).unwrap());
    assert!(block_on(f.journal.begin_saga(short.clone(), 2)).unwrap());
    assert!(!block_on(f.journal.begin_saga(saga(9, OnExpiry::Keep), 2)).unwrap(), "as many as there may be");
    assert_eq!(f.refused(|id| top(id, Some(SagaId::random())), NOW), NotOpen::Missing);
    assert_eq!(f.refused(|id| top(id, Some(short.id)), later(5)), NotOpen::Is(SagaState::Expired));
    let lease = f.begin(|id| top(id, Some(open.id)));
    // What runs may go on making others, whatever its agent says meanwhile; until it is taken back.
    let commit = |caller| block_on(f.journal.commit_saga(open.id, caller, NOW)).unwrap();
    assert_eq!(commit(Caller::named("other")), None);
    let nested = || StepOf { saga: Some(open.id), ..under(lease.id, lease.id) };
    f.begin(|_| nested());
    f.lease_of(open.id);
    assert_eq!(f.refused(|_| nested(), NOW), NotOpen::Is(SagaState::RollingBack));
    assert_eq!(f.refused(|id| top(id, Some(open.id)), NOW), NotOpen::Is(SagaState::RollingBack));
    assert_eq!(commit(Caller::local()), Some(SagaState::RollingBack));
}

#[test]
fn sagas_expire_as_they_were_told_to() {
    let f = fixture();
    for on_expiry in [OnExpiry::Keep, OnExpiry::Rollback] {
        block_on(f.journal.begin_saga(saga(10, on_expiry), 9)).unwrap();
    }
    assert_eq!(block_on(f.journal.next_expiry()).unwrap(), Some(later(10)));
    assert!(block_on(f.journal.expire_sagas(later(9))).unwrap().is_empty());
    let states: Vec<_> =
        block_on(f.journal.expire_sagas(later(10))).unwrap().iter().map(|saga| saga.state).collect();
    assert_eq!(states, [SagaState::Expired, SagaState::RollingBack]);
    assert_eq!(block_on(f.journal.next_expiry()).unwrap(), None);
    assert_eq!(block_on(f.journal.claim_sagas(9)).unwrap().len(), 1);
}

#[test]
fn a_call_that_runs_is_taken_back_when_it_has_ended() {
    let f = fixture();
    let lease = f.begin(|id| top(id, None));
    assert_eq!(f.roll_back(lease.id.into()), Rolling::WhenEnded);
    // It makes no others from then on.
    assert_eq!(f.refused(|_| under(lease.id, lease.id), NOW), NotOpen::Is(SagaState::RollingBack));
    assert!(matches!(f.settle(lease, done()), Settled::RollBack(_)));
}

#[test]
fn what_can_be_undone_is_forgotten_with_its_call_and_not_before() {
    let f = fixture();
    let (held, plain) = (saga(10_000, OnExpiry::Keep), f.begin(|id| top(id, None)));
    block_on(f.journal.begin_saga(held.clone(), 9)).unwrap();
    let kept = f.begin(|id| top(id, Some(held.id)));
    let child = f.begin(|_| under(plain.id, plain.id));
    for lease in [child, plain, kept] {
        f.settle(lease, done());
    }
    let digest = Digest::of(b"component");
    assert_eq!(block_on(f.journal.versions_needed()).unwrap(), [digest]);
    let purge = |before| block_on(f.journal.purge_steps(before, 9, later(100))).unwrap();
    assert!(purge(later(1)).is_empty());
    assert_eq!(block_on(f.journal.purge(later(100), 9, later(100))).unwrap(), 0, "steps are no plain calls");
    let mut gone: Vec<_> = purge(later(100)).into_iter().map(|(_, call)| call).collect();
    gone.sort();
    assert_eq!(gone, [plain.id, child.id], "those of an open saga stay");
    assert!(block_on(f.journal.get(plain.id)).unwrap().is_none());
    block_on(f.journal.commit_saga(held.id, Caller::local(), later(50))).unwrap();
    assert_eq!(purge(later(100)).len(), 1);
    assert!(block_on(f.journal.sagas(SagaFilter::default(), None, 9)).unwrap().is_empty());
    assert!(block_on(f.journal.versions_needed()).unwrap().is_empty());
}

#[test]
fn what_is_open_of_a_skill() {
    let f = fixture();
    let open = |skill: &str| {
        let OpenOf { running, letters, undoable } = block_on(f.journal.open_of(skill.into())).unwrap();
        (running, letters, undoable)
    };
    let (first, second) = (f.begin(|id| top(id, None)), f.begin(|id| top(id, None)));
    assert_eq!(open("skill"), (2, 0, 0));
    f.settle(first, done());
    f.settle(second, done());
    assert_eq!((open("skill"), open("other")), ((0, 0, 2), (0, 0, 0)));
    let Rolling::Yes(lease) = f.roll_back(first.id.into()) else { panic!("it begins") };
    block_on(f.journal.begin_undo(lease, first.id, NOW)).unwrap();
    assert_eq!(open("skill").2, 2, "until it is undone");
    block_on(f.journal.end_undo(lease, first.id, UndoEnd::Undone, NOW)).unwrap();
    block_on(f.journal.rolled_back(lease, NOW)).unwrap();
    assert_eq!(open("skill"), (0, 0, 1));
    let id = CallId::new();
    let problem = Problem { kind: "trap".into(), message: String::new(), unknown_effect: true };
    block_on(f.journal.leave(Intent { step: None, ..intent(id, top(id, None)) }, problem, NOW)).unwrap();
    assert_eq!(open("skill"), (0, 1, 1));
    block_on(f.journal.discard(id, "me".into(), NOW)).unwrap();
    assert_eq!(open("skill"), (0, 0, 1));
}

#[test]
fn lists_come_newest_first_and_in_parts() {
    let f = fixture();
    let all: Vec<_> = (0..3)
        .map(|n| {
            let saga = Saga { label: Some(n.to_string()), ..saga(10_000 + n, OnExpiry::Keep) };
            block_on(f.journal.begin_saga(saga.clone(), 9)).unwrap();
            saga.id
        })
        .collect();
    let ids = |after, limit| {
        let listed = block_on(f.journal.sagas(SagaFilter::default(), after, limit)).unwrap();
        listed.into_iter().map(|saga| saga.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 2), [all[2], all[1]]);
    assert_eq!(ids(Some(all[1]), 2), [all[0]]);
    let filter = SagaFilter { states: vec![SagaState::Stuck], ..SagaFilter::default() };
    assert!(block_on(f.journal.sagas(filter, None, 9)).unwrap().is_empty());
    let calls: Vec<_> = (0..3).map(|_| f.begin(|id| top(id, Some(all[0])))).collect();
    let listed = block_on(f.journal.calls_of(Caller::local(), Some(all[0]), Some(calls[2].id), 9)).unwrap();
    assert_eq!(listed.iter().map(|step| step.call.id).collect::<Vec<_>>(), [calls[1].id, calls[0].id]);
    assert!(block_on(f.journal.calls_of(Caller::named("other"), None, None, 9)).unwrap().is_empty());
}
