//! (a) What each layer adds to a fresh instance and one call.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use skillhost_core::{
    Access, Call, CallId, Caller, Catalog, ClientFeatures, Entry, Invoke as _, NoClient, NoTools, SkillName,
    SystemClock, ToolName,
};
use skillhost_e2e::component;
use skillhost_engine::{
    Allowance, Compiler, Engine, EngineSettings, Metering, OwnListeners, Skill, wasmtime_config,
};
use skillhost_pipeline::{Asked, Dispatcher, Policies, Request, Settings, SkillPolicy, TokioClock};
use skillhost_policy::BreakerSettings;
use skillhost_telemetry::Metrics;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    bare::{Bare, Bounds, later},
    measure::{Load, Variant, interleaved, nanos, of, ratio},
    native::ECHO,
    report::Section,
};

const ARGUMENTS: &str = r#"{"text":"a b"}"#;

struct Loaded {
    skill: Arc<Skill>,
    catalog: watch::Receiver<Arc<Catalog>>,
}

pub(crate) fn run(rounds: usize, time: Duration) -> Section {
    let columns = ["calls/s", "µs p50", "µs p99", "times bare"];
    let mut section =
        Section::new("a", "Layers of one call: a fresh instance each, in one process", &columns);
    // As the host has it for I/O; guests have a runtime of their own.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = Builder::new_multi_thread().worker_threads(cores).enable_all().build().expect("a runtime");
    let cache = tempfile::tempdir().expect("a folder");
    let settings = EngineSettings {
        instances: 64,
        pooled: true,
        max_memory: 256 << 20,
        threads: cores,
        cache: cache.path().join("compiled"),
        cache_size: 1 << 30,
        compiler: Compiler::InProcess,
        listeners: OwnListeners::default(),
        upstream: None,
        keyvalue: None,
        metrics: Metrics::default(),
    };
    let bytes = component("bench.wasm");
    let both = Bounds { fuel: true, epochs: true };
    let bare = Arc::new(Bare::new(&mut wasmtime_config(&settings, Metering::Fuel), both, &bytes));
    let loaded = loaded(&runtime, &settings, bytes);
    let off = SkillPolicy {
        concurrency: None,
        breaker: BreakerSettings::preset("off").expect("a preset"),
        ..SkillPolicy::default()
    };
    let off = dispatcher(&loaded, Policies { defaults: Arc::new(off), ..Policies::default() });
    let on = dispatcher(&loaded, Policies::default());
    for at_once in [1, 8] {
        let mut variants = [
            Variant::new("bare wasmtime", || {
                let bare = Arc::clone(&bare);
                measured(&runtime, at_once, time, move || {
                    let bare = Arc::clone(&bare);
                    async move { bare.call("echo", ARGUMENTS).await }
                })
            }),
            Variant::new("engine", || {
                let skill = Arc::clone(&loaded.skill);
                measured(&runtime, at_once, time, move || engine_call(Arc::clone(&skill)))
            }),
            Variant::new("pipeline, policies off", || {
                let dispatcher = Arc::clone(&off);
                measured(&runtime, at_once, time, move || pipeline_call(Arc::clone(&dispatcher)))
            }),
            Variant::new("pipeline, default policies", || {
                let dispatcher = Arc::clone(&on);
                measured(&runtime, at_once, time, move || pipeline_call(Arc::clone(&dispatcher)))
            }),
        ];
        let all = interleaved(rounds, &mut variants);
        for (variant, samples) in variants.iter().zip(&all) {
            section.row(
                format!("{}, {at_once} at once", variant.name),
                [
                    of(samples, Load::per_second),
                    of(samples, |load| load.quantile(0.5)),
                    of(samples, |load| load.quantile(0.99)),
                    ratio(&all[0], samples, Load::per_second),
                ],
            );
        }
    }
    section
}

/// `call` by so many tasks at once.
fn measured<F>(
    runtime: &Runtime,
    at_once: usize,
    time: Duration,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> Load
where
    F: Future<Output = ()> + Send + 'static,
{
    let began = std::time::Instant::now();
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let call = call.clone();
            runtime.spawn(async move {
                let mut latencies = vec![];
                while began.elapsed() < time {
                    let start = std::time::Instant::now();
                    call().await;
                    latencies.push(nanos(start.elapsed()));
                }
                latencies
            })
        })
        .collect();
    let latencies = tasks.into_iter().flat_map(|task| runtime.block_on(task).expect("it ends"));
    let latencies: Vec<_> = latencies.collect();
    Load { calls: latencies.len() as u64, took: began.elapsed(), latencies, cpu: Duration::ZERO }
}

fn loaded(runtime: &Runtime, settings: &EngineSettings, bytes: Vec<u8>) -> Loaded {
    let engine = Engine::new(settings, Arc::new(SystemClock)).expect("an engine");
    let name = SkillName::new("bench").expect("a name");
    let loading = engine.load(&name, bytes, Allowance::default(), |_| ());
    let loaded = runtime.block_on(loading).unwrap_or_else(|error| panic!("{error}"));
    let entries = loaded.tools.into_iter().map(|spec| {
        let tool = ToolName::prefixed(&name, &spec.name).expect("a name");
        let entry = Entry {
            spec: Arc::new(spec),
            skill: name.clone(),
            digest: loaded.digest,
            loaded: 1,
            timeout: Duration::from_secs(30),
            calls_tools: false,
            invoke: loaded.skill.clone(),
        };
        (tool, entry)
    });
    let tools: BTreeMap<_, _> = entries.collect();
    let (_, catalog) = watch::channel(Arc::new(Catalog { tools, settled: true, ..Catalog::default() }));
    Loaded { skill: loaded.skill, catalog }
}

fn dispatcher(loaded: &Loaded, policies: Policies) -> Arc<Dispatcher> {
    let settings = Settings { policies: Arc::new(policies), ..Settings::default() };
    Dispatcher::new(loaded.catalog.clone(), Arc::new(TokioClock), settings, None)
}

async fn engine_call(skill: Arc<Skill>) {
    let call = Call {
        target: Arc::default(),
        round: None,
        id: CallId::new(),
        correlation_id: "bench".into(),
        caller: Caller::local(),
        access: Access::default(),
        tool: "echo".into(),
        arguments: Some(Arc::new(ARGUMENTS.into())),
        meta: None,
        attempt: 1,
        deadline: later(),
        client: ClientFeatures::default(),
        link: Arc::new(NoClient),
        depth: 0,
        tools: Arc::new(NoTools),
        undo: None,
        span: tracing::Span::none(),
    };
    assert!(skill.start(call).await.result.is_ok());
}

async fn pipeline_call(dispatcher: Arc<Dispatcher>) {
    let request = Request {
        id: None,
        tool: ECHO.into(),
        arguments: json!({"text": "a b"}).as_object().cloned(),
        meta: None,
        correlation_id: None,
        caller: Caller::local(),
        access: Access::default(),
        client: ClientFeatures::default(),
        link: Arc::new(NoClient),
        cancel: CancellationToken::new(),
        parent: None,
        asked: Asked::default(),
        given: None,
        resume: None,
    };
    assert!(dispatcher.call(request).await.result.is_ok());
}
