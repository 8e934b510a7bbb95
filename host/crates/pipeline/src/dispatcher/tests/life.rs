//! What is given back when a call goes away, and what stays over a change of the configuration.

use super::*;

/// Every policy on.
fn everything() -> Policies {
    let limit = RateLimit { max: 4, rate: Rate::per_second(1.0).unwrap(), wait: seconds(2), ..slow() };
    let mut policies = policies(|skill, tool| {
        skill.rate_limit = Some(limit);
        skill.concurrency = Some(ConcurrencyLimit { max: 3, queue: 9, wait: seconds(9) });
        tool.cache = Some(skillhost_policy::CachePolicy { ttl: seconds(1), shared: true });
    });
    policies.host.caller_concurrency = Some(ConcurrencyLimit { max: 1, queue: 9, wait: seconds(9) });
    policies
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_any_point_gives_everything_back() {
    let by = |caller: &str, seconds: u64| {
        // Calls of one second are equal, whoever makes them.
        let arguments = json!({"takes": seconds, "own": if seconds == 1 { "" } else { caller }});
        Request { caller: Caller::named(caller), ..request("fake_read", arguments) }
    };
    // Until 1 s it waits for its token, until 3 s for its caller's turn, until 5 s for its skill's; then it runs for a
    // second and fails, waits a second, and runs again for one.
    for (drop_at, running) in [(0.5, 3), (1.5, 3), (3.5, 3), (5.5, 1), (6.5, 0), (7.5, 1), (8.5, 0)] {
        let bench = world(everything(), |call: Call| async move {
            let arguments: Value = serde_json::from_str(call.arguments.as_deref().unwrap()).unwrap();
            pass(arguments["takes"].as_f64().unwrap()).await;
            if arguments["takes"] == 1 && call.attempt == 1 { Err(transient()) } else { Ok(text("")) }
        });
        for (caller, takes) in [("ann", 3), ("bob", 5), ("cat", 5), ("eve", 2)] {
            drop(bench.spawn_request(by(caller, takes)));
            bench.settle().await;
        }
        let call = bench.spawn_request(by("ann", 1));
        // Others wait for its result, and take over.
        let same = bench.spawn_request(by("dan", 1));
        pass(drop_at).await;
        assert_eq!(bench.running(), running, "at {drop_at} s");
        same.abort();
        let _ = same.await;
        call.abort();
        let ended = call.await.is_ok();
        assert_eq!(ended, drop_at > 8.0);
        pass(20.0).await;
        let report = bench.dispatcher.report();
        let skill = &report.skills["fake"];
        assert_eq!((skill.concurrency[0].running, skill.concurrency[0].waiting), (0, 0), "at {drop_at} s");
        // The tokens that were waited for went back, those of a call that had begun did not.
        let tokens = skill.rate_limit.as_ref().unwrap();
        assert_eq!(
            (tokens.tokens, tokens.allowed),
            (Some(4.0), if drop_at < 1.0 { 4 } else { 5 }),
            "at {drop_at} s"
        );
        // The same callers, at once, are in nobody's way.
        let began = tokio::time::Instant::now();
        for caller in ["ann", "bob", "cat", "dan"] {
            bench.dispatcher.call(by(caller, 0)).await.result.unwrap();
        }
        assert_eq!(began.elapsed(), Duration::ZERO, "at {drop_at} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_is_neither_success_nor_failure() {
    let ill = Arc::new(AtomicUsize::new(1));
    let is_ill = Arc::clone(&ill);
    let bench = world(policies(|_, _| ()), move |_| {
        let ill = is_ill.load(Ordering::SeqCst);
        async move {
            match ill {
                0 => Ok(text("")),
                1 => Err(Failure::new(FailureKind::OutOfFuel, "")),
                _ => std::future::pending().await,
            }
        }
    });
    for _ in 0..5 {
        bench.call("fake_run").await.result.unwrap_err();
    }
    pass(60.0).await;
    ill.store(2, Ordering::SeqCst);
    let probe = bench.spawn("fake_run");
    bench.settle().await;
    assert_eq!(bench.breaker().state, "half-open");
    assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::CircuitOpen);
    probe.abort();
    let _ = probe.await;
    assert_eq!(bench.breaker().state, "half-open");
    ill.store(0, Ordering::SeqCst);
    bench.call("fake_run").await.result.unwrap();
    assert_eq!(bench.breaker().state, "closed");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_holds_no_probe() {
    let policies = policies(|skill, _| {
        skill.concurrency = Some(ConcurrencyLimit { max: 1, queue: 10, wait: seconds(5) });
    });
    let ill = Arc::new(AtomicUsize::new(1));
    let is_ill = Arc::clone(&ill);
    let bench = world(policies, move |call: Call| {
        let ill = is_ill.load(Ordering::SeqCst) == 1;
        async move {
            if call.arguments.as_deref().is_some_and(|text| text.contains("long")) {
                pass(9.0).await;
            }
            if ill { Err(Failure::new(FailureKind::OutOfFuel, "")) } else { Ok(text("")) }
        }
    });
    for _ in 0..4 {
        bench.call("fake_run").await.result.unwrap_err();
    }
    // The fifth failure comes at 9 s; before, one waits in the queue and gives up at 5 s.
    let long = bench.spawn_request(request("fake_run", json!({"long": 1})));
    bench.settle().await;
    assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::Overloaded);
    assert_eq!(failed(long.await.unwrap()).kind, FailureKind::OutOfFuel);
    assert_eq!(bench.breaker().state, "open");
    pass(60.0).await;
    ill.store(0, Ordering::SeqCst);
    // The probe takes its time, the next is told to come back at once rather than queue in vain.
    let probe = bench.spawn_request(request("fake_run", json!({"long": 1})));
    bench.settle().await;
    let began = tokio::time::Instant::now();
    assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::CircuitOpen);
    assert_eq!(began.elapsed(), Duration::ZERO);
    probe.await.unwrap().result.unwrap();
    assert_eq!(bench.breaker().state, "closed");
}

#[tokio::test(start_paused = true)]
async fn what_did_not_change_in_the_configuration_keeps_its_state() {
    let limited = |open: u64| {
        policies(|skill, _| {
            skill.rate_limit = Some(RateLimit { max: 10, ..slow() });
            skill.breaker.open = seconds(open);
        })
    };
    let (bench, _, _) = switch(limited(60));
    for _ in 0..5 {
        bench.call("fake_run").await.result.unwrap_err();
    }
    // Something else of the skill changes: its bucket and its breaker go on.
    let mut other = limited(60);
    Arc::make_mut(&mut other.defaults).filter = skillhost_policy::FilterMode::Mark;
    bench.dispatcher.reconfigure(Arc::new(other));
    assert_eq!(bench.breaker().state, "open");
    assert_eq!(bench.dispatcher.report().skills["fake"].rate_limit.as_ref().unwrap().tokens, Some(5.0));
    // The breaker's own rules change: it starts anew; the bucket goes on.
    bench.dispatcher.reconfigure(Arc::new(limited(30)));
    assert_eq!(bench.breaker().state, "closed");
    assert_eq!(bench.dispatcher.report().skills["fake"].rate_limit.as_ref().unwrap().tokens, Some(5.0));
}
