//! Taking back what calls did, case by case. `undo_property.rs` has the rule.

use skillhost_journal::{SagaState, Sagas as _, State};

use super::{keeping::*, undoing::*, *};
use crate::Sagas;

fn values(world: &Shared) -> Vec<(String, String)> {
    world.lock().unwrap().values.clone().into_iter().collect()
}

fn with(values: &[(&str, &str)]) -> Shared {
    let world = Shared::default();
    let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    world.lock().unwrap().values.extend(values);
    world
}

fn undone(world: &Shared) -> Vec<String> {
    let events = world.lock().unwrap().events.clone();
    events
        .into_iter()
        .filter_map(|event| match event {
            Event::Undone(_, key) => Some(key),
            Event::Done(..) => None,
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_taken_back_once() {
    let world = with(&[("a", "before")]);
    let bench = bench_of(&world);
    let id = bench.make(&Node::put("a", "after")).await.id;
    assert_eq!(values(&world), [("a".into(), "after".into())]);
    for _ in 0..2 {
        let report = bench.ask("undo_call", json!({"id": id.to_string()})).await;
        assert_eq!((&report["state"], &report["undone"]), (&json!("rolled-back"), &json!(1)));
    }
    assert_eq!(values(&world), [("a".into(), "before".into())]);
    assert_eq!(undone(&world), ["a"]);
    assert_eq!(bench.status(id).await["undo"], "undone");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_leaves_nothing_behind() {
    for end in [End::Trap, End::Hang] {
        let world = with(&[("a", "before")]);
        let bench = bench_of(&world);
        let response = bench.make(&Node::put("a", "after").ending(end)).await;
        assert_eq!((response.effect, response.standing), (Effect::None, None));
        assert!(response.rollback.unwrap().is_clean());
        assert_eq!(values(&world), [("a".into(), "before".into())]);
        assert!(bench.keeping().all().await.is_empty(), "there is nothing to judge");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tree_is_taken_back_in_reverse_its_own_effect_first() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let inner = Node { own: Some(("inner".into(), "x".into())), ..Node::tree(vec![Node::put("c", "x")]) };
    let tree = Node {
        own: Some(("own".into(), "x".into())),
        ..Node::tree(vec![Node::put("a", "x"), inner, Node::put("b", "x")]).ending(End::Trap)
    };
    let response = bench.make(&tree).await;
    assert_eq!(response.rollback.unwrap().undone, 5, "itself, and four");
    assert_eq!(undone(&world), ["own", "b", "inner", "c", "a"]);
    assert!(values(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_is_taken_back_though_its_caller_goes_on() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let part = Node::tree(vec![Node::put("a", "x"), Node::put("b", "x").ending(End::Trap)]);
    let mut tree = Node::tree(vec![part, Node::put("c", "x")]);
    tree.calls[0].1 = true;
    let response = bench.make(&tree).await;
    assert!(response.result.is_ok());
    assert_eq!(undone(&world), ["b", "a"]);
    assert_eq!(values(&world), [("c".into(), "x".into())]);
    // The rest can still be taken back, by the call at the top alone.
    let steps = bench.keeping().journal.steps(response.id.into()).await.unwrap();
    let part = steps.last().unwrap().call.id;
    let reply = bench.call_with("undo_call", json!({"id": part.to_string()})).await.result.unwrap();
    assert!(reply.is_error && format!("{reply:?}").contains("is part of the call"), "{reply:?}");
    bench.ask("undo_call", json!({"id": response.id.to_string()})).await;
    assert!(values(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_back_is_named_and_the_others_still_go() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let tree = Node::tree(vec![
        Node::put("a", "x"),
        Node::put("stuck", "x").back(Back::Stuck),
        Node::put("forever", "x").forever(),
        Node::put("flaky", "x").back(Back::Flaky(2)),
    ]);
    let response = bench.make(&tree.ending(End::Permanent)).await;
    let report = response.rollback.unwrap();
    assert_eq!((report.state, report.undone), (SagaState::Stuck, 2));
    let stays: Vec<_> = report.stays.iter().map(|stays| stays.state).collect();
    assert_eq!(stays, ["stuck", "cannot-be-undone"]);
    assert_eq!(response.effect, Effect::Unknown);
    assert_eq!(undone(&world), ["flaky", "a"]);
    // Somebody looks after it.
    let sagas = Sagas::new(Arc::clone(&bench.keeping().recovery));
    sagas.abandon(response.id.into(), "me").await.unwrap();
    assert_eq!(sagas.show(response.id.into()).await.unwrap().saga.state, SagaState::Abandoned);
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_since_is_left_alone_unless_forced() {
    let world = with(&[("a", "before")]);
    let bench = bench_of(&world);
    let id = bench.make(&Node::put("a", "after")).await.id;
    world.lock().unwrap().values.insert("a".into(), "mine".into());
    let reply = bench.call_with("undo_call", json!({"id": id.to_string()})).await.result.unwrap();
    assert!(reply.is_error && format!("{reply:?}").contains("`a` has changed"), "{reply:?}");
    assert_eq!(values(&world), [("a".into(), "mine".into())]);
    let sagas = Sagas::new(Arc::clone(&bench.keeping().recovery));
    let report = sagas.roll_back(id.into(), true, true, "me").await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(values(&world), [("a".into(), "before".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_is_ended_and_taken_back() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let running = bench.spawn_request(request("fake_do0", Node::put("a", "x").ending(End::Hang).arguments()));
    while world.lock().unwrap().events.is_empty() {
        tokio::task::yield_now().await;
    }
    let Event::Done(id, _) = world.lock().unwrap().events[0].clone() else { panic!() };
    let report = bench.ask("undo_call", json!({"id": id.to_string()})).await;
    assert_eq!(report["state"], "rolled-back");
    assert_eq!(failed(running.await.unwrap()).kind, FailureKind::Cancelled);
    assert!(values(&world).is_empty());
    assert_eq!(undone(&world), ["a"]);
}

async fn begin(bench: &Bench, arguments: Value) -> String {
    bench.ask("saga_begin", arguments).await["saga"].as_str().unwrap().to_owned()
}

async fn step(bench: &Bench, saga: &str, node: &Node) -> Response {
    let arguments = json!({"saga": saga, "tool": node.tool(0), "arguments": node.arguments()});
    bench.call_with("saga_call", arguments).await
}

#[tokio::test(start_paused = true)]
async fn a_saga_is_taken_back_as_one() {
    let world = with(&[("a", "0")]);
    let bench = bench_of(&world);
    let saga = begin(&bench, json!({"label": "a task"})).await;
    for value in ["1", "2", "3"] {
        step(&bench, &saga, &Node::put("a", value)).await.result.unwrap();
    }
    // One that fails leaves nothing, and the saga open.
    step(&bench, &saga, &Node::put("a", "4").ending(End::Trap)).await.result.unwrap_err();
    assert_eq!(values(&world), [("a".into(), "3".into())]);
    let list = bench.ask("list_calls", json!({"saga": saga})).await;
    assert_eq!(list["calls"].as_array().unwrap().len(), 4);
    let report = bench.ask("saga_rollback", json!({"saga": saga})).await;
    assert_eq!((&report["state"], &report["undone"]), (&json!("rolled-back"), &json!(4)));
    assert_eq!(values(&world), [("a".into(), "0".into())]);
    assert_eq!(undone(&world).len(), 4);
    let failure = failed(step(&bench, &saga, &Node::put("a", "5")).await);
    assert_eq!(failure.kind, FailureKind::Conflict, "{failure}");
}

#[tokio::test(start_paused = true)]
async fn what_was_committed_stays_but_for_single_calls() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let saga = begin(&bench, json!({})).await;
    let first = step(&bench, &saga, &Node::put("a", "x")).await.id;
    step(&bench, &saga, &Node::put("b", "x")).await.result.unwrap();
    bench.call_with("saga_commit", json!({"saga": saga})).await.result.unwrap();
    let refused = bench.call_with("saga_rollback", json!({"saga": saga})).await.result.unwrap();
    assert!(refused.is_error);
    bench.ask("undo_call", json!({"id": first.to_string()})).await;
    assert_eq!(values(&world), [("b".into(), "x".into())]);
}

#[tokio::test(start_paused = true)]
async fn sagas_that_nobody_ends_expire() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let _worker = bench.work();
    let keep = begin(&bench, json!({"ttl_seconds": 60})).await;
    let roll = begin(&bench, json!({"ttl_seconds": 60, "on_expiry": "rollback"})).await;
    step(&bench, &keep, &Node::put("keep", "x")).await.result.unwrap();
    step(&bench, &roll, &Node::put("roll", "x")).await.result.unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(values(&world), [("keep".into(), "x".into())]);
    let sagas = Sagas::new(Arc::clone(&bench.keeping().recovery));
    for (saga, state) in [(keep, SagaState::Expired), (roll, SagaState::RolledBack)] {
        assert_eq!(sagas.show(saga.parse().unwrap()).await.unwrap().saga.state, state);
    }
}

#[tokio::test(start_paused = true)]
async fn sagas_and_calls_are_their_callers_own() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let saga = begin(&bench, json!({})).await;
    let id = step(&bench, &saga, &Node::put("a", "x")).await.id;
    for (tool, arguments) in [
        ("saga_commit", json!({"saga": saga})),
        ("saga_rollback", json!({"saga": saga})),
        ("undo_call", json!({"id": id.to_string()})),
    ] {
        let request = Request { caller: Caller::named("other"), ..request(tool, arguments) };
        assert!(bench.dispatcher.call(request).await.result.unwrap().is_error, "{tool}");
    }
    let call = json!({"saga": saga, "tool": "fake_do0", "arguments": Node::put("b", "x").arguments()});
    let request = Request { caller: Caller::named("other"), ..request("saga_call", call) };
    assert_eq!(failed(bench.dispatcher.call(request).await).kind, FailureKind::Conflict);
    assert_eq!(values(&world), [("a".into(), "x".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_key_says_that_its_call_was_taken_back() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let keyed = || keyed("fake_do0", Node::put("a", "x").arguments(), "k");
    let id = bench.dispatcher.call(keyed()).await.id;
    bench.ask("undo_call", json!({"id": id.to_string()})).await;
    let again = bench.dispatcher.call(keyed()).await;
    assert!(!again.replayed);
    let told = again.standing.unwrap().told();
    assert!(told.contains("was taken back: nothing of it stays"), "{told}");
    assert!(values(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_durable_call_runs_again_only_when_its_steps_are_taken_back() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let _worker = bench.work();
    // Its second run finds the time to end.
    let node = Node::tree(vec![Node::put("a", "x")]).ending(End::Hang);
    let id = bench.dispatcher.call(durable("fake_do0", node.arguments())).await.id;
    let status = bench.status(id).await;
    assert_eq!(
        (&status["state"], &status["failure"]["effect"]),
        (&json!("waiting"), &json!("none")),
        "{status}"
    );
    assert!(values(&world).is_empty());
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(world.lock().unwrap().events.len(), 3, "done, undone, done again");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_takes_back_while_it_runs_is_not_run_again() {
    for in_saga in [true, false] {
        let world = Shared::default();
        let bench = bench_of(&world);
        let _worker = bench.work();
        let saga = begin(&bench, json!({})).await;
        let mut request = durable("fake_do0", Node::put("a", "x").ending(End::Hang).arguments());
        request.asked.saga = in_saga.then(|| saga.parse().unwrap());
        let running = bench.spawn_request(request);
        while world.lock().unwrap().events.is_empty() {
            tokio::task::yield_now().await;
        }
        let Event::Done(id, _) = world.lock().unwrap().events[0].clone() else { panic!() };
        let report = match in_saga {
            true => bench.ask("saga_rollback", json!({"saga": saga})).await,
            false => bench.ask("undo_call", json!({"id": id.to_string()})).await,
        };
        assert_eq!(report["state"], "rolled-back", "{report}");
        running.await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(undone(&world).len(), world.lock().unwrap().events.len() - 1, "it ran once");
        assert!(values(&world).is_empty());
        assert_eq!(bench.status(id).await["state"], "failed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_is_not_when_its_calls_were_looked_after_one_by_one() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let saga = begin(&bench, json!({})).await;
    let id = step(&bench, &saga, &Node::put("a", "x")).await.id;
    world.lock().unwrap().values.insert("a".into(), "mine".into());
    let report = bench.call_with("saga_rollback", json!({"saga": saga})).await.result.unwrap();
    assert_eq!(report.structured.unwrap()["state"], "stuck");
    let sagas = Sagas::new(Arc::clone(&bench.keeping().recovery));
    assert!(sagas.roll_back(id.into(), true, true, "me").await.unwrap().is_clean());
    assert!(values(&world).is_empty());
    assert_eq!(sagas.show(saga.parse().unwrap()).await.unwrap().saga.state, SagaState::RolledBack);
}

#[tokio::test(start_paused = true)]
async fn a_saga_is_no_call_and_an_open_one_is_not_resumed() {
    let bench = bench_of(&Shared::default());
    let saga = begin(&bench, json!({})).await;
    let reply = bench.call_with("undo_call", json!({"id": saga})).await.result.unwrap();
    assert!(reply.is_error && format!("{reply:?}").contains("is a saga, not a call"), "{reply:?}");
    let sagas = Sagas::new(Arc::clone(&bench.keeping().recovery));
    let refused = sagas.roll_back(saga.parse().unwrap(), true, false, "me").await.unwrap_err();
    assert!(refused.to_string().contains("nothing to resume"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_by_way_of_a_tool_that_only_reads_is_taken_back() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let between = Node::tree(vec![Node::put("a", "x")]).reading();
    let response = bench.make(&Node::tree(vec![between]).ending(End::Permanent)).await;
    assert!(response.rollback.unwrap().is_clean());
    assert!(values(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_undo_makes_kept_results_worthless() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let look = Node::tree(vec![]).reading();
    let id = bench.make(&Node::put("a", "x")).await.id;
    let seen = bench.make(&look).await;
    assert!(bench.make(&look).await.cached.is_some());
    bench.ask("undo_call", json!({"id": id.to_string()})).await;
    let now = bench.make(&look).await;
    assert_eq!(now.cached, None);
    assert_ne!(now.result.unwrap().content, seen.result.unwrap().content);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_while_a_call_is_written_down_leaves_nothing_that_runs() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let journal = Arc::clone(&bench.keeping().journal);
    journal.slow.store(true, Ordering::SeqCst);
    let running = bench.spawn_request(request("fake_do0", Node::put("a", "x").arguments()));
    bench.settle().await;
    assert_eq!(bench.keeping().rows(), 1, "it is written, and nobody was told");
    running.abort();
    bench.settle().await;
    journal.go.notify_one();
    bench.settle().await;
    let calls = journal.calls_of(Caller::local(), None, None, 9).await.unwrap();
    assert_eq!((calls.len(), calls[0].call.state), (1, State::Failed));
    assert!(world.lock().unwrap().events.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_not_repeated_before_what_the_last_one_set_off_is_taken_back() {
    let world = Shared::default();
    let bench = bench_of(&world);
    // Longer than the attempt, and its undo takes a second try.
    let child = Node::put("a", "x").ending(End::Hang).back(Back::Flaky(1));
    let response = bench.dispatcher.call(request("fake_same0", Node::tree(vec![child]).arguments())).await;
    assert_eq!(response.attempts, 2);
    assert!(response.rollback.as_ref().unwrap().is_clean(), "{response:?}");
    let kinds: Vec<_> =
        world.lock().unwrap().events.iter().map(|event| matches!(event, Event::Done(..))).collect();
    assert_eq!(kinds, [true, false, true, false]);
    assert!(values(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_what_callees_are_taken_back() {
    let world = Shared::default();
    let keeping = Keeping::new(|settings, _| settings.undo_patience = Duration::from_secs(2));
    let bench = process(&world, keeping);
    // Its undo is tried for longer than anybody waits.
    let child = Node::put("a", "x").ending(End::Trap).back(Back::Flaky(4));
    let mut tree = Node::tree(vec![child.clone(), child.clone(), child]);
    tree.calls.iter_mut().for_each(|(_, ignore)| *ignore = true);
    let began = tokio::time::Instant::now();
    let response = bench.make(&tree).await;
    assert!(began.elapsed() < Duration::from_secs(13), "{:?}", began.elapsed());
    assert_eq!(response.rollback.clone().map(|rollback| rollback.state), Some(SagaState::RollingBack));
    assert_eq!(failed(response).kind, FailureKind::Timeout);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(values(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn calls_that_overlap_are_taken_back_by_their_ends() {
    let world = with(&[("a", "0")]);
    let bench = bench_of(&world);
    let saga = begin(&bench, json!({})).await;
    // It begins first, and changes the key last.
    let slow = Node::tree(vec![Node::put("other", "x"), Node::put("a", "2")]);
    let journal = Arc::clone(&bench.keeping().journal);
    let (dispatcher, first) = (Arc::clone(&bench.dispatcher), saga.clone());
    world.lock().unwrap().at = Some((1, Box::new(move || journal.slow.store(true, Ordering::SeqCst))));
    let running = tokio::spawn(async move {
        let arguments = json!({"saga": first, "tool": slow.tool(0), "arguments": slow.arguments()});
        dispatcher.call(request("saga_call", arguments)).await
    });
    bench.settle().await;
    let journal = Arc::clone(&bench.keeping().journal);
    journal.slow.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(5)).await;
    step(&bench, &saga, &Node::put("a", "1")).await.result.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    journal.go.notify_one();
    running.await.unwrap().result.unwrap();
    assert_eq!(values(&world)[0].1, "2");
    let report = bench.ask("saga_rollback", json!({"saga": saga})).await;
    assert_eq!(report["state"], "rolled-back", "{report}");
    assert_eq!(values(&world), [("a".into(), "0".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_only_delays() {
    let world = Shared::default();
    let bench = bench_of(&world);
    let tree = Node::tree(vec![Node::put("a", "x"), Node::put("b", "x")]);
    let response = bench.make(&tree).await;
    bench.keeping().journal.ailing.store(true, Ordering::SeqCst);
    let id = response.id.to_string();
    let refused = failed(bench.call_with("undo_call", json!({"id": id})).await);
    assert_eq!(refused.kind, FailureKind::JournalUnavailable);
    assert_eq!(failed(bench.make(&Node::put("c", "x")).await).kind, FailureKind::JournalUnavailable);
    bench.keeping().journal.ailing.store(false, Ordering::SeqCst);
    // Full again in the middle of it.
    let journal = Arc::clone(&bench.keeping().journal);
    world.lock().unwrap().at = Some((3, Box::new(move || journal.ailing.store(true, Ordering::SeqCst))));
    let undoing = bench.spawn_request(request("undo_call", json!({"id": id})));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(values(&world).len(), 1, "it goes no further than what is written down");
    bench.keeping().journal.ailing.store(false, Ordering::SeqCst);
    assert!(undoing.await.unwrap().result.is_ok());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(values(&world).is_empty());
    assert_eq!(undone(&world), ["b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn reading_in_a_tree_writes_nothing() {
    let bench = kept_world(plainly(), Some(Keeping::new(patient)), |call: Call| async move {
        if call.depth == 0 {
            let tools = Arc::clone(&call.tools);
            tools.call_tool(call, "other_read".into(), None).await?;
        }
        Ok(text("done"))
    });
    bench.call("fake_run").await.result.unwrap();
    assert_eq!(bench.keeping().rows(), 0);
}
