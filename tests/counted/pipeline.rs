//! The whole pipeline on one core, with an engine that answers at once.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use serde_json::{Map, Value};
use skillhost_core::{
    Annotations, Attempt, Block, Call, Caller, Catalog, ClientFeatures, Digest, Entry, Instance, Invoke,
    NoClient, Outcome, Reply, Report, Schema, SkillName, ToolName, ToolSpec, Undo, Usage,
};
use skillhost_pipeline::{
    Asked, Dispatcher, HostPolicy, Policies, Request, Settings, SkillPolicy, TokioClock, ToolPolicy,
};
use skillhost_policy::{
    BreakerSettings, CachePolicy, ConcurrencyLimit, FilterMode, Rate, RateLimit, RetryPolicy,
};
use tokio::{runtime::Builder, sync::watch};
use tokio_util::sync::CancellationToken;

struct Instantly;

impl Invoke for Instantly {
    fn start(&self, _: Call) -> Box<dyn Attempt> {
        Box::new(Done)
    }

    fn undo(&self, _: Undo) -> Box<dyn Attempt> {
        Box::new(Done)
    }
}

struct Done;

impl Future for Done {
    type Output = Report;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Report> {
        let reply = Reply { content: vec![Block::text("two words")], ..Reply::default() };
        let usage = Usage { started: true, ..Usage::default() };
        Poll::Ready(Report { result: Ok(Outcome::Reply(reply)), usage, instance: Instance::default() })
    }
}

impl Attempt for Done {
    fn abort(&mut self) {}
}

fn dispatcher(policies: Policies) -> Arc<Dispatcher> {
    let skill = SkillName::new("fake").expect("a name");
    let input = r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#;
    let spec = ToolSpec {
        annotations: Annotations { read_only: Some(true), ..Annotations::default() },
        ..ToolSpec::new("run", Schema::for_arguments(input).expect("a schema"))
    };
    let entry = Entry {
        spec: Arc::new(spec),
        skill: skill.clone(),
        digest: Digest::of(b""),
        loaded: 1,
        timeout: Duration::from_secs(30),
        calls_tools: false,
        invoke: Arc::new(Instantly),
    };
    let tools = BTreeMap::from([(ToolName::prefixed(&skill, "run").expect("a name"), entry)]);
    let (_, catalog) = watch::channel(Arc::new(Catalog { tools, settled: true, ..Catalog::default() }));
    let settings = Settings { policies: Arc::new(policies), ..Settings::default() };
    Dispatcher::new(catalog, Arc::new(TokioClock), settings, None)
}

fn policies_off() -> Policies {
    let tool = ToolPolicy { retry: RetryPolicy::preset("off").expect("a preset"), ..ToolPolicy::default() };
    let skill = SkillPolicy {
        concurrency: None,
        breaker: BreakerSettings::preset("off").expect("a preset"),
        defaults: Arc::new(tool),
        ..SkillPolicy::default()
    };
    Policies { defaults: Arc::new(skill), ..Policies::default() }
}

fn all_policies() -> Policies {
    let rate = Rate::per_second(1_000_000.0).expect("a rate");
    let limit =
        Some(RateLimit { max: 1_000_000, rate, burst: 1_000_000, wait: Duration::ZERO, shadow: false });
    let tool = ToolPolicy {
        rate_limit: limit,
        breaker: Some(BreakerSettings { slow_rate: Some(0.5), ..BreakerSettings::default() }),
        cache: Some(CachePolicy { ttl: Duration::from_secs(60), shared: false }),
        control_characters: skillhost_policy::ControlCharacters::Refuse,
        ..ToolPolicy::default()
    };
    let skill = SkillPolicy {
        rate_limit: limit,
        filter: FilterMode::Mark,
        tools: BTreeMap::from([("run".to_owned(), Arc::new(tool))]),
        ..SkillPolicy::default()
    };
    let host = HostPolicy {
        rate_limit: limit,
        caller_rate_limit: limit,
        caller_concurrency: Some(ConcurrencyLimit::of_a_skill()),
        // Full soon: what is measured is the cache at its bound, each result in the place of another.
        cache_size: 1 << 20,
        ..HostPolicy::default()
    };
    Policies { host, defaults: Arc::new(skill), ..Policies::default() }
}

fn request(n: u64) -> Request {
    Request {
        id: None,
        tool: "fake_run".into(),
        arguments: Some(Map::from_iter([("n".to_owned(), Value::from(n))])),
        meta: None,
        correlation_id: None,
        caller: Caller::local(),
        access: skillhost_core::Access::default(),
        client: ClientFeatures::default(),
        link: Arc::new(NoClient),
        cancel: CancellationToken::new(),
        parent: None,
        asked: Asked::default(),
        given: None,
        resume: None,
    }
}

/// Calls with policies that are off.
pub(crate) fn off(calls: u32) {
    run(calls, policies_off(), false);
}

/// With those that a host has by itself.
pub(crate) fn defaults(calls: u32) {
    run(calls, Policies::default(), false);
}

/// With all that there are, and results that are kept and never asked for again.
pub(crate) fn all(calls: u32) {
    run(calls, all_policies(), false);
}

/// With the same, and a result that is kept.
pub(crate) fn kept(calls: u32) {
    run(calls, all_policies(), true);
}

fn run(calls: u32, policies: Policies, same: bool) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let dispatcher = dispatcher(policies);
    for n in 0..u64::from(calls) {
        let reply = runtime.block_on(dispatcher.call(request(if same { 0 } else { n }))).result;
        assert!(reply.is_ok());
    }
}
