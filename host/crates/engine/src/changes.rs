//! What a skill says has changed, told when its call is over: what it announces may be written last.

use std::collections::HashSet;

use skillhost_core::{Announced, SkillName};
use tokio::sync::mpsc;

/// Changes that one call may announce.
const MAX: usize = 1_000;
/// Changes that may wait to be told.
pub(crate) const QUEUE: usize = 4_096;

/// A change of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whose.
    pub skill: SkillName,
    /// What.
    pub change: Announced,
}

/// What one call has announced.
pub(crate) struct Changes {
    skill: SkillName,
    announced: HashSet<Announced>,
    notices: mpsc::Sender<Notice>,
}

impl Changes {
    pub(crate) fn new(skill: SkillName, notices: mpsc::Sender<Notice>) -> Self {
        Self { skill, announced: HashSet::new(), notices }
    }

    pub(crate) fn has(&self, change: &Announced) -> bool {
        self.announced.contains(change)
    }

    /// Note a change; whether there was room for it.
    pub(crate) fn note(&mut self, change: Announced) -> bool {
        if self.announced.len() >= MAX && !self.announced.contains(&change) {
            return false;
        }
        self.announced.insert(change);
        true
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.tell();
    }
}

impl Changes {
    /// Tell what was announced.
    pub(crate) fn tell(&mut self) {
        for change in self.announced.drain() {
            if self.notices.try_send(Notice { skill: self.skill.clone(), change }).is_err() {
                tracing::warn!(skill = %self.skill, "so many changes are announced that some are not told");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once_at_the_end_and_only_so_many() {
        let (sender, mut receiver) = mpsc::channel(QUEUE);
        let mut changes = Changes::new(SkillName::new("a").unwrap(), sender);
        for n in 0..2 * MAX {
            assert_eq!(changes.note(Announced::Resource(format!("a://{n}"))), n < MAX);
        }
        assert!(changes.note(Announced::Resource("a://0".into())), "known already");
        assert!(receiver.try_recv().is_err(), "not before the end");
        drop(changes);
        assert_eq!(std::iter::from_fn(|| receiver.try_recv().ok()).count(), MAX);
    }
}
