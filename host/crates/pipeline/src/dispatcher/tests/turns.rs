//! Turns: calls at once, and who waits for one.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_burst_waits_its_turn_before_anyone_is_refused() {
    let order = Arc::new(Mutex::new(vec![]));
    let write = Arc::clone(&order);
    let bench = world(turns(2, 3, 100), move |call: Call| {
        write.lock().unwrap().push(call.arguments.as_deref().cloned().unwrap());
        async {
            pass(1.0).await;
            Ok(text(""))
        }
    });
    let calls: Vec<_> = (0..6).map(|n| bench.spawn_request(request("fake_run", json!({"n": n})))).collect();
    bench.settle().await;
    let report = bench.dispatcher.report().skills["fake"].concurrency[0].clone();
    assert_eq!((report.running, report.waiting, report.refused), (2, 3, 1));
    let mut refused = 0;
    let mut queued = vec![];
    for call in calls {
        let response = call.await.unwrap();
        queued.push(response.usage.queued.as_secs());
        if let Err(failure) = response.result {
            assert_eq!(failure.kind, FailureKind::Overloaded);
            assert!(
                failure.retry_after.is_some() && failure.message.contains("the queue is full"),
                "{failure}"
            );
            refused += 1;
        }
    }
    assert_eq!((refused, queued), (1, vec![0, 0, 1, 1, 2, 0]));
    let expected: Vec<_> = (0..5).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(*order.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_turn_has_a_bound() {
    let bench = world(turns(1, 10, 3), |_| std::future::pending());
    let first = bench.spawn("fake_run");
    bench.settle().await;
    let began = tokio::time::Instant::now();
    let failure = failed(bench.call("fake_run").await);
    assert_eq!((failure.kind, began.elapsed()), (FailureKind::Overloaded, seconds(3)));
    assert_eq!(failed(first.await.unwrap()).kind, FailureKind::Timeout);
    assert_eq!(began.elapsed(), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn callers_have_turns_of_their_own_and_nested_calls_go_on_their_roots() {
    let mut policies = policies(|_, _| ());
    policies.host.caller_concurrency = Some(ConcurrencyLimit { max: 1, queue: 0, wait: seconds(1) });
    let bench = world(policies, |call: Call| async move {
        pass(1.0).await;
        match (&*call.tool, call.depth) {
            ("run", 0) => {
                let tools = Arc::clone(&call.tools);
                tools.call_tool(call, "other_read".into(), None).await.map(Outcome::Reply)
            }
            _ => Ok(text("")),
        }
    });
    let by = |caller: &str| Request { caller: Caller::named(caller), ..request("fake_run", json!({})) };
    let (ann, again, bob) =
        (bench.spawn_request(by("ann")), bench.spawn_request(by("ann")), bench.spawn_request(by("bob")));
    assert_eq!(failed(again.await.unwrap()).kind, FailureKind::Overloaded);
    ann.await.unwrap().result.unwrap();
    bob.await.unwrap().result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn callers_who_wait_for_their_callees_do_not_take_their_turns() {
    let bench = world(turns(1, 0, 1), |call: Call| async move {
        if call.depth == 3 {
            return Ok(text("deep"));
        }
        let (tools, next) =
            (Arc::clone(&call.tools), ["fake_same", "fake_read", "other_run"][call.depth as usize]);
        tools.call_tool(call, next.into(), None).await.map(Outcome::Reply)
    });
    assert_eq!(bench.call("fake_run").await.result.unwrap().content, [Block::text("deep")]);
}
