//! Rules that an operator has written for dead letters: asking them, and doing what they say. What they say is decided in
//! `policy/src/playbook.rs`; that they acted, and what they did, is one transaction of the journal's.
//!
//! A letter is asked about by whoever brings it to rest, before anybody is told where it is. The worker sees to what was left by
//! dead processes, to letters that have reached the age a rule waits for, and to all of them when the rules have changed.

mod foreseen;
mod handler;

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use skillhost_core::{CallId, FailureKind};
use skillhost_journal::{Deed, Fired, Firing, JournalError, Resting, State, Timestamp};
use skillhost_policy::playbook::{self, Action, Does, Letter, Playbook, decide};
use skillhost_telemetry::{Metric, Metrics};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use super::{Letters, Recovery, Standing};
pub use foreseen::{Foreseen, Passed};
pub(super) use handler::CALLER;

/// Letters that are asked about together.
const BATCH: u32 = 200;
/// Handlers that are called at once.
const HANDLERS: usize = 4;

/// The rules that count now.
pub(super) struct Rules {
    now: RwLock<Arc<[Playbook]>>,
    /// They are others than those that letters were asked about.
    anew: AtomicBool,
    /// Turns of handlers.
    turns: Arc<Semaphore>,
}

impl Default for Rules {
    fn default() -> Self {
        let turns = Arc::new(Semaphore::new(HANDLERS));
        Self { now: RwLock::new(Arc::new([])), anew: AtomicBool::new(false), turns }
    }
}

/// What came of asking about a letter.
enum Acted {
    /// A rule acted.
    Yes,
    /// None did; ask again then.
    No(Option<Timestamp>),
    /// A rule is to act, and not now: the letter has changed, or there is no turn for its handler.
    Later,
}

/// A rule has acted on a letter: it is counted, and a line in the log.
pub(crate) fn fired(metrics: &Metrics, rule: &str, action: &str, call: CallId, does: Does) {
    metrics.count(Metric::PlaybookFired, [rule, action]);
    tracing::info!(call_id = %call, step = "playbook", rule, action, "recovery: {does}");
}

impl Recovery {
    /// Go on with these rules. Every letter that rests is asked about anew, by the worker.
    pub fn use_playbooks(&self, rules: Arc<[Playbook]>) {
        *self.rules.now.write().unwrap_or_else(PoisonError::into_inner) = rules;
        self.rules.anew.store(true, Ordering::Release);
        self.due.notify_one();
    }

    fn playbooks(&self) -> Arc<[Playbook]> {
        Arc::clone(&self.rules.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there are rules.
    pub(super) fn has_rules(&self) -> bool {
        !self.playbooks().is_empty()
    }

    /// A call has come to `standing`: when it rests there, ask what rules say. Answers where it is then.
    pub(crate) async fn consulted(
        self: &Arc<Self>,
        id: CallId,
        standing: Option<Standing>,
    ) -> Option<Standing> {
        let rests = standing.as_ref().is_some_and(|standing| Resting::is(standing.state));
        let rules = self.playbooks();
        if !rests || rules.is_empty() {
            return standing;
        }
        let asked = async {
            let Some(resting) = self.journal.resting(id).await? else { return Ok(()) };
            match self.act(&rules, &resting).await? {
                Acted::No(again) => self.journal.asked(vec![(id, resting.stamp, again)]).await.map(drop),
                Acted::Yes | Acted::Later => Ok(()),
            }
        };
        match asked.await {
            // Whoever acted: the worker may have been first.
            Ok(()) => match self.journal.get(id).await {
                Ok(Some(record)) => Some(Standing::of(&record, self.now())),
                Ok(None) => Some(Standing::archived(id)),
                Err(_) => standing,
            },
            // The worker asks later.
            Err(error) => {
                self.due.notify_one();
                tracing::warn!(call_id = %id, %error, "recovery: rules cannot be asked now");
                standing
            }
        }
    }

    /// Ask about every letter that is due for it.
    pub(super) async fn ask_rules(self: &Arc<Self>) -> Result<(), JournalError> {
        let rules = self.playbooks();
        if rules.is_empty() {
            return Ok(());
        }
        let now = self.now();
        if self.rules.anew.swap(false, Ordering::AcqRel)
            && let Err(error) = self.journal.ask_all(now).await
        {
            self.rules.anew.store(true, Ordering::Release);
            return Err(error);
        }
        let mut after = None;
        loop {
            let resting = self.journal.to_ask(after, BATCH, now).await?;
            let Some(last) = resting.last() else { return Ok(()) };
            after = Some(last.letter.id);
            let mut idle = vec![];
            for resting in &resting {
                if let Acted::No(again) = self.act(&rules, resting).await? {
                    idle.push((resting.letter.id, resting.stamp, again));
                }
            }
            if !idle.is_empty() {
                self.journal.asked(idle).await?;
            }
        }
    }

    /// When rules are to be asked next.
    pub(super) async fn next_ask(&self) -> Result<Option<Timestamp>, JournalError> {
        if self.has_rules() { self.journal.next_ask(self.now()).await } else { Ok(None) }
    }

    /// Ask about one letter, and do what is said.
    async fn act(self: &Arc<Self>, rules: &[Playbook], resting: &Resting) -> Result<Acted, JournalError> {
        let (id, now) = (resting.letter.id, self.now());
        if untouchable(resting).is_some() {
            return Ok(Acted::No(None));
        }
        let done = done(resting);
        let verdict = decide(rules, &seen(resting, &done, now), fastrand::f64());
        let again = verdict.again.map(|after| now.plus(after));
        let Some((rule, does)) = verdict.chosen.filter(|(_, does)| does.acts()) else {
            return Ok(Acted::No(again));
        };
        let mut turn = None;
        let deed = match does {
            Does::Retry(after) => Deed::Retry(now.plus(after)),
            Does::Park(_) => Deed::Park,
            Does::Undo { saga } => Deed::Undo { saga },
            Does::Call { park } => {
                // Whoever ends first says so, and it is asked about again.
                let Ok(free) = Arc::clone(&self.rules.turns).try_acquire_owned() else {
                    return Ok(Acted::Later);
                };
                turn = Some(free);
                Deed::Call { request: handler::request(rule, resting), park }
            }
            Does::Discard => Deed::Discard,
            Does::Archive => Deed::Archive,
            Does::Acted | Does::Spent => return Ok(Acted::No(again)),
        };
        let told = format!("{}: {does}", rule.action.word());
        let firing = Firing { rule: rule.name.to_string(), stamp: resting.stamp, deed, told, again };
        let answer = self.journal.fire(id, firing, now).await?;
        if answer == Fired::Changed {
            self.due.notify_one();
            return Ok(Acted::Later);
        }
        fired(self.metrics(), &rule.name, rule.action.word(), id, does);
        self.follow(id, answer, does, turn).await;
        Ok(Acted::Yes)
    }

    /// What is left to do when it is written down that a rule acted.
    async fn follow(
        self: &Arc<Self>,
        id: CallId,
        answer: Fired,
        does: Does,
        turn: Option<OwnedSemaphorePermit>,
    ) {
        match answer {
            Fired::RollBack(lease) => {
                let work = Arc::clone(self).compensate(lease).instrument(tracing::Span::current());
                match self.dispatcher.get().and_then(std::sync::Weak::upgrade) {
                    Some(dispatcher) => drop(dispatcher.track(work)),
                    None => drop(tokio::spawn(work)),
                }
                self.cancel(lease.id);
            }
            Fired::Call(call) => self.handle(call, turn),
            Fired::Parked(why) => {
                tracing::warn!(call_id = %id, step = "parked", why, "recovery: a rule would have it taken back, which cannot be");
            }
            Fired::Yes if does == Does::Archive => {
                // It is marked for that; the sweep comes back to it.
                if let Err(error) = Letters::new(Arc::clone(self), None).archive(&[id]).await {
                    tracing::error!(call_id = %id, %error, "recovery: the letter cannot be archived now");
                }
            }
            Fired::Yes | Fired::Changed => self.due.notify_one(),
        }
    }
}

/// Why no rule is asked about it.
fn untouchable(resting: &Resting) -> Option<&'static str> {
    if resting.letter.caller.as_str() == CALLER {
        Some("it is the call of a rule: no rule acts on it")
    } else if resting.in_hand {
        Some("a person's hand was on it since its last run: rules are asked once it has run again")
    } else {
        None
    }
}

fn done(resting: &Resting) -> Vec<playbook::Fired> {
    let fired = resting.fired.iter().cloned();
    fired.map(|(rule, times, this_run)| playbook::Fired { rule, times, this_run }).collect()
}

/// A letter as rules see it.
fn seen<'a>(resting: &'a Resting, fired: &'a [playbook::Fired], now: Timestamp) -> Letter<'a> {
    let letter = &resting.letter;
    let problem = letter.problem.as_ref();
    Letter {
        skill: &letter.skill,
        tool: &letter.tool,
        kind: problem.and_then(|problem| FailureKind::from_code(&problem.kind)),
        message: problem.map_or("", |problem| &problem.message),
        attempts: letter.attempts,
        tries: letter.tries,
        age: age(resting, now),
        parked: letter.state == State::Parked,
        due_in: letter.due.map(|due| due.since(now)).unwrap_or_default(),
        unknown: problem.is_some_and(|problem| problem.unknown_effect),
        safe: letter.safe,
        undoable: resting.undoable,
        priority: letter.priority.as_str(),
        fired,
    }
}

fn age(resting: &Resting, now: Timestamp) -> std::time::Duration {
    now.since(resting.letter.enqueued.unwrap_or(resting.letter.begun))
}

/// The arguments of a rule's tool.
fn template(rule: &Playbook) -> Option<(&str, &playbook::Template)> {
    match &rule.action {
        Action::Call { tool, arguments, .. } => Some((tool, arguments)),
        _ => None,
    }
}
