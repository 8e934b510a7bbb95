//! The table of failures as the pipeline lives it: one test a row.

use skillhost_core::{Retry, Verdict};

use super::*;

/// What becomes of a call of `tool` whose every attempt ends with `kind`: attempts, effect, failures the breaker counted.
async fn lived(tool: &str, kind: FailureKind) -> (u32, Effect, u32) {
    let bench = world(policies(|_, _| ()), move |_| async move { Err(Failure::new(kind, "as scripted")) });
    let response = bench.call(tool).await;
    let (attempts, effect) = (response.attempts, response.effect);
    assert_eq!(failed(response).kind, kind);
    (attempts, effect, bench.breaker().failures)
}

macro_rules! rows {
    ($($name:ident $kind:ident: unsafe $unsafe_attempts:literal, safe $safe_attempts:literal, $effect:ident, counts $counts:literal;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let counted = |attempts: u32| if $counts { attempts } else { 0 };
            let kind = FailureKind::$kind;
            assert_eq!(
                lived("fake_run", kind).await,
                ($unsafe_attempts, Effect::$effect, counted($unsafe_attempts)),
                "a tool that may do anything"
            );
            for tool in ["fake_same", "fake_read"] {
                assert_eq!(
                    lived(tool, kind).await,
                    ($safe_attempts, Effect::$effect, counted($safe_attempts)),
                    "{tool}"
                );
            }
            // The row itself says the same.
            assert_eq!(kind.retry() == Retry::Always, $unsafe_attempts > 1);
            assert_eq!(kind.breaker() == Verdict::Failure, $counts);
        }
    )*};
}

rows! {
    invalid_input InvalidInput: unsafe 1, safe 1, None, counts false;
    missing_capability MissingCapability: unsafe 1, safe 1, None, counts false;
    conflict Conflict: unsafe 1, safe 1, None, counts false;
    overloaded Overloaded: unsafe 1, safe 1, None, counts false;
    transient_ Transient: unsafe 3, safe 3, None, counts true;
    permanent Permanent: unsafe 1, safe 1, None, counts false;
    invalid_output InvalidOutput: unsafe 1, safe 1, Unknown, counts true;
    trap Trap: unsafe 1, safe 3, Unknown, counts true;
    out_of_fuel OutOfFuel: unsafe 1, safe 1, Unknown, counts true;
    out_of_memory OutOfMemory: unsafe 1, safe 1, Unknown, counts true;
    timeout Timeout: unsafe 1, safe 3, Unknown, counts true;
    cancelled Cancelled: unsafe 1, safe 1, Unknown, counts false;
    unsupported Unsupported: unsafe 1, safe 1, None, counts false;
    internal Internal: unsafe 1, safe 1, Unknown, counts false;
}

#[tokio::test(start_paused = true)]
async fn unknown_tool() {
    let bench = world(policies(|_, _| ()), |_| async { Ok(text("")) });
    let response = bench.call("fake_none").await;
    assert_eq!((response.attempts, response.effect), (0, Effect::None));
    assert_eq!(failed(response).kind, FailureKind::UnknownTool);
}

// not-ready has tests of its own beside the wait for it; rate-limited and circuit-open in `rates` and `breakers`.

#[tokio::test(start_paused = true)]
async fn shutting_down() {
    let bench = world(policies(|_, _| ()), |_| async { Ok(text("")) });
    bench.dispatcher.idle().await;
    let failure = failed(bench.call("fake_run").await);
    assert_eq!(failure.kind, FailureKind::ShuttingDown);
    assert!(failure.retry_after.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_says_no_is_a_success() {
    let bench = world(policies(|_, _| ()), |_| async {
        Ok(Outcome::Reply(Reply { is_error: true, ..Reply::default() }))
    });
    for _ in 0..20 {
        assert!(bench.call("fake_run").await.result.unwrap().is_error);
    }
    assert_eq!((bench.breaker().state, bench.breaker().failures, bench.breaker().calls), ("closed", 0, 20));
}

#[tokio::test(start_paused = true)]
async fn what_counts_is_the_operators_to_change() {
    let counting = skillhost_policy::Counting::default().with(&["permanent"], &["trap"]).unwrap();
    let kinds = Arc::new(Mutex::new(vec![FailureKind::Trap, FailureKind::Permanent]));
    let bench = world(policies(|_, tool| tool.counting = counting), move |_| {
        let kind = kinds.lock().unwrap().pop().unwrap();
        async move { Err(Failure::new(kind, "")) }
    });
    assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::Permanent);
    assert_eq!(bench.breaker().failures, 1);
    assert_eq!(failed(bench.call("fake_run").await).kind, FailureKind::Trap);
    assert_eq!(bench.breaker().failures, 1);
}
