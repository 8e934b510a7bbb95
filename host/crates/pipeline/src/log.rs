//! The line that each call leaves in the log.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use skillhost_core::{Clock, Entry, Failure, FailureKind, text::bounded};
use skillhost_policy::{Findings, secret};
use skillhost_telemetry::{Metrics, ToolLabels, trace};
use tracing::Span;

use crate::{ToolPolicy, attempts::Tally};

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

/// Counts a call once, also when it is dropped half-way.
#[derive(Default)]
pub(crate) struct Counted {
    metrics: Metrics,
    began: Option<(Instant, Arc<dyn Clock>)>,
    labels: Option<ToolLabels>,
}

impl Counted {
    /// A call of this tool has begun.
    pub(crate) fn begin(
        &mut self,
        metrics: &Metrics,
        began: Instant,
        clock: &Arc<dyn Clock>,
        labels: ToolLabels,
    ) {
        if metrics.is_on() {
            *self = Self {
                metrics: metrics.clone(),
                began: Some((began, Arc::clone(clock))),
                labels: Some(labels),
            };
        }
    }

    /// It has ended.
    pub(crate) fn end(mut self, metrics: &Metrics, outcome: &'static str, took: Duration) {
        if metrics.is_on() {
            // There may be no such tool.
            let nobodys = || ToolLabels::new("".into(), "".into());
            metrics.call(&self.labels.take().unwrap_or_else(nobodys), outcome, took);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let (Some(labels), Some((began, clock))) = (&self.labels, &self.began) {
            let took = clock.now().saturating_duration_since(*began);
            self.metrics.call(labels, FailureKind::Cancelled.code(), took);
        }
    }
}

/// How a call, or a round of one, ended.
#[derive(Clone, Copy)]
pub(crate) enum End<'a> {
    /// Its tool answered; whether with "no".
    Replied {
        is_error: bool,
    },
    /// Nobody knows yet: its client is told that it goes on.
    Accepted,
    Failed(&'a Failure),
}

impl End<'_> {
    /// In a word, as metrics and log lines have it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Replied { is_error: true } => "is-error",
            Self::Replied { is_error: false } => "ok",
            Self::Accepted => "accepted",
            Self::Failed(failure) => failure.kind.code(),
        }
    }
}

impl<'a> From<Result<bool, &'a Failure>> for End<'a> {
    fn from(result: Result<bool, &'a Failure>) -> Self {
        match result {
            Ok(is_error) => Self::Replied { is_error },
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// What a trace shows of a call's end.
pub(crate) fn traced(span: &Span, end: End<'_>, tally: &Tally) {
    match end {
        End::Replied { is_error: false } | End::Accepted => {}
        _ => trace::failed(span, end.word()),
    }
    if tally.attempts > 0 {
        trace::note(span, "skillhost.attempts", i64::from(tally.attempts));
        trace::note(span, "skillhost.fuel", i64::try_from(tally.usage.fuel).unwrap_or(i64::MAX));
    }
}

/// Bytes of a call's arguments in the log.
const MAX_ARGUMENTS: usize = 1 << 10;

/// A call's arguments without what is secret in them.
pub(crate) fn logged(text: &str, entry: &Entry, policy: &ToolPolicy) -> String {
    let marked = secret::marked(entry.spec.input.raw());
    let pointers = marked.iter().chain(policy.secret_arguments.iter()).map(String::as_str);
    // What does not parse was refused before.
    let mut value = serde_json::from_str(text).unwrap_or_default();
    let _ = secret::take(&mut value, pointers);
    bounded(value.to_string(), MAX_ARGUMENTS)
}

/// One line a call, at a level that fits.
pub(crate) fn told(end: End<'_>, tally: &Tally, cached: Option<Duration>, took: Duration) {
    let Tally { usage, attempts: attempt, findings, .. } = tally;
    let (fuel, memory) = (usage.fuel, usage.memory);
    let (took_ms, queued_ms) = (millis(took), millis(usage.queued));
    if !findings.is_empty() {
        let Findings { hidden, escapes, instructions } = *findings;
        tracing::warn!(hidden, escapes, instructions, "the skill's answer held what the filter looks for");
    }
    let outcome = end.word();
    match end {
        End::Replied { .. } | End::Accepted => {
            let cached = cached.is_some();
            // From two places: a flood of what went well hides none that did not.
            if outcome == "ok" {
                tracing::info!(outcome, attempt, cached, took_ms, queued_ms, fuel, memory, "call done");
            } else {
                tracing::info!(outcome, attempt, cached, took_ms, queued_ms, fuel, memory, "call done");
            }
        }
        End::Failed(failure) => {
            let reason = &failure.message;
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
