//! Circuit breakers.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_refuses_with_what_is_left_tries_and_closes() {
    let (bench, ill, calls) = switch(policies(|_, _| ()));
    for _ in 0..5 {
        assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::OutOfFuel);
    }
    assert_eq!(
        (bench.breaker().state, bench.breaker().reason.as_deref()),
        ("open", Some("5 failures in a row"))
    );
    for (at, left) in [(0.0, 60), (20.0, 40), (39.0, 1)] {
        pass(at).await;
        let failure = failed(bench.call("fake_run").await);
        assert_eq!((failure.kind, failure.retry_after), (FailureKind::CircuitOpen, Some(seconds(left))));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 5);
    // The probe fails: open again, twice as long.
    pass(1.0).await;
    assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::OutOfFuel);
    assert_eq!(failed(bench.call("fake_run").await).retry_after, Some(seconds(120)));
    pass(120.0).await;
    ill.store(0, Ordering::SeqCst);
    bench.call("fake_run").await.result.unwrap();
    assert_eq!(bench.breaker().state, "closed");
    assert_eq!(calls.load(Ordering::SeqCst), 7);
}

#[tokio::test(start_paused = true)]
async fn one_ill_skill_leaves_the_others_alone_and_one_tool_those_beside_it() {
    let own = BreakerSettings { jitter: 0.0, consecutive: Some(1), ..BreakerSettings::default() };
    let policies = with_tool(policies(|_, _| ()), "read", |tool| tool.breaker = Some(own));
    let bench = world(policies, |call: Call| async move {
        if &*call.tool == "read" { Err(Failure::new(FailureKind::OutOfFuel, "")) } else { Ok(text("")) }
    });
    bench.call("fake_read").await.result.unwrap_err();
    let failure = failed(bench.call("fake_read").await);
    assert!(failure.message.starts_with("the tool `read` of the skill `fake` failed too often"), "{failure}");
    bench.call("fake_run").await.result.unwrap();
    bench.call("other_run").await.result.unwrap();
    assert_eq!(bench.breaker().failures, 0);
    assert_eq!(
        bench.dispatcher.report().skills["fake"].tools["read"].breaker.as_ref().unwrap().state,
        "open"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_version_starts_well() {
    let (bench, ill, _) = switch(policies(|_, _| ()));
    for _ in 0..6 {
        bench.call("fake_run").await.result.unwrap_err();
    }
    assert_eq!(bench.breaker().state, "open");
    ill.store(0, Ordering::SeqCst);
    bench.publish.send_modify(|catalog| {
        let tools =
            catalog.tools.iter().map(|(name, entry)| (name.clone(), Entry { loaded: 2, ..entry.clone() }));
        let skills = catalog.skills.clone();
        *catalog = Arc::new(Catalog { tools: tools.collect(), skills, settled: true, ..Catalog::default() });
    });
    bench.call("fake_run").await.result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_operator_has_the_last_word() {
    let (bench, _, _) = switch(policies(|_, _| ()));
    let mode = |mode| Arc::new(policies(|skill, _| skill.breaker.mode = mode));
    bench.call("fake_run").await.result.unwrap_err();
    bench.dispatcher.reconfigure(mode(Mode::ForcedOpen));
    let failure = failed(bench.call("fake_run").await);
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::CircuitOpen, None));
    assert!(failure.message.starts_with("the operator has stopped calls"), "{failure}");
    bench.dispatcher.reconfigure(mode(Mode::MetricsOnly));
    for _ in 0..20 {
        assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::OutOfFuel);
    }
    assert_eq!((bench.breaker().state, bench.breaker().failures), ("metrics-only", 20));
    bench.dispatcher.reconfigure(mode(Mode::Disabled));
    for _ in 0..20 {
        assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::OutOfFuel);
    }
    assert_eq!(bench.breaker().calls, 0);
    bench.dispatcher.reconfigure(mode(Mode::Normal));
    for _ in 0..5 {
        assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::OutOfFuel);
    }
    assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::CircuitOpen);
}
