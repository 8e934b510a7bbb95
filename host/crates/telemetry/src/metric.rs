//! What is measured: one table, which the instruments, the documentation and its test are made from.

/// How a metric is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is when somebody looks.
    Gauge,
    /// How often which sizes came; the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// Everything that is known of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// In OpenTelemetry's spelling.
    pub name: &'static str,
    /// How it is kept.
    pub kind: Kind,
    /// In UCUM's spelling: `s`, `By`, or none.
    pub unit: &'static str,
    /// Whether it is looked up when somebody asks, and not counted as it happens.
    pub observed: bool,
    /// Names of its labels, in OpenTelemetry's spelling.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

impl Facts {
    /// The name that Prometheus knows it by; a histogram's series add `_bucket`, `_sum` and `_count`.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut name = self.name.replace('.', "_");
        name += match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        if self.kind == Kind::Counter {
            name += "_total";
        }
        name
    }
}

/// As the conventions for MCP say, in seconds.
const OPERATION: &[f64] = &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// A call takes fractions of a millisecond, or as long as what it asks for over a network.
const CALL: &[f64] = &[0.000_1, 0.000_25, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];
const COMMIT: &[f64] = &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0];
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
const COMPILE: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0];
const MEMORY: &[f64] = &[
    131_072.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
];

macro_rules! metrics {
    ($($variant:ident: $how:ident $kind:expr, $name:literal $unit:literal, [$($label:literal),*], $help:literal;)*) => {
        /// A metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $(#[doc = $help] $variant,)*
        }

        impl Metric {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What is known of it.
            #[must_use]
            pub const fn facts(self) -> Facts {
                match self {
                    $(Self::$variant => Facts {
                        name: $name,
                        kind: $kind,
                        unit: $unit,
                        observed: metrics!(@$how),
                        labels: &[$($label),*],
                        help: $help,
                    },)*
                }
            }
        }
    };
    (@counted) => { false };
    (@observed) => { true };
}

metrics! {
    Operation: counted Kind::Histogram(OPERATION), "mcp.server.operation.duration" "s",
        ["mcp.method.name", "gen_ai.tool.name", "error.type", "network.transport", "mcp.protocol.version"],
        "Requests of clients, from the transport and back.";
    Calls: counted Kind::Counter, "skillhost.calls" "", ["skill", "tool", "outcome"],
        "Calls by how they ended: ok, is-error, or the kind of the failure; accepted when nobody knows yet and it goes on.";
    CallsInFlight: observed Kind::Gauge, "skillhost.calls_in_flight" "", [], "Calls that are under way.";
    CallDuration: counted Kind::Histogram(CALL), "skillhost.call.duration" "s", ["skill"],
        "Calls from the pipeline's door and back: waits, attempts, journal.";
    QueueWait: counted Kind::Histogram(CALL), "skillhost.queue.wait" "s", ["skill"],
        "What an attempt waited for turns and an instance.";
    Attempts: counted Kind::Counter, "skillhost.attempts" "", ["skill", "outcome"], "Runs of a guest by how they ended.";
    Retries: counted Kind::Counter, "skillhost.retries" "", ["skill"], "Attempts after the first of a call.";
    Fuel: counted Kind::Counter, "skillhost.fuel.consumed" "", ["skill"], "Fuel that guests used, about one an instruction.";
    Memory: counted Kind::Histogram(MEMORY), "skillhost.memory.peak" "By", ["skill"], "The most memory that a guest held.";
    CacheRequests: observed Kind::Counter, "skillhost.cache.requests" "", ["result"], "Calls of cached tools: hit or miss.";
    CacheEntries: observed Kind::Gauge, "skillhost.cache.entries" "", [], "Results that are kept.";
    CacheBytes: observed Kind::Gauge, "skillhost.cache" "By", [], "What they take.";
    BreakerState: observed Kind::Gauge, "skillhost.breaker.state" "", ["skill", "tool", "state"],
        "1 for the state that a breaker is in, 0 for the others. No tool: the skill's own.";
    BreakerTransitions: counted Kind::Counter, "skillhost.breaker.transitions" "", ["skill", "tool", "to"],
        "Changes of a breaker's state.";
    BreakerNotPermitted: observed Kind::Counter, "skillhost.breaker.not_permitted" "", ["skill", "tool"],
        "Calls that a breaker refused.";
    RateAllowed: observed Kind::Counter, "skillhost.rate_limit.allowed" "", ["scope", "skill", "tool"],
        "Calls that a rate limit let through. The scope is host, callers (all together), skill or tool.";
    RateRejected: observed Kind::Counter, "skillhost.rate_limit.rejected" "", ["scope", "skill", "tool"],
        "Calls that a rate limit refused, or would have in shadow mode.";
    RateWaited: observed Kind::Counter, "skillhost.rate_limit.waited" "", ["scope", "skill", "tool"],
        "Calls that a rate limit made wait.";
    RateTokens: observed Kind::Gauge, "skillhost.rate_limit.tokens" "", ["scope", "skill", "tool"],
        "Tokens that there are.";
    ConcurrencyInUse: observed Kind::Gauge, "skillhost.concurrency.in_use" "", ["skill"],
        "Turns that are taken, of skills whose turns are limited.";
    ConcurrencyWaiting: observed Kind::Gauge, "skillhost.concurrency.waiting" "", ["skill"], "Calls that wait for one.";
    ConcurrencyRefused: observed Kind::Counter, "skillhost.concurrency.refused" "", ["skill"],
        "Calls that were refused since too many waited.";
    RetryBudget: observed Kind::Gauge, "skillhost.retry_budget.remaining" "", ["skill"], "Retries that are left.";
    DeadLetters: observed Kind::Gauge, "skillhost.dead_letters" "", ["state", "priority"],
        "Dead letters that are kept; those that wait or are parked by priority.";
    DeadLetterAge: observed Kind::Gauge, "skillhost.dead_letter.oldest_age" "s", ["state"],
        "The age of the oldest dead letter in a state that asks for something: waiting or parked.";
    DeadLetterCapacity: observed Kind::Gauge, "skillhost.dead_letter.capacity" "", [], "How many may be open.";
    DeadLetterRuns: counted Kind::Counter, "skillhost.dead_letter.runs" "", ["outcome"],
        "Runs of dead letters: recovered or failed.";
    PlaybookFired: counted Kind::Counter, "skillhost.playbook.fired" "", ["rule", "action"],
        "Recovery rules that acted on a letter.";
    Sagas: observed Kind::Gauge, "skillhost.sagas" "", ["state"], "Sagas that are kept, calls with effects among them.";
    SagaStuck: observed Kind::Gauge, "skillhost.saga.stuck" "", [], "Those that could not be taken back whole.";
    Undos: counted Kind::Counter, "skillhost.undos" "", ["outcome"], "Attempts to take a call back: undone, again, stuck.";
    JournalCommit: counted Kind::Histogram(COMMIT), "skillhost.journal.commit.duration" "s", [],
        "Commits to the journal, the sync included.";
    JournalBatch: counted Kind::Histogram(BATCH), "skillhost.journal.batch_size" "", [], "Operations in a commit.";
    JournalErrors: counted Kind::Counter, "skillhost.journal.errors" "", [], "Operations that could not be written.";
    JournalSize: observed Kind::Gauge, "skillhost.journal.size" "By", [], "The journal's file.";
    Skills: observed Kind::Gauge, "skillhost.skills" "", ["state"], "Skills: waiting, compiling, ready, failed.";
    SkillLoads: counted Kind::Counter, "skillhost.skill.loads" "", ["result"], "Versions of skills that were loaded: ok or failed.";
    Compile: counted Kind::Histogram(COMPILE), "skillhost.compile.duration" "s", [], "Compiling a component, its turn not counted.";
    LogSuppressed: observed Kind::Counter, "skillhost.log.suppressed" "", [], "Log lines that were left out of a flood, or lost since nobody read stderr.";
    Health: observed Kind::Gauge, "skillhost.health.status" "", ["part"], "0 well, 1 a warning, 2 critical.";
    Ready: observed Kind::Gauge, "skillhost.ready" "", [], "1 when the host takes calls.";
    Uptime: observed Kind::Gauge, "skillhost.uptime" "s", [], "Since the host started.";
    BuildInfo: observed Kind::Gauge, "skillhost.build_info" "", ["version"], "1.";
    DataFree: observed Kind::Gauge, "skillhost.data.free" "By", [], "What is left on the data folder's disk.";
    MemoryAvailable: observed Kind::Gauge, "skillhost.memory.available" "By", [],
        "What is left to the host, by its control group or the machine.";
    ProcessMemory: observed Kind::Gauge, "process.resident_memory" "By", [], "Memory that the process holds.";
    ProcessCpu: observed Kind::Counter, "process.cpu" "s", [], "Time on processors.";
    ProcessFds: observed Kind::Gauge, "process.open_fds" "", [], "Open files and sockets.";
    ProcessStart: observed Kind::Gauge, "process.start_time" "s", [], "When the process started, since 1970.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_what_prometheus_takes_and_told_once() {
        let mut names = BTreeSet::new();
        for metric in Metric::ALL {
            let facts = metric.facts();
            let name = facts.prometheus();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
            assert!(names.insert(name.clone()), "{name} twice");
            assert!(facts.help.ends_with('.'), "{name}");
            if let Kind::Histogram(bounds) = facts.kind {
                assert!(bounds.is_sorted() && !facts.observed, "{name}");
            }
        }
        assert!(
            names.contains("skillhost_call_duration_seconds") && names.contains("process_cpu_seconds_total")
        );
    }
}
