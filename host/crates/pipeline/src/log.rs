//! The line that each call leaves in the log.

use std::time::Duration;

use skillhost_core::{Failure, FailureKind};
use skillhost_policy::Findings;
use tracing::Span;

use crate::attempts::Tally;

/// Tells of a call whose caller went away without a word: its guest was ended with it.
pub(crate) struct Dropped {
    pub(crate) span: Option<Span>,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(span) = &self.span {
            let outcome = FailureKind::Cancelled.code();
            span.in_scope(|| tracing::info!(outcome, "call dropped: the client went away"));
        }
    }
}

/// One line a call, at a level that fits; of one that did not fail, whether its tool answered "no".
pub(crate) fn told(result: Result<bool, &Failure>, tally: &Tally, cached: Option<Duration>, took: Duration) {
    let Tally { usage, attempts: attempt, findings, .. } = tally;
    let (fuel, memory) = (usage.fuel, usage.memory);
    let (took_ms, queued_ms) = (millis(took), millis(usage.queued));
    if !findings.is_empty() {
        let Findings { hidden, escapes, instructions } = *findings;
        tracing::warn!(hidden, escapes, instructions, "the skill's answer held what the filter looks for");
    }
    match result {
        Ok(is_error) => {
            let outcome = if is_error { "is-error" } else { "ok" };
            let cached = cached.is_some();
            tracing::info!(outcome, attempt, cached, took_ms, queued_ms, fuel, memory, "call done");
        }
        Err(failure) => {
            let (outcome, reason) = (failure.kind.code(), &failure.message);
            match failure.kind {
                FailureKind::Internal => {
                    tracing::error!(
                        outcome,
                        reason,
                        attempt,
                        took_ms,
                        queued_ms,
                        fuel,
                        memory,
                        "call failed"
                    );
                }
                FailureKind::InvalidInput
                | FailureKind::UnknownTool
                | FailureKind::InputRequired
                | FailureKind::Cancelled => {
                    tracing::info!(outcome, attempt, took_ms, queued_ms, fuel, memory, "call failed");
                }
                _ => {
                    tracing::warn!(outcome, reason, attempt, took_ms, queued_ms, fuel, memory, "call failed");
                }
            }
        }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
