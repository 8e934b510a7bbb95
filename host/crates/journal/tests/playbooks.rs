//! What is kept of rules for letters: when they are asked, what they did, and calls of their tools.

use std::{sync::Arc, time::Duration};

use futures::executor::block_on;
use skillhost_core::{CallId, Caller, Digest, SystemClock};
use skillhost_journal::{
    Arguments, Begun, Changed, Deed, Delivery, Edit, Ending, Fired, Firing, Intent, Journal, Key, Playbooks,
    Priority, Problem, Resting, Sqlite, SqliteSettings, State, Step, Synchronous, Timestamp,
};

struct Fixture {
    journal: Sqlite,
    folder: tempfile::TempDir,
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
    Fixture { journal: open(&folder), folder }
}

fn at(ms: u64) -> Timestamp {
    Timestamp(1_000_000 + ms)
}

impl Fixture {
    /// A letter that is parked at 0.
    fn parked(&self, unknown_effect: bool) -> CallId {
        let id = CallId::new();
        let intent = Intent {
            id,
            again: false,
            tool: "a_b".into(),
            skill: "a".into(),
            digest: Digest::of(b"a"),
            caller: Caller::named("ann"),
            correlation_id: "c".into(),
            arguments: Arguments::default(),
            meta: None,
            delivery: Delivery::Durable,
            safe: false,
            priority: Priority::Normal,
            max_tries: 3,
            gives_up: at(1_000_000),
            park_unknown: true,
            key: Some(Key { key: id.to_string(), fingerprint: Digest::of(b"k"), expires: at(1_000_000) }),
            step: None,
        };
        let Begun::Yes(lease) = block_on(self.journal.begin(intent, at(0))).unwrap() else { panic!() };
        let problem = Problem { kind: "permanent".into(), message: "no".into(), unknown_effect };
        block_on(self.journal.settle(lease, Ending::Parked(problem), at(0))).unwrap();
        id
    }

    fn resting(&self, id: CallId) -> Resting {
        block_on(self.journal.resting(id)).unwrap().expect("it rests")
    }

    fn fire(&self, id: CallId, stamp: u64, deed: Deed) -> Fired {
        let firing = Firing { rule: "r".into(), stamp, deed, told: "why".into(), again: None };
        block_on(self.journal.fire(id, firing, at(10))).unwrap()
    }

    fn to_ask(&self, now: u64) -> Vec<CallId> {
        let found = block_on(self.journal.to_ask(None, 100, at(now))).unwrap();
        found.iter().map(|resting| resting.letter.id).collect()
    }

    fn state(&self, id: CallId) -> State {
        block_on(self.journal.get(id)).unwrap().unwrap().state
    }

    fn holds_key(&self, id: CallId) -> bool {
        block_on(self.journal.known("ann", "a_b", &id.to_string(), at(20))).unwrap().is_some()
    }
}

#[test]
fn a_letter_is_to_be_asked_about_when_it_rests_and_until_that_is_noted() {
    let here = fixture();
    let (one, other) = (here.parked(false), here.parked(false));
    assert_eq!(here.to_ask(0), [one, other]);
    let stamp = here.resting(one).stamp;
    block_on(here.journal.asked(vec![(one, stamp, Some(at(500))), (other, stamp, None)])).unwrap();
    assert_eq!(here.to_ask(0), [other], "the stamp of another says nothing");
    block_on(here.journal.asked(vec![(other, here.resting(other).stamp, None)])).unwrap();
    assert_eq!((here.to_ask(499), here.to_ask(500)), (vec![], vec![one]));
    assert_eq!(block_on(here.journal.next_ask(at(0))).unwrap(), Some(at(500)));
    assert_eq!(block_on(here.journal.next_ask(at(500))).unwrap(), None);
    assert_eq!(block_on(here.journal.ask_all(at(0))).unwrap(), 2);
    assert_eq!(here.to_ask(0).len(), 2);
}

#[test]
fn a_hand_on_a_letter_keeps_rules_away_until_it_has_run() {
    let here = fixture();
    let id = here.parked(false);
    let before = here.resting(id).stamp;
    let edit = Edit { arguments: None, priority: Some(Priority::Low) };
    assert_eq!(block_on(here.journal.edit(id, edit, "me".into(), at(1))).unwrap(), Changed::Yes);
    assert!(here.resting(id).in_hand);
    assert_eq!(
        here.fire(id, before, Deed::Discard),
        Fired::Changed,
        "it is not what the rule was asked about"
    );
    block_on(here.journal.ask_all(at(1))).unwrap();
    assert!(here.to_ask(9).is_empty());
    block_on(here.journal.replay(id, at(2), false, "me".into(), at(2))).unwrap();
    block_on(here.journal.ask_all(at(2))).unwrap();
    assert!(here.to_ask(9).is_empty());
    let (lease, _) = block_on(here.journal.claim(1, at(3))).unwrap().remove(0);
    assert!(block_on(here.journal.resting(id)).unwrap().is_none(), "it runs");
    assert_eq!(here.fire(id, before, Deed::Park), Fired::Changed);
    let problem = Problem { kind: "trap".into(), message: "no".into(), unknown_effect: false };
    let again = Ending::Again { problem, due: at(100), spent: true };
    block_on(here.journal.settle(lease, again, at(4))).unwrap();
    assert_eq!(here.to_ask(4), [id]);
    assert!(!here.resting(id).in_hand);
}

#[test]
fn of_two_who_ask_at_once_one_acts() {
    let here = fixture();
    let id = here.parked(false);
    let there = open(&here.folder);
    let stamp = here.resting(id).stamp;
    let retry = Deed::Retry(at(60));
    assert_eq!(here.fire(id, stamp, retry.clone()), Fired::Yes);
    let firing = Firing { rule: "r".into(), stamp, deed: retry, told: "why".into(), again: None };
    assert_eq!(block_on(there.fire(id, firing, at(10))).unwrap(), Fired::Changed);
    assert_eq!((here.state(id), here.resting(id).fired), (State::Waiting, vec![("r".to_owned(), 1, true)]));
    // With its next run it may act again, and that is told apart.
    block_on(here.journal.claim(1, at(60))).unwrap();
    drop(there);
    let steps: Vec<_> =
        block_on(here.journal.history(id)).unwrap().into_iter().map(|event| event.step).collect();
    assert_eq!(steps, [Step::Failed, Step::Parked, Step::Playbook, Step::Retried]);
}

#[test]
fn what_is_done_is_done_as_by_hand() {
    let here = fixture();
    let (free, held) = (here.parked(false), here.parked(true));
    for id in [free, held] {
        assert_eq!(here.fire(id, here.resting(id).stamp, Deed::Discard), Fired::Yes);
        assert_eq!(here.state(id), State::Discarded);
    }
    assert_eq!((here.holds_key(free), here.holds_key(held)), (false, true));
    let id = here.parked(false);
    let Fired::Parked(why) = here.fire(id, here.resting(id).stamp, Deed::Undo { saga: true }) else {
        panic!()
    };
    assert!(why.contains("cannot take back"), "{why}");
    assert_eq!(here.state(id), State::Parked);
    let id = here.parked(false);
    assert_eq!(here.fire(id, here.resting(id).stamp, Deed::Archive), Fired::Yes);
    assert!(block_on(here.journal.resting(id)).unwrap().is_none(), "it is on its way");
    assert_eq!(block_on(here.journal.archivable(at(0), 10, at(0))).unwrap(), [id]);
    block_on(here.journal.ask_all(at(11))).unwrap();
    assert!(!here.to_ask(11).contains(&id));
}

#[test]
fn a_handlers_call_is_there_until_it_is_over_and_goes_to_who_lives() {
    let mut here = fixture();
    let id = here.parked(false);
    let deed = Deed::Call { request: "{}".into(), park: false };
    let Fired::Call(call) = here.fire(id, here.resting(id).stamp, deed) else { panic!() };
    assert_eq!((call.letter, call.times, &*call.request), (id, 1, "{}"));
    let claim = |here: &Fixture| block_on(here.journal.claim_handlers(10)).unwrap();
    assert!(claim(&here).is_empty(), "somebody sees to it");
    let there = open(&here.folder);
    block_on(there.take_over(at(11))).unwrap();
    assert!(block_on(there.claim_handlers(10)).unwrap().is_empty(), "who lives");
    // It dies; another takes over, and puts it back once.
    here.journal = open(&here.folder);
    block_on(there.take_over(at(12))).unwrap();
    assert_eq!(block_on(there.claim_handlers(10)).unwrap(), std::slice::from_ref(&call));
    block_on(there.put_back(call.clone())).unwrap();
    assert_eq!(claim(&here), std::slice::from_ref(&call));
    block_on(here.journal.handled(call.clone(), "it went well".into(), at(13))).unwrap();
    block_on(here.journal.handled(call, "said twice".into(), at(13))).unwrap();
    let history = block_on(here.journal.history(id)).unwrap();
    let told: Vec<_> = history.iter().filter(|event| event.step == Step::Playbook).collect();
    assert_eq!(told.len(), 2, "{history:?}");
    assert_eq!(told[1].detail.as_deref(), Some("by playbook r: it went well"));
    here.journal = open(&here.folder);
    block_on(there.take_over(at(14))).unwrap();
    assert!(claim(&here).is_empty());
    assert_eq!(here.resting(id).letter.due, None);
    assert!(here.resting(id).letter.enqueued.unwrap().since(at(0)) < Duration::from_secs(1));
}
