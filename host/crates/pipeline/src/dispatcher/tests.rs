//! The pipeline in paused time against a fake engine.

mod asking;
mod breakers;
mod cache;
mod crash;
mod durable;
mod fake;
mod fallbacks;
mod filter;
mod keeping;
mod keys;
mod letters;
mod life;
mod playbooks;
mod playbooks_crash;
mod rates;
mod retries;
mod table;
mod tasks;
mod turns;
mod undo;
mod undo_crash;
mod undo_property;
mod undoing;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use skillhost_core::{
    Block, Caller, ClientFeatures, Outcome, SagaId, SkillName, SkillState, ToolName, ToolSpec, Usage,
};
use skillhost_policy::{
    BreakerSettings, ConcurrencyLimit, Delays, Findings, Mode, Rate, RateLimit, RetryBudgetSettings,
};

use super::*;
use crate::{Asked, Response};

use fake::*;

#[tokio::test(start_paused = true)]
async fn a_call_reaches_the_skill_and_its_reply_the_client() {
    let seen = Arc::new(Mutex::new(None));
    let write = Arc::clone(&seen);
    let bench = bench(move |call| {
        *write.lock().unwrap() =
            Some((call.tool.to_string(), call.arguments.as_deref().cloned(), call.attempt));
        Ok(text("hello"))
    });
    let response = bench.dispatcher.call(request("fake_run", json!({"a": 1}))).await;
    assert_eq!(response.result.unwrap().content, [Block::text("hello")]);
    assert_eq!(*response.correlation_id, response.id.to_string());
    assert_eq!(response.usage.fuel, 7);
    assert_eq!(*seen.lock().unwrap(), Some(("run".into(), Some(r#"{"a":1}"#.into()), 1)));
}

#[tokio::test(start_paused = true)]
async fn absent_arguments_stay_absent() {
    let bench = bench(|call| Ok(text(&format!("{:?}", call.arguments))));
    let response = bench.dispatcher.call(request("fake_run", Value::Null)).await;
    assert_eq!(response.result.unwrap().content, [Block::text("None")]);
}

#[tokio::test(start_paused = true)]
async fn the_clients_correlation_id_is_kept() {
    let bench = bench(|call| Ok(text(&call.correlation_id)));
    let request = Request { correlation_id: Some("abc".into()), ..request("fake_run", json!({})) };
    let response = bench.dispatcher.call(request).await;
    assert_eq!(&*response.correlation_id, "abc");
    assert_eq!(response.result.unwrap().content, [Block::text("abc")]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_tool_is_told_with_the_nearest_name() {
    let bench = bench(|_| Ok(text("")));
    let failure = bench.dispatcher.call(request("fake_rum", json!({}))).await.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::UnknownTool);
    assert_eq!(failure.message, "unknown tool `fake_rum`; did you mean `fake_run`?");
    assert_eq!(kind(&bench, "zzz", json!({})).await, FailureKind::UnknownTool);
}

#[tokio::test(start_paused = true)]
async fn bad_arguments_never_reach_the_skill() {
    let input = r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#;
    let bench = bench_with(spec(input, None), true, Box::new(|_| panic!("must not run")));
    assert_eq!(kind(&bench, "fake_run", json!({"n": "x"})).await, FailureKind::InvalidInput);
}

#[tokio::test]
async fn heavy_arguments_are_checked_aside_and_arrive_whole() {
    let items = r#"{"type":"object","properties":{"items":{"type":"array","items":{"type":"integer"}}}}"#;
    let script: Script = Box::new(|call| {
        let bytes = call.arguments.map_or(0, |arguments| arguments.len());
        Box::pin(async move { Ok(text(&bytes.to_string())) })
    });
    let bench = bench_with(spec(items, None), true, script);
    let arguments = json!({"items": vec![1_000_000; 100_000]});
    let bytes = arguments.to_string().len();
    let response = bench.dispatcher.call(request("fake_run", arguments)).await;
    assert_eq!(response.result.unwrap().content, [Block::text(bytes.to_string())]);
    let response = bench.dispatcher.call(request("fake_run", json!({"items": vec!["x"; 300_000]}))).await;
    assert_eq!(response.result.unwrap_err().kind, FailureKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_breaks_its_schema_is_refused() {
    let output = r#"{"type":"object","required":["n"]}"#;
    let script: Script = Box::new(|_| {
        Box::pin(async { Ok(Outcome::Reply(Reply { structured: Some(json!({})), ..Reply::default() })) })
    });
    let bench = bench_with(spec(ANY, Some(output)), true, script);
    let response = bench.dispatcher.call(request("fake_run", json!({}))).await;
    assert_eq!(response.result.unwrap_err().kind, FailureKind::InvalidOutput);
    assert_eq!(response.effect, Effect::Unknown);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_running_call() {
    let bench = hanging(true);
    let began = tokio::time::Instant::now();
    let response = bench.dispatcher.call(request("fake_run", json!({}))).await;
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    assert_eq!(response.result.unwrap_err().kind, FailureKind::Timeout);
    assert_eq!((response.effect, response.usage.fuel), (Effect::Unknown, 7));
    assert_eq!(bench.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_began_had_no_effect() {
    let bench = hanging(false);
    let response = bench.dispatcher.call(request("fake_run", json!({}))).await;
    let failure = response.result.unwrap_err();
    assert_eq!((failure.kind, response.effect), (FailureKind::Overloaded, Effect::None));
    assert!(failure.retry_after.is_some());
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_guest() {
    let bench = hanging(true);
    let request = request("fake_run", json!({}));
    let cancel = request.cancel.clone();
    let dispatcher = Arc::clone(&bench.dispatcher);
    let call = tokio::spawn(async move { dispatcher.call(request).await });
    tokio::task::yield_now().await;
    assert_eq!(bench.running.load(Ordering::SeqCst), 1);
    cancel.cancel();
    let response = call.await.unwrap();
    assert_eq!(response.result.unwrap_err().kind, FailureKind::Cancelled);
    assert_eq!(bench.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_ends_the_guest() {
    let bench = hanging(true);
    let call = bench.dispatcher.call(request("fake_run", json!({})));
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
    assert_eq!(bench.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_still_answers() {
    let bench = bench(|_| panic!("planted"));
    let response = bench.dispatcher.call(request("fake_run", json!({}))).await;
    assert_eq!(response.result.unwrap_err().kind, FailureKind::Internal);
}

fn compiling(bench: &Bench) {
    let skill = SkillName::new("slow").unwrap();
    bench.publish.send_modify(|catalog| {
        let skills = BTreeMap::from([(skill.clone(), status(&skill, SkillState::Compiling))]);
        *catalog =
            Arc::new(Catalog { tools: catalog.tools.clone(), skills, settled: true, ..Catalog::default() });
    });
}

#[tokio::test(start_paused = true)]
async fn a_compiling_skill_is_waited_for_within_bounds() {
    let bench = bench(|_| Ok(text("")));
    compiling(&bench);
    let began = tokio::time::Instant::now();
    let failure = bench.dispatcher.call(request("slow_run", json!({}))).await.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotReady);
    assert_eq!(failure.message, "the skill `slow` is still compiling");
    assert_eq!(began.elapsed(), Settings::default().ready_wait);
}

#[tokio::test(start_paused = true)]
async fn a_skill_that_becomes_ready_meanwhile_is_called() {
    let bench = bench(|_| Ok(text("now")));
    compiling(&bench);
    let dispatcher = Arc::clone(&bench.dispatcher);
    let call = tokio::spawn(async move { dispatcher.call(request("slow_run", json!({}))).await });
    tokio::task::yield_now().await;
    bench.publish.send_modify(|catalog| {
        let mut tools = catalog.tools.clone();
        let entry = tools.values().next().unwrap().clone();
        tools.insert(ToolName::bare("slow_run").unwrap(), entry);
        *catalog = Arc::new(Catalog { tools, settled: true, ..Catalog::default() });
    });
    assert_eq!(call.await.unwrap().result.unwrap().content, [Block::text("now")]);
}

#[tokio::test(start_paused = true)]
async fn a_listing_waits_for_the_first_look_within_bounds() {
    let bench = bench(|_| Ok(text("")));
    bench.publish.send_replace(Arc::new(Catalog::default()));
    let began = tokio::time::Instant::now();
    bench.dispatcher.settled().await;
    assert_eq!(began.elapsed(), Settings::default().ready_wait);
}

/// Tools that call the next one, by way of the pipeline, until `depth`; there it takes `takes` and answers.
fn nesting(depth: u32, takes: Duration) -> Bench {
    calling(
        &["run", "at1", "at2", "at3"],
        Box::new(move |call: Call| {
            Box::pin(async move {
                if call.depth == depth {
                    tokio::time::sleep(takes).await;
                    return Ok(text(&format!("{} at {}", call.correlation_id, call.depth)));
                }
                let (tools, next) = (Arc::clone(&call.tools), format!("fake_at{}", call.depth + 1));
                let reply = tools.call_tool(call, next, Some("{}".into())).await?;
                Ok(Outcome::Reply(reply))
            })
        }),
    )
}

#[tokio::test(start_paused = true)]
async fn a_nested_call_is_the_same_request() {
    let bench = nesting(3, Duration::ZERO);
    let request = Request { correlation_id: Some("abc".into()), ..request("fake_run", json!({})) };
    let response = bench.dispatcher.call(request).await;
    assert_eq!(response.result.unwrap().content, [Block::text("abc at 3")]);
}

#[tokio::test(start_paused = true)]
async fn a_nested_call_has_the_time_its_caller_has_left() {
    let bench = nesting(2, Duration::from_secs(3600));
    let began = tokio::time::Instant::now();
    let failure = bench.dispatcher.call(request("fake_run", json!({}))).await.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nested_calls_end_with_their_root() {
    let bench = nesting(3, Duration::from_secs(3600));
    let call = tokio::spawn({
        let dispatcher = Arc::clone(&bench.dispatcher);
        async move { dispatcher.call(request("fake_run", json!({}))).await }
    });
    while bench.running.load(Ordering::SeqCst) < 4 {
        tokio::task::yield_now().await;
    }
    call.abort();
    let _ = call.await;
    bench.settle().await;
    assert_eq!(bench.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_in_a_circle_are_refused() {
    let bench = calling(
        &["run", "back"],
        Box::new(|call: Call| {
            Box::pin(async move {
                let other = if &*call.tool == "run" { "fake_back" } else { "fake_run" };
                let tools = Arc::clone(&call.tools);
                tools.call_tool(call, other.into(), None).await.map(Outcome::Reply)
            })
        }),
    );
    let failure = bench.dispatcher.call(request("fake_run", json!({}))).await.result.unwrap_err();
    assert!(failure.message.ends_with("in a circle: fake_run -> fake_back -> fake_run"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn what_a_call_sets_off_has_a_bound() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let bench = calling(
        &["run", "leaf"],
        Box::new(move |call: Call| {
            let count = Arc::clone(&count);
            Box::pin(async move {
                if &*call.tool == "leaf" {
                    count.fetch_add(1, Ordering::SeqCst);
                    return Ok(text("leaf"));
                }
                let tools = Arc::clone(&call.tools);
                loop {
                    tools.call_tool(call.clone(), "fake_leaf".into(), None).await?;
                }
            })
        }),
    );
    let failure = bench.dispatcher.call(request("fake_run", json!({}))).await.result.unwrap_err();
    assert!(failure.message.contains("at most 1024"), "{failure}");
    assert_eq!(calls.load(Ordering::SeqCst), 1_024);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_json_object_is_no_nested_call() {
    let bench = calling(
        &["run", "other"],
        Box::new(|call: Call| {
            Box::pin(async move {
                let tools = Arc::clone(&call.tools);
                tools.call_tool(call, "fake_other".into(), Some("[1]".into())).await.map(Outcome::Reply)
            })
        }),
    );
    assert_eq!(kind(&bench, "fake_run", json!({})).await, FailureKind::InvalidInput);
}
