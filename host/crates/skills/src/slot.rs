//! What the directory knows of one skill: a small state machine, without I/O.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use skillhost_core::{Digest, SkillState, SkillStatus, ToolName};
use skillhost_engine::Skill;
use tokio::{task::AbortHandle, time::Instant};

use crate::{SkillSettings, offer::Offers, scan::Found};

/// A version that serves calls.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) digest: Digest,
    pub(crate) offers: Arc<Offers>,
    pub(crate) skill: Arc<Skill>,
    /// Its number among all loads of all skills, in their order.
    pub(crate) loaded: u64,
    /// What it was loaded with.
    pub(crate) settings: Arc<SkillSettings>,
}

/// One skill of the directory.
pub(crate) struct Slot {
    /// What the file was when it was last looked at.
    pub(crate) found: Found,
    pub(crate) state: SkillState,
    pub(crate) since: SystemTime,
    pub(crate) serving: Option<Version>,
    /// Grows with each version of the file; answers to older loads are stale.
    pub(crate) generation: u64,
    loading: Option<AbortHandle>,
    /// When to load the same file again.
    pub(crate) retry_at: Option<Instant>,
    retries: u32,
    /// Whether the last word on it was that it cannot be loaded.
    pub(crate) ill: bool,
}

/// Loading the same file again, in seconds after each failure.
const RETRIES: [u64; 5] = [1, 4, 15, 60, 240];

impl Slot {
    pub(crate) fn new(found: Found, now: SystemTime) -> Self {
        Self {
            found,
            state: SkillState::Waiting,
            since: now,
            serving: None,
            generation: 0,
            loading: None,
            retry_at: None,
            retries: 0,
            ill: false,
        }
    }

    /// Enter `state`. Answers whether that is a change.
    pub(crate) fn enter(&mut self, state: SkillState, now: SystemTime) -> bool {
        if self.state == state {
            return false;
        }
        self.state = state;
        self.since = now;
        true
    }

    /// The file has another version: what was being loaded is of no use any more.
    pub(crate) fn replaced(&mut self, found: Found, now: SystemTime) -> u64 {
        self.abort();
        (self.retry_at, self.retries) = (None, 0);
        self.found = found;
        self.generation += 1;
        self.enter(SkillState::Waiting, now);
        self.generation
    }

    /// It failed for a reason that may pass: try again, a few times.
    pub(crate) fn retry_later(&mut self, now: Instant) {
        let wait = RETRIES.get(self.retries as usize).copied().map(Duration::from_secs);
        self.retries += 1;
        self.retry_at = wait.map(|wait| now + wait);
    }

    pub(crate) fn loading(&mut self, task: AbortHandle) {
        self.loading = Some(task);
    }

    /// Stop loading, when the skill goes away.
    pub(crate) fn abort(&mut self) {
        if let Some(task) = self.loading.take() {
            task.abort();
        }
    }

    /// Whether the newest version was tried to the end.
    pub(crate) fn settled(&self) -> bool {
        matches!(self.state, SkillState::Ready | SkillState::Failed(_))
    }

    pub(crate) fn status(&self, name: &skillhost_core::SkillName) -> SkillStatus {
        SkillStatus {
            name: name.clone(),
            state: self.state.clone(),
            serving: self.serving.as_ref().map(|version| version.digest),
            since: self.since,
            tools: vec![],
            contested: vec![],
        }
    }
}

/// Tools in both versions that a model would see otherwise now: a sign of an honest update, or of a skill
/// that changed its mind after it was approved.
pub(crate) fn changed_tools<'a>(old: &Version, new: &'a Version) -> Vec<&'a ToolName> {
    let (old, new) = (&old.offers.tools, &new.offers.tools);
    new.iter()
        .filter(|new| old.iter().any(|old| old.name == new.name && old.spec != new.spec))
        .map(|new| &new.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_tried_again_a_few_times_and_a_new_one_from_the_start() {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let mut slot = Slot::new(Found::Refused(String::new()), wall);
        for seconds in RETRIES {
            slot.retry_later(now);
            assert_eq!(slot.retry_at, Some(now + Duration::from_secs(seconds)));
        }
        slot.retry_later(now);
        assert_eq!(slot.retry_at, None);
        slot.replaced(Found::Refused(String::new()), wall);
        slot.retry_later(now);
        assert_eq!(slot.retry_at, Some(now + Duration::from_secs(RETRIES[0])));
    }
}
