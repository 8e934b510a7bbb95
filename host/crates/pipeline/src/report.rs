//! How every policy stands, for people and machines that ask.

use std::{collections::BTreeMap, time::Instant};

use serde::Serialize;
use skillhost_policy::{CircuitBreaker, RateLimiter, RateStats, State};

use crate::{
    CacheStats,
    cache::ResultCache,
    registry::{Registry, SkillState, ToolState},
};

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyReport {
    /// The limit over all calls, where there is one.
    pub rate_limit: Option<RateReport>,
    /// The callers, where something is limited by caller.
    pub callers: Option<CallersReport>,
    /// Kept results.
    pub cache: CacheStats,
    /// Skills that were called, by name.
    pub skills: BTreeMap<String, SkillReport>,
}

/// All callers together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallersReport {
    /// How many are told apart now, about.
    pub known: u64,
    /// Their rate limits, where they have some.
    pub rate_limit: Option<RateReport>,
}

/// One skill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SkillReport {
    /// Its breaker.
    pub breaker: BreakerReport,
    /// Its rate limit, where it has one.
    pub rate_limit: Option<RateReport>,
    /// Its turns, where they are limited; first those of clients' calls, then by depth of nesting.
    pub concurrency: Vec<ConcurrencyReport>,
    /// Retries that are left to it.
    pub retry_budget: f64,
    /// Tools that have a breaker or a rate limit of their own.
    pub tools: BTreeMap<String, ToolReport>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolReport {
    /// Its own breaker.
    pub breaker: Option<BreakerReport>,
    /// Its own rate limit.
    pub rate_limit: Option<RateReport>,
}

/// A breaker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BreakerReport {
    /// closed, open, half-open, forced-open, disabled or metrics-only.
    pub state: &'static str,
    /// Why it opened last.
    pub reason: Option<String>,
    /// What is left of the open time.
    pub remaining_ms: Option<u64>,
    /// Failures in a row.
    pub consecutive: u32,
    /// Calls in the window.
    pub calls: u32,
    /// Failures in the window.
    pub failures: u32,
    /// Slow calls in the window.
    pub slow: u32,
    /// Calls refused since the start.
    pub not_permitted: u64,
    /// Times it opened since the start.
    pub opened: u64,
    /// Results that came after the state that had let them through.
    pub late: u64,
    /// How long ago a call failed.
    pub last_failure_ms: Option<u64>,
}

impl BreakerReport {
    /// Whether it keeps calls off, or lets only some through to see.
    #[must_use]
    pub fn keeps_off(&self) -> bool {
        matches!(self.state, "open" | "half-open" | "forced-open")
    }

    /// The words for the states that it may be in.
    pub const STATES: [&'static str; 6] = [
        State::Closed.as_str(),
        State::Open.as_str(),
        State::HalfOpen.as_str(),
        State::ForcedOpen.as_str(),
        State::Disabled.as_str(),
        State::MetricsOnly.as_str(),
    ];
}

/// A rate limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateReport {
    /// Calls let through.
    pub allowed: u64,
    /// Calls refused, or that would have been in shadow mode.
    pub rejected: u64,
    /// Of all, 0 to 1.
    pub rejection_rate: f64,
    /// Calls that waited.
    pub waited: u64,
    /// How long those waited.
    pub average_wait_ms: f64,
    /// Tokens there are.
    pub tokens: Option<f64>,
}

/// Turns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConcurrencyReport {
    /// Calls that run.
    pub running: u32,
    /// Calls that wait.
    pub waiting: u32,
    /// Calls that were refused.
    pub refused: u64,
}

pub(crate) fn of(registry: &Registry, cache: &ResultCache, now: Instant) -> PolicyReport {
    let host = registry.host();
    PolicyReport {
        rate_limit: host.rate.as_deref().map(|limiter| rate(limiter, now)),
        callers: host.by_caller().then(|| CallersReport {
            known: host.callers(),
            rate_limit: host.policy.caller_rate_limit.map(|_| figures(&host.caller_counts.stats(None))),
        }),
        cache: cache.stats(),
        skills: registry.skills().iter().map(|(name, state)| (name.to_string(), skill(state, now))).collect(),
    }
}

fn skill(state: &SkillState, now: Instant) -> SkillReport {
    let own = |(name, tool): (&String, &std::sync::Arc<ToolState>)| {
        let report = ToolReport {
            breaker: tool.breaker.as_deref().map(|own| breaker(own, now)),
            rate_limit: tool.rate.as_deref().map(|limiter| rate(limiter, now)),
        };
        (report.breaker.is_some() || report.rate_limit.is_some()).then(|| (name.clone(), report))
    };
    SkillReport {
        breaker: breaker(&state.breaker, now),
        rate_limit: state.rate.as_deref().map(|limiter| rate(limiter, now)),
        concurrency: state
            .all_slots()
            .iter()
            .map(|slots| {
                let (running, waiting, refused) = slots.figures();
                ConcurrencyReport { running, waiting, refused }
            })
            .collect(),
        retry_budget: state.budget.left(now),
        tools: state.tools().filter_map(own).collect(),
    }
}

fn breaker(breaker: &CircuitBreaker, now: Instant) -> BreakerReport {
    let snapshot = breaker.snapshot(now);
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    BreakerReport {
        state: snapshot.state.as_str(),
        reason: snapshot.reason,
        remaining_ms: snapshot.remaining.map(millis),
        consecutive: snapshot.consecutive,
        calls: snapshot.calls,
        failures: snapshot.failures,
        slow: snapshot.slow,
        not_permitted: snapshot.not_permitted,
        opened: snapshot.opened,
        late: snapshot.late,
        last_failure_ms: snapshot.last_failure.map(millis),
    }
}

fn rate(limiter: &RateLimiter, now: Instant) -> RateReport {
    figures(&limiter.stats(now))
}

fn figures(stats: &RateStats) -> RateReport {
    RateReport {
        allowed: stats.allowed,
        rejected: stats.rejected,
        rejection_rate: stats.rejection_rate(),
        waited: stats.waited,
        average_wait_ms: stats.average_wait.as_secs_f64() * 1e3,
        tokens: stats.tokens,
    }
}
