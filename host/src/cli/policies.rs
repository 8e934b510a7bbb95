//! The policies of a skill as they are configured, for `inspect`.

use serde_json::{Value, json};
use skillhost_pipeline::SkillPolicy;
use skillhost_policy::{BreakerSettings, FilterMode, Mode, RateLimit, RetryPolicy};

/// For programs.
pub(super) fn described(policy: &SkillPolicy) -> Value {
    let tools: serde_json::Map<_, _> = policy
        .tools
        .iter()
        .map(|(name, tool)| {
            let described = json!({
                "rate_limit": tool.rate_limit.as_ref().map(rate_limit),
                "cost": tool.cost,
                "breaker": tool.breaker.as_ref().map(breaker),
                "retry": retry(&tool.retry),
                "cache_ttl_ms": tool.cache.map(|cache| cache.ttl.as_millis()),
                "fallback": tool.fallback,
            });
            (name.clone(), described)
        })
        .collect();
    json!({
        "rate_limit": policy.rate_limit.as_ref().map(rate_limit),
        "concurrency": policy.concurrency.map(|limit| limit.max),
        "breaker": breaker(&policy.breaker),
        "retry": retry(&policy.defaults.retry),
        "cache_ttl_ms": policy.defaults.cache.map(|cache| cache.ttl.as_millis()),
        "result_filter": filter(policy.filter),
        "tools": tools,
    })
}

/// For people: what counts for the skill, then what its tools have of their own.
pub(super) fn lines(policy: &SkillPolicy) -> Vec<String> {
    let mut lines = vec![
        format!("rate limit   {}", policy.rate_limit.as_ref().map_or("off".into(), rate_limit)),
        format!(
            "concurrency  {}",
            policy.concurrency.map_or("off".into(), |limit| {
                format!("{} at once, {} waiting up to {:?}", limit.max, limit.queue, limit.wait)
            })
        ),
        format!("breaker      {}", breaker(&policy.breaker)),
        format!("retry        {}", retry(&policy.defaults.retry)),
        format!(
            "cache        {}",
            policy.defaults.cache.map_or("off".into(), |cache| format!("read-only tools, {:?}", cache.ttl))
        ),
        format!("filter       {}", filter(policy.filter)),
    ];
    for (name, tool) in &policy.tools {
        let limit = tool.rate_limit.as_ref().map(|limit| format!("rate limit {}", rate_limit(limit)));
        let cost = (tool.cost != 1).then(|| format!("costs {}", tool.cost));
        let own = tool.breaker.as_ref().map(|own| format!("breaker {}", breaker(own)));
        let tries = (tool.retry != policy.defaults.retry).then(|| format!("retry {}", retry(&tool.retry)));
        let keeps = (tool.cache != policy.defaults.cache)
            .then(|| tool.cache.map_or("cache off".into(), |cache| format!("cache {:?}", cache.ttl)));
        let fallback = tool.fallback.as_ref().map(|other| format!("falls back to {other}"));
        let all: Vec<_> = [limit, cost, own, tries, keeps, fallback].into_iter().flatten().collect();
        if !all.is_empty() {
            lines.push(format!("{name}: {}", all.join("; ")));
        }
    }
    lines
}

fn rate_limit(limit: &RateLimit) -> String {
    let shadow = if limit.shadow { ", in shadow mode" } else { "" };
    format!("{} and {} more, {} a second{shadow}", limit.max, limit.burst, limit.rate.get())
}

fn breaker(settings: &BreakerSettings) -> String {
    match settings.mode {
        Mode::ForcedOpen => return "forced open".into(),
        Mode::Disabled => return "off".into(),
        Mode::Normal | Mode::MetricsOnly => {}
    }
    let row = settings.consecutive.map(|most| format!("{most} failures in a row"));
    let rate = settings.failure_rate.map(|rate| format!("{} % failed", rate * 100.0));
    let slow = settings.slow_rate.map(|rate| format!("{} % over {:?}", rate * 100.0, settings.slow_call));
    let rules: Vec<_> = [row, rate, slow].into_iter().flatten().collect();
    let opens = if settings.mode == Mode::MetricsOnly { "only counts" } else { "opens" };
    format!("{opens} for {:?} after {}", settings.open, rules.join(" or "))
}

fn retry(policy: &RetryPolicy) -> String {
    match policy.attempts {
        1 => "off".into(),
        attempts => {
            let jitter = if policy.jitter { "up to " } else { "" };
            format!("{attempts} attempts, first after {jitter}{:?}", policy.delay(1, 1.0))
        }
    }
}

fn filter(mode: FilterMode) -> &'static str {
    match mode {
        FilterMode::Off => "off",
        FilterMode::Mark => "mark",
        FilterMode::Strip => "strip",
    }
}
