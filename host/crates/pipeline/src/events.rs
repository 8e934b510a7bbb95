//! What operators are told of breakers.

use skillhost_core::SkillName;
use skillhost_policy::{State, Transition};
use skillhost_telemetry::{Metric, Metrics};

/// Whose breaker it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) skill: &'a SkillName,
    /// None when it is the skill's.
    pub(crate) tool: Option<&'a str>,
    pub(crate) metrics: &'a Metrics,
}

/// One line a transition.
pub(crate) fn told(whose: Whose<'_>, transitions: impl IntoIterator<Item = Transition>) {
    for Transition { from, to, reason, open_for } in transitions {
        let (skill, tool, from, state) = (whose.skill, whose.tool, from.as_str(), to.as_str());
        whose.metrics.count(Metric::BreakerTransitions, [skill.as_str(), tool.unwrap_or(""), state]);
        let open_ms = open_for.map(|open| u64::try_from(open.as_millis()).unwrap_or(u64::MAX));
        match to {
            State::Open | State::ForcedOpen => {
                tracing::warn!(%skill, tool, from, to = state, reason, open_ms, "circuit breaker opened");
            }
            State::Closed => tracing::info!(%skill, tool, from, to = state, reason, "circuit breaker closed"),
            _ => tracing::info!(%skill, tool, from, to = state, reason, "circuit breaker changed its state"),
        }
    }
}
