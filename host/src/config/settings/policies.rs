//! Policies, checked: from a preset's name or a table to what the pipeline runs by.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use skillhost_core::{SkillName, TaskSupport, ToolName};
use skillhost_journal::{Delivery, Priority};
use skillhost_pipeline::{HostPolicy, Policies, SkillPolicy, ToolPolicy};
use skillhost_policy::{
    BreakerSettings, CachePolicy, ConcurrencyLimit, ControlCharacters, Counting, Delays, FilterMode, Mode,
    Rate, RateLimit, RedeliveryPolicy, RetryBudgetSettings, RetryPolicy, UndoPolicy, Window,
};

use super::values::{MS, between, bytes, part, preset, span, within};
use crate::config::{
    ConfigError,
    raw::{self, Bounds, Named},
};

/// The word that switches a policy off.
const OFF: &str = "off";

/// Everything that is said of policies.
pub(super) fn all(
    limits: &raw::Limits,
    skills: &BTreeMap<String, raw::Skill>,
    defaults: &raw::Defaults,
) -> Result<Policies, ConfigError> {
    let host = host(limits)?;
    let by_name = skills.iter().filter_map(|(name, own)| {
        // A wrong name is told where the skill itself is checked.
        let skill = SkillName::new(name).ok()?;
        let said = own.bounds().or(defaults.bounds());
        let policy = self::skill(&format!("skills.{name}"), own, defaults, &said, &host);
        Some(policy.map(|policy| (skill, Arc::new(policy))))
    });
    let skills = by_name.collect::<Result<_, _>>()?;
    let unnamed = raw::Skill::default();
    let defaults = self::skill("defaults", &unnamed, defaults, &defaults.bounds(), &host)?;
    Ok(Policies { defaults: Arc::new(defaults), skills, host })
}

/// `[limits]`
fn host(limits: &raw::Limits) -> Result<HostPolicy, ConfigError> {
    Ok(HostPolicy {
        rate_limit: rate_limit("limits.rate_limit", limits.rate_limit.as_ref())?,
        caller_rate_limit: rate_limit("limits.caller_rate_limit", limits.caller_rate_limit.as_ref())?,
        caller_concurrency: concurrency("limits.caller_concurrency", limits.caller_concurrency.as_ref())?,
        callers: within("limits.callers", limits.callers.expect("filled"), 1, 1_000_000)?,
        cache_size: bytes("limits.cache_size", limits.cache_size, 0, 64 << 30)? as u64,
    })
}

/// The policies of one skill. `said` are the bounds that count for its tools where they say nothing else.
fn skill(
    table: &str,
    own: &raw::Skill,
    defaults: &raw::Defaults,
    said: &Bounds,
    host: &HostPolicy,
) -> Result<SkillPolicy, ConfigError> {
    let key = |name| format!("{table}.{name}");
    let rate_limit =
        rate_limit(&key("rate_limit"), own.rate_limit.as_ref().or(defaults.rate_limit.as_ref()))?;
    let limits = [rate_limit, host.rate_limit, host.caller_rate_limit];
    let tools = own.tools.iter().map(|(name, tool)| {
        let table = format!("{table}.tools.{name}");
        let said = tool.bounds().or(said.clone());
        Ok((name.clone(), Arc::new(self::tool(&table, tool, &said, &limits)?)))
    });
    Ok(SkillPolicy {
        rate_limit,
        concurrency: concurrency(
            &key("concurrency"),
            own.concurrency.as_ref().or(defaults.concurrency.as_ref()),
        )?,
        breaker: breaker(&key("breaker"), own.breaker.as_ref().or(defaults.breaker.as_ref()))?
            .unwrap_or_default(),
        retry_budget: budget(
            &key("retry_budget"),
            own.retry_budget.as_ref().or(defaults.retry_budget.as_ref()),
        )?,
        filter: filter(own, defaults),
        defaults: Arc::new(tool_of(table, said)?),
        tools: tools.collect::<Result<_, ConfigError>>()?,
    })
}

/// What the filter does with a skill's words.
pub(super) fn filter(own: &raw::Skill, defaults: &raw::Defaults) -> FilterMode {
    match own.result_filter.or(defaults.result_filter) {
        None | Some(raw::ResultFilter::Off) => FilterMode::Off,
        Some(raw::ResultFilter::Mark) => FilterMode::Mark,
        Some(raw::ResultFilter::Strip) => FilterMode::Strip,
    }
}

/// A tool with a table of its own. Its calls must fit through every one of `limits`.
fn tool(
    table: &str,
    tool: &raw::Tool,
    said: &Bounds,
    limits: &[Option<RateLimit>],
) -> Result<ToolPolicy, ConfigError> {
    let key = |name| format!("{table}.{name}");
    let own = rate_limit(&key("rate_limit"), tool.rate_limit.as_ref())?;
    let cost = within(&key("cost"), tool.cost.unwrap_or(1), 0, 1_000_000)?;
    let smallest = limits.iter().chain([&own]).flatten().map(RateLimit::capacity).min();
    if let Some(smallest) = smallest.filter(|smallest| cost > *smallest) {
        let problem = format!("is {cost}; a rate limit over this tool never has more than {smallest} tokens");
        return Err(ConfigError::value(key("cost"), problem));
    }
    if let Some(name) = &tool.fallback {
        ToolName::bare(name)
            .map_err(|error| ConfigError::value(key("fallback"), format!("names no tool: {error}")))?;
    }
    Ok(ToolPolicy {
        rate_limit: own,
        cost,
        breaker: breaker(&key("breaker"), tool.breaker.as_ref())?,
        fallback: tool.fallback.clone(),
        ..tool_of(table, said)?
    })
}

/// What is inherited by tools.
fn tool_of(table: &str, said: &Bounds) -> Result<ToolPolicy, ConfigError> {
    let key = |name| format!("{table}.{name}");
    Ok(ToolPolicy {
        counting: counting(table, said)?,
        retry: retry(&key("retry"), said.retry.as_ref())?,
        cache: cache(&key("cache"), said.cache.as_ref())?,
        control_characters: match said.control_characters {
            None | Some(raw::ControlCharacters::Allow) => ControlCharacters::Allow,
            Some(raw::ControlCharacters::Strip) => ControlCharacters::Strip,
            Some(raw::ControlCharacters::Refuse) => ControlCharacters::Refuse,
        },
        delivery: said.delivery.map(|delivery| match delivery {
            raw::Delivery::Plain => Delivery::Plain,
            raw::Delivery::Durable => Delivery::Durable,
        }),
        task: said.task.map(|task| match task {
            raw::Task::No => TaskSupport::No,
            raw::Task::Optional => TaskSupport::Optional,
            raw::Task::Required => TaskSupport::Required,
            raw::Task::Answered => TaskSupport::Answered,
        }),
        patience: span(&key("patience"), said.patience.expect("filled"), Duration::ZERO)?,
        redelivery: redelivery(table, said)?,
        undo: undo(table, said)?,
        priority: match said.priority.expect("filled") {
            raw::Priority::Low => Priority::Low,
            raw::Priority::Normal => Priority::Normal,
            raw::Priority::High => Priority::High,
            raw::Priority::Urgent => Priority::Urgent,
        },
        secret_arguments: pointers(&key("secret_arguments"), said.secret_arguments.as_deref())?,
        ..ToolPolicy::default()
    })
}

fn redelivery(table: &str, said: &Bounds) -> Result<RedeliveryPolicy, ConfigError> {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
    let base = RedeliveryPolicy::default();
    let retry = retry_over(&format!("{table}.redelivery"), said.redelivery.as_ref(), &base.retry, 100)?;
    let key = format!("{table}.max_age");
    Ok(RedeliveryPolicy {
        retry,
        max_age: between(&key, said.max_age.expect("filled"), Duration::from_secs(1), YEAR)?,
    })
}

fn undo(table: &str, said: &Bounds) -> Result<UndoPolicy, ConfigError> {
    let base = UndoPolicy::default();
    let retry = retry_over(&format!("{table}.undo"), said.undo.as_ref(), &base.retry, 100)?;
    let key = format!("{table}.undo_timeout");
    let (least, most) = (Duration::from_millis(1), Duration::from_secs(3_600));
    Ok(UndoPolicy { retry, timeout: between(&key, said.undo_timeout.expect("filled"), least, most)? })
}

fn pointers(key: &str, said: Option<&[String]>) -> Result<Arc<[String]>, ConfigError> {
    let said = said.unwrap_or_default();
    match said.iter().find(|pointer| !pointer.starts_with('/')) {
        Some(wrong) => Err(ConfigError::value(
            key,
            format!("holds `{wrong}`, which is no JSON pointer; write it like `/token`"),
        )),
        None => Ok(said.into()),
    }
}

fn counting(table: &str, said: &Bounds) -> Result<Counting, ConfigError> {
    fn texts(list: &Option<Vec<String>>) -> Vec<&str> {
        list.iter().flatten().map(String::as_str).collect()
    }
    let problem = |name: &str, word: &str| {
        let known = Counting::words().join(", ");
        ConfigError::value(format!("{table}.{name}"), format!("holds `{word}`; it may hold {known}"))
    };
    Counting::default()
        .with(&texts(&said.breaker_counts), &[])
        .map_err(|word| problem("breaker_counts", word))?
        .with(&[], &texts(&said.breaker_ignores))
        .map_err(|word| problem("breaker_ignores", word))
}

pub(super) fn rate_limit(
    key: &str,
    said: Option<&Named<raw::RateLimit>>,
) -> Result<Option<RateLimit>, ConfigError> {
    let by_name = |key: &str, name: &str| preset(key, name, &RateLimit::PRESETS, RateLimit::preset);
    let table = match said {
        None => return Ok(None),
        Some(Named::Preset(name)) if name == OFF => return Ok(None),
        Some(Named::Preset(name)) => return by_name(key, name).map(Some),
        Some(Named::Own(table)) => table,
    };
    let inner = |name| format!("{key}.{name}");
    let base = table.preset.as_deref().map(|name| by_name(&inner("preset"), name)).transpose()?;
    let missing = |name| {
        ConfigError::value(
            key,
            format!("says neither `{name}` nor `preset`; such as {{ max = 60, per_second = 1, burst = 10 }}"),
        )
    };
    let max = table.max.or(base.map(|base| base.max)).ok_or_else(|| missing("max"))?;
    let rate = match (table.per_second, base) {
        (Some(tokens), _) => Rate::per_second(tokens).ok_or_else(|| {
            ConfigError::value(inner("per_second"), format!("is {tokens}; it must be from 0.001 to 1000000"))
        })?,
        (None, Some(base)) => base.rate,
        (None, None) => return Err(missing("per_second")),
    };
    Ok(Some(RateLimit {
        max: within(&inner("max"), max, 1, 1_000_000)?,
        rate,
        burst: within(
            &inner("burst"),
            table.burst.or(base.map(|base| base.burst)).unwrap_or(0),
            0,
            1_000_000,
        )?,
        wait: span(&inner("wait"), table.wait.unwrap_or_default(), Duration::ZERO)?,
        shadow: table.shadow.unwrap_or(false),
    }))
}

pub(super) fn concurrency(
    key: &str,
    said: Option<&Named<raw::Concurrency>>,
) -> Result<Option<ConcurrencyLimit>, ConfigError> {
    let table = match said {
        None => return Ok(None),
        Some(Named::Preset(name)) if name == OFF => return Ok(None),
        Some(Named::Preset(name)) => {
            let problem = format!("is \"{name}\"; write \"off\", or a table such as {{ max = 8 }}");
            return Err(ConfigError::value(key, problem));
        }
        Some(Named::Own(table)) => table,
    };
    let base = ConcurrencyLimit::of_a_skill();
    let inner = |name| format!("{key}.{name}");
    Ok(Some(ConcurrencyLimit {
        max: within(&inner("max"), table.max.unwrap_or(base.max), 1, 10_000)?,
        queue: within(&inner("queue"), table.queue.unwrap_or(base.queue), 0, 100_000)?,
        wait: span(&inner("wait"), table.wait.unwrap_or(base.wait), Duration::ZERO)?,
    }))
}

pub(super) fn breaker(
    key: &str,
    said: Option<&Named<raw::Breaker>>,
) -> Result<Option<BreakerSettings>, ConfigError> {
    let by_name =
        |key: &str, name: &str| preset(key, name, &BreakerSettings::PRESETS, BreakerSettings::preset);
    let table = match said {
        None => return Ok(None),
        Some(Named::Preset(name)) => return by_name(key, name).map(Some),
        Some(Named::Own(table)) => table,
    };
    let inner = |name| format!("{key}.{name}");
    let base = match &table.preset {
        Some(name) => by_name(&inner("preset"), name)?,
        None => BreakerSettings::default(),
    };
    let window = match (table.window_calls, table.window_time) {
        (Some(_), Some(_)) => {
            let problem = "is said beside `window_calls`; a window is either so many calls or so long";
            return Err(ConfigError::value(inner("window_time"), problem));
        }
        (Some(calls), None) => Window::Calls(within(&inner("window_calls"), calls, 1, 10_000)?),
        (None, Some(time)) if !(1..=3_600).contains(&time.as_secs()) => {
            return Err(ConfigError::value(inner("window_time"), "must be from 1s to 1h"));
        }
        (None, Some(time)) => Window::Time(time),
        (None, None) => base.window,
    };
    // Zero switches a rule off.
    let rule = |name, said: Option<f64>, base: Option<f64>| match said {
        Some(rate) => part(&inner(name), rate).map(|rate| Some(rate).filter(|rate| *rate > 0.0)),
        None => Ok(base),
    };
    let consecutive = match table.consecutive {
        Some(most) => Some(within(&inner("consecutive"), most, 0, 10_000)?).filter(|most| *most > 0),
        None => base.consecutive,
    };
    let growth = table.growth.unwrap_or(base.growth);
    let probe_ratio = part(&inner("probe_ratio"), table.probe_ratio.unwrap_or(base.probe_ratio))?;
    if probe_ratio == 0.0 {
        return Err(ConfigError::value(inner("probe_ratio"), "is 0; then no probe would have to succeed"));
    }
    let open = span(&inner("open"), table.open.unwrap_or(base.open), MS)?;
    let max_open = span(&inner("max_open"), table.max_open.unwrap_or(base.max_open.max(open)), MS)?;
    if max_open < open {
        return Err(ConfigError::value(inner("max_open"), "is less than `open`"));
    }
    let min_calls = within(&inner("min_calls"), table.min_calls.unwrap_or(base.min_calls), 1, 10_000)?;
    if let (Window::Calls(calls), true) = (window, table.min_calls.is_some())
        && min_calls > calls
    {
        return Err(ConfigError::value(
            inner("min_calls"),
            format!("is {min_calls}; the window holds only {calls} calls"),
        ));
    }
    Ok(Some(BreakerSettings {
        mode: match table.mode {
            Some(raw::BreakerMode::Normal) => Mode::Normal,
            Some(raw::BreakerMode::ForcedOpen) => Mode::ForcedOpen,
            Some(raw::BreakerMode::Disabled) => Mode::Disabled,
            Some(raw::BreakerMode::MetricsOnly) => Mode::MetricsOnly,
            None => base.mode,
        },
        consecutive,
        window,
        min_calls: match window {
            Window::Calls(calls) => min_calls.min(calls),
            Window::Time(_) => min_calls,
        },
        failure_rate: rule("failure_rate", table.failure_rate, base.failure_rate)?,
        slow_rate: rule("slow_rate", table.slow_rate, base.slow_rate)?,
        slow_call: span(&inner("slow_call"), table.slow_call.unwrap_or(base.slow_call), MS)?,
        open,
        growth: within(&inner("growth"), growth, 1.0, 10.0)?,
        max_open,
        jitter: part(&inner("jitter"), table.jitter.unwrap_or(base.jitter))?,
        probes: within(&inner("probes"), table.probes.unwrap_or(base.probes), 1, 1_000)?,
        probe_ratio,
        probe_deadline: span(
            &inner("probe_deadline"),
            table.probe_deadline.unwrap_or(base.probe_deadline),
            MS,
        )?,
    }))
}

pub(super) fn retry(key: &str, said: Option<&Named<raw::Retry>>) -> Result<RetryPolicy, ConfigError> {
    retry_over(key, said, &RetryPolicy::default(), 20)
}

/// A retry policy of up to `most` attempts; `standard` where nothing is said.
pub(super) fn retry_over(
    key: &str,
    said: Option<&Named<raw::Retry>>,
    standard: &RetryPolicy,
    most: u32,
) -> Result<RetryPolicy, ConfigError> {
    let by_name = |key: &str, name: &str| preset(key, name, &RetryPolicy::PRESETS, RetryPolicy::preset);
    let table = match said {
        None => return Ok(standard.clone()),
        Some(Named::Preset(name)) => return by_name(key, name),
        Some(Named::Own(table)) => table,
    };
    let inner = |name| format!("{key}.{name}");
    let base = match &table.preset {
        Some(name) => by_name(&inner("preset"), name)?,
        None => standard.clone(),
    };
    let delays = match (&table.delays, &base.delays) {
        (Some(_), _) if table.first.is_some() || table.cap.is_some() => {
            return Err(ConfigError::value(
                inner("delays"),
                "is said beside `first` or `cap`; write one or the other",
            ));
        }
        (Some(listed), _) if listed.is_empty() || listed.len() > 20 => {
            return Err(ConfigError::value(inner("delays"), "must hold 1 to 20 times"));
        }
        (Some(listed), _) => {
            let each = listed.iter().map(|delay| span(&inner("delays"), **delay, Duration::ZERO));
            Delays::Listed(each.collect::<Result<Vec<_>, _>>()?.into())
        }
        (None, Delays::Exponential { first, cap }) => {
            let first = span(&inner("first"), table.first.unwrap_or(*first), Duration::ZERO)?;
            let cap = span(&inner("cap"), table.cap.unwrap_or((*cap).max(first)), Duration::ZERO)?;
            if cap < first {
                return Err(ConfigError::value(inner("cap"), "is less than `first`"));
            }
            Delays::Exponential { first, cap }
        }
        (None, other) => other.clone(),
    };
    let attempt_timeout = table.attempt_timeout.or(base.attempt_timeout);
    Ok(RetryPolicy {
        attempts: within(&inner("attempts"), table.attempts.unwrap_or(base.attempts), 1, most)?,
        delays,
        jitter: table.jitter.unwrap_or(base.jitter),
        attempt_timeout: attempt_timeout
            .map(|limit| span(&inner("attempt_timeout"), limit, MS))
            .transpose()?,
    })
}

pub(super) fn budget(key: &str, said: Option<&raw::RetryBudget>) -> Result<RetryBudgetSettings, ConfigError> {
    let base = RetryBudgetSettings::default();
    let Some(table) = said else { return Ok(base) };
    Ok(RetryBudgetSettings {
        ratio: within(&format!("{key}.ratio"), table.ratio.unwrap_or(base.ratio), 0.0, 10.0)?,
        reserve: within(&format!("{key}.reserve"), table.reserve.unwrap_or(base.reserve), 0, 1_000)?,
    })
}

pub(super) fn cache(key: &str, said: Option<&Named<raw::Cache>>) -> Result<Option<CachePolicy>, ConfigError> {
    let table = match said {
        None => return Ok(None),
        Some(Named::Preset(name)) if name == OFF => return Ok(None),
        Some(Named::Preset(name)) => {
            let problem = format!("is \"{name}\"; write \"off\", or a table such as {{ ttl = \"5m\" }}");
            return Err(ConfigError::value(key, problem));
        }
        Some(Named::Own(table)) => table,
    };
    let ttl = table.ttl.ok_or_else(|| ConfigError::value(key, "says no `ttl`; such as { ttl = \"5m\" }"))?;
    Ok(Some(CachePolicy {
        ttl: span(&format!("{key}.ttl"), ttl, MS)?,
        shared: table.shared.unwrap_or(false),
    }))
}
