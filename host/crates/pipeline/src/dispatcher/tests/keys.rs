//! Idempotency keys.

use super::{keeping::*, *};

/// Counts runs; `text` of each is its number.
fn counting() -> (Bench, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let bench = kept_world(plainly(), Some(Keeping::new(|_, _| {})), move |call| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            let wait: Value = serde_json::from_str(call.arguments.as_ref().unwrap()).unwrap();
            tokio::time::sleep(Duration::from_secs(wait["wait"].as_u64().unwrap_or(0))).await;
            match wait["fail"].as_str() {
                Some(kind) => Err(Failure::new(FailureKind::from_code(kind).unwrap(), "as asked")),
                None => Ok(text(&n.to_string())),
            }
        }
    });
    (bench, runs)
}

async fn said(bench: &Bench, request: Request) -> (String, bool) {
    let response = bench.dispatcher.call(request).await;
    let Block { content: skillhost_core::Content::Text(text), .. } =
        response.result.unwrap().content.remove(0)
    else {
        panic!("no text")
    };
    (text, response.replayed)
}

#[tokio::test(start_paused = true)]
async fn the_same_key_runs_once_and_gives_the_same_reply() {
    let (bench, runs) = counting();
    let first = bench.dispatcher.call(keyed("fake_run", json!({"a": 1, "b": 2}), "k")).await;
    assert!(!first.replayed);
    // The order of keys in an object is none.
    let again = bench.dispatcher.call(keyed("fake_run", json!({"b": 2, "a": 1}), "k")).await;
    assert!(again.replayed);
    assert_eq!((again.id, again.result.unwrap()), (first.id, first.result.unwrap()));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    // Another tool, another key, another caller: other calls.
    assert_eq!(said(&bench, keyed("fake_same", json!({}), "k")).await, ("2".into(), false));
    assert_eq!(said(&bench, keyed("fake_run", json!({}), "l")).await, ("3".into(), false));
    let other = Request { caller: Caller::named("ann"), ..keyed("fake_run", json!({}), "k") };
    assert_eq!(said(&bench, other).await, ("4".into(), false));
    // No key at all.
    assert_eq!(said(&bench, request("fake_run", json!({}))).await, ("5".into(), false));
}

#[tokio::test(start_paused = true)]
async fn the_same_key_with_other_arguments_is_refused() {
    let (bench, runs) = counting();
    let first = bench.dispatcher.call(keyed("fake_run", json!({"a": 1}), "k")).await;
    for other in [json!({"a": 2}), json!({"a": 1.0}), json!({}), Value::Null] {
        let failure = failed(bench.dispatcher.call(keyed("fake_run", other, "k")).await);
        assert_eq!(failure.kind, FailureKind::KeyConflict);
        assert!(failure.message.contains(&first.id.to_string()), "{}", failure.message);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn equal_calls_at_once_run_once() {
    let (bench, runs) = counting();
    let request = || keyed("fake_run", json!({"wait": 5}), "k");
    let all: Vec<_> = (0..8).map(|_| bench.spawn_request(request())).collect();
    let mut fresh = 0;
    for call in all {
        let response = call.await.unwrap();
        assert_eq!(response.result.unwrap().content, [Block::text("1")]);
        fresh += usize::from(!response.replayed);
    }
    assert_eq!((fresh, runs.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_that_it_is_in_progress() {
    let keeping = Keeping::new(|settings, _| settings.key_wait = Duration::from_secs(2));
    let bench = kept_world(plainly(), Some(keeping), |_| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(text("done"))
    });
    let first = bench.spawn_request(keyed("fake_run", json!({}), "k"));
    bench.settle().await;
    let began = tokio::time::Instant::now();
    let second = bench.dispatcher.call(keyed("fake_run", json!({}), "k")).await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    let standing = second.standing.unwrap();
    assert_eq!((standing.state, second.id), (skillhost_journal::State::Running, standing.id));
    assert!(!second.result.unwrap().is_error);
    assert_eq!(first.await.unwrap().result.unwrap().content, [Block::text("done")]);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_effect_frees_its_key() {
    for kind in ["transient", "permanent", "conflict", "invalid-input"] {
        let (bench, runs) = counting();
        let request = || keyed("fake_run", json!({"fail": kind}), "k");
        assert_eq!(failed(bench.dispatcher.call(request()).await).kind.code(), kind);
        assert_eq!(failed(bench.dispatcher.call(request()).await).kind.code(), kind);
        assert_eq!(runs.load(Ordering::SeqCst), 2, "{kind}");
        // It is free for other arguments too.
        assert_eq!(said(&bench, keyed("fake_run", json!({}), "k")).await, ("3".into(), false));
        assert!(bench.keeping().all().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_taken_effect_never_runs_again() {
    for (tool, state) in [("fake_run", "parked"), ("fake_same", "unknown")] {
        for kind in ["trap", "timeout", "out-of-fuel", "invalid-output"] {
            let (bench, runs) = counting();
            let request = || keyed(tool, json!({"fail": kind}), "k");
            let first = bench.dispatcher.call(request()).await;
            assert_eq!(first.effect, Effect::Unknown);
            assert_eq!(first.standing.as_ref().unwrap().word, state);
            let again = bench.dispatcher.call(request()).await;
            assert_eq!((again.id, again.standing.unwrap().word), (first.id, state));
            let told = again.result.unwrap();
            assert!(told.is_error);
            assert_eq!(runs.load(Ordering::SeqCst), 1, "{tool} {kind}");
            assert_eq!(bench.status(first.id).await["state"], state);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_ends_its_call_and_the_key_knows() {
    let (bench, runs) = counting();
    let call = bench.spawn_request(keyed("fake_run", json!({"wait": 5}), "k"));
    bench.settle().await;
    assert_eq!(bench.running(), 1);
    // The transport drops the whole call.
    call.abort();
    bench.settle().await;
    assert_eq!(bench.running(), 0);
    let again = bench.dispatcher.call(keyed("fake_run", json!({"wait": 5}), "k")).await;
    assert_eq!(again.standing.unwrap().word, "parked");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_expire_but_not_while_their_call_goes_on() {
    let keeping = Keeping::new(|settings, _| settings.key_ttl = Duration::from_secs(60));
    let bench = kept_world(plainly(), Some(keeping), |_| async { Err(Failure::new(FailureKind::Trap, "")) });
    let first = bench.dispatcher.call(keyed("fake_run", json!({}), "k")).await;
    let idempotent = bench.dispatcher.call(keyed("fake_same", json!({}), "k")).await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    // Parked: somebody may yet run it again.
    let again = bench.dispatcher.call(keyed("fake_run", json!({}), "k")).await;
    assert_eq!(again.id, first.id);
    let again = bench.dispatcher.call(keyed("fake_same", json!({}), "k")).await;
    assert_ne!(again.id, idempotent.id);
}

#[tokio::test(start_paused = true)]
async fn kept_results_are_not_for_calls_with_a_key() {
    let policies = {
        let mut policies = plainly();
        let mut skill = (*policies.defaults).clone();
        let mut tool = (*skill.defaults).clone();
        tool.cache = Some(skillhost_policy::CachePolicy { ttl: Duration::from_secs(60), shared: false });
        skill.defaults = Arc::new(tool);
        policies.defaults = Arc::new(skill);
        policies
    };
    let bench = kept_world(policies, Some(Keeping::new(|_, _| {})), |_| async { Ok(text("x")) });
    bench.call_with("fake_read", json!({})).await.result.unwrap();
    let keyed_call = bench.dispatcher.call(keyed("fake_read", json!({}), "k")).await;
    assert_eq!((keyed_call.cached, keyed_call.replayed), (None, false));
    let other = failed(bench.dispatcher.call(keyed("fake_read", json!({"a": 1}), "k")).await);
    assert_eq!(other.kind, FailureKind::KeyConflict);
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_such_calls_are_refused_and_others_go_on() {
    let bench = world(plainly(), |_| async { Ok(text("x")) });
    let failure = failed(bench.dispatcher.call(keyed("fake_run", json!({}), "k")).await);
    assert_eq!(failure.kind, FailureKind::JournalUnavailable);
    let failure = failed(bench.dispatcher.call(durable("fake_run", json!({}))).await);
    assert_eq!(failure.kind, FailureKind::JournalUnavailable);
    bench.call("fake_run").await.result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_what_must_be_written_and_passes() {
    let (bench, runs) = counting();
    bench.keeping().journal.ailing.store(true, Ordering::SeqCst);
    let refused = bench.dispatcher.call(keyed("fake_run", json!({}), "k")).await;
    assert_eq!(refused.effect, Effect::None);
    let failure = failed(refused);
    assert_eq!(failure.kind, FailureKind::JournalUnavailable);
    assert!(failure.retry_after.is_some());
    assert!(!failure.message.contains("disk"), "what is wrong with the disk is not the client's: {failure}");
    assert_eq!(said(&bench, request("fake_run", json!({}))).await, ("1".into(), false));
    bench.keeping().journal.ailing.store(false, Ordering::SeqCst);
    assert_eq!(said(&bench, keyed("fake_run", json!({}), "k")).await, ("2".into(), false));
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_written_yet_is_written_later() {
    let (bench, runs) = counting();
    let call = bench.spawn_request(keyed("fake_run", json!({"wait": 5}), "k"));
    bench.settle().await;
    bench.keeping().journal.ailing.store(true, Ordering::SeqCst);
    // It took effect, and says so, though that is not written down.
    assert_eq!(call.await.unwrap().result.unwrap().content, [Block::text("1")]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    bench.keeping().journal.ailing.store(false, Ordering::SeqCst);
    // Whoever comes at once waits for it rather than running it again.
    assert_eq!(said(&bench, keyed("fake_run", json!({"wait": 5}), "k")).await.0, "1");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_tool_calls_is_part_of_its_own_call() {
    let bench = kept_world(plainly(), Some(Keeping::new(|_, _| {})), |call| async move {
        if call.depth == 0 {
            let tools = Arc::clone(&call.tools);
            let _ = tools.call_tool(call, "other_run".into(), None).await;
            return Ok(text("root"));
        }
        Err(Failure::new(FailureKind::Trap, "the callee crashed"))
    });
    bench.dispatcher.call(keyed("fake_run", json!({}), "k")).await.result.unwrap();
    assert!(bench.keeping().all().await.is_empty(), "no letter for a callee");
    assert_eq!(bench.keeping().rows(), 2, "itself, and its step");
}

#[tokio::test(start_paused = true)]
async fn a_plain_call_writes_nothing() {
    let (bench, _) = counting();
    for tool in ["fake_run", "fake_same", "fake_read"] {
        bench.call_with(tool, json!({})).await.result.unwrap();
        let _ = bench.call_with(tool, json!({"fail": "transient"})).await;
    }
    let _ = bench.call_with("fake_read", json!({"fail": "trap"})).await;
    let _ = bench.call_with("fake_same", json!({"fail": "timeout"})).await;
    assert_eq!(bench.keeping().rows(), 0);
    assert!(!bench.keeping().folder.path().join("journal.sqlite").exists(), "it is not even opened");
}
