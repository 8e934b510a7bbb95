//! What rules would do with a letter now, without doing it.

use serde::Serialize;
use skillhost_core::CallId;
use skillhost_journal::{JournalError, Timestamp};
use skillhost_policy::playbook::decide;

use super::{super::Recovery, done, seen, template, untouchable};

/// What rules would do with a letter now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Foreseen {
    /// The rules that are asked before, and why they do not match.
    pub passed: Vec<Passed>,
    /// The rule that matches.
    pub rule: Option<String>,
    /// What it does.
    pub action: Option<&'static str>,
    /// The same, or why nothing is done, in words.
    pub does: String,
    /// When rules are asked again, if one waits for the letter's age.
    pub again: Option<Timestamp>,
}

/// A rule that does not match.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Passed {
    /// Its name.
    pub rule: String,
    /// The first criterion that does not hold, by its key.
    pub criterion: &'static str,
    /// What is, and what should be.
    pub why: String,
}

impl Recovery {
    /// What rules would do with a letter now; none where there are no rules.
    pub(in crate::recovery) async fn foreseen(&self, id: CallId) -> Result<Option<Foreseen>, JournalError> {
        let rules = self.playbooks();
        if rules.is_empty() {
            return Ok(None);
        }
        let nothing = |why: &str| Foreseen {
            passed: vec![],
            rule: None,
            action: None,
            does: format!("nothing: {why}"),
            again: None,
        };
        let Some(resting) = self.journal.resting(id).await? else {
            return Ok(Some(nothing("rules are asked about letters that wait or are parked")));
        };
        if let Some(why) = untouchable(&resting) {
            return Ok(Some(nothing(why)));
        }
        let (now, done) = (self.now(), done(&resting));
        // The longest that it may be, where there is jitter.
        let verdict = decide(&rules, &seen(&resting, &done, now), 1.0);
        let passed = verdict.passed.iter().map(|(rule, miss)| Passed {
            rule: rule.name.to_string(),
            criterion: miss.criterion,
            why: miss.why.clone(),
        });
        Ok(Some(Foreseen {
            passed: passed.collect(),
            rule: verdict.chosen.map(|(rule, _)| rule.name.to_string()),
            action: verdict.chosen.map(|(rule, _)| rule.action.word()),
            does: match verdict.chosen {
                None => "nothing: no rule matches".to_owned(),
                Some((rule, does)) => match template(rule).filter(|_| does.acts()) {
                    Some((tool, _)) => format!("{does}: {tool}"),
                    None => does.to_string(),
                },
            },
            again: verdict.again.map(|after| now.plus(after)),
        }))
    }
}
