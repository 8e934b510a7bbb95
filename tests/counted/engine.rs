//! A fresh instance and one call of it, each mapped anew: callgrind cannot carry the address space of the pool.

use std::{sync::Arc, time::Duration};

use skillhost_core::{
    Access, Call, CallId, Caller, ClientFeatures, Clock as _, Invoke as _, NoClient, NoTools, SkillName,
    SystemClock,
};
use skillhost_engine::{Allowance, Compiler, Engine, EngineSettings, OwnListeners};
use skillhost_telemetry::Metrics;

const COMPONENT: &str = r#"(component
    (core module $code
        (memory (export "memory") 1)
        (global $free (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            global.get $free
            (global.set $free (i32.add (global.get $free) (local.get 3))))
        (func (export "echo") (param i32 i32) (result i32)
            (i32.store (i32.const 0) (local.get 0))
            (i32.store (i32.const 4) (local.get 1))
            i32.const 0))
    (core instance $one (instantiate $code))
    (func (export "echo") (param "text" string) (result string)
        (canon lift (core func $one "echo") (memory (core memory $one "memory")) (realloc (core func $one "realloc")))))"#;

pub(crate) fn run(calls: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = EngineSettings {
        instances: 4,
        pooled: false,
        max_memory: 16 << 20,
        threads: 1,
        cache: folder.path().join("compiled"),
        cache_size: 1 << 30,
        compiler: Compiler::InProcess,
        listeners: OwnListeners::default(),
        upstream: None,
        keyvalue: None,
        metrics: Metrics::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let engine = Engine::new(&settings, Arc::new(SystemClock)).expect("an engine");
        let name = SkillName::new("plain").expect("a name");
        let component = wat::parse_str(COMPONENT).expect("a component");
        let loading = engine.load(&name, component, Allowance::default(), |_| ()).await;
        let skill = loading.unwrap_or_else(|error| panic!("{error}")).skill;
        for _ in 0..calls {
            let call = Call {
                target: Arc::default(),
                round: None,
                id: CallId::new(),
                correlation_id: "counted".into(),
                caller: Caller::local(),
                access: Access::default(),
                tool: "echo".into(),
                arguments: Some(Arc::new(r#"{"text":"a b"}"#.into())),
                meta: None,
                attempt: 1,
                deadline: SystemClock.now() + Duration::from_secs(600),
                client: ClientFeatures::default(),
                link: Arc::new(NoClient),
                depth: 0,
                tools: Arc::new(NoTools),
                undo: None,
                span: tracing::Span::none(),
            };
            let report = skill.start(call).await;
            assert!(report.result.is_ok(), "{:?}", report.result);
        }
    });
}
