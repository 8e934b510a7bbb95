//! Policies written out in full, for `config show`: what a preset's name, or a table that leaves keys out, comes to.

use skillhost_policy::{
    BreakerSettings, CachePolicy, ConcurrencyLimit, Delays, Mode, RateLimit, RedeliveryPolicy,
    RetryBudgetSettings, RetryPolicy, UndoPolicy, Window,
};

use super::policies::{breaker, budget, cache, concurrency, rate_limit, retry, retry_over};
use crate::config::{
    ConfigError, Raw,
    raw::{self, Named},
};

impl Raw {
    /// The same with every policy written out.
    ///
    /// # Errors
    /// The first one that is wrong.
    pub(crate) fn expanded(mut self) -> Result<Self, ConfigError> {
        let limits = &mut self.limits;
        expand(&mut limits.rate_limit, |said| rate_limit("limits.rate_limit", said))?;
        expand(&mut limits.caller_rate_limit, |said| rate_limit("limits.caller_rate_limit", said))?;
        expand(&mut limits.caller_concurrency, |said| concurrency("limits.caller_concurrency", said))?;
        macro_rules! common {
            ($table:expr, $own:expr) => {{
                let (table, key) = ($table, |name| format!("{}.{name}", $own));
                expand(&mut table.rate_limit, |said| rate_limit(&key("rate_limit"), said))?;
                expand(&mut table.breaker, |said| breaker(&key("breaker"), said))?;
                expand(&mut table.retry, |said| retry(&key("retry"), said).map(Some))?;
                expand(&mut table.redelivery, |said| {
                    let base = RedeliveryPolicy::default();
                    retry_over(&key("redelivery"), said, &base.retry, 100).map(Some)
                })?;
                expand(&mut table.undo, |said| {
                    let base = UndoPolicy::default();
                    retry_over(&key("undo"), said, &base.retry, 100).map(Some)
                })?;
                expand(&mut table.cache, |said| cache(&key("cache"), said))?;
            }};
        }
        macro_rules! skill {
            ($table:expr, $own:expr) => {{
                let (table, key) = ($table, |name| format!("{}.{name}", $own));
                expand(&mut table.concurrency, |said| concurrency(&key("concurrency"), said))?;
                if table.retry_budget.is_some() {
                    let budget = budget(&key("retry_budget"), table.retry_budget.as_ref())?;
                    table.retry_budget = Some((&budget).into());
                }
            }};
        }
        common!(&mut self.defaults, "defaults");
        skill!(&mut self.defaults, "defaults");
        for (name, skill) in &mut self.skills {
            let own = format!("skills.{name}");
            common!(&mut *skill, own);
            skill!(&mut *skill, own);
            for (tool, table) in &mut skill.tools {
                common!(&mut *table, format!("{own}.tools.{tool}"));
            }
        }
        Ok(self)
    }
}

/// Write one out, if it is said and not off.
fn expand<T, P>(
    said: &mut Option<Named<T>>,
    check: impl FnOnce(Option<&Named<T>>) -> Result<Option<P>, ConfigError>,
) -> Result<(), ConfigError>
where
    T: for<'a> From<&'a P>,
{
    // What is not said stays so: it is inherited.
    if said.is_some()
        && let Some(policy) = check(said.as_ref())?
    {
        *said = Some(Named::Own(T::from(&policy)));
    }
    Ok(())
}

impl From<&RateLimit> for raw::RateLimit {
    fn from(limit: &RateLimit) -> Self {
        Self {
            preset: None,
            max: Some(limit.max),
            per_second: Some(limit.rate.get()),
            burst: Some(limit.burst),
            wait: Some(limit.wait),
            shadow: Some(limit.shadow),
        }
    }
}

impl From<&ConcurrencyLimit> for raw::Concurrency {
    fn from(limit: &ConcurrencyLimit) -> Self {
        Self { max: Some(limit.max), queue: Some(limit.queue), wait: Some(limit.wait) }
    }
}

impl From<&BreakerSettings> for raw::Breaker {
    fn from(settings: &BreakerSettings) -> Self {
        let (window_calls, window_time) = match settings.window {
            Window::Calls(calls) => (Some(calls), None),
            Window::Time(time) => (None, Some(time)),
        };
        Self {
            preset: None,
            mode: Some(match settings.mode {
                Mode::Normal => raw::BreakerMode::Normal,
                Mode::ForcedOpen => raw::BreakerMode::ForcedOpen,
                Mode::Disabled => raw::BreakerMode::Disabled,
                Mode::MetricsOnly => raw::BreakerMode::MetricsOnly,
            }),
            consecutive: Some(settings.consecutive.unwrap_or(0)),
            window_calls,
            window_time,
            min_calls: Some(settings.min_calls),
            failure_rate: Some(settings.failure_rate.unwrap_or(0.0)),
            slow_rate: Some(settings.slow_rate.unwrap_or(0.0)),
            slow_call: Some(settings.slow_call),
            open: Some(settings.open),
            growth: Some(settings.growth),
            max_open: Some(settings.max_open),
            jitter: Some(settings.jitter),
            probes: Some(settings.probes),
            probe_ratio: Some(settings.probe_ratio),
            probe_deadline: Some(settings.probe_deadline),
        }
    }
}

impl From<&RetryPolicy> for raw::Retry {
    fn from(policy: &RetryPolicy) -> Self {
        let (first, cap, delays) = match &policy.delays {
            Delays::Exponential { first, cap } => (Some(*first), Some(*cap), None),
            Delays::Listed(delays) => (None, None, Some(delays.iter().copied().map(Into::into).collect())),
        };
        Self {
            preset: None,
            attempts: Some(policy.attempts),
            first,
            cap,
            delays,
            jitter: Some(policy.jitter),
            attempt_timeout: policy.attempt_timeout,
        }
    }
}

impl From<&RetryBudgetSettings> for raw::RetryBudget {
    fn from(settings: &RetryBudgetSettings) -> Self {
        Self { ratio: Some(settings.ratio), reserve: Some(settings.reserve) }
    }
}

impl From<&CachePolicy> for raw::Cache {
    fn from(policy: &CachePolicy) -> Self {
        Self { ttl: Some(policy.ttl), shared: Some(policy.shared) }
    }
}
