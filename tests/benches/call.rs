//! What the pipeline costs on top of the engine: the same call, side by side in one run.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use skillhost_core::{
    Call, CallId, Caller, Catalog, ClientFeatures, Clock as _, Entry, Invoke, NoClient, NoTools, SkillName,
    SystemClock, ToolName,
};
use skillhost_engine::{Allowance, Compiler, Engine, EngineSettings, OwnListeners};
use skillhost_pipeline::{Asked, Dispatcher, Policies, Request, Settings, SkillPolicy, TokioClock};
use skillhost_policy::BreakerSettings;
use skillhost_telemetry::Metrics;
use tokio::{runtime::Runtime, sync::watch};
use tokio_util::sync::CancellationToken;

fn one_call(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let cache = tempfile::tempdir().expect("a folder");
    let settings = EngineSettings {
        instances: 64,
        max_memory: 256 << 20,
        threads: 2,
        cache: cache.path().join("compiled"),
        cache_size: 1 << 30,
        compiler: Compiler::InProcess,
        listeners: OwnListeners::default(),
        upstream: None,
        keyvalue: None,
        metrics: Metrics::default(),
    };
    let engine = Engine::new(&settings, Arc::new(SystemClock)).expect("an engine");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/dist/text.wasm");
    let component = std::fs::read(file).expect("the component");
    let name = SkillName::new("text").expect("a name");
    let loaded = runtime
        .block_on(engine.load(&name, component, Allowance::default(), |_| ()))
        .unwrap_or_else(|error| panic!("{error}"));
    let skill = loaded.skill;
    let spec = loaded.tools.into_iter().find(|spec| spec.name == "word_count").expect("the tool");
    let tool = ToolName::prefixed(&name, &spec.name).expect("a name");
    let entry = Entry {
        spec: Arc::new(spec),
        skill: name,
        digest: loaded.digest,
        loaded: 1,
        timeout: Duration::from_secs(30),
        calls_tools: false,
        invoke: skill.clone(),
    };
    let catalog = Catalog { tools: BTreeMap::from([(tool, entry)]), settled: true, ..Catalog::default() };
    let (_publish, catalog) = watch::channel(Arc::new(catalog));
    let with = |policies: Policies| {
        let settings = Settings { policies: Arc::new(policies), ..Settings::default() };
        Dispatcher::new(catalog.clone(), Arc::new(TokioClock), settings, None)
    };

    let mut group = criterion.benchmark_group("one fresh call of text_word_count");
    group.bench_function("engine alone", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let call = Call {
                target: Arc::default(),
                round: None,
                id: CallId::new(),
                correlation_id: "bench".into(),
                caller: Caller::local(),
                access: skillhost_core::Access::default(),
                tool: "word_count".into(),
                arguments: Some(Arc::new(r#"{"text":"a b"}"#.into())),
                meta: None,
                attempt: 1,
                deadline: SystemClock.now() + Duration::from_secs(30),
                client: ClientFeatures::default(),
                link: Arc::new(NoClient),
                depth: 0,
                tools: Arc::new(NoTools),
                undo: None,
                span: tracing::Span::none(),
            };
            assert!(skill.start(call).await.result.is_ok());
        });
    });
    let off = SkillPolicy {
        concurrency: None,
        breaker: BreakerSettings::preset("off").expect("a preset"),
        ..SkillPolicy::default()
    };
    for (what, policies) in [
        ("whole pipeline, policies off", Policies { defaults: Arc::new(off), ..Policies::default() }),
        ("whole pipeline, default policies", Policies::default()),
    ] {
        let dispatcher = with(policies);
        group.bench_function(what, |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let request = Request {
                    id: None,
                    tool: "text_word_count".into(),
                    arguments: json!({"text": "a b"}).as_object().cloned(),
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
                };
                assert!(dispatcher.call(request).await.result.is_ok());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, one_call);
criterion_main!(benches);
