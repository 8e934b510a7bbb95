//! What reaches the model.

use super::*;

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
