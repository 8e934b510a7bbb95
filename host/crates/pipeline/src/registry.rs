//! What runs: the state of each policy, by skill and tool. Kept over a change of the configuration where the policy did
//! not change.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use skillhost_core::{Caller, Entry, SkillName};
use skillhost_policy::{
    BreakerSettings, CachePolicy, CircuitBreaker, ConcurrencyLimit, Counts, FilterMode, RateLimit,
    RateLimiter, RetryBudget,
};
use skillhost_telemetry::Metrics;

use crate::{
    HostPolicy, Policies, SkillPolicy, ToolPolicy,
    concurrency::Slots,
    events::{Whose, told},
};

/// The state of every policy.
pub(crate) struct Registry {
    inner: RwLock<Inner>,
    metrics: Metrics,
}

struct Inner {
    policies: Arc<Policies>,
    host: Arc<HostState>,
    skills: HashMap<SkillName, Arc<SkillState>>,
}

/// For all calls together, and for each caller.
pub(crate) struct HostState {
    pub(crate) policy: HostPolicy,
    pub(crate) rate: Option<Arc<RateLimiter>>,
    /// Over all callers.
    pub(crate) caller_counts: Arc<Counts>,
    callers: moka::sync::Cache<Caller, Arc<CallerState>>,
}

/// For one caller.
#[derive(Debug)]
pub(crate) struct CallerState {
    pub(crate) rate: Option<RateLimiter>,
    pub(crate) slots: Option<Slots>,
}

/// For one skill.
pub(crate) struct SkillState {
    pub(crate) policy: Arc<SkillPolicy>,
    pub(crate) rate: Option<Arc<RateLimiter>>,
    pub(crate) breaker: Arc<CircuitBreaker>,
    pub(crate) budget: Arc<RetryBudget>,
    /// By depth of nesting, so that callers who wait for their callees never take their turns.
    slots: Option<Arc<[Slots]>>,
    /// Grows whenever what its tools read may have changed.
    pub(crate) generation: Arc<AtomicU64>,
    /// The newest load that was called.
    loaded: AtomicU64,
    tools: HashMap<String, Arc<ToolState>>,
    others: Arc<ToolState>,
}

/// For one tool.
pub(crate) struct ToolState {
    pub(crate) policy: Arc<ToolPolicy>,
    /// It was told that results cannot be kept though the operator said so.
    told_uncached: AtomicBool,
    pub(crate) rate: Option<Arc<RateLimiter>>,
    pub(crate) breaker: Option<Arc<CircuitBreaker>>,
}

/// Depths of nesting that have turns of their own; deeper calls share the last.
const DEPTHS: usize = 5;

impl Registry {
    pub(crate) fn new(policies: Arc<Policies>, metrics: Metrics, now: Instant) -> Self {
        let host = Arc::new(HostState::new(policies.host.clone(), None, now));
        Self { inner: RwLock::new(Inner { policies, host, skills: HashMap::new() }), metrics }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn host(&self) -> Arc<HostState> {
        Arc::clone(&self.read().host)
    }

    /// The state for a call of `entry`; new when its skill was not called before. Skills that are not `known` any more
    /// are forgotten then.
    pub(crate) fn of(
        &self,
        entry: &Entry,
        now: Instant,
        known: impl Fn(&SkillName) -> bool,
    ) -> Arc<SkillState> {
        let found = self.read().skills.get(&entry.skill).cloned();
        let state = found.unwrap_or_else(|| {
            let mut inner = self.write();
            inner.skills.retain(|name, _| known(name) || *name == entry.skill);
            let policy = Arc::clone(inner.policies.of(&entry.skill));
            let new = || Arc::new(SkillState::new(policy, None, (&entry.skill, &self.metrics), now));
            Arc::clone(inner.skills.entry(entry.skill.clone()).or_insert_with(new))
        });
        // Another version of the skill is not ill because the last one was.
        let before = state.loaded.fetch_max(entry.loaded, Ordering::Relaxed);
        if before != 0 && before < entry.loaded {
            state.renewed(&entry.skill, &self.metrics);
        }
        state
    }

    /// The policy of a tool, by its name within the skill; of a tool that is not known, what counts for those of its skill.
    pub(crate) fn policy_of(&self, skill: &str, tool: Option<&str>) -> Arc<ToolPolicy> {
        let policies = Arc::clone(&self.read().policies);
        let skill = policies.skills.get(skill).unwrap_or(&policies.defaults);
        Arc::clone(tool.and_then(|tool| skill.tools.get(tool)).unwrap_or(&skill.defaults))
    }

    pub(crate) fn filter_of(&self, skill: &str) -> FilterMode {
        let policies = Arc::clone(&self.read().policies);
        policies.skills.get(skill).unwrap_or(&policies.defaults).filter
    }

    /// What a skill's tools read may have changed.
    pub(crate) fn changed(&self, skill: &str) {
        if let Some(state) = self.read().skills.get(skill) {
            state.generation.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        }
    }

    /// Every skill that was called.
    pub(crate) fn skills(&self) -> Vec<(SkillName, Arc<SkillState>)> {
        let inner = self.read();
        inner.skills.iter().map(|(name, state)| (name.clone(), Arc::clone(state))).collect()
    }

    /// Go on with other policies.
    pub(crate) fn reconfigure(&self, policies: Arc<Policies>, now: Instant) {
        let mut inner = self.write();
        if policies.host != inner.policies.host {
            inner.host = Arc::new(HostState::new(policies.host.clone(), Some(&inner.host), now));
        }
        for (name, state) in &mut inner.skills {
            let policy = policies.of(name);
            if **policy != *state.policy {
                *state =
                    Arc::new(SkillState::new(Arc::clone(policy), Some(state), (name, &self.metrics), now));
            }
        }
        inner.policies = policies;
    }
}

impl HostState {
    fn new(policy: HostPolicy, before: Option<&Self>, now: Instant) -> Self {
        let same_callers = before.filter(|old| {
            let by =
                |policy: &HostPolicy| (policy.caller_rate_limit, policy.caller_concurrency, policy.callers);
            by(&old.policy) == by(&policy)
        });
        Self {
            rate: limiter(policy.rate_limit, before.and_then(|old| old.rate.as_ref()), now),
            caller_counts: same_callers.map_or_else(Arc::default, |old| Arc::clone(&old.caller_counts)),
            callers: match same_callers {
                Some(old) => old.callers.clone(),
                None => moka::sync::Cache::builder()
                    .max_capacity(policy.callers)
                    .eviction_policy(moka::policy::EvictionPolicy::lru())
                    .build(),
            },
            policy,
        }
    }

    /// Whether anything is limited by caller.
    pub(crate) fn by_caller(&self) -> bool {
        self.policy.caller_rate_limit.is_some() || self.policy.caller_concurrency.is_some()
    }

    /// The state of one caller; none when nothing is limited by caller.
    pub(crate) fn caller(&self, caller: &Caller, now: Instant) -> Option<Arc<CallerState>> {
        if !self.by_caller() {
            return None;
        }
        Some(self.callers.get_with_by_ref(caller, || {
            Arc::new(CallerState {
                rate: self.policy.caller_rate_limit.map(|limit| RateLimiter::new(limit, now)),
                slots: self.policy.caller_concurrency.map(Slots::new),
            })
        }))
    }

    /// Callers that are known, about.
    pub(crate) fn callers(&self) -> u64 {
        self.callers.entry_count()
    }
}

impl SkillState {
    fn new(
        policy: Arc<SkillPolicy>,
        before: Option<&Self>,
        (name, metrics): (&SkillName, &Metrics),
        now: Instant,
    ) -> Self {
        let tool = |tool: &Arc<ToolPolicy>, own: Option<&str>| {
            let before = before.and_then(|old| match own {
                Some(own) => old.tools.get(own),
                None => Some(&old.others),
            });
            let whose = Whose { skill: name, tool: own, metrics };
            Arc::new(ToolState {
                rate: limiter(tool.rate_limit, before.and_then(|old| old.rate.as_ref()), now),
                breaker: tool.breaker.as_ref().map(|settings| {
                    let old =
                        before.and_then(|old| Some((old.policy.breaker.as_ref()?, old.breaker.as_ref()?)));
                    breaker(settings, old, whose, now)
                }),
                // What is said for a whole skill is meant for those of its tools that it fits.
                told_uncached: AtomicBool::new(own.is_none()),
                policy: Arc::clone(tool),
            })
        };
        let slots = match (policy.concurrency, before.and_then(|old| old.slots.as_ref())) {
            (Some(limit), Some(old)) if old[0].limit() == &limit => Some(Arc::clone(old)),
            (Some(limit), _) => Some(slots(limit)),
            (None, _) => None,
        };
        let whose = Whose { skill: name, tool: None, metrics };
        let budget = before.filter(|old| old.policy.retry_budget == policy.retry_budget);
        let generation = before.map_or_else(Arc::default, |old| Arc::clone(&old.generation));
        // What was kept may have been filtered in another way.
        generation.fetch_add(1, Ordering::Relaxed);
        Self {
            rate: limiter(policy.rate_limit, before.and_then(|old| old.rate.as_ref()), now),
            breaker: breaker(
                &policy.breaker,
                before.map(|old| (&old.policy.breaker, &old.breaker)),
                whose,
                now,
            ),
            budget: budget.map_or_else(
                || Arc::new(RetryBudget::new(policy.retry_budget, now)),
                |old| Arc::clone(&old.budget),
            ),
            slots,
            generation,
            loaded: AtomicU64::new(before.map_or(0, |old| old.loaded.load(Ordering::Relaxed))),
            tools: policy.tools.iter().map(|(own, policy)| (own.clone(), tool(policy, Some(own)))).collect(),
            others: tool(&policy.defaults, None),
            policy,
        }
    }

    /// What its tools read changes from now on, until the answer is dropped.
    pub(crate) fn changing(&self) -> Changing<'_> {
        self.generation.fetch_add(1, Ordering::AcqRel);
        Changing(&self.generation)
    }

    pub(crate) fn tool(&self, name: &str) -> &Arc<ToolState> {
        self.tools.get(name).unwrap_or(&self.others)
    }

    /// Tools that have something of their own.
    pub(crate) fn tools(&self) -> impl Iterator<Item = (&String, &Arc<ToolState>)> {
        self.tools.iter()
    }

    /// The turns of calls at this depth.
    pub(crate) fn slots(&self, depth: u32) -> Option<&Slots> {
        let slots = self.slots.as_ref()?;
        slots.get(depth as usize).or(slots.last())
    }

    pub(crate) fn all_slots(&self) -> &[Slots] {
        self.slots.as_deref().unwrap_or_default()
    }

    fn renewed(&self, name: &SkillName, metrics: &Metrics) {
        let own = self
            .tools
            .iter()
            .filter_map(|(tool, state)| Some((Some(tool.as_str()), state.breaker.as_ref()?)));
        for (tool, breaker) in own.chain([(None, &self.breaker)]) {
            told(Whose { skill: name, tool, metrics }, breaker.reset());
        }
    }
}

impl ToolState {
    /// How results are kept, for a tool that only `reads`. Told once where the operator asks for what cannot be.
    pub(crate) fn caching(&self, reads: bool) -> Option<CachePolicy> {
        let cache = self.policy.cache?;
        if !reads && !self.told_uncached.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the tool has a `cache` but is not read-only: its results are not kept; say `read_only = true` if it is"
            );
        }
        reads.then_some(cache)
    }
}

/// See [`SkillState::changing`]. Also when the call is dropped half-way: it may have changed something by then.
pub(crate) struct Changing<'a>(&'a AtomicU64);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

fn limiter(
    limit: Option<RateLimit>,
    before: Option<&Arc<RateLimiter>>,
    now: Instant,
) -> Option<Arc<RateLimiter>> {
    let limit = limit?;
    Some(match before {
        Some(old) if *old.limit() == limit => Arc::clone(old),
        _ => Arc::new(RateLimiter::new(limit, now)),
    })
}

/// The breaker that goes on, if only an operator's mode has changed; else a new one.
fn breaker(
    settings: &BreakerSettings,
    before: Option<(&BreakerSettings, &Arc<CircuitBreaker>)>,
    whose: Whose<'_>,
    now: Instant,
) -> Arc<CircuitBreaker> {
    match before {
        Some((old, breaker)) if (BreakerSettings { mode: settings.mode, ..old.clone() }) == *settings => {
            told(whose, breaker.set_mode(settings.mode));
            Arc::clone(breaker)
        }
        _ => Arc::new(CircuitBreaker::new(settings.clone(), now, fastrand::u64(..))),
    }
}

fn slots(limit: ConcurrencyLimit) -> Arc<[Slots]> {
    std::iter::repeat_with(|| Slots::new(limit)).take(DEPTHS).collect()
}
