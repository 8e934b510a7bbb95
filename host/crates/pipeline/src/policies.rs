//! What the pipeline is told of each skill and tool: checked values, no running state.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use skillhost_core::{SkillName, TaskSupport};
use skillhost_journal::{Delivery, Priority};
use skillhost_policy::{
    BreakerSettings, CachePolicy, ConcurrencyLimit, ControlCharacters, Counting, FilterMode, RateLimit,
    RedeliveryPolicy, RetryBudgetSettings, RetryPolicy, UndoPolicy,
};

/// Every policy of the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policies {
    /// For the host as a whole.
    pub host: HostPolicy,
    /// For skills that are not named in `skills`.
    pub defaults: Arc<SkillPolicy>,
    /// By name.
    pub skills: BTreeMap<SkillName, Arc<SkillPolicy>>,
}

impl Policies {
    /// What counts for a skill.
    #[must_use]
    pub fn of(&self, skill: &SkillName) -> &Arc<SkillPolicy> {
        self.skills.get(skill).unwrap_or(&self.defaults)
    }
}

/// What counts for the host as a whole, and for each caller.
#[derive(Debug, Clone, PartialEq)]
pub struct HostPolicy {
    /// All calls together. Default none.
    pub rate_limit: Option<RateLimit>,
    /// The calls of one caller. Default none.
    pub caller_rate_limit: Option<RateLimit>,
    /// Calls of one caller at once. Default none.
    pub caller_concurrency: Option<ConcurrencyLimit>,
    /// Callers that are told apart, 1 to 1,000,000; whoever was away longest is forgotten first. Default 10,000.
    pub callers: u64,
    /// Bytes of results that are kept. Default 64 MiB.
    pub cache_size: u64,
}

impl Default for HostPolicy {
    fn default() -> Self {
        Self {
            rate_limit: None,
            caller_rate_limit: None,
            caller_concurrency: None,
            callers: 10_000,
            cache_size: 64 << 20,
        }
    }
}

/// What counts for one skill.
#[derive(Debug, Clone, PartialEq)]
pub struct SkillPolicy {
    /// The calls of all its tools together. Default none.
    pub rate_limit: Option<RateLimit>,
    /// Calls at once, at each depth of nesting. Default [`ConcurrencyLimit::of_a_skill`].
    pub concurrency: Option<ConcurrencyLimit>,
    /// One for all tools that have none of their own.
    pub breaker: BreakerSettings,
    /// For the retries of all its tools together.
    pub retry_budget: RetryBudgetSettings,
    /// What becomes of what its results should not hold.
    pub filter: FilterMode,
    /// For tools that are not named in `tools`.
    pub defaults: Arc<ToolPolicy>,
    /// By their name within the skill.
    pub tools: BTreeMap<String, Arc<ToolPolicy>>,
}

impl Default for SkillPolicy {
    fn default() -> Self {
        Self {
            rate_limit: None,
            concurrency: Some(ConcurrencyLimit::of_a_skill()),
            breaker: BreakerSettings::default(),
            retry_budget: RetryBudgetSettings::default(),
            filter: FilterMode::default(),
            defaults: Arc::default(),
            tools: BTreeMap::new(),
        }
    }
}

/// What counts for one tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolPolicy {
    /// The calls of this tool alone. Default none.
    pub rate_limit: Option<RateLimit>,
    /// Tokens that a call takes from each rate limit. Default 1.
    pub cost: u32,
    /// One of its own, in the place of its skill's. Default none.
    pub breaker: Option<BreakerSettings>,
    /// Which failures count against the breaker.
    pub counting: Counting,
    /// Whether and when a failed call is attempted again.
    pub retry: RetryPolicy,
    /// Keep results, when the tool is read-only. Default none.
    pub cache: Option<CachePolicy>,
    /// What becomes of control characters in arguments.
    pub control_characters: ControlCharacters,
    /// The full name of a tool that answers when this one cannot.
    pub fallback: Option<String>,
    /// What is owed to a call; none leaves it to the tool's own word. Default none.
    pub delivery: Option<Delivery>,
    /// Whether its calls run as tasks; none leaves it to the tool's own word. Default none.
    pub task: Option<TaskSupport>,
    /// How long the client of a durable call is kept waiting for its result. Default 30 s.
    pub patience: Duration,
    /// When a durable call that did not succeed is run again.
    pub redelivery: RedeliveryPolicy,
    /// How its calls are taken back, when they can be.
    pub undo: UndoPolicy,
    /// Before which others.
    pub priority: Priority,
    /// JSON pointers of arguments that are secret, beside those that the schema marks.
    pub secret_arguments: Arc<[String]>,
}

impl Default for ToolPolicy {
    fn default() -> Self {
        Self {
            rate_limit: None,
            cost: 1,
            breaker: None,
            counting: Counting::default(),
            retry: RetryPolicy::default(),
            cache: None,
            control_characters: ControlCharacters::default(),
            fallback: None,
            delivery: None,
            task: None,
            patience: Duration::from_secs(30),
            redelivery: RedeliveryPolicy::default(),
            undo: UndoPolicy::default(),
            priority: Priority::default(),
            secret_arguments: Arc::new([]),
        }
    }
}
