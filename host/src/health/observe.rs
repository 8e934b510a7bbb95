//! What was seen, as samples of metrics.

use skillhost_journal::{Figures, SagaState, State, Timestamp};
use skillhost_pipeline::{BreakerReport, PolicyReport, RateReport};
use skillhost_telemetry::{Metric, Sample};

use super::{Report, Seen, judge::Status, machine};

/// Letters that are parked, and sagas that are stuck: somebody must look at them.
pub(super) fn waiting(figures: &Figures) -> (u64, u64) {
    let parked = figures.queues.iter().filter(|queue| queue.state == State::Parked);
    let stuck = figures.sagas.iter().filter(|(state, _)| *state == SagaState::Stuck);
    (parked.map(|queue| queue.letters).sum(), stuck.map(|(_, count)| count).sum())
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes fit")]
pub(super) fn samples(seen: &Seen, report: &Report, left_out: u64, now: Timestamp) -> Vec<Sample> {
    let mut all = vec![
        Sample::of(Metric::CallsInFlight, seen.in_flight as f64),
        Sample::of(Metric::LogSuppressed, left_out as f64),
        Sample::of(Metric::Ready, f64::from(u8::from(report.ready))),
        Sample::of(Metric::Uptime, seen.uptime.as_secs_f64()),
        Sample::with(Metric::BuildInfo, 1.0, [report.version]),
    ];
    for (part, seen) in &report.parts {
        let status = match seen.status {
            Status::Ok => 0.0,
            Status::Warning => 1.0,
            Status::Critical => 2.0,
        };
        all.push(Sample::with(Metric::Health, status, [part]));
    }
    all.extend(seen.disk.map(|room| Sample::of(Metric::DataFree, room.free as f64)));
    all.extend(seen.memory.map(|room| Sample::of(Metric::MemoryAvailable, room.free as f64)));
    if let Some(process) = machine::process() {
        all.push(Sample::of(Metric::ProcessMemory, process.memory as f64));
        all.push(Sample::of(Metric::ProcessCpu, process.cpu_seconds));
        all.push(Sample::of(Metric::ProcessFds, process.files as f64));
        all.push(Sample::of(Metric::ProcessStart, process.started));
    }
    for word in ["waiting", "compiling", "ready", "failed"] {
        let count = seen.catalog.skills.values().filter(|skill| skill.state.as_str() == word).count();
        all.push(Sample::with(Metric::Skills, count as f64, [word]));
    }
    policies(&seen.policies, &mut all);
    if let Some(figures) = &seen.figures {
        journal(figures, now, &mut all);
    }
    all
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes fit")]
fn policies(report: &PolicyReport, all: &mut Vec<Sample>) {
    let cache = &report.cache;
    all.push(Sample::with(Metric::CacheRequests, cache.hits as f64, ["hit"]));
    all.push(Sample::with(Metric::CacheRequests, cache.misses as f64, ["miss"]));
    all.push(Sample::of(Metric::CacheEntries, cache.entries as f64));
    all.push(Sample::of(Metric::CacheBytes, cache.bytes as f64));
    let mut rate = |labels: [&str; 3], rate: Option<&RateReport>| {
        let Some(rate) = rate else { return };
        all.push(Sample::with(Metric::RateAllowed, rate.allowed as f64, labels));
        all.push(Sample::with(Metric::RateRejected, rate.rejected as f64, labels));
        all.push(Sample::with(Metric::RateWaited, rate.waited as f64, labels));
        all.extend(rate.tokens.map(|tokens| Sample::with(Metric::RateTokens, tokens, labels)));
    };
    rate(["host", "", ""], report.rate_limit.as_ref());
    rate(["callers", "", ""], report.callers.as_ref().and_then(|callers| callers.rate_limit.as_ref()));
    for (skill, state) in &report.skills {
        rate(["skill", skill, ""], state.rate_limit.as_ref());
        for (tool, state) in &state.tools {
            rate(["tool", skill, tool], state.rate_limit.as_ref());
        }
    }
    for (skill, state) in &report.skills {
        breaker([skill, ""], &state.breaker, all);
        for (tool, state) in &state.tools {
            if let Some(own) = &state.breaker {
                breaker([skill, tool], own, all);
            }
        }
        all.push(Sample::with(Metric::RetryBudget, state.retry_budget, [skill]));
        if !state.concurrency.is_empty() {
            let sum = |count: fn(&skillhost_pipeline::ConcurrencyReport) -> u64| {
                state.concurrency.iter().map(count).sum::<u64>() as f64
            };
            all.push(Sample::with(Metric::ConcurrencyInUse, sum(|turns| turns.running.into()), [skill]));
            all.push(Sample::with(Metric::ConcurrencyWaiting, sum(|turns| turns.waiting.into()), [skill]));
            all.push(Sample::with(Metric::ConcurrencyRefused, sum(|turns| turns.refused), [skill]));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
fn breaker([skill, tool]: [&str; 2], report: &BreakerReport, all: &mut Vec<Sample>) {
    for state in BreakerReport::STATES {
        let is = f64::from(u8::from(state == report.state));
        all.push(Sample::with(Metric::BreakerState, is, [skill, tool, state]));
    }
    all.push(Sample::with(Metric::BreakerNotPermitted, report.not_permitted as f64, [skill, tool]));
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes fit")]
fn journal(figures: &Figures, now: Timestamp, all: &mut Vec<Sample>) {
    for queue in &figures.queues {
        let labels = [queue.state.as_str(true), queue.priority.as_str()];
        all.push(Sample::with(Metric::DeadLetters, queue.letters as f64, labels));
    }
    // There all the time, so that an alert on them does not depend on there having been one.
    for state in [State::Waiting, State::Parked] {
        let queues = || figures.queues.iter().filter(|queue| queue.state == state);
        if queues().next().is_none() {
            all.push(Sample::with(Metric::DeadLetters, 0.0, [state.as_str(true), "normal"]));
        }
        let age = queues()
            .filter_map(|queue| queue.oldest)
            .min()
            .map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
        all.push(Sample::with(Metric::DeadLetterAge, age, [state.as_str(true)]));
    }
    all.push(Sample::of(Metric::DeadLetterCapacity, figures.capacity as f64));
    for state in SagaState::ALL {
        let count = figures.sagas.iter().find(|(found, _)| *found == state).map_or(0, |(_, count)| *count);
        all.push(Sample::with(Metric::Sagas, count as f64, [state.as_str()]));
    }
    all.push(Sample::of(Metric::SagaStuck, waiting(figures).1 as f64));
    all.push(Sample::of(Metric::JournalSize, figures.size as f64));
}
