//! Rate limits.

use super::*;

#[tokio::test(start_paused = true)]
async fn sixty_and_ten_at_one_a_second_let_through_exactly_that_for_hours() {
    let bench = fine(policies(|skill, _| skill.rate_limit = RateLimit::preset("mcp_tools")));
    let mut allowed = 0;
    // Three hours, ten calls a second.
    for step in 0..108_000u32 {
        match bench.call("fake_run").await.result {
            Ok(_) => allowed += 1,
            Err(failure) => {
                assert_eq!(failure.kind, FailureKind::RateLimited);
                // What is left until the next whole second.
                let left = 1_000 - (step % 10) * 100;
                assert_eq!(failure.retry_after, Some(Duration::from_millis(u64::from(left))), "step {step}");
            }
        }
        pass(0.1).await;
    }
    // The bucket, and one each second after the first.
    assert_eq!(allowed, 70 + 10_799);
    // Idle for an hour it fills up to 70, not more.
    pass(3_600.0).await;
    let mut burst = 0;
    while bench.call("fake_run").await.result.is_ok() {
        burst += 1;
    }
    assert_eq!(burst, 70);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_its_token_within_its_bound_and_in_order() {
    let limit = RateLimit { max: 1, rate: Rate::per_second(1.0).unwrap(), wait: seconds(2), ..slow() };
    let bench = fine(policies(|skill, _| skill.rate_limit = Some(limit)));
    let began = tokio::time::Instant::now();
    let calls: Vec<_> = (0..4).map(|_| bench.spawn("fake_run")).collect();
    let mut after = vec![];
    for call in calls {
        after.push((call.await.unwrap().result.is_ok(), began.elapsed().as_secs()));
    }
    assert_eq!(after[..3], [(true, 0), (true, 1), (true, 2)]);
    assert!(!after[3].0);
    let report = bench.dispatcher.report().skills["fake"].rate_limit.clone().unwrap();
    assert_eq!((report.allowed, report.rejected, report.waited), (3, 1, 2));
    assert!((report.average_wait_ms - 1_500.0).abs() < 1e-6, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_gives_his_token_back() {
    let limit = RateLimit { max: 1, rate: Rate::per_second(1.0).unwrap(), wait: seconds(5), ..slow() };
    let bench = fine(policies(|skill, _| skill.rate_limit = Some(limit)));
    bench.call("fake_run").await.result.unwrap();
    let waiting = bench.spawn("fake_run");
    bench.settle().await;
    waiting.abort();
    let _ = waiting.await;
    let began = tokio::time::Instant::now();
    bench.call("fake_run").await.result.unwrap();
    assert_eq!(began.elapsed(), seconds(1));
}

#[tokio::test(start_paused = true)]
async fn tokens_that_were_there_do_not_come_back_after_a_wait() {
    let rate = |per_second| Rate::per_second(per_second).unwrap();
    let mut policies =
        policies(|skill, _| skill.rate_limit = Some(RateLimit { max: 1, rate: rate(1.0), ..slow() }));
    policies.host.rate_limit = Some(RateLimit { max: 1, rate: rate(0.25), wait: seconds(9), ..slow() });
    let bench = fine(policies);
    bench.call("fake_run").await.result.unwrap();
    pass(1.0).await;
    // The skill has one for it, the host in three seconds.
    let gives_up = bench.spawn("fake_run");
    pass(1.0).await;
    let _stays = bench.spawn("fake_run");
    pass(0.1).await;
    gives_up.abort();
    let _ = gives_up.await;
    // The skill's was refilled meanwhile, and taken by the one who stays.
    let tokens = bench.dispatcher.report().skills["fake"].rate_limit.as_ref().unwrap().tokens.unwrap();
    assert!((tokens - 0.1).abs() < 1e-6, "{tokens}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_is_refused_at_once() {
    let limit = RateLimit { max: 1, wait: seconds(3_600), ..slow() };
    let bench = fine(policies(|skill, _| skill.rate_limit = Some(limit)));
    bench.call("fake_run").await.result.unwrap();
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        let failure = failed(bench.call("fake_run").await);
        assert_eq!((failure.kind, failure.retry_after), (FailureKind::RateLimited, Some(seconds(50))));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_charged_to_all_levels_or_to_none() {
    let mut policies = policies(|skill, _| skill.rate_limit = Some(slow()));
    policies.host.rate_limit = Some(RateLimit { max: 1, ..slow() });
    policies.host.caller_rate_limit = Some(slow());
    let bench = fine(policies);
    bench.call("fake_run").await.result.unwrap();
    let text = failed(bench.call("fake_run").await).message;
    assert!(text.starts_with("the rate limit of the host is used up"), "{text}");
    let report = bench.dispatcher.report();
    assert_eq!(report.skills["fake"].rate_limit.as_ref().unwrap().tokens, Some(1.0));
    assert_eq!(report.skills["fake"].rate_limit.as_ref().unwrap().allowed, 1);
    assert_eq!(report.callers.unwrap().rate_limit.unwrap().allowed, 1);
    assert_eq!(report.rate_limit.unwrap().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn each_caller_has_a_bucket_and_few_have_one() {
    let mut policies = policies(|_, _| ());
    policies.host.caller_rate_limit = Some(slow());
    policies.host.callers = 100;
    let bench = fine(policies);
    let by = |caller: String| Request { caller: Caller::named(&caller), ..request("fake_run", json!({})) };
    for _ in 0..2 {
        bench.dispatcher.call(by("ann".into())).await.result.unwrap();
        bench.dispatcher.call(by("bob".into())).await.result.unwrap();
    }
    let failure = failed(bench.dispatcher.call(by("ann".into())).await);
    assert!(failure.message.starts_with("the rate limit of this caller"), "{failure}");
    for n in 0..10_000 {
        bench.dispatcher.call(by(format!("caller {n}"))).await.result.unwrap();
    }
    let known = bench.dispatcher.report().callers.unwrap().known;
    assert!(known <= 200, "{known} callers are remembered");
}

#[tokio::test(start_paused = true)]
async fn a_tool_has_a_cost_and_a_limit_of_its_own() {
    let ten = RateLimit { max: 10, ..slow() };
    let policies = with_tool(policies(|skill, _| skill.rate_limit = Some(ten)), "run", |tool| {
        tool.cost = 4;
        tool.rate_limit = Some(RateLimit { max: 4, ..slow() });
    });
    let bench = fine(policies);
    bench.call("fake_run").await.result.unwrap();
    let failure = failed(bench.call("fake_run").await);
    assert!(failure.message.starts_with("the rate limit of the tool `run`"), "{failure}");
    assert_eq!(failure.retry_after, Some(seconds(4 * 50)));
    for _ in 0..6 {
        bench.call("fake_read").await.result.unwrap();
    }
    assert!(failed(bench.call("fake_read").await).message.contains("the skill `fake`"));
}

#[tokio::test(start_paused = true)]
async fn a_limit_in_shadow_counts_and_refuses_nothing() {
    let limit = RateLimit { shadow: true, ..slow() };
    let bench = fine(policies(|skill, _| skill.rate_limit = Some(limit)));
    for _ in 0..5 {
        bench.call("fake_run").await.result.unwrap();
    }
    let report = bench.dispatcher.report().skills["fake"].rate_limit.clone().unwrap();
    assert_eq!((report.allowed, report.rejected), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn attempts_are_charged_once() {
    let attempts = AtomicUsize::new(0);
    let bench = world(policies(|skill, _| skill.rate_limit = Some(slow())), move |_| {
        let n = attempts.fetch_add(1, Ordering::SeqCst);
        async move { if n < 2 { Err(transient()) } else { Ok(text("")) } }
    });
    bench.call("fake_run").await.result.unwrap();
    assert_eq!(bench.dispatcher.report().skills["fake"].rate_limit.as_ref().unwrap().allowed, 1);
}
