//! Calls that run as tasks.

use skillhost_core::{Access, Action, AnswerValue, Ask, InputRequired, Question, TaskSupport};
use skillhost_journal::Delivery;

use super::{keeping::*, *};
use crate::{TaskShownState, Tasks};

fn question(key: &str) -> Question {
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]});
    let schema = schema.as_object().unwrap().clone();
    Question { key: key.into(), ask: Ask::Form { message: "Sure?".into(), schema } }
}

/// Does as its arguments say: `wait` seconds, `fail` with a kind, `ask` so many questions first.
async fn play(call: Call) -> Answer {
    let arguments: Value = serde_json::from_str(call.arguments.as_deref().map_or("{}", |text| text)).unwrap();
    if let (Some(count), None) = (arguments["ask"].as_u64(), &call.round) {
        let questions = (0..count).map(|n| question(&format!("q{n}"))).collect();
        return Ok(Outcome::InputRequired(InputRequired { questions, state: None }));
    }
    if let Some(seconds) = arguments["wait"].as_u64() {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    if let Some(kind) = arguments["fail"].as_str() {
        return Err(Failure::new(FailureKind::from_code(kind).unwrap(), "as asked"));
    }
    let yes = call.round.iter().flat_map(|round| &round.answers).filter(|answer| {
        matches!(&answer.value, AnswerValue::Elicited { action: Action::Accept, content: Some(c) } if c["ok"] == true)
    });
    Ok(text(&format!("done, {} times yes", yes.count())))
}

fn told(response: Response) -> String {
    match response.result {
        Ok(reply) => match &reply.content[0].content {
            skillhost_core::Content::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        },
        Err(failure) => failure.to_string(),
    }
}

fn tasks_of(bench: &Bench) -> Tasks {
    let recovery = Arc::clone(&bench.keeping.as_ref().unwrap().recovery);
    Tasks::new(recovery, Arc::clone(&bench.dispatcher), told)
}

fn bench_of(keeping: Keeping) -> (Bench, Tasks) {
    let bench = kept_world(plainly(), Some(keeping), play);
    let tasks = tasks_of(&bench);
    (bench, tasks)
}

fn from(tool: &str, arguments: Value) -> Request {
    let client = ClientFeatures { elicitation_form: true, ..ClientFeatures::default() };
    Request { client, ..request(tool, arguments) }
}

async fn state(tasks: &Tasks, id: skillhost_core::TaskId) -> TaskShownState {
    tasks.get(id, (&Caller::local(), &Access::default())).await.unwrap().expect("it is there").state
}

fn yes() -> Value {
    json!({"action": "accept", "content": {"ok": true}})
}

fn ended(text: &str) -> TaskShownState {
    TaskShownState::Ended(text.into())
}

#[tokio::test(start_paused = true)]
async fn a_handle_at_once_and_the_result_later() {
    let (bench, tasks) = bench_of(Keeping::new(|_, _| {}));
    let before = tokio::time::Instant::now();
    let shown = tasks.begin(from("fake_run", json!({"wait": 5}))).await.unwrap();
    assert_eq!((before.elapsed(), &shown.state), (Duration::ZERO, &TaskShownState::Working(None)));
    assert_eq!(shown.expires.since(shown.created), seconds(24 * 3_600));
    pass(1.0).await;
    assert_eq!(state(&tasks, shown.id).await, TaskShownState::Working(None));
    pass(5.0).await;
    assert_eq!(state(&tasks, shown.id).await, ended("done, 0 times yes"));
    assert_eq!(bench.running(), 0);
    // Nobody else's business.
    assert_eq!(tasks.get(shown.id, (&Caller::named("eve"), &Access::default())).await.unwrap(), None);
    assert_eq!(
        tasks.get(skillhost_core::TaskId::random(), (&Caller::local(), &Access::default())).await.unwrap(),
        None
    );
    // The handle is not the call's id.
    let db = rusqlite::Connection::open(bench.keeping.as_ref().unwrap().folder.path().join("journal.sqlite"))
        .unwrap();
    let same: i64 = db
        .query_row("SELECT count(*) FROM tasks t JOIN calls c ON c.id = t.id", [], |row| row.get(0))
        .unwrap();
    assert_eq!(same, 0);
}

#[tokio::test(start_paused = true)]
async fn scopes_bind_a_task_from_its_beginning_to_its_end() {
    let (bench, tasks) = bench_of(Keeping::new(|_, _| {}));
    let (me, poor) = (Caller::local(), Access::to(vec!["other_*".into()]));
    let asks = tasks.begin(from("fake_run", json!({"ask": 1}))).await.unwrap();
    pass(0.1).await;
    // Nothing of it is kept: what is kept is run.
    let beyond = Request { access: poor.clone(), ..from("fake_run", json!({})) };
    assert_eq!(tasks.begin(beyond).await.unwrap_err().kind, FailureKind::Denied);
    let count = |table: &str| {
        let folder = bench.keeping.as_ref().unwrap().folder.path();
        let db = rusqlite::Connection::open(folder.join("journal.sqlite")).unwrap();
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((count("tasks"), count("calls")), (1, 1));
    // Scopes that were narrowed reach it no more.
    let answers = || BTreeMap::from([("q0".to_owned(), yes())]);
    assert!(!tasks.answer(asks.id, (&me, &poor), answers()).await.unwrap());
    assert_eq!(tasks.get(asks.id, (&me, &poor)).await.unwrap(), None);
    assert!(!tasks.cancel(asks.id, (&me, &poor)).await.unwrap());
    let enough = Access::to(vec!["fake_*".into()]);
    assert!(tasks.answer(asks.id, (&me, &enough), answers()).await.unwrap());
    pass(0.1).await;
    assert_eq!(state(&tasks, asks.id).await, ended("done, 1 times yes"));
}

#[tokio::test(start_paused = true)]
async fn it_asks_and_is_answered_piece_by_piece() {
    let (_bench, tasks) = bench_of(Keeping::new(|_, _| {}));
    let shown = tasks.begin(from("fake_run", json!({"ask": 2}))).await.unwrap();
    pass(0.1).await;
    let open = |state: TaskShownState| match state {
        TaskShownState::Asking(questions) => questions.into_iter().map(|q| q.key).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(open(state(&tasks, shown.id).await), ["q0", "q1"]);
    let answer = |answers: Value| {
        let given = answers.as_object().unwrap().clone().into_iter().collect();
        let (tasks, id) = (tasks.clone(), shown.id);
        async move { tasks.answer(id, (&Caller::local(), &Access::default()), given).await.unwrap() }
    };
    // What it does not ask, and what does not fit.
    assert!(answer(json!({"else": yes(), "q0": {"ignored": true}, "q1": 7})).await);
    assert_eq!(open(state(&tasks, shown.id).await), ["q0", "q1"]);
    assert!(answer(json!({"q1": yes()})).await);
    assert_eq!(open(state(&tasks, shown.id).await), ["q0"]);
    // What is answered is answered.
    assert!(answer(json!({"q1": {"action": "decline"}})).await);
    assert!(answer(json!({"q0": yes()})).await);
    pass(0.1).await;
    assert_eq!(state(&tasks, shown.id).await, ended("done, 2 times yes"));
    assert!(answer(json!({"q0": yes()})).await, "too late does no harm");
    let nobody =
        tasks.answer(shown.id, (&Caller::named("eve"), &Access::default()), BTreeMap::new()).await.unwrap();
    assert!(!nobody);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_in_time_ends_it() {
    let (_bench, tasks) = bench_of(Keeping::new(|_, _| {}));
    let shown = tasks.begin(from("fake_run", json!({"ask": 1}))).await.unwrap();
    pass(601.0).await;
    let TaskShownState::Ended(end) = state(&tasks, shown.id).await else { panic!() };
    assert!(end.contains("nobody answered in time"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_call_and_is_said_once() {
    let (bench, tasks) = bench_of(Keeping::new(|_, _| {}));
    let shown = tasks.begin(from("fake_same", json!({"wait": 60}))).await.unwrap();
    pass(0.1).await;
    assert_eq!(bench.running(), 1);
    for _ in 0..2 {
        assert!(tasks.cancel(shown.id, (&Caller::local(), &Access::default())).await.unwrap());
    }
    pass(0.1).await;
    assert_eq!((state(&tasks, shown.id).await, bench.running()), (TaskShownState::Cancelled, 0));
    // While it asks; after it has ended; somebody else's.
    let asks = tasks.begin(from("fake_run", json!({"ask": 1}))).await.unwrap();
    pass(0.1).await;
    assert!(!tasks.cancel(asks.id, (&Caller::named("eve"), &Access::default())).await.unwrap());
    assert!(tasks.cancel(asks.id, (&Caller::local(), &Access::default())).await.unwrap());
    assert_eq!(state(&tasks, asks.id).await, TaskShownState::Cancelled);
    let over = tasks.begin(from("fake_run", json!({}))).await.unwrap();
    pass(0.1).await;
    assert!(tasks.cancel(over.id, (&Caller::local(), &Access::default())).await.unwrap());
    assert_eq!(state(&tasks, over.id).await, ended("done, 0 times yes"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_an_end() {
    let (_bench, tasks) = bench_of(Keeping::new(|_, _| {}));
    for (kind, expected) in [
        ("permanent", "permanent: as asked"),
        ("trap", "trap: as asked"),
        ("missing-capability", "missing-capability"),
    ] {
        let shown = tasks.begin(from("fake_same", json!({"fail": kind}))).await.unwrap();
        pass(1.0).await;
        let TaskShownState::Ended(end) = state(&tasks, shown.id).await else { panic!() };
        assert!(end.starts_with(expected), "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_durable_call_works_on_until_its_letter_recovers_or_is_parked() {
    let policies = policies(|_, tool| {
        tool.delivery = Some(Delivery::Durable);
        tool.redelivery.retry.attempts = 3;
        tool.redelivery.retry.jitter = false;
        tool.retry.attempts = 1;
    });
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let bench = kept_world(policies, Some(Keeping::new(|_, _| {})), move |call| {
        let run = count.fetch_add(1, Ordering::SeqCst) + 1;
        let good = call.arguments.as_deref().is_some_and(|text| text.contains("good")) && run >= 2;
        async move { if good { Ok(text("at last")) } else { Err(transient()) } }
    });
    let tasks = tasks_of(&bench);
    assert_eq!(
        tasks.support("fake_run", &Asked::default()).await,
        TaskSupport::Optional,
        "since it is durable"
    );
    let stop = CancellationToken::new();
    let recovery = Arc::clone(&bench.keeping.as_ref().unwrap().recovery);
    tokio::spawn(recovery.work(Arc::downgrade(&bench.dispatcher), stop.clone()));
    let shown = tasks.begin(from("fake_run", json!({"good": 1}))).await.unwrap();
    pass(1.0).await;
    let TaskShownState::Working(Some(word)) = state(&tasks, shown.id).await else { panic!("it goes on") };
    assert!(word.contains("busy"), "{word}");
    pass(120.0).await;
    assert_eq!(state(&tasks, shown.id).await, ended("at last"));
    let bad = tasks.begin(from("fake_run", json!({}))).await.unwrap();
    pass(1.0).await;
    assert!(matches!(state(&tasks, bad.id).await, TaskShownState::Working(_)));
    pass(3_600.0).await;
    let TaskShownState::Ended(end) = state(&tasks, bad.id).await else { panic!("it is parked for good") };
    assert!(end.contains("dead letter"), "{end}");
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn cancelling_gives_a_letter_up_but_lets_a_durable_call_run() {
    let policies = policies(|_, tool| {
        tool.delivery = Some(Delivery::Durable);
        tool.retry.attempts = 1;
    });
    let bench = kept_world(policies, Some(Keeping::new(|_, _| {})), play);
    let tasks = tasks_of(&bench);
    let runs = tasks.begin(from("fake_run", json!({"wait": 5}))).await.unwrap();
    pass(1.0).await;
    assert!(tasks.cancel(runs.id, (&Caller::local(), &Access::default())).await.unwrap());
    assert_eq!(state(&tasks, runs.id).await, TaskShownState::Working(None));
    pass(5.0).await;
    assert_eq!(state(&tasks, runs.id).await, ended("done, 0 times yes"));
    let waits = tasks.begin(from("fake_run", json!({"fail": "transient"}))).await.unwrap();
    pass(1.0).await;
    assert!(tasks.cancel(waits.id, (&Caller::local(), &Access::default())).await.unwrap());
    assert_eq!(state(&tasks, waits.id).await, TaskShownState::Cancelled);
    assert_eq!(bench.keeping.as_ref().unwrap().only().await.status(), "discarded");
}

#[tokio::test(start_paused = true)]
async fn there_is_an_end_to_how_many() {
    let (_bench, tasks) = bench_of(Keeping::new(|settings, _| settings.tasks.max_open = 2));
    let hold = json!({"wait": 1});
    for _ in 0..2 {
        tasks.begin(from("fake_run", hold.clone())).await.unwrap();
    }
    let failure = tasks.begin(from("fake_run", hold.clone())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Overloaded);
    let other = Request { caller: Caller::named("ann"), ..from("fake_run", hold.clone()) };
    tasks.begin(other).await.unwrap();
    pass(2.0).await;
    tasks.begin(from("fake_run", hold)).await.unwrap();
}

/// A process dies: its locks are gone, and nothing of it runs.
async fn dies(bench: Bench, tasks: Tasks) -> Arc<tempfile::TempDir> {
    let folder = Arc::clone(&bench.keeping.as_ref().unwrap().folder);
    drop((bench, tasks));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    folder
}

#[tokio::test(start_paused = true)]
async fn tasks_survive_a_restart() {
    let (bench, tasks) = bench_of(Keeping::new(|_, _| {}));
    let over = tasks.begin(from("fake_run", json!({}))).await.unwrap();
    let asks = tasks.begin(from("fake_run", json!({"ask": 1}))).await.unwrap();
    pass(0.1).await;
    let folder = dies(bench, tasks).await;
    let (_bench, tasks) = bench_of(Keeping::of(folder, |_, _| {}));
    assert_eq!(state(&tasks, over.id).await, ended("done, 0 times yes"));
    assert!(matches!(state(&tasks, asks.id).await, TaskShownState::Asking(_)));
    tasks
        .answer(asks.id, (&Caller::local(), &Access::default()), [("q0".to_owned(), yes())].into())
        .await
        .unwrap();
    pass(0.1).await;
    assert_eq!(state(&tasks, asks.id).await, ended("done, 1 times yes"));
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_process_died_before_its_call_began_is_run() {
    let (bench, tasks) = bench_of(Keeping::new(|_, _| {}));
    // Its intent is on its way to the disk when the process dies.
    let journal = Arc::clone(&bench.keeping.as_ref().unwrap().journal);
    let asks = tasks.begin(from("fake_run", json!({"ask": 1}))).await.unwrap();
    pass(0.1).await;
    journal.dead.store(true, Ordering::SeqCst);
    let folder = Arc::clone(&bench.keeping.as_ref().unwrap().folder);
    let db = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
    let fresh = tasks.begin(from("fake_run", json!({"wait": 1}))).await.unwrap();
    tasks
        .answer(asks.id, (&Caller::local(), &Access::default()), [("q0".to_owned(), yes())].into())
        .await
        .unwrap();
    drop((bench, tasks, journal));
    pass(0.1).await;
    let (_bench, tasks) = bench_of(Keeping::of(folder, |_, _| {}));
    // Nobody is left of the process that had them.
    db.execute("UPDATE tasks SET owner = 999", []).unwrap();
    for (id, expected) in [(fresh.id, "done, 0 times yes"), (asks.id, "done, 1 times yes")] {
        assert_eq!(state(&tasks, id).await, TaskShownState::Working(None));
        pass(2.0).await;
        assert_eq!(state(&tasks, id).await, ended(expected));
    }
}
