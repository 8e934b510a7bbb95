//! Attempts, and what follows from a failed one.

use super::*;

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
