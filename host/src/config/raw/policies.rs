//! Limits, breakers, retries, cache and filter as they are written.

use std::{fmt, marker::PhantomData, time::Duration};

use humantime_serde::Serde;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, value::MapAccessDeserializer},
};

use super::units::{self, duration};

/// A preset's name, or a table of one's own.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Named<T> {
    /// A name.
    Preset(String),
    /// A table.
    Own(T),
}

// By hand, since serde's untagged enums forget what was wrong in the table, and where.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a preset, \"off\", or a table")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Named::Preset(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Named::Own)
            }
        }

        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

/// A rate limit: a token bucket. Without `preset`, `max` and `per_second` must be said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RateLimit {
    /// What the other keys are changes of: mcp_tools (60 and 10 more, 1 a second), external_api (80, 20, 1.33), web_research
    /// (30, 10, 0.5), skill_operations (100, 20, 2) or filesystem (200, 50, 5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) preset: Option<String>,
    /// Tokens, 1 to 1,000,000. A call takes one, or its tool's `cost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<u32>,
    /// How many come back each second, 0.001 to 1,000,000; thousandths below 1,000, else whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_second: Option<f64>,
    /// Tokens on top of `max`, up to 1,000,000; the bucket starts full. By default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) burst: Option<u32>,
    /// How long a call may wait for its tokens, up to 24 h. By default 0s: it is refused at once, and told when to come
    /// back.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) wait: Option<Duration>,
    /// Count what would be refused, and let it through. By default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shadow: Option<bool>,
}

/// Calls at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Concurrency {
    /// Calls that run, 1 to 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<u32>,
    /// Calls that wait for their turn, first come, first served, up to 100,000. By default 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<u32>,
    /// How long one may wait, up to 24 h. By default 10s.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) wait: Option<Duration>,
}

/// A circuit breaker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Breaker {
    /// What the other keys are changes of: default, remote (3 failures in a row, or 80 % of the last 50 calls slow), off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) preset: Option<String>,
    /// normal; an operator's word: forced-open (every call is refused), disabled, metrics-only (counts, never opens).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<BreakerMode>,
    /// Failures in a row that open it, up to 10,000; 0: they do not. By default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) consecutive: Option<u32>,
    /// Calls that rates are taken over, 1 to 10,000. By default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window_calls: Option<u32>,
    /// Instead, the time they are taken over, 1 s to 1 h.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) window_time: Option<Duration>,
    /// Calls there must be before a rate counts, 1 to 10,000. By default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_calls: Option<u32>,
    /// The part of the calls that opens it by failing, to 1; 0: it does not. By default 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure_rate: Option<f64>,
    /// The part that opens it by being slow, to 1; 0: it does not, as by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slow_rate: Option<f64>,
    /// From when on a call is slow, 1 ms to 24 h. By default 10s.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) slow_call: Option<Duration>,
    /// How long it stays open the first time, 1 ms to 24 h. By default 60s.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) open: Option<Duration>,
    /// How many times as long each time it opens again before it was closed, 1 to 10. By default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) growth: Option<f64>,
    /// The longest open time, up to 24 h. By default 10m.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) max_open: Option<Duration>,
    /// The part of the open time up to which it is lengthened at random, 0 to 1. By default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jitter: Option<f64>,
    /// Calls let through half-open, 1 to 1,000. By default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probes: Option<u32>,
    /// The part of them that must succeed, above 0 to 1. By default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probe_ratio: Option<f64>,
    /// How long they may take together before it opens again, 1 ms to 24 h. By default 60s.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) probe_deadline: Option<Duration>,
}

/// What an operator wants of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BreakerMode {
    /// It opens and closes by itself.
    Normal,
    /// Every call is refused.
    ForcedOpen,
    /// Every call passes.
    Disabled,
    /// Every call passes and is counted.
    MetricsOnly,
}

/// Retry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retry {
    /// What the other keys are changes of: default (3 attempts, 1s to 10s), fs (3, 500ms to 2s), network (5, 1s to 30s), api
    /// (3, 1s to 10s), off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) preset: Option<String>,
    /// Attempts in all, 1 to 20. By default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempts: Option<u32>,
    /// The first delay, up to 24 h; each further one is twice as long. By default 1s.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) first: Option<Duration>,
    /// The longest delay, up to 24 h. By default 10s.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) cap: Option<Duration>,
    /// Instead, the delays one by one; the last one stays. A single one is a fixed delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "durations")]
    pub(crate) delays: Option<Vec<Serde<Duration>>>,
    /// Draw each delay from zero to its length. By default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jitter: Option<bool>,
    /// How long one attempt may take, 1 ms to 24 h. By default as long as the call has left.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) attempt_timeout: Option<Duration>,
}

/// A retry budget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetryBudget {
    /// What each call adds, 0 to 10 retries. By default 0.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    /// Retries there are at the start and, one a second, again, up to 1,000. By default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reserve: Option<u32>,
}

/// Kept results.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cache {
    /// How long a result counts, 1 ms to 24 h.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub(crate) ttl: Option<Duration>,
    /// One caller's result also answers another. By default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shared: Option<bool>,
}

/// What becomes of control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ControlCharacters {
    /// They pass.
    Allow,
    /// They go.
    Strip,
    /// The call is refused.
    Refuse,
}

/// What becomes of what a skill's texts should not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ResultFilter {
    /// It passes.
    Off,
    /// It is shown.
    Mark,
    /// It goes.
    Strip,
}

/// `[limits]`: what counts for the host as a whole and for each caller.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// All calls together: a preset's name or a table. By default off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limit: Option<Named<RateLimit>>,
    /// The calls of each caller. By default off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) caller_rate_limit: Option<Named<RateLimit>>,
    /// Calls of each caller at once: "off" or a table. By default off. Calls that tools make go on their root's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) caller_concurrency: Option<Named<Concurrency>>,
    /// Callers that are told apart, 1 to 1,000,000; whoever was away longest is forgotten first.
    pub(crate) callers: Option<u64>,
    /// Results that are kept, over all tools with a `cache`, up to 64 GiB. A change needs a restart.
    #[serde(serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "units::size")]
    pub(crate) cache_size: Option<bytesize::ByteSize>,
}

fn durations(generator: &mut SchemaGenerator) -> Schema {
    let item = duration(generator);
    json_schema!({ "type": "array", "items": item })
}
