//! `host_health`: whether the host is well, for agents that look after it.

use std::{pin::Pin, sync::Arc, time::Duration};

use serde_json::{Value, json};
use skillhost_core::{Block, Call, OwnTool, Reply};

use super::{Tool, ended};
use crate::Recovery;

pub(super) const NAME: &str = "host_health";

/// Knows how the host is.
pub trait Wellness: Send + Sync {
    /// Look at everything: an object with `status`, `ready`, `reasons`, and `parts`, each with its `status` and what was seen.
    fn told(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Value> + Send>>;
}

pub(super) fn tool(recovery: &Arc<Recovery>) -> OwnTool {
    let recovery = Arc::downgrade(recovery);
    let answer = move |call: Call| -> super::Answer {
        let wellness = recovery.upgrade().and_then(|recovery| recovery.wellness());
        Box::pin(async move {
            let report = wellness.ok_or_else(ended)?.told().await;
            // What names skills is for who may call all of them.
            let report = if call.access.is_full() { report } else { brief(&report) };
            let reply = Reply { content: vec![Block::text(told(&report))], ..Reply::default() };
            Ok(Reply { structured: Some(report), ..reply })
        })
    };
    let tool = Tool {
        name: NAME,
        title: "Health of the host",
        description: "Tells whether the host of these tools is well: its journal, disk, memory, skills, circuit breakers, rate \
             limits, dead letters and sagas. Ask it when calls fail for reasons that are not their own.",
        input: json!({"type": "object", "properties": {}, "additionalProperties": false}),
        output: Some(json!({
            "type": "object",
            "properties": {
                "status": {"enum": ["ok", "warning", "critical"]},
                "ready": {"type": "boolean", "description": "Whether calls are taken now"},
                "reasons": {"type": "array", "items": {"type": "string"}},
                "parts": {"type": "object"},
            },
            "required": ["status", "ready", "parts"],
        })),
        read_only: true,
        idempotent: true,
        destructive: false,
        timeout: Duration::from_secs(30),
        above: None,
        answer: Arc::new(answer),
    };
    tool.own()
}

/// How each part is, and no more.
fn brief(report: &Value) -> Value {
    let parts = report["parts"].as_object().into_iter().flatten();
    let parts: serde_json::Map<_, _> =
        parts.map(|(name, part)| (name.clone(), json!({"status": part["status"]}))).collect();
    json!({"status": report["status"], "ready": report["ready"], "parts": parts})
}

fn told(report: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("The host: {}.", text(&report["status"]))];
    for (name, part) in report["parts"].as_object().into_iter().flatten() {
        if part["status"] != "ok" {
            lines.push(
                format!("{name}: {}. {}", text(&part["status"]), text(&part["message"]))
                    .trim_end()
                    .to_owned(),
            );
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_call_everything_hears_no_names() {
        let report = json!({"status": "warning", "ready": true, "reasons": ["skills: secret"], "parts": {
            "skills": {"status": "warning", "message": "secret", "seen": {"failed": ["secret"]}}, "disk": {"status": "ok"}}});
        let brief = brief(&report);
        assert!(!brief.to_string().contains("secret"), "{brief}");
        assert_eq!(told(&brief), "The host: warning.\nskills: warning.");
        assert_eq!(told(&report), "The host: warning.\nskills: warning. secret");
    }
}
