//! `[defaults]`, `[skills.NAME]` and `[skills.NAME.tools.TOOL]`.

use std::{collections::BTreeMap, time::Duration};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    grants::Grants,
    journal::{Delivery, Priority, Task},
    policies::{
        Breaker, Cache, Concurrency, ControlCharacters, Named, RateLimit, ResultFilter, Retry, RetryBudget,
    },
    units::{self, duration, size},
};

/// A table whose keys are the bounds of a call and some of its own. A macro since serde cannot both flatten a struct
/// and refuse unknown keys.
macro_rules! table {
    ($(#[$about:meta])* $name:ident { $($(#[$more:meta])* $key:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name {
            /// One deadline over everything a call waits for, 1 ms to 24 h.
            #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "duration")]
            pub(crate) timeout: Option<Duration>,
            /// About one unit an instruction, up to 5,000,000,000 a second; deterministic. From 1. Counts when tools are
            /// listed too.
            pub(crate) fuel: Option<u64>,
            /// Linear memory of one call, over all memories; 64 KiB to `engine.max_memory`.
            #[serde(serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "size")]
            pub(crate) memory: Option<ByteSize>,
            /// Table elements of one call, 1 to 40,000.
            pub(crate) table_elements: Option<usize>,
            /// Open files, folders, requests, buckets and timers of one call, 16 to 100,000.
            pub(crate) handles: Option<usize>,
            /// What may cross from the guest to the host at once, 1 KiB to 1 GiB.
            #[serde(serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "size")]
            pub(crate) result: Option<ByteSize>,
            /// Lines that one call may log; the rest is counted and dropped.
            pub(crate) log_lines: Option<usize>,
            /// Bytes of such lines, up to 1 GiB.
            #[serde(serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "size")]
            pub(crate) log_bytes: Option<ByteSize>,
            /// Whether and when a failed call is attempted again: a preset's name or a table. Only what had no effect or
            /// does no harm when it runs twice is.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) retry: Option<Named<Retry>>,
            /// Keep results of tools that are read-only: "off" or a table with `ttl`. What a tool that is not read-only
            /// does makes its skill's kept results worthless.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) cache: Option<Named<Cache>>,
            /// Control characters in arguments, beside NUL, which is refused, and tab and line ends, which pass.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) control_characters: Option<ControlCharacters>,
            /// Kinds of failure that count against the breaker beside those of the table: invalid-input, conflict,
            /// permanent; or is-error, a reply that says "no".
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) breaker_counts: Option<Vec<String>>,
            /// Kinds that do not count: transient, invalid-output, trap, out-of-fuel, out-of-memory, timeout.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) breaker_ignores: Option<Vec<String>>,
            /// "durable": a call that does not succeed is kept, and run again or parked. By default as the tool itself says,
            /// else "plain".
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) delivery: Option<Delivery>,
            /// Whether its calls run as tasks, where the client has them: "no", "optional", "required" (others are refused),
            /// "answered" (once what it asks is answered). By default as the tool itself says; "optional" where it is durable.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) task: Option<Task>,
            /// How long the client of a durable call waits for its result, up to 24 h; then it is told that the call goes on.
            #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "duration")]
            pub(crate) patience: Option<Duration>,
            /// When a durable call is run again, and how often, its first run counted: a preset's name or a table as of `retry`,
            /// with up to 100 `attempts`. Delays are up to 24 h.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) redelivery: Option<Named<Retry>>,
            /// From which age on it is parked instead, 1 s to 365 days.
            #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "duration")]
            pub(crate) max_age: Option<Duration>,
            /// How often taking a call back is tried before it counts as stuck, and when: a preset's name or a table as of
            /// `retry`, with up to 100 `attempts`. Delays are up to 24 h.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) undo: Option<Named<Retry>>,
            /// How long one try to take a call back may take, 1 ms to 1 h.
            #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "duration")]
            pub(crate) undo_timeout: Option<Duration>,
            /// Which durable calls are run again first: low, normal, high or urgent.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) priority: Option<Priority>,
            /// JSON pointers of arguments that are kept encrypted and never shown, such as "/token", beside those that a schema
            /// marks `writeOnly`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) secret_arguments: Option<Vec<String>>,
            $($(#[$more])* pub(crate) $key: $kind,)*
        }

        impl $name {
            /// The bounds of a call that this table says.
            pub(crate) fn bounds(&self) -> Bounds {
                Bounds {
                    timeout: self.timeout,
                    fuel: self.fuel,
                    memory: self.memory,
                    table_elements: self.table_elements,
                    handles: self.handles,
                    result: self.result,
                    log_lines: self.log_lines,
                    log_bytes: self.log_bytes,
                    retry: self.retry.clone(),
                    cache: self.cache.clone(),
                    control_characters: self.control_characters,
                    breaker_counts: self.breaker_counts.clone(),
                    breaker_ignores: self.breaker_ignores.clone(),
                    delivery: self.delivery,
                    task: self.task,
                    patience: self.patience,
                    redelivery: self.redelivery.clone(),
                    max_age: self.max_age,
                    undo: self.undo.clone(),
                    undo_timeout: self.undo_timeout,
                    priority: self.priority,
                    secret_arguments: self.secret_arguments.clone(),
                }
            }
        }
    };
}

/// The bounds of a call, as far as they are said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) timeout: Option<Duration>,
    pub(crate) fuel: Option<u64>,
    pub(crate) memory: Option<ByteSize>,
    pub(crate) table_elements: Option<usize>,
    pub(crate) handles: Option<usize>,
    pub(crate) result: Option<ByteSize>,
    pub(crate) log_lines: Option<usize>,
    pub(crate) log_bytes: Option<ByteSize>,
    pub(crate) retry: Option<Named<Retry>>,
    pub(crate) cache: Option<Named<Cache>>,
    pub(crate) control_characters: Option<ControlCharacters>,
    pub(crate) breaker_counts: Option<Vec<String>>,
    pub(crate) breaker_ignores: Option<Vec<String>>,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) task: Option<Task>,
    pub(crate) patience: Option<Duration>,
    pub(crate) redelivery: Option<Named<Retry>>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) undo: Option<Named<Retry>>,
    pub(crate) undo_timeout: Option<Duration>,
    pub(crate) priority: Option<Priority>,
    pub(crate) secret_arguments: Option<Vec<String>>,
}

impl Bounds {
    /// What is said here, else what is said there.
    pub(crate) fn or(self, there: Self) -> Self {
        Self {
            timeout: self.timeout.or(there.timeout),
            fuel: self.fuel.or(there.fuel),
            memory: self.memory.or(there.memory),
            table_elements: self.table_elements.or(there.table_elements),
            handles: self.handles.or(there.handles),
            result: self.result.or(there.result),
            log_lines: self.log_lines.or(there.log_lines),
            log_bytes: self.log_bytes.or(there.log_bytes),
            retry: self.retry.or(there.retry),
            cache: self.cache.or(there.cache),
            control_characters: self.control_characters.or(there.control_characters),
            breaker_counts: self.breaker_counts.or(there.breaker_counts),
            breaker_ignores: self.breaker_ignores.or(there.breaker_ignores),
            delivery: self.delivery.or(there.delivery),
            task: self.task.or(there.task),
            patience: self.patience.or(there.patience),
            redelivery: self.redelivery.or(there.redelivery),
            max_age: self.max_age.or(there.max_age),
            undo: self.undo.or(there.undo),
            undo_timeout: self.undo_timeout.or(there.undo_timeout),
            priority: self.priority.or(there.priority),
            secret_arguments: self.secret_arguments.or(there.secret_arguments),
        }
    }
}

table! {
    /// `[defaults]`: what counts for every skill that says nothing else.
    Defaults {
        /// How long instantiating and listing tools may take when a skill is loaded, 1 ms to 24 h.
        #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
        #[schemars(schema_with = "duration")]
        load_timeout: Option<Duration>,
        /// Tools a skill may declare, 1 to 10,000.
        max_tools: Option<usize>,
        /// Tools are named `skill_tool`, or just `tool`.
        mount: Option<Mount>,
        /// All calls of its tools together: a preset's name or a table. By default off.
        #[serde(skip_serializing_if = "Option::is_none")]
        rate_limit: Option<Named<RateLimit>>,
        /// Its calls at once, at each depth of nesting: "off" or a table.
        #[serde(skip_serializing_if = "Option::is_none")]
        concurrency: Option<Named<Concurrency>>,
        /// Its circuit breaker: a preset's name or a table.
        #[serde(skip_serializing_if = "Option::is_none")]
        breaker: Option<Named<Breaker>>,
        /// How many of its calls may be retries.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_budget: Option<RetryBudget>,
        /// Hidden characters, terminal escapes and what reads like instructions in what it says, its descriptions included.
        #[serde(skip_serializing_if = "Option::is_none")]
        result_filter: Option<ResultFilter>,
    }
}

table! {
    /// `[skills.NAME]`: what counts for one skill.
    Skill {
        /// How long instantiating and listing tools may take when the skill is loaded, 1 ms to 24 h.
        #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
        #[schemars(schema_with = "duration")]
        load_timeout: Option<Duration>,
        /// Tools the skill may declare, 1 to 10,000.
        max_tools: Option<usize>,
        /// Tools are named `skill_tool`, or just `tool`.
        mount: Option<Mount>,
        /// What bounds how long its calls compute, beside their timeout: "fuel" counts instructions, ends a call at the same one on any
        /// machine and tells what it used; with "time" only the clock does, `fuel` may not stand beside it, and code is faster, that of
        /// interpreters by a quarter.
        #[serde(skip_serializing_if = "Option::is_none")]
        metering: Option<Metering>,
        /// Calls that one instance may serve, one after the other, up to 1,000,000, of tools that declare that they bear it. What
        /// one call leaves in memory the next one finds, whoever calls. By default 1: each call has a fresh instance.
        #[serde(skip_serializing_if = "Option::is_none")]
        reuse_calls: Option<u32>,
        /// How old such an instance may become, 1 ms to 24 h. By default 1 min.
        #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
        #[schemars(schema_with = "duration")]
        reuse_age: Option<Duration>,
        /// All calls of its tools together: a preset's name or a table. By default off.
        #[serde(skip_serializing_if = "Option::is_none")]
        rate_limit: Option<Named<RateLimit>>,
        /// Its calls at once, at each depth of nesting: "off" or a table.
        #[serde(skip_serializing_if = "Option::is_none")]
        concurrency: Option<Named<Concurrency>>,
        /// Its circuit breaker: a preset's name or a table.
        #[serde(skip_serializing_if = "Option::is_none")]
        breaker: Option<Named<Breaker>>,
        /// How many of its calls may be retries.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_budget: Option<RetryBudget>,
        /// Hidden characters, terminal escapes and what reads like instructions in what it says, its descriptions included.
        #[serde(skip_serializing_if = "Option::is_none")]
        result_filter: Option<ResultFilter>,
        /// What the skill may touch. Without it: nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        grants: Option<Grants>,
        /// Tools by their name within the skill.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        tools: BTreeMap<String, Tool>,
    }
}

table! {
    /// `[skills.NAME.tools.TOOL]`: what counts for one tool.
    Tool {
        /// Whether the tool is offered. By default it is.
        enabled: Option<bool>,
        /// Your word that the tool changes nothing, or that it does, over the skill's own.
        read_only: Option<bool>,
        /// Your word on whether it may destroy or overwrite.
        destructive: Option<bool>,
        /// Your word on whether a repetition has no further effect.
        idempotent: Option<bool>,
        /// Your word on whether it reaches beyond a closed world.
        open_world: Option<bool>,
        /// The calls of this tool alone, beside its skill's limit: a preset's name or a table.
        #[serde(skip_serializing_if = "Option::is_none")]
        rate_limit: Option<Named<RateLimit>>,
        /// Tokens that a call takes from each rate limit, up to 1,000,000. By default 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<u32>,
        /// A circuit breaker of its own, in the place of its skill's: a preset's name or a table.
        #[serde(skip_serializing_if = "Option::is_none")]
        breaker: Option<Named<Breaker>>,
        /// The full name of a tool that answers, with the same arguments, when this one cannot.
        #[serde(skip_serializing_if = "Option::is_none")]
        fallback: Option<String>,
        /// Of a plain component: the tool of the same skill that takes back what this one does. Its arguments are those of the
        /// call, or members of its result, of the same name and type; `result` is the whole of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        undone_by: Option<String>,
    }
}

/// What bounds how long calls compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Metering {
    /// Instructions.
    Fuel,
    /// The clock.
    Time,
}

/// How tools are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mount {
    /// `skill_tool`
    Prefixed,
    /// `tool`
    Root,
}
