//! Tools that answer for others.

use super::*;

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
