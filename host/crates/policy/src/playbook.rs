//! Playbooks: what an operator has decided beforehand about dead letters that come to rest. Rules are asked in the order they
//! are written, and the first that matches says what is done.
//!
//! What keeps rules from doing harm is decided here, too: what may have taken effect is not run again unless the rule says so
//! itself; a rule acts once a run of a letter, and none that stands after one that has acted is asked about that run, so that
//! asking again, after a restart or with new rules, never makes a circle.

mod decide;
mod pattern;
mod template;

use std::{sync::Arc, time::Duration};

use skillhost_core::{Effect, FailureKind};

use crate::RedeliveryPolicy;
pub use decide::{Does, Fired, Letter, Miss, Parks, Verdict, decide};
pub use pattern::{Glob, Pattern};
pub use template::{PLACEHOLDERS, Template};

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Playbook {
    /// Names it in histories; unique. What it has done to a letter is counted by its name.
    pub name: Arc<str>,
    /// Which letters it is about.
    pub when: When,
    /// What it does with them.
    pub action: Action,
}

/// Which letters. Everything that is said must hold; one that says nothing means all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct When {
    /// Of these skills.
    pub skill: Option<Glob>,
    /// Of these tools, by their full names.
    pub tool: Option<Glob>,
    /// Whose last run failed as one of these; any, when there are none.
    pub kinds: Vec<FailureKind>,
    /// Whose last failure's message holds this.
    pub message: Option<Pattern>,
    /// With so many runs that counted, in all.
    pub attempts: Within<u32>,
    /// That have been letters for so long.
    pub age: Within<Duration>,
    /// That wait, or are parked: what was decided for them without rules.
    pub parked: Option<bool>,
    /// That may have taken effect, or certainly have not.
    pub effect: Option<Effect>,
    /// With one of these priorities, by their words; any, when there are none.
    pub priorities: Vec<&'static str>,
}

/// From one value to another, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Within<T> {
    /// At least.
    pub min: Option<T>,
    /// At most.
    pub max: Option<T>,
}

impl<T: PartialOrd + Copy> Within<T> {
    fn holds(self, value: T) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }

    /// Whether it lets everything through that `other` does.
    fn covers(self, other: Self) -> bool {
        let from = self.min.is_none_or(|min| other.min.is_some_and(|other| other >= min));
        from && self.max.is_none_or(|max| other.max.is_some_and(|other| other <= max))
    }
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Run it again. When its runs or its age are used up, the rules after it are asked; when none of them matches, it is
    /// parked.
    Retry {
        /// When, and how often: runs since it was last replayed by hand; the age is a letter's.
        policy: RedeliveryPolicy,
        /// Also when it may have taken effect and does harm when it runs twice.
        even_if_unknown: bool,
    },
    /// Leave it for somebody to judge.
    Park,
    /// Take back what it did, and give it up. One that cannot be taken back is parked.
    Undo {
        /// With the saga that it is part of, if it is.
        saga: bool,
        /// How often in the life of a letter.
        limit: u32,
    },
    /// Call a tool about it. The letter stays as it is.
    Call {
        /// The tool's full name.
        tool: Arc<str>,
        /// What to call it with.
        arguments: Template,
        /// Whether the letter is parked as well.
        park: bool,
        /// How often in the life of a letter.
        limit: u32,
    },
    /// Give it up. Its key is free again when it certainly took no effect.
    Discard,
    /// Move it to the archive.
    Archive,
}

impl Action {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Park => "park",
            Self::Undo { .. } => "undo",
            Self::Call { .. } => "call",
            Self::Discard => "discard",
            Self::Archive => "archive",
        }
    }

    fn limit(&self) -> Option<u32> {
        match self {
            Self::Undo { limit, .. } | Self::Call { limit, .. } => Some(*limit),
            _ => None,
        }
    }
}

impl Playbook {
    /// The first criterion that does not hold.
    #[must_use]
    pub fn misses(&self, letter: &Letter<'_>) -> Option<Miss> {
        let When { skill, tool, kinds, message, attempts, age, parked, effect, priorities } = &self.when;
        let miss = |criterion, why: String| Some(Miss { criterion, why });
        if let Some(glob) = skill.as_ref().filter(|glob| !glob.matches(letter.skill)) {
            return miss("skill", format!("it is of `{}`, not of `{glob}`", letter.skill));
        }
        if let Some(glob) = tool.as_ref().filter(|glob| !glob.matches(letter.tool)) {
            return miss("tool", format!("it called `{}`, not `{glob}`", letter.tool));
        }
        if !kinds.is_empty() && !letter.kind.is_some_and(|kind| kinds.contains(&kind)) {
            let kind = letter.kind.map_or("something unknown", FailureKind::code);
            let wanted: Vec<_> = kinds.iter().map(|kind| kind.code()).collect();
            return miss("kind", format!("it failed with {kind}, not with {}", wanted.join(" or ")));
        }
        if let Some(pattern) = message.as_ref().filter(|pattern| !pattern.is_in(letter.message)) {
            return miss("message", format!("what its failure says does not hold `{pattern}`"));
        }
        if !attempts.holds(letter.attempts) {
            return miss(
                "attempts",
                format!("it has run {} times, not {}", letter.attempts, range(attempts, u32::to_string)),
            );
        }
        if !age.holds(letter.age) {
            let wanted = range(age, |age| span(*age));
            return miss("age", format!("it has been a letter for {}, not for {wanted}", span(letter.age)));
        }
        if parked.is_some_and(|parked| parked != letter.parked) {
            let (is, not) = if letter.parked { ("is parked", "waiting") } else { ("waits", "parked") };
            return miss("state", format!("it {is}, and is not {not}"));
        }
        if effect.is_some_and(|effect| (effect == Effect::Unknown) != letter.unknown) {
            let is = if letter.unknown { "it may have taken effect" } else { "it certainly took no effect" };
            return miss("effect", is.into());
        }
        if !priorities.is_empty() && !priorities.contains(&letter.priority) {
            return miss("priority", format!("it is {}, not {}", letter.priority, priorities.join(" or ")));
        }
        match self.action {
            Action::Retry { even_if_unknown: false, .. } if letter.unknown && !letter.safe => miss(
                "even_if_unknown",
                "it may have taken effect, and its tool is neither read-only nor idempotent".into(),
            ),
            _ => None,
        }
    }

    /// Whether `later`, which stands behind it, can never be asked about anything.
    #[must_use]
    pub fn covers(&self, later: &Self) -> bool {
        // A retry is used up one day, and then those behind it are asked.
        let always = !matches!(self.action, Action::Retry { .. });
        let (own, other) = (&self.when, &later.when);
        fn same<T: PartialEq>(own: &Option<T>, other: &Option<T>) -> bool {
            own.is_none() || own == other
        }
        fn part<T: PartialEq>(own: &[T], other: &[T]) -> bool {
            own.is_empty() || !other.is_empty() && other.iter().all(|one| own.contains(one))
        }
        always
            && same(&own.skill, &other.skill)
            && same(&own.tool, &other.tool)
            && part(&own.kinds, &other.kinds)
            && same(&own.message, &other.message)
            && own.attempts.covers(other.attempts)
            && own.age.covers(other.age)
            && same(&own.parked, &other.parked)
            && same(&own.effect, &other.effect)
            && part(&own.priorities, &other.priorities)
    }
}

fn range<T>(within: &Within<T>, told: impl Fn(&T) -> String) -> String {
    match (&within.min, &within.max) {
        (Some(min), Some(max)) => format!("{} to {}", told(min), told(max)),
        (Some(min), None) => format!("{} or more", told(min)),
        (None, Some(max)) => format!("{} or less", told(max)),
        (None, None) => "any".into(),
    }
}

/// A span for people, in its two largest units.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [
        ("d", seconds / 86_400),
        ("h", seconds / 3_600 % 24),
        ("min", seconds / 60 % 60),
        ("s", seconds % 60),
    ];
    let said: Vec<_> =
        units.iter().filter(|(_, n)| *n > 0).take(2).map(|(unit, n)| format!("{n} {unit}")).collect();
    if said.is_empty() { format!("{} ms", span.as_millis()) } else { said.join(" ") }
}

#[cfg(all(test, not(skillhost_loom)))]
mod tests;
