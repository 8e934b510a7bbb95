//! The result cache.

use skillhost_policy::CachePolicy;

use super::*;

fn cached(ttl: u64, shared: bool) -> Policies {
    policies(|_, tool| tool.cache = Some(CachePolicy { ttl: Duration::from_secs(ttl), shared }))
}

/// Answers how many calls there were, after a second.
fn counting(policies: Policies) -> Bench {
    let calls = AtomicUsize::new(0);
    world(policies, move |_| {
        let n = calls.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            pass(1.0).await;
            Ok(text(&n.to_string()))
        }
    })
}

fn said(response: Response) -> String {
    match &response.result.unwrap().content[0].content {
        skillhost_core::Content::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn by(caller: &str) -> Request {
    Request { caller: Caller::named(caller), ..request("fake_read", json!({})) }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_unless_the_operator_says_so() {
    let bench = counting(policies(|_, _| ()));
    assert_eq!(said(bench.call("fake_read").await), "1");
    assert_eq!(said(bench.call("fake_read").await), "2");
}

#[tokio::test(start_paused = true)]
async fn a_result_answers_equal_calls_for_its_time() {
    let bench = counting(cached(60, false));
    assert_eq!(said(bench.call_with("fake_read", json!({"a": 1, "b": 2})).await), "1");
    pass(30.0).await;
    let response = bench.call_with("fake_read", json!({"b": 2, "a": 1})).await;
    assert_eq!((response.cached, response.attempts), (Some(Duration::from_secs(30)), 0));
    assert_eq!(said(response), "1");
    assert_eq!(said(bench.call_with("fake_read", json!({"a": 1, "b": "2"})).await), "2");
    // It was kept a second after the call began.
    pass(28.9).await;
    assert_eq!(said(bench.call_with("fake_read", json!({"a": 1, "b": 2})).await), "1");
    pass(0.1).await;
    assert_eq!(said(bench.call_with("fake_read", json!({"a": 1, "b": 2})).await), "3");
    let stats = bench.dispatcher.report().cache;
    assert_eq!((stats.hits, stats.misses), (2, 3));
    assert!((stats.hit_rate - 0.4).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn only_read_only_tools_have_results_kept() {
    let bench = counting(cached(60, false));
    for n in 1..=2 {
        assert_eq!(said(bench.call("fake_same").await), n.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn callers_share_results_only_where_they_are_told_to() {
    for (shared, second) in [(false, "2"), (true, "1")] {
        let bench = counting(cached(60, shared));
        assert_eq!(said(bench.dispatcher.call(by("ann")).await), "1");
        assert_eq!(said(bench.dispatcher.call(by("bob")).await), second);
        assert_eq!(said(bench.dispatcher.call(by("ann")).await), "1");
    }
}

#[tokio::test(start_paused = true)]
async fn null_is_a_result_a_no_and_a_failure_are_not() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let bench = world(cached(60, false), move |call: Call| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            match call.arguments.as_deref().map(String::as_str) {
                Some(r#"{"null":true}"#) => {
                    Ok(Outcome::Reply(Reply { structured: Some(Value::Null), ..Reply::default() }))
                }
                Some(r#"{"no":true}"#) => Ok(Outcome::Reply(Reply { is_error: true, ..Reply::default() })),
                _ => Err(Failure::new(FailureKind::Permanent, "")),
            }
        }
    });
    for (arguments, runs) in [(json!({"null": true}), 1), (json!({"no": true}), 2), (json!({}), 2)] {
        calls.store(0, Ordering::SeqCst);
        let _ = bench.call_with("fake_read", arguments.clone()).await;
        let _ = bench.call_with("fake_read", arguments.clone()).await;
        assert_eq!(calls.load(Ordering::SeqCst), runs, "{arguments}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_may_change_things_empties_its_skills_results() {
    let bench = counting(cached(60, false));
    assert_eq!(said(bench.call("fake_read").await), "1");
    assert_eq!(said(bench.call("other_run").await), "2");
    assert_eq!(said(bench.call("fake_read").await), "1");
    assert_eq!(said(bench.call("fake_run").await), "3");
    assert_eq!(said(bench.call("fake_read").await), "4");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_during_a_change_is_not_kept() {
    let bench = counting(cached(60, false));
    let change = bench.spawn("fake_run");
    bench.settle().await;
    let during = bench.spawn("fake_read");
    assert_eq!(said(change.await.unwrap()), "1");
    assert_eq!(said(during.await.unwrap()), "2");
    assert_eq!(said(bench.call("fake_read").await), "3");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_dropped_half_way_may_have_happened() {
    let bench = counting(cached(60, false));
    let change = bench.spawn("fake_run");
    bench.settle().await;
    assert_eq!(said(bench.call("fake_read").await), "2");
    change.abort();
    let _ = change.await;
    assert_eq!(said(bench.call("fake_read").await), "3");
}

#[tokio::test(start_paused = true)]
async fn another_load_of_the_skill_has_other_results() {
    let bench = counting(cached(60, false));
    assert_eq!(said(bench.call("fake_read").await), "1");
    bench.publish.send_modify(|catalog| {
        let tools =
            catalog.tools.iter().map(|(name, entry)| (name.clone(), Entry { loaded: 2, ..entry.clone() }));
        let skills = catalog.skills.clone();
        *catalog = Arc::new(Catalog { tools: tools.collect(), skills, settled: true, ..Catalog::default() });
    });
    assert_eq!(said(bench.call("fake_read").await), "2");
}

#[tokio::test(start_paused = true)]
async fn of_equal_calls_at_once_one_runs() {
    let bench = counting(cached(60, false));
    let calls: Vec<_> = (0..50).map(|_| bench.spawn("fake_read")).collect();
    bench.settle().await;
    assert_eq!(bench.running(), 1);
    for call in calls {
        assert_eq!(said(call.await.unwrap()), "1");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_is_cancelled_the_next_one_leads() {
    let bench = counting(cached(60, false));
    let leader = bench.spawn("fake_read");
    bench.settle().await;
    let cancelled = request("fake_read", json!({}));
    let cancel = cancelled.cancel.clone();
    let second = bench.spawn_request(cancelled);
    let others: Vec<_> = (0..5).map(|_| bench.spawn("fake_read")).collect();
    bench.settle().await;
    leader.abort();
    let _ = leader.await;
    bench.settle().await;
    assert_eq!(bench.running(), 1);
    // Nor is the second one's cancel theirs.
    cancel.cancel();
    assert_eq!(failed(second.await.unwrap()).kind, FailureKind::Cancelled);
    for call in others {
        assert_eq!(said(call.await.unwrap()), "3");
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_for_an_equal_call_can_give_up() {
    let bench = world(cached(60, false), |_| std::future::pending());
    let leader = bench.spawn("fake_read");
    bench.settle().await;
    let waiting = request("fake_read", json!({}));
    let cancel = waiting.cancel.clone();
    let waiting = bench.spawn_request(waiting);
    bench.settle().await;
    cancel.cancel();
    let began = tokio::time::Instant::now();
    assert_eq!(failed(waiting.await.unwrap()).kind, FailureKind::Cancelled);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(failed(leader.await.unwrap()).kind, FailureKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_call_is_one_of_all_who_waited() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let bench = world(cached(60, false), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async {
            pass(1.0).await;
            Err(Failure::new(FailureKind::Permanent, "no"))
        }
    });
    let waiting: Vec<_> = (0..5).map(|_| bench.spawn("fake_read")).collect();
    for call in waiting {
        assert_eq!(failed(call.await.unwrap()).kind, FailureKind::Permanent);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(failed(bench.call("fake_read").await).kind, FailureKind::Permanent);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_kept_result_costs_no_token() {
    let limit = skillhost_policy::RateLimit { max: 1, burst: 0, ..slow() };
    let mut policies = cached(60, false);
    policies.host.rate_limit = Some(limit);
    let bench = counting(policies);
    for _ in 0..10 {
        assert_eq!(said(bench.call("fake_read").await), "1");
    }
    let failure = failed(bench.call_with("fake_read", json!({"other": 1})).await);
    assert_eq!(failure.kind, FailureKind::RateLimited);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_has_a_bound() {
    let mut policies = cached(3_600, false);
    policies.host.cache_size = 64 << 10;
    let bench = world(policies, |_| async { Ok(text(&"x".repeat(1 << 10))) });
    for n in 0..1_000 {
        bench.call_with("fake_read", json!({"n": n})).await.result.unwrap();
    }
    let stats = bench.dispatcher.report().cache;
    assert!(stats.bytes <= 64 << 10 && stats.evictions > 800, "{stats:?}");
}
