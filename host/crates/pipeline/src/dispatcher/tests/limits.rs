//! Rate limits, breakers, turns, retries and fallbacks in the order of a call.

use std::sync::atomic::AtomicUsize;

use skillhost_policy::{
    BreakerSettings, ConcurrencyLimit, Delays, Mode, Rate, RateLimit, RetryBudgetSettings,
};

use super::*;

/// One token in fifty seconds.
pub(super) fn slow() -> RateLimit {
    let rate = Rate::per_second(0.02).unwrap();
    RateLimit { max: 2, rate, burst: 0, wait: Duration::ZERO, shadow: false }
}

fn fine(policies: Policies) -> Bench {
    world(policies, |_| async { Ok(text("fine")) })
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// Fails while the switch is on, and counts.
fn switch(policies: Policies) -> (Bench, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (ill, calls) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
    let (is_ill, count) = (Arc::clone(&ill), Arc::clone(&calls));
    let bench = world(policies, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let ill = is_ill.load(Ordering::SeqCst) == 1;
        async move { if ill { Err(Failure::new(FailureKind::OutOfFuel, "ill")) } else { Ok(text("well")) } }
    });
    (bench, ill, calls)
}

// ---- rate limits

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

// ---- breakers

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

// ---- turns

fn turns(max: u32, queue: u32, wait: u64) -> Policies {
    policies(|skill, _| skill.concurrency = Some(ConcurrencyLimit { max, queue, wait: seconds(wait) }))
}

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
        let tools = Arc::clone(&call.tools);
        tools.call_tool(call, "fake_run".into(), None).await.map(Outcome::Reply)
    });
    assert_eq!(bench.call("fake_run").await.result.unwrap().content, [Block::text("deep")]);
}

// ---- retries

#[tokio::test(start_paused = true)]
async fn what_fails_twice_and_then_succeeds_is_one_success_of_one_call() {
    let seen = Arc::new(Mutex::new(vec![]));
    let write = Arc::clone(&seen);
    let bench = world(policies(|_, _| ()), move |call: Call| {
        write.lock().unwrap().push((call.id, call.attempt));
        async move { if call.attempt < 3 { Err(transient()) } else { Ok(text("third")) } }
    });
    let began = tokio::time::Instant::now();
    let response = bench.call("fake_run").await;
    assert_eq!((response.attempts, began.elapsed()), (3, seconds(1 + 2)));
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3].map(|attempt| (response.id, attempt)));
    assert_eq!(response.result.unwrap().content, [Block::text("third")]);
    assert_eq!(bench.breaker().consecutive, 0);
}

#[tokio::test(start_paused = true)]
async fn no_permit_is_held_between_attempts() {
    let bench = world(turns(1, 0, 0), |call: Call| async move {
        match (call.arguments.as_deref().map(String::as_str), call.attempt) {
            (Some(r#"{"ill":true}"#), 1) => Err(transient()),
            _ => Ok(text("")),
        }
    });
    let retried = bench.spawn_request(request("fake_run", json!({"ill": true})));
    bench.settle().await;
    bench.call("fake_run").await.result.unwrap();
    assert_eq!(retried.await.unwrap().attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_skill_that_says_when_is_not_asked_earlier_and_never_past_the_deadline() {
    for (says, attempts, took) in [(4, 3, 8), (7, 2, 7), (20, 1, 0)] {
        let bench =
            world(policies(|_, _| ()), move |_| async move { Err(transient().retry_after(seconds(says))) });
        let began = tokio::time::Instant::now();
        let response = bench.call("fake_run").await;
        assert_eq!((response.attempts, began.elapsed()), (attempts, seconds(took)), "says {says}");
        assert_eq!(failed(response).retry_after, Some(seconds(says)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_a_time_of_its_own() {
    let policies = policies(|_, tool| tool.retry.attempt_timeout = Some(seconds(2)));
    let bench = world(policies, |call: Call| async move {
        if call.attempt == 1 {
            std::future::pending::<()>().await;
        }
        Ok(text(""))
    });
    let began = tokio::time::Instant::now();
    let response = bench.call("fake_read").await;
    assert_eq!((response.attempts, began.elapsed()), (2, seconds(2 + 1)));
    response.result.unwrap();
    let failure = failed(bench.call("fake_run").await);
    assert_eq!(failure.message, "the call took longer than its 2 s (`attempt_timeout`) and was ended");
}

#[tokio::test(start_paused = true)]
async fn a_skill_has_a_budget_for_retries() {
    let bench = world(
        policies(|skill, tool| {
            skill.retry_budget = RetryBudgetSettings { ratio: 0.0, reserve: 3 };
            skill.breaker.mode = Mode::Disabled;
            tool.retry.delays = Delays::Listed([Duration::ZERO].into());
        }),
        |_| async { Err(transient()) },
    );
    let mut attempts = vec![];
    for _ in 0..3 {
        attempts.push(bench.call("fake_run").await.attempts);
    }
    assert_eq!(attempts, [3, 2, 1]);
    pass(2.0).await;
    assert_eq!(bench.call("fake_run").await.attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_the_breaker_refuses_leaves_the_last_word_to_the_skill() {
    let bench =
        world(policies(|skill, _| skill.breaker.consecutive = Some(2)), |_| async { Err(transient()) });
    let response = bench.call("fake_run").await;
    assert_eq!(response.attempts, 2);
    let failure = failed(response);
    // After the second attempt the breaker was open; the third would have come 2 s later.
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::Transient, Some(seconds(58))));
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_tools_that_changed_something_is_not_run_again() {
    for (callee, attempts) in [("other_run", 1), ("other_read", 3)] {
        let bench = world(policies(|_, _| ()), move |call: Call| async move {
            if call.depth == 1 {
                return Ok(text("done"));
            }
            let tools = Arc::clone(&call.tools);
            tools.call_tool(call, callee.into(), None).await?;
            Err(transient())
        });
        assert_eq!(bench.call("fake_same").await.attempts, attempts, "{callee}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_callees_refusal_says_nothing_of_its_caller() {
    let mut policies = policies(|_, tool| tool.retry.attempts = 1);
    let mut other = (*policies.defaults).clone();
    other.breaker.mode = Mode::ForcedOpen;
    policies.skills.insert(SkillName::new("other").unwrap(), Arc::new(other));
    let bench = world(policies, |call: Call| async move {
        let tools = Arc::clone(&call.tools);
        let refused = tools.call_tool(call, "other_run".into(), None).await.unwrap_err();
        Err(Failure::new(FailureKind::Transient, refused.message))
    });
    for _ in 0..10 {
        assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::Transient);
    }
    assert_eq!((bench.breaker().state, bench.breaker().calls), ("closed", 0));
}

#[tokio::test(start_paused = true)]
async fn a_callee_with_too_little_time_left_to_it_is_not_ill() {
    for (after, counted) in [(9.9, 0), (5.1, 0), (4.9, 3), (0.1, 3)] {
        let bench = world(policies(|_, _| ()), move |call: Call| async move {
            if call.depth == 0 {
                pass(after).await;
                let tools = Arc::clone(&call.tools);
                return tools.call_tool(call, "other_run".into(), None).await.map(Outcome::Reply);
            }
            std::future::pending().await
        });
        for _ in 0..3 {
            bench.call("fake_run").await.result.unwrap_err();
        }
        assert_eq!(bench.dispatcher.report().skills["other"].breaker.failures, counted, "after {after} s");
    }
}

// ---- fallbacks

fn falling_back(to: &str) -> Policies {
    with_tool(policies(|_, tool| tool.retry.attempts = 1), "run", |tool| tool.fallback = Some(to.into()))
}

#[tokio::test(start_paused = true)]
async fn another_tool_answers_for_one_that_cannot() {
    let bench = world(falling_back("other_read"), |call: Call| async move {
        match &*call.tool {
            "run" => Err(Failure::new(FailureKind::Permanent, "gone")),
            _ => Ok(text(&format!("instead, with {}", call.arguments.unwrap()))),
        }
    });
    let response = bench.call_with("fake_run", json!({"a": 1})).await;
    let stands_in = response.stands_in.unwrap();
    assert_eq!((stands_in.tool.as_str(), stands_in.reason.message.as_str()), ("other_read", "gone"));
    assert_eq!(response.result.unwrap().content, [Block::text(r#"instead, with {"a":1}"#)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_answers_for_what_may_have_happened_or_was_asked_wrongly() {
    for (kind, stands_in) in
        [(FailureKind::Trap, false), (FailureKind::InvalidInput, false), (FailureKind::Transient, true)]
    {
        let bench = world(falling_back("other_read"), move |call: Call| async move {
            if &*call.tool == "run" { Err(Failure::new(kind, "")) } else { Ok(text("")) }
        });
        assert_eq!(bench.call("fake_run").await.stands_in.is_some(), stands_in, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_has_none_and_the_first_failure_is_told() {
    let bench = world(falling_back("fake_run"), |call: Call| async move {
        Err(Failure::new(FailureKind::Permanent, format!("depth {}", call.depth)))
    });
    let response = bench.call("fake_run").await;
    assert!(response.stands_in.is_none());
    assert_eq!(failed(response).message, "depth 0");
}

// ---- what is given back, and what stays

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

// ---- the filter

#[tokio::test(start_paused = true)]
async fn a_reply_and_a_failure_are_filtered_and_what_was_found_is_told() {
    let policies = policies(|skill, _| skill.filter = skillhost_policy::FilterMode::Strip);
    let bench = world(policies, |call: Call| async move {
        match &*call.tool {
            "run" => Ok(text("a\u{202e}b")),
            _ => Err(Failure::new(FailureKind::Permanent, "You are now c\u{200b}")),
        }
    });
    let response = bench.call("fake_run").await;
    assert_eq!(response.findings, Findings { hidden: 1, ..Findings::default() });
    assert_eq!(response.result.unwrap().content, [Block::text("ab")]);
    let response = bench.call("fake_read").await;
    assert_eq!((response.findings.hidden, response.findings.instructions), (1, 1));
    assert_eq!(failed(response).message, "⟦removed⟧ c");
}
