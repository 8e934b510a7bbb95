//! An engine that plays a script, and a pipeline around it.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
    time::SystemTime,
};

use serde_json::Value;
use skillhost_core::{
    Annotations, Attempt, Block, Digest, Entry, Instance, Invoke, NoClient, Outcome, Report, Schema,
    SkillName, SkillState, SkillStatus, ToolName, ToolSpec, Undo,
};

use super::{keeping::Keeping, *};
use crate::{SkillPolicy, TokioClock, ToolPolicy};

pub(super) type Answer = Result<Outcome, Failure>;
pub(super) type UndoScript = Box<dyn Fn(Undo) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;
pub(super) type Script = Box<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// An engine that plays a script, and counts what is running.
struct Fake {
    script: Script,
    running: Arc<AtomicUsize>,
    started: bool,
    undo: Option<UndoScript>,
}

struct FakeAttempt {
    work: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    running: Arc<AtomicUsize>,
    started: bool,
}

impl Invoke for Fake {
    fn start(&self, call: Call) -> Box<dyn Attempt> {
        self.running.fetch_add(1, Ordering::SeqCst);
        Box::new(FakeAttempt {
            work: Some((self.script)(call)),
            running: Arc::clone(&self.running),
            started: self.started,
        })
    }

    fn undo(&self, undo: Undo) -> Box<dyn Attempt> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let work = match &self.undo {
            Some(script) => script(undo),
            None => Box::pin(async { Err(Failure::new(FailureKind::Unsupported, "no undo")) }),
        };
        Box::new(FakeAttempt { work: Some(work), running: Arc::clone(&self.running), started: true })
    }
}

impl Future for FakeAttempt {
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        let usage = Usage { started: self.started, fuel: 7, ..Usage::default() };
        let result = match &mut self.work {
            None => Poll::Ready(Err(Failure::new(FailureKind::Cancelled, "aborted"))),
            Some(work) => work.as_mut().poll(cx),
        };
        result.map(|result| Report { result, usage, instance: Instance::default() })
    }
}

impl Attempt for FakeAttempt {
    fn abort(&mut self) {
        self.work = None;
    }
}

impl Drop for FakeAttempt {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) struct Bench {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) publish: watch::Sender<Arc<Catalog>>,
    pub(super) running: Arc<AtomicUsize>,
    /// None where no journal is kept.
    pub(super) keeping: Option<Keeping>,
}

pub(super) const ANY: &str = r#"{"type":"object"}"#;

pub(super) fn spec(input: &str, output: Option<&str>) -> Arc<ToolSpec> {
    Arc::new(ToolSpec {
        name: "run".into(),
        title: None,
        description: None,
        input: Schema::for_arguments(input).unwrap(),
        output: output.map(|text| Schema::parse(text).unwrap()),
        annotations: Annotations::default(),
        undoable: false,
        durable: false,
        task: skillhost_core::TaskSupport::No,
        icons: None,
        meta: None,
    })
}

pub(super) fn status(name: &SkillName, state: SkillState) -> SkillStatus {
    SkillStatus {
        name: name.clone(),
        state,
        serving: None,
        since: SystemTime::UNIX_EPOCH,
        tools: vec![],
        contested: vec![],
    }
}

/// Tools of the skill `fake` that may call each other, all with this script.
pub(super) fn calling(names: &[&str], script: Script) -> Bench {
    let running = Arc::new(AtomicUsize::new(0));
    let skill = SkillName::new("fake").unwrap();
    let invoke = Arc::new(Fake { script, running: Arc::clone(&running), started: true, undo: None });
    let tool = |name: &&str| {
        let own = ToolSpec { name: (*name).into(), ..Arc::into_inner(spec(ANY, None)).unwrap() };
        let full = ToolName::prefixed(&skill, name).unwrap();
        (full, Entry { calls_tools: true, ..entry(&skill, Arc::new(own), invoke.clone()) })
    };
    assemble(names.iter().map(tool).collect(), running, Policies::default())
}

/// Tools of the skill `fake` that may call each other, with whether each can be taken back, and what runs them.
pub(super) fn undoable(
    names: impl Iterator<Item = (String, bool)>,
    script: Script,
    undo: UndoScript,
    policies: Policies,
    keeping: Keeping,
) -> (Bench, Arc<dyn Invoke>) {
    let running = Arc::new(AtomicUsize::new(0));
    let skill = SkillName::new("fake").unwrap();
    let invoke = Arc::new(Fake { script, running: Arc::clone(&running), started: true, undo: Some(undo) });
    let tool = |(name, undoable): (String, bool)| {
        let full = ToolName::prefixed(&skill, &name).unwrap();
        let annotations = Annotations {
            read_only: Some(name.starts_with("look")),
            idempotent: Some(name.starts_with("same")),
            ..Annotations::default()
        };
        let own = ToolSpec { name, undoable, annotations, ..Arc::into_inner(spec(ANY, None)).unwrap() };
        (full, Entry { calls_tools: true, ..entry(&skill, Arc::new(own), invoke.clone()) })
    };
    (assemble_with(names.map(tool).collect(), running, policies, Some(keeping)), invoke)
}

pub(super) fn bench_with(spec: Arc<ToolSpec>, started: bool, script: Script) -> Bench {
    let running = Arc::new(AtomicUsize::new(0));
    let skill = SkillName::new("fake").unwrap();
    let invoke = Arc::new(Fake { script, running: Arc::clone(&running), started, undo: None });
    let tools = BTreeMap::from([(ToolName::prefixed(&skill, "run").unwrap(), entry(&skill, spec, invoke))]);
    assemble(tools, running, Policies::default())
}

/// One tool of a kind, with a journal.
pub(super) fn kept(
    policies: Policies,
    spec: Arc<ToolSpec>,
    script: impl Fn(Call) -> Answer + Send + Sync + 'static,
) -> Bench {
    let running = Arc::new(AtomicUsize::new(0));
    let skill = SkillName::new("fake").unwrap();
    let script: Script = Box::new(move |call| {
        let answer = script(call);
        Box::pin(async { answer })
    });
    let invoke = Arc::new(Fake { script, running: Arc::clone(&running), started: true, undo: None });
    let tools = BTreeMap::from([(ToolName::prefixed(&skill, "run").unwrap(), entry(&skill, spec, invoke))]);
    assemble_with(tools, running, policies, Some(Keeping::new(|_, _| {})))
}

fn entry(skill: &SkillName, spec: Arc<ToolSpec>, invoke: Arc<dyn Invoke>) -> Entry {
    let (skill, digest, timeout) = (skill.clone(), Digest::of(b""), Duration::from_secs(10));
    Entry { spec, skill, digest, loaded: 1, timeout, calls_tools: false, invoke }
}

fn assemble(tools: BTreeMap<ToolName, Entry>, running: Arc<AtomicUsize>, policies: Policies) -> Bench {
    assemble_with(tools, running, policies, None)
}

fn assemble_with(
    tools: BTreeMap<ToolName, Entry>,
    running: Arc<AtomicUsize>,
    policies: Policies,
    keeping: Option<Keeping>,
) -> Bench {
    let recovery = keeping.as_ref().map(|keeping| Arc::clone(&keeping.recovery));
    Bench { keeping, ..assembled(tools, running, policies, recovery) }
}

fn assembled(
    mut tools: BTreeMap<ToolName, Entry>,
    running: Arc<AtomicUsize>,
    policies: Policies,
    recovery: Option<Arc<crate::Recovery>>,
) -> Bench {
    let own = recovery.iter().flat_map(|recovery| {
        crate::built_in(recovery, crate::Offered { search: crate::OfferSearch::Always, health: true })
    });
    tools.extend(own.map(|own| (own.name, own.entry)));
    let skills = tools.values().map(|entry| {
        let mut serving = status(&entry.skill, SkillState::Ready);
        serving.serving = Some(entry.digest);
        (entry.skill.clone(), serving)
    });
    let catalog = Catalog { skills: skills.collect(), tools, settled: true, ..Catalog::default() };
    let (publish, catalog) = watch::channel(Arc::new(catalog));
    let settings = Settings { policies: Arc::new(policies), ..Settings::default() };
    let dispatcher = Dispatcher::new(catalog, Arc::new(TokioClock), settings, recovery);
    Bench { dispatcher, publish, running, keeping: None }
}

/// The skills `fake` and `other`, each with the tools `run`, which may do anything, `same`, which is idempotent, and
/// `read`, which is read-only.
pub(super) fn world<F>(policies: Policies, script: impl Fn(Call) -> F + Send + Sync + 'static) -> Bench
where
    F: Future<Output = Answer> + Send + 'static,
{
    kept_world(policies, None, script)
}

/// The same, with a journal.
pub(super) fn kept_world<F>(
    policies: Policies,
    keeping: Option<Keeping>,
    script: impl Fn(Call) -> F + Send + Sync + 'static,
) -> Bench
where
    F: Future<Output = Answer> + Send + 'static,
{
    let recovery = keeping.as_ref().map(|keeping| Arc::clone(&keeping.recovery));
    Bench { keeping, ..whole_world(policies, recovery, script) }
}

/// The same, with what keeps calls somewhere else.
pub(super) fn kept_with<F>(
    policies: Policies,
    recovery: Arc<crate::Recovery>,
    script: impl Fn(Call) -> F + Send + Sync + 'static,
) -> Bench
where
    F: Future<Output = Answer> + Send + 'static,
{
    whole_world(policies, Some(recovery), script)
}

fn whole_world<F>(
    policies: Policies,
    recovery: Option<Arc<crate::Recovery>>,
    script: impl Fn(Call) -> F + Send + Sync + 'static,
) -> Bench
where
    F: Future<Output = Answer> + Send + 'static,
{
    let running = Arc::new(AtomicUsize::new(0));
    let script = Arc::new(script);
    let mut tools = BTreeMap::new();
    for name in ["fake", "other"] {
        let skill = SkillName::new(name).unwrap();
        let script = Arc::clone(&script);
        let play: Script = Box::new(move |call| Box::pin(script(call)));
        let invoke =
            Arc::new(Fake { script: play, running: Arc::clone(&running), started: true, undo: None });
        for tool in ["run", "same", "read"] {
            let annotations = Annotations {
                read_only: Some(tool == "read"),
                idempotent: Some(tool == "same"),
                ..Annotations::default()
            };
            let input = r#"{"type":"object","properties":{"token":{"type":"string","writeOnly":true}}}"#;
            let spec =
                ToolSpec { name: tool.into(), annotations, ..Arc::into_inner(spec(input, None)).unwrap() };
            let full = ToolName::prefixed(&skill, tool).unwrap();
            tools.insert(full, Entry { calls_tools: true, ..entry(&skill, Arc::new(spec), invoke.clone()) });
        }
    }
    assembled(tools, running, policies, recovery)
}

/// Policies that differ from the defaults in what `change` does to every skill and to its tools.
pub(super) fn policies(change: impl FnOnce(&mut SkillPolicy, &mut ToolPolicy)) -> Policies {
    let (mut skill, mut tool) = (SkillPolicy::default(), ToolPolicy::default());
    // Exact figures are wanted.
    tool.retry.jitter = false;
    skill.breaker.jitter = 0.0;
    change(&mut skill, &mut tool);
    skill.defaults = Arc::new(tool);
    Policies { defaults: Arc::new(skill), ..Policies::default() }
}

/// The policies, with others for one tool of `fake`.
pub(super) fn with_tool(
    mut policies: Policies,
    tool: &str,
    change: impl FnOnce(&mut ToolPolicy),
) -> Policies {
    let mut skill = (*policies.defaults).clone();
    let mut own = (*skill.defaults).clone();
    change(&mut own);
    skill.tools.insert(tool.into(), Arc::new(own));
    policies.skills.insert(SkillName::new("fake").unwrap(), Arc::new(skill));
    policies
}

impl Bench {
    pub(super) async fn call(&self, tool: &str) -> Response {
        self.dispatcher.call(request(tool, serde_json::json!({}))).await
    }

    pub(super) async fn call_with(&self, tool: &str, arguments: Value) -> Response {
        self.dispatcher.call(request(tool, arguments)).await
    }

    /// A call that runs beside the test.
    pub(super) fn spawn(&self, tool: &str) -> tokio::task::JoinHandle<Response> {
        self.spawn_request(request(tool, serde_json::json!({})))
    }

    pub(super) fn spawn_request(&self, request: Request) -> tokio::task::JoinHandle<Response> {
        let dispatcher = Arc::clone(&self.dispatcher);
        tokio::spawn(async move { dispatcher.call(request).await })
    }

    /// Let everything that can go on go on, without time passing.
    pub(super) async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// The breaker of `fake`.
    pub(super) fn breaker(&self) -> crate::BreakerReport {
        self.dispatcher.report().skills["fake"].breaker.clone()
    }
}

/// What a response failed with.
pub(super) fn failed(response: Response) -> Failure {
    response.result.expect_err("it failed")
}

pub(super) fn transient() -> Failure {
    Failure::new(FailureKind::Transient, "busy")
}

pub(super) async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

pub(super) fn bench(script: impl Fn(Call) -> Answer + Send + Sync + 'static) -> Bench {
    let script = Arc::new(script);
    let play = move |call| {
        let script = Arc::clone(&script);
        Box::pin(async move { script(call) }) as Pin<Box<dyn Future<Output = Answer> + Send>>
    };
    bench_with(spec(ANY, None), true, Box::new(play))
}

pub(super) fn hanging(started: bool) -> Bench {
    bench_with(spec(ANY, None), started, Box::new(|_| Box::pin(std::future::pending())))
}

pub(super) fn request(tool: &str, arguments: Value) -> Request {
    Request {
        id: None,
        tool: tool.into(),
        arguments: arguments.as_object().cloned(),
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

pub(super) fn text(text: &str) -> Outcome {
    Outcome::Reply(Reply { content: vec![Block::text(text)], ..Reply::default() })
}

pub(super) async fn kind(bench: &Bench, tool: &str, arguments: Value) -> FailureKind {
    bench.dispatcher.call(request(tool, arguments)).await.result.unwrap_err().kind
}

/// One token in fifty seconds.
pub(super) fn slow() -> RateLimit {
    let rate = Rate::per_second(0.02).unwrap();
    RateLimit { max: 2, rate, burst: 0, wait: Duration::ZERO, shadow: false }
}

pub(super) fn fine(policies: Policies) -> Bench {
    world(policies, |_| async { Ok(text("fine")) })
}

pub(super) fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// Fails while the switch is on, and counts.
pub(super) fn switch(policies: Policies) -> (Bench, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (ill, calls) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
    let (is_ill, count) = (Arc::clone(&ill), Arc::clone(&calls));
    let bench = world(policies, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let ill = is_ill.load(Ordering::SeqCst) == 1;
        async move { if ill { Err(Failure::new(FailureKind::OutOfFuel, "ill")) } else { Ok(text("well")) } }
    });
    (bench, ill, calls)
}

/// So many calls of a skill at once.
pub(super) fn turns(max: u32, queue: u32, wait: u64) -> Policies {
    policies(|skill, _| skill.concurrency = Some(ConcurrencyLimit { max, queue, wait: seconds(wait) }))
}
