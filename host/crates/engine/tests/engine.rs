//! The engine against real components.

use std::{path::Path, sync::Arc, time::Duration};

use skillhost_core::{
    Call, CallId, Caller, ClientFeatures, ClientLink, Clock as _, FailureKind, Invoke, NoClient, NoTools,
    Outcome, Progress, SkillName, SystemClock, Undo,
};
use skillhost_engine::{Allowance, Compiler, Engine, EngineSettings, Loaded, OwnListeners};
use skillhost_telemetry::Metrics;

struct Fixture {
    cache: tempfile::TempDir,
    engine: Engine,
}

fn fixture(instances: u32) -> Fixture {
    let cache = tempfile::tempdir().unwrap();
    let engine = engine(instances, cache.path());
    Fixture { cache, engine }
}

fn engine(instances: u32, cache: &Path) -> Engine {
    let settings = EngineSettings {
        instances,
        pooled: true,
        max_memory: 256 << 20,
        threads: 2,
        cache: cache.join("compiled"),
        cache_size: 1 << 30,
        compiler: Compiler::InProcess,
        listeners: OwnListeners::default(),
        upstream: None,
        keyvalue: None,
        metrics: Metrics::default(),
    };
    Engine::new(&settings, Arc::new(SystemClock)).unwrap()
}

async fn load(engine: &Engine, file: &str) -> Loaded {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let component = std::fs::read(repo.join(file)).unwrap();
    let name = SkillName::new("sample").unwrap();
    engine.load(&name, component, Allowance::default(), |_| ()).await.unwrap()
}

const TEXT: &str = "plugins/dist/text.wasm";
const FAULTY: &str = "tests/skills/dist/faulty.wasm";

fn call(tool: &str, arguments: &str) -> Call {
    Call {
        id: CallId::new(),
        correlation_id: "test".into(),
        caller: Caller::local(),
        access: skillhost_core::Access::default(),
        target: Arc::default(),
        round: None,
        tool: tool.into(),
        arguments: Some(Arc::new(arguments.into())),
        meta: None,
        attempt: 1,
        deadline: SystemClock.now() + Duration::from_secs(60),
        client: ClientFeatures::default(),
        link: Arc::new(NoClient),
        depth: 0,
        tools: Arc::new(NoTools),
        undo: None,
        span: tracing::Span::none(),
    }
}

async fn words(loaded: &Loaded) -> u64 {
    let report = loaded.skill.start(call("word_count", r#"{"text":"a b"}"#)).await;
    let Outcome::Reply(reply) = report.result.unwrap() else { panic!("not a reply") };
    reply.structured.unwrap()["words"].as_u64().unwrap()
}

#[tokio::test]
async fn compiled_code_is_found_again() {
    let fixture = fixture(2);
    assert!(!load(&fixture.engine, TEXT).await.cached);
    assert!(load(&fixture.engine, TEXT).await.cached);
    let another = engine(2, fixture.cache.path());
    assert!(load(&another, TEXT).await.cached, "by another process too");
}

#[tokio::test]
async fn more_calls_than_slots_wait_their_turn() {
    let fixture = fixture(2);
    let loaded = load(&fixture.engine, TEXT).await;
    let mut attempts: Vec<_> =
        (0..64).map(|_| loaded.skill.start(call("word_count", r#"{"text":"a b"}"#))).collect();
    for attempt in &mut attempts {
        assert!(attempt.await.result.is_ok());
    }
}

#[tokio::test]
async fn an_aborted_guest_gives_its_slot_back_and_tells_what_it_used() {
    let fixture = fixture(1);
    let (text, faulty) = (load(&fixture.engine, TEXT).await, load(&fixture.engine, FAULTY).await);
    let mut attempt = faulty.skill.start(call("loop", "{}"));
    // Time for a few yields; a guest that cannot be seen to run would report no fuel below.
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut attempt).await.is_err());
    attempt.abort();
    let report = attempt.await;
    assert_eq!(report.result.unwrap_err().kind, FailureKind::Cancelled);
    assert!(report.usage.started && report.usage.fuel >= 1_000_000, "{:?}", report.usage);
    assert_eq!(words(&text).await, 2);
}

#[tokio::test]
async fn a_dropped_attempt_gives_its_slot_back() {
    let fixture = fixture(1);
    let (text, faulty) = (load(&fixture.engine, TEXT).await, load(&fixture.engine, FAULTY).await);
    for tool in ["loop", "sleep_forever", "stdout_flood"] {
        let attempt = faulty.skill.start(call(tool, "{}"));
        assert!(tokio::time::timeout(Duration::from_millis(20), attempt).await.is_err(), "{tool}");
        assert_eq!(words(&text).await, 2, "after {tool}");
    }
}

/// Tells that the guest asked whether it was cancelled, so that it is at work.
#[derive(Default)]
struct AtWork(tokio::sync::Notify);

impl ClientLink for AtWork {
    fn progress(&self, _: Progress) {}

    fn cancelled(&self) -> bool {
        self.0.notify_one();
        false
    }
}

#[tokio::test]
async fn an_attempt_that_never_got_a_slot_did_not_start() {
    let fixture = fixture(1);
    let faulty = load(&fixture.engine, FAULTY).await;
    let at_work = Arc::new(AtWork::default());
    let link: Arc<dyn ClientLink> = at_work.clone();
    // It begins when it is polled.
    let holder = tokio::spawn(faulty.skill.start(Call { link, ..call("cancelled", r#"{"ms":600000}"#) }));
    at_work.0.notified().await;
    let mut waiting = faulty.skill.start(call("echo", "{}"));
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
    waiting.abort();
    assert!(!waiting.await.usage.started);
    holder.abort();
}

#[tokio::test]
async fn fuel_is_the_same_for_the_same_call() {
    let fixture = fixture(1);
    let loaded = load(&fixture.engine, TEXT).await;
    let mut used = vec![];
    for _ in 0..3 {
        let report = loaded.skill.start(call("diff", r#"{"before":"a\nb","after":"a\nc"}"#)).await;
        assert!(report.result.is_ok());
        used.push(report.usage.fuel);
    }
    assert!(used[0] > 0 && used.iter().all(|fuel| *fuel == used[0]), "{used:?}");
}

#[tokio::test]
async fn a_skill_that_takes_nothing_back_says_so() {
    let fixture = fixture(1);
    let loaded = load(&fixture.engine, TEXT).await;
    let undo = Undo { call: call("word_count", "{}"), token: None, force: false };
    assert_eq!(loaded.skill.undo(undo).await.result.unwrap_err().kind, FailureKind::Unsupported);
}
