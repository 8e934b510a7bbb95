//! What rules say of a letter.

use std::{fmt, time::Duration};

use skillhost_core::FailureKind;

use super::{Action, Playbook, span};
use crate::{RedeliveryPolicy, redelivery::is_refusal};

/// A letter that rests, as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// Its skill.
    pub skill: &'a str,
    /// Its tool's full name.
    pub tool: &'a str,
    /// How its last run failed; none when that is not known.
    pub kind: Option<FailureKind>,
    /// What was said of that.
    pub message: &'a str,
    /// Runs that counted, in all.
    pub attempts: u32,
    /// Those since it was last replayed by hand.
    pub tries: u32,
    /// How long it has been a letter.
    pub age: Duration,
    /// Whether it is parked; otherwise it waits.
    pub parked: bool,
    /// How long it waits as things stand.
    pub due_in: Duration,
    /// Whether it may have taken effect.
    pub unknown: bool,
    /// Whether it does no harm when it runs twice.
    pub safe: bool,
    /// Whether something of it can be taken back.
    pub undoable: bool,
    /// The word for its priority.
    pub priority: &'a str,
    /// What rules have done to it.
    pub fired: &'a [Fired],
}

/// What a rule has done to a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// Its name.
    pub rule: String,
    /// How often.
    pub times: u32,
    /// Whether since the letter's last run.
    pub this_run: bool,
}

/// What rules say of a letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict<'a> {
    /// The rules that were asked before, and why they did not match.
    pub passed: Vec<(&'a Playbook, Miss)>,
    /// The rule that matched, and what is done.
    pub chosen: Option<(&'a Playbook, Does)>,
    /// After how long a rule may match that is only waiting for the letter's age.
    pub again: Option<Duration>,
}

/// The first criterion of a rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// Its key.
    pub criterion: &'static str,
    /// What is, and what should be.
    pub why: String,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Run it again after this long.
    Retry(Duration),
    /// Park it.
    Park(Parks),
    /// Take it back.
    Undo {
        /// With its saga.
        saga: bool,
    },
    /// Call the rule's tool.
    Call {
        /// And park it.
        park: bool,
    },
    /// Give it up.
    Discard,
    /// Archive it.
    Archive,
    /// Nothing: the rule has acted since the last run.
    Acted,
    /// Nothing: the rule has acted as often as it may.
    Spent,
}

/// Why a letter is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parks {
    /// The rule says so.
    Told,
    /// The rule's runs, or its time, are used up, and no rule after it matches.
    UsedUp,
    /// It was to be taken back and cannot be.
    NotUndoable,
}

impl Does {
    /// Whether anything is done.
    #[must_use]
    pub fn acts(self) -> bool {
        !matches!(self, Self::Acted | Self::Spent)
    }
}

/// What `rules` say of `letter`. `random` is from 0 to 1, for the jitter.
#[must_use]
pub fn decide<'a>(rules: &'a [Playbook], letter: &Letter<'_>, random: f64) -> Verdict<'a> {
    let mut verdict = Verdict { passed: vec![], chosen: None, again: None };
    let mut used_up = None;
    for rule in rules {
        let fired = letter.fired.iter().find(|fired| *fired.rule == *rule.name);
        // It has decided about this run; those after it have nothing to say.
        if fired.is_some_and(|fired| fired.this_run) {
            verdict.chosen = Some((rule, Does::Acted));
            return verdict;
        }
        if let Some(miss) = rule.misses(letter) {
            if let Some(min) = rule.when.age.min.filter(|min| letter.age < *min)
                && rule.misses(&Letter { age: min, ..*letter }).is_none()
            {
                let left = min - letter.age;
                verdict.again = Some(verdict.again.map_or(left, |again| again.min(left)));
            }
            verdict.passed.push((rule, miss));
            continue;
        }
        let spent = rule.action.limit().zip(fired).is_some_and(|(limit, fired)| fired.times >= limit);
        let does = match &rule.action {
            _ if spent => Does::Spent,
            Action::Retry { policy, .. } => match retry(policy, letter, random) {
                Ok(after) => Does::Retry(after),
                Err(miss) => {
                    used_up.get_or_insert(rule);
                    verdict.passed.push((rule, miss));
                    continue;
                }
            },
            Action::Park => Does::Park(Parks::Told),
            Action::Undo { .. } if !letter.undoable => Does::Park(Parks::NotUndoable),
            Action::Undo { saga, .. } => Does::Undo { saga: *saga },
            Action::Call { park, .. } => Does::Call { park: *park },
            Action::Discard => Does::Discard,
            Action::Archive => Does::Archive,
        };
        verdict.chosen = Some((rule, does));
        return verdict;
    }
    verdict.chosen = used_up.map(|rule| (rule, Does::Park(Parks::UsedUp)));
    verdict
}

/// After how long the letter runs again; or what is used up.
fn retry(policy: &RedeliveryPolicy, letter: &Letter<'_>, random: f64) -> Result<Duration, Miss> {
    let refused = letter.kind.is_some_and(is_refusal);
    if !refused && letter.tries >= policy.retry.attempts {
        let why = format!("it has run {} times, and may {}", letter.tries, policy.retry.attempts);
        return Err(Miss { criterion: "strategy", why });
    }
    if letter.age >= policy.max_age {
        return Err(Miss { criterion: "max_age", why: format!("it is older than {}", span(policy.max_age)) });
    }
    let after = policy.retry.delay(letter.tries.max(1), random);
    // Who refuses says when: asked earlier, it would refuse again, and that spends no try.
    Ok(if refused { after.max(letter.due_in) } else { after })
}

impl fmt::Display for Does {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(after) => write!(f, "it is run again in {}", span(*after)),
            Self::Park(Parks::Told) => f.write_str("it is parked"),
            Self::Park(Parks::UsedUp) => f.write_str("it is parked: the rule's runs or its time are used up"),
            Self::Park(Parks::NotUndoable) => f.write_str("it is parked: what it did cannot be taken back"),
            Self::Undo { saga: false } => f.write_str("what it did is taken back, and it is given up"),
            Self::Undo { saga: true } => f.write_str("its saga is taken back, and it is given up"),
            Self::Call { park: false } => f.write_str("the rule's tool is called about it"),
            Self::Call { park: true } => f.write_str("it is parked, and the rule's tool is called about it"),
            Self::Discard => f.write_str("it is given up"),
            Self::Archive => f.write_str("it is moved to the archive"),
            Self::Acted => f.write_str("nothing: the rule has acted since its last run"),
            Self::Spent => f.write_str("nothing more: the rule has acted as often as it may"),
        }
    }
}
