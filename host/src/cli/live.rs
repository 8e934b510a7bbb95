//! How the policies of a skill stand in the hosts that run, for `list` and `inspect`.

use serde_json::{Value, json};

use super::out;
use crate::transport::admin::Running;

/// For programs: one object a host that was asked to call the skill.
pub(super) fn described(running: &[Running], skill: &str) -> Vec<Value> {
    reports(running, skill).map(|(pid, report)| json!({"pid": pid, "policies": report})).collect()
}

/// For people: a line a breaker that is not closed, and a line a limit that has refused something.
pub(super) fn lines(running: &[Running], skill: &str) -> Vec<String> {
    let mut lines = vec![];
    for (pid, report) in reports(running, skill) {
        let mut told = |what: String, report: &Value| {
            lines.extend(
                breaker(&report["breaker"]).map(|text| format!("{what}breaker {text} (process {pid})")),
            );
            if let Some(rejected) = report["rate_limit"]["rejected"].as_u64().filter(|rejected| *rejected > 0)
            {
                lines.push(format!("{what}rate limit refused {rejected} calls (process {pid})"));
            }
        };
        told(String::new(), report);
        for (tool, report) in report["tools"].as_object().into_iter().flatten() {
            told(format!("{}: ", out::harmless(tool)), report);
        }
        let turns = report["concurrency"].as_array().into_iter().flatten();
        let refused: u64 = turns.filter_map(|turns| turns["refused"].as_u64()).sum();
        if refused > 0 {
            lines.push(format!("{refused} calls found no turn (process {pid})"));
        }
    }
    lines
}

fn reports<'a>(running: &'a [Running], skill: &str) -> impl Iterator<Item = (u32, &'a Value)> {
    let skill = skill.to_owned();
    running.iter().filter_map(move |running| Some((running.pid, running.policies["skills"].get(&skill)?)))
}

/// A breaker that is not simply closed.
fn breaker(report: &Value) -> Option<String> {
    let state = report["state"].as_str().filter(|state| *state != "closed")?;
    let left = report["remaining_ms"].as_u64().map(|ms| match ms {
        // The next call is let through to see.
        0 => ", its time is over".to_owned(),
        ms => format!(" for {} s more", (ms as f64 / 1e3).ceil()),
    });
    let reason = report["reason"].as_str().map(|reason| format!(": {}", out::harmless(reason)));
    Some(format!("{state}{}{}", left.unwrap_or_default(), reason.unwrap_or_default()))
}
