//! The journal as a few maps: slow, in memory, and plain enough to be seen to be right.

use std::collections::{BTreeMap, BTreeSet};

use proptest::sample::Index;
use skillhost_core::{CallId, Digest};
use skillhost_journal::{
    Bounds, Changed, Delivery, Ending, Intent, OnFull, Priority, Problem, Record, State, Step, Timestamp,
};

use super::{Op, PROCESSES, Start, Told, changed, ending, intent, problem};

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) record: Record,
    pub(crate) history: Vec<(Timestamp, Step, u32)>,
    park_unknown: bool,
    /// The process that holds its lease, by the count of all processes there were.
    owner: usize,
    retired: bool,
}

#[derive(Debug, Clone)]
struct Held {
    call: CallId,
    fingerprint: Digest,
    expires: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) bounds: Bounds,
    pub(crate) now: Timestamp,
    /// Calls so far, which numbers the next one.
    pub(crate) count: u64,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) gone: BTreeSet<CallId>,
    keys: BTreeMap<(String, String, String), Held>,
    /// In the order they were given: call, epoch, owner.
    leases: Vec<(CallId, u64, usize)>,
    /// Which of all processes each is now; the others are dead.
    processes: [usize; PROCESSES],
    /// Dead ones that nobody has looked after yet.
    dead: BTreeSet<usize>,
    archive: Vec<Call>,
    pub(crate) told: Told,
    pub(crate) before: Option<Box<Model>>,
}

impl Model {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            now: Timestamp(1_000_000),
            count: 0,
            calls: BTreeMap::new(),
            gone: BTreeSet::new(),
            keys: BTreeMap::new(),
            leases: vec![],
            processes: [0, 1],
            dead: BTreeSet::new(),
            archive: vec![],
            told: Told::default(),
            before: None,
        }
    }

    /// The nth of all calls there were.
    pub(crate) fn nth(&self, nth: &Index) -> Option<CallId> {
        let all: Vec<_> = self.calls.keys().chain(&self.gone).copied().collect();
        (!all.is_empty()).then(|| *nth.get(&all))
    }

    pub(crate) fn letters(&self, which: impl Fn(&Record) -> bool) -> Vec<CallId> {
        let shown = self.calls.values().filter(|call| call.record.is_letter() && !call.retired);
        shown.filter(|call| which(&call.record)).map(|call| call.record.id).collect()
    }

    pub(crate) fn open(&self) -> u64 {
        let open = |record: &Record| matches!(record.state, State::Running | State::Waiting | State::Parked);
        self.letters(open).len() as u64
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.calls.values().filter_map(|call| call.record.due).min()
    }

    fn known(&self, start: &Start) -> Option<&Held> {
        let intent = intent(start, 0, self.now);
        let key = intent.key?.key;
        let held = self.keys.get(&(intent.caller.as_str().to_owned(), intent.tool, key))?;
        let goes_on = self.calls.get(&held.call).is_some_and(|call| !call.record.state.is_end());
        (goes_on || held.expires > self.now).then_some(held)
    }

    fn told_of(&self, held: Option<&Held>) -> Told {
        let text = held.map(|held| {
            let state = self.calls.get(&held.call).map(|call| call.record.state);
            (held.call, held.fingerprint, state)
        });
        Told::of(format!("{text:?}"))
    }

    pub(crate) fn apply(&mut self, op: &Op) -> Told {
        self.before = None;
        self.before = Some(Box::new(self.clone()));
        let now = self.now;
        match op {
            Op::Pass(ms) => {
                self.now = Timestamp(now.0 + ms);
                Told::default()
            }
            Op::Begin(start) => {
                if let Some(held) = self.known(start) {
                    return self.told_of(Some(held));
                }
                if start.durable && self.open() >= self.bounds.capacity && !self.make_room() {
                    return Told::of("full");
                }
                let id = self.insert(start);
                self.leases.push((id, 1, self.processes[start.process]));
                Told { text: "begun".into(), leases: vec![(id, 1)] }
            }
            Op::Leave(start) => {
                let id = self.insert(&Start { key: None, ..start.clone() });
                self.end(id, &Ending::Parked(problem(true)), true);
                Told::default()
            }
            Op::Settle(nth, _, ended) => {
                if self.leases.is_empty() {
                    return Told::default();
                }
                let (id, epoch, owner) = *nth.get(&self.leases);
                let held = self.calls.get(&id).is_some_and(|call| {
                    call.record.state == State::Running && call.record.epoch == epoch && call.owner == owner
                });
                if held {
                    let told = self.has_history(id);
                    self.end(id, &ending(*ended, now), told);
                }
                Told::of(held)
            }
            Op::Claim(process, max) => {
                let ageing = self.bounds.ageing.as_millis() as i64;
                let mut due: Vec<_> = self
                    .calls
                    .values()
                    .filter_map(|call| Some((call.record.due.filter(|due| *due <= now)?, call)))
                    .map(|(due, call)| {
                        let level =
                            Priority::ALL.iter().position(|p| *p == call.record.priority).unwrap() as i64;
                        (due.0 as i64 - level * ageing, call.record.id)
                    })
                    .collect();
                due.sort();
                due.truncate(*max as usize);
                let owner = self.processes[*process];
                let mut leases = vec![];
                for (_, id) in due {
                    let call = self.calls.get_mut(&id).unwrap();
                    call.owner = owner;
                    call.record.state = State::Running;
                    call.record.due = None;
                    call.record.epoch += 1;
                    call.history.push((now, Step::Retried, call.record.attempts + 1));
                    leases.push((id, call.record.epoch));
                    self.leases.push((id, call.record.epoch, owner));
                }
                Told { text: "claimed".into(), leases }
            }
            Op::Kill(process) => {
                self.dead.insert(self.processes[*process]);
                self.processes[*process] =
                    self.processes.iter().max().unwrap().max(self.dead.last().unwrap()) + 1;
                Told::default()
            }
            Op::TakeOver(_) => {
                let orphans: Vec<_> = self
                    .calls
                    .values()
                    .filter(|call| call.record.state == State::Running && self.dead.contains(&call.owner))
                    .map(|call| call.record.id)
                    .collect();
                let taken: Vec<_> = orphans.into_iter().map(|id| (id, self.orphaned(id))).collect();
                Told::of(taken)
            }
            Op::Known(start) => self.told_of(self.known(start)),
            Op::Wake(tool) => {
                let skill = format!("skill{tool}");
                let asleep = self.calls.values_mut().filter(|call| {
                    call.record.skill == skill
                        && call.record.due.is_some_and(|due| due > now)
                        // Who was replayed by hand has a time of its own.
                        && (call.record.tries > 0 || call.record.attempts == 0)
                });
                Told::of(asleep.map(|call| call.record.due = Some(now)).count() as u64)
            }
            Op::Edit(nth, priority) => self.change(nth, |call, _| {
                call.record.priority = *priority;
                call.history.push((now, Step::Edited, call.record.attempts));
            }),
            Op::Replay(nth, after, pin) => self.change(nth, |call, _| {
                let record = &mut call.record;
                record.state = State::Waiting;
                record.due = Some(Timestamp(now.0 + after));
                record.tries = 0;
                record.pinned = *pin;
                record.gives_up = Timestamp(now.0 + record.gives_up.0 - record.begun.0);
                call.retired = false;
                call.history.push((now, Step::Replayed, call.record.attempts));
            }),
            Op::Discard(nth) => self.change(nth, |call, keys| {
                call.record.state = State::Discarded;
                call.record.due = None;
                call.record.ended = Some(now);
                call.history.push((now, Step::Discarded, call.record.attempts));
                release(&call.record, keys);
            }),
            Op::Archive => {
                let ids: Vec<_> = self
                    .calls
                    .values()
                    .filter(|call| call.record.is_letter())
                    .filter(|call| {
                        let held = |held: &Held| held.call == call.record.id && held.expires > now;
                        (call.retired && call.record.state == State::Parked)
                            || (call.record.ended.is_some_and(|at| at < now) && !self.keys.values().any(held))
                    })
                    .map(|call| call.record.id)
                    .collect();
                for id in &ids {
                    self.archive.push(self.calls.remove(id).unwrap());
                    self.gone.insert(*id);
                }
                Told::of(ids)
            }
            Op::Purge => {
                let (keys, calls) = (self.keys.len(), self.calls.len());
                let open: BTreeSet<_> = self
                    .calls
                    .values()
                    .filter(|call| call.record.ended.is_none())
                    .map(|call| call.record.id)
                    .collect();
                self.keys.retain(|_, held| held.expires > now || open.contains(&held.call));
                let held: BTreeSet<_> = self.keys.values().map(|held| held.call).collect();
                let gone = self.calls.extract_if(.., |id, call| {
                    call.record.ended.is_some_and(|at| at < now)
                        && !call.record.is_letter()
                        && !held.contains(id)
                });
                self.gone.extend(gone.map(|(id, _)| id));
                Told::of((keys - self.keys.len() + calls - self.calls.len()) as u64)
            }
            Op::Restore(nth) => {
                if self.archive.is_empty() {
                    return Told::default();
                }
                let mut call = nth.get(&self.archive).clone();
                let id = call.record.id;
                if self.calls.contains_key(&id) {
                    return Told::of(false);
                }
                call.record.epoch = 0;
                call.retired = false;
                call.park_unknown = true;
                call.history.push((now, Step::Restored, call.record.attempts));
                self.calls.insert(id, call);
                self.gone.remove(&id);
                Told::of(true)
            }
            Op::Compare => Told::default(),
        }
    }

    fn make_room(&mut self) -> bool {
        if self.bounds.on_full == OnFull::Refuse {
            return false;
        }
        let parked =
            self.calls.values_mut().filter(|call| call.record.state == State::Parked && !call.retired);
        let oldest = parked.min_by_key(|call| (call.record.dead, call.record.id));
        oldest.map(|call| call.retired = true).is_some()
    }

    fn insert(&mut self, start: &Start) -> CallId {
        let Intent { id, tool, skill, digest, caller, correlation_id, arguments, key, gives_up, .. } =
            intent(start, self.count, self.now);
        self.count += 1;
        if let Some(key) = &key {
            let held = Held { call: id, fingerprint: key.fingerprint, expires: key.expires };
            self.keys.insert((caller.as_str().to_owned(), tool.clone(), key.key.clone()), held);
        }
        let record = Record {
            id,
            tool,
            skill,
            digest,
            pinned: false,
            caller,
            correlation_id,
            arguments,
            meta: None,
            key: key.map(|key| key.key),
            delivery: if start.durable { Delivery::Durable } else { Delivery::Plain },
            safe: start.safe,
            priority: start.priority,
            state: State::Running,
            epoch: 1,
            attempts: 0,
            tries: 0,
            max_tries: start.max_tries,
            gives_up,
            begun: self.now,
            ended: None,
            enqueued: None,
            dead: None,
            due: None,
            problem: None,
            outcome: None,
            undo: None,
            rollback: None,
        };
        let owner = self.processes[start.process];
        let call = Call { record, history: vec![], park_unknown: start.park_unknown, owner, retired: false };
        self.calls.insert(id, call);
        id
    }

    fn has_history(&self, id: CallId) -> bool {
        let record = &self.calls[&id].record;
        record.is_letter() || record.delivery == Delivery::Durable
    }

    fn end(&mut self, id: CallId, ending: &Ending, told: bool) {
        let now = self.now;
        let call = self.calls.get_mut(&id).unwrap();
        let record = &mut call.record;
        if !matches!(ending, Ending::Again { spent: false, .. }) {
            record.attempts += 1;
            record.tries += 1;
        }
        let attempt = record.attempts;
        let mut note = |step| call.history.push((now, step, attempt));
        let explain = |record: &mut Record, problem: &Problem| {
            let before = record.problem.as_ref().is_some_and(|problem| problem.unknown_effect);
            let unknown_effect = before || problem.unknown_effect;
            record.problem = Some(Problem { unknown_effect, ..problem.clone() });
        };
        match ending {
            Ending::Done { outcome, .. } => {
                record.state = State::Done;
                record.ended = Some(now);
                record.outcome = Some(outcome.clone());
                if record.is_letter() {
                    note(Step::Recovered);
                }
            }
            Ending::Failed(problem) | Ending::Unknown(problem) => {
                if told {
                    note(Step::Failed);
                }
                explain(record, problem);
                record.ended = Some(now);
                record.state = State::Unknown;
                if matches!(ending, Ending::Failed(_)) {
                    record.state = State::Failed;
                    release(record, &mut self.keys);
                }
            }
            Ending::Again { problem, due, spent } => {
                note(if *spent { Step::Failed } else { Step::Refused });
                note(Step::Scheduled);
                explain(record, problem);
                record.state = State::Waiting;
                record.due = Some(*due);
                record.enqueued.get_or_insert(now);
            }
            Ending::Parked(problem) => {
                note(Step::Failed);
                note(Step::Parked);
                explain(record, problem);
                record.state = State::Parked;
                record.enqueued.get_or_insert(now);
                record.dead = Some(now);
            }
            Ending::RollBack { .. } => unreachable!("these calls are no steps"),
        }
    }

    fn orphaned(&mut self, id: CallId) -> State {
        let now = self.now;
        let call = self.calls.get_mut(&id).unwrap();
        let record = call.record.clone();
        let durable = record.delivery == Delivery::Durable;
        let problem = Problem {
            kind: "internal".into(),
            message: "the host ended while the call ran".into(),
            unknown_effect: true,
        };
        let told = durable || record.is_letter();
        if told {
            call.history.push((now, Step::TakenOver, record.attempts));
        }
        let runs_again =
            durable && record.safe && record.tries + 1 < record.max_tries && now < record.gives_up;
        let judged = durable || record.is_letter() || (call.park_unknown && !record.safe);
        let ending = match (runs_again, judged) {
            (true, _) => Ending::Again { problem, due: now, spent: true },
            (false, true) => Ending::Parked(problem),
            (false, false) => Ending::Unknown(problem),
        };
        self.end(id, &ending, told);
        self.calls[&id].record.state
    }

    fn change(
        &mut self,
        nth: &Index,
        change: impl FnOnce(&mut Call, &mut BTreeMap<(String, String, String), Held>),
    ) -> Told {
        let Some(id) = self.nth(nth) else { return Told::default() };
        let letter = self.calls.get_mut(&id).filter(|call| call.record.is_letter());
        let answer = changed(letter.as_ref().map(|call| call.record.state));
        if let (Changed::Yes, Some(call)) = (answer, letter) {
            change(call, &mut self.keys);
        }
        Told::of(answer)
    }
}

/// A key is free when its call certainly took no effect.
fn release(record: &Record, keys: &mut BTreeMap<(String, String, String), Held>) {
    if !record.problem.as_ref().is_some_and(|problem| problem.unknown_effect) {
        keys.retain(|_, held| held.call != record.id);
    }
}
