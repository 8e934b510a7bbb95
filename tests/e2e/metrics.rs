//! What is measured, as a scraper sees it; and that what dashboards and alerts ask for is there.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::{Value, json};
use skillhost_e2e::{Host, Modern, Server, eventually, repo};
use skillhost_telemetry::{Metric, metric::Kind};

use crate::{
    health::{ROOMY, text},
    ledger::{and, ledgers, put},
};

/// A family's samples: labels, and the value.
type Families = BTreeMap<String, Vec<(BTreeMap<String, String>, f64)>>;

fn scraped(server: &Server) -> (String, Families) {
    let (status, text) = text(server, "/metrics", &[]);
    assert_eq!(status, 200, "{text}");
    let mut families = Families::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split("\",").filter_map(|pair| {
            let (label, value) = pair.split_once("=\"")?;
            Some((label.to_owned(), value.trim_end_matches('"').to_owned()))
        });
        families.entry(name.to_owned()).or_default().push((labels.collect(), value.parse().unwrap()));
    }
    (text, families)
}

/// The sum of a metric's samples that have these labels.
fn sum(families: &Families, name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |of: &BTreeMap<String, String>| {
        labels.iter().all(|(name, value)| of.get(*name).is_some_and(|v| v == value))
    };
    families.get(name).into_iter().flatten().filter(|(of, _)| fits(of)).map(|(_, value)| value).sum()
}

/// A host with limits narrow enough that a few calls meet each of them.
fn busy() -> (Host, Server, Modern) {
    let config = "[limits]\nrate_limit = { max = 1000, per_second = 1000 }\n\
        caller_rate_limit = { max = 1000, per_second = 1000 }\n\
        [skills.text]\ncache = { ttl = \"1h\" }\nrate_limit = { max = 1000, per_second = 1000 }\nconcurrency = { max = 4 }\n\
        [skills.text.tools.word_count]\nrate_limit = { max = 2, per_second = 0.001 }\ncache = \"off\"\n\
        [skills.faulty]\nbreaker = { consecutive = 2, window_calls = 4, min_calls = 4 }\nretry = { attempts = 3, delays = [\"1ms\"] }\n\
        redelivery = { attempts = 2, delays = [\"1ms\"], jitter = false }\n\
        [skills.faulty.tools.flaky]\nidempotent = true\nbreaker = \"off\"\n\
        [skills.faulty.tools.fail]\nidempotent = true\nbreaker = \"off\"\n";
    // With compiled code of its own: compiling is measured, too.
    let host = ledgers(&["ledger"], config).config(ROOMY).own_data();
    for name in ["text", "faulty"] {
        host.put(&format!("{name}.wasm"), &skillhost_e2e::component(&format!("{name}.wasm")));
    }
    host.put("broken.wasm", b"no component");
    let server = host.serve();
    let mut client = Modern::http(&server);
    client.request_tools();
    (host, server, client)
}

trait Asks {
    fn request_tools(&mut self);
    fn tool(&mut self, name: &str, arguments: Value, meta: Value) -> Value;
}

impl Asks for Modern {
    fn request_tools(&mut self) {
        self.post("tools/list", json!({})).response();
    }

    fn tool(&mut self, name: &str, arguments: Value, meta: Value) -> Value {
        let params = json!({"name": name, "arguments": arguments, "_meta": meta});
        self.post("tools/call", params).response()
    }
}

fn drive(host: &Host, client: &mut Modern) {
    let none = || json!({});
    for _ in 0..3 {
        client.tool("text_word_count", json!({"text": "a"}), none());
    }
    for _ in 0..2 {
        client.tool("text_diff", json!({"before": "a", "after": "b"}), none());
    }
    client.tool("faulty_is_error", json!({"text": "no"}), none());
    client.tool("faulty_flaky", json!({"failures": 1, "kind": "transient"}), none());
    for _ in 0..4 {
        client.tool("faulty_trap", none(), none());
    }
    client.tool("no_such_tool", none(), none());
    // A letter that is parked after its last run, and a saga of which something stays.
    client.tool(
        "faulty_flaky",
        json!({"failures": 99, "kind": "transient"}),
        json!({"skillhost/durable": true}),
    );
    let undone = client.tool("ledger_put", and(put("a", "1"), json!({"undo": "ok"})), none());
    let stuck = client.tool("ledger_put", and(put("b", "1"), json!({"undo": "permanent"})), none());
    for call in [undone, stuck] {
        client.tool("undo_call", json!({"id": call["result"]["_meta"]["skillhost/call_id"]}), none());
    }
    eventually(|| {
        let parked = host.json(&["dlq", "list", "--state", "parked", "--json"]);
        (!parked["letters"].as_array().unwrap().is_empty()).then_some(())
    });
}

#[test]
fn everything_that_happens_is_counted() {
    let (host, server, mut client) = busy();
    drive(&host, &mut client);
    let (text, all) = scraped(&server);
    for (metric, labels, expected) in [
        ("skillhost_calls_total", &[("skill", "text"), ("tool", "word_count"), ("outcome", "ok")][..], 2.0),
        ("skillhost_calls_total", &[("tool", "word_count"), ("outcome", "rate-limited")], 1.0),
        ("skillhost_calls_total", &[("tool", "diff"), ("outcome", "ok")], 2.0),
        ("skillhost_calls_total", &[("skill", "faulty"), ("outcome", "is-error")], 1.0),
        ("skillhost_calls_total", &[("tool", "trap"), ("outcome", "trap")], 2.0),
        ("skillhost_calls_total", &[("tool", "trap"), ("outcome", "circuit-open")], 2.0),
        ("skillhost_calls_total", &[("skill", ""), ("tool", ""), ("outcome", "unknown-tool")], 1.0),
        // One that must happen failed twice. That it goes on is what its client was told, and no success.
        ("skillhost_calls_total", &[("tool", "flaky"), ("outcome", "transient")], 2.0),
        ("skillhost_calls_total", &[("tool", "flaky"), ("outcome", "ok")], 1.0),
        ("skillhost_dead_letter_runs_total", &[("outcome", "failed")], 1.0),
        ("skillhost_dead_letter_runs_total", &[("outcome", "recovered")], 0.0),
        ("skillhost_attempts_total", &[("skill", "text"), ("outcome", "ok")], 3.0),
        ("skillhost_cache_requests_total", &[("result", "hit")], 1.0),
        (
            "skillhost_rate_limit_rejected_total",
            &[("scope", "tool"), ("skill", "text"), ("tool", "word_count")],
            1.0,
        ),
        ("skillhost_breaker_state", &[("skill", "faulty"), ("tool", ""), ("state", "open")], 1.0),
        ("skillhost_breaker_state", &[("skill", "faulty"), ("tool", ""), ("state", "closed")], 0.0),
        ("skillhost_breaker_transitions_total", &[("skill", "faulty"), ("to", "open")], 1.0),
        ("skillhost_breaker_not_permitted_total", &[("skill", "faulty"), ("tool", "")], 2.0),
        ("skillhost_dead_letters", &[("state", "parked")], 3.0),
        ("skillhost_undos_total", &[("outcome", "undone")], 1.0),
        ("skillhost_undos_total", &[("outcome", "stuck")], 1.0),
        ("skillhost_saga_stuck", &[], 1.0),
        ("skillhost_skills", &[("state", "failed")], 1.0),
        ("skillhost_skill_loads_total", &[("result", "failed")], 1.0),
        ("skillhost_health_status", &[("part", "dead-letters")], 1.0),
        ("skillhost_health_status", &[("part", "breakers")], 1.0),
        ("skillhost_ready", &[], 1.0),
        (
            "mcp_server_operation_duration_seconds_count",
            &[("gen_ai_tool_name", "faulty_is_error"), ("error_type", "tool_error")],
            1.0,
        ),
        (
            "mcp_server_operation_duration_seconds_count",
            &[("mcp_method_name", "tools/call"), ("error_type", "-32602")],
            1.0,
        ),
    ] {
        assert_eq!(sum(&all, metric, labels), expected, "{metric} {labels:?}\n{text}");
    }
    for metric in [
        "skillhost_fuel_consumed_total",
        "skillhost_retries_total",
        "skillhost_journal_commit_duration_seconds_count",
    ] {
        assert!(sum(&all, metric, &[]) > 0.0, "{metric}");
    }
    // Whoever asks for a tool that there is not makes no series, nor does a caller, a call or a session.
    assert!(!text.contains("no_such_tool") && !text.contains("caller=") && !text.contains("local"), "{text}");
}

/// Names of metrics in an expression, each with the labels that it is asked by.
fn asked_for(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = vec![];
    let mut rest = expression;
    while let Some(at) = rest.find(is_name) {
        let end = rest[at..].find(|c| !is_name(c)).map_or(rest.len(), |length| at + length);
        let (name, after) = (&rest[at..end], &rest[end..]);
        rest = after;
        if ["skillhost_", "mcp_server_", "process_"].iter().any(|prefix| name.starts_with(prefix)) {
            let labels = after
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .map_or("", |(inner, _)| inner);
            let labels = labels
                .split(',')
                .filter_map(|matcher| Some(matcher.split(['=', '!']).next()?.trim().to_owned()));
            found.push((name.to_owned(), labels.filter(|label| !label.is_empty()).collect()));
        }
    }
    found
}

fn expressions() -> Vec<String> {
    let dashboard = fs::read_to_string(repo().join("deploy/grafana/dashboards/skillhost.json")).unwrap();
    let mut all = vec![];
    fn look(value: &Value, all: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                all.extend(object.get("expr").and_then(Value::as_str).map(ToOwned::to_owned));
                object.values().for_each(|value| look(value, all));
            }
            Value::Array(values) => values.iter().for_each(|value| look(value, all)),
            _ => {}
        }
    }
    look(&serde_json::from_str(&dashboard).unwrap(), &mut all);
    let panels = all.len();
    let rules = fs::read_to_string(repo().join("deploy/prometheus/rules.yml")).unwrap();
    // An expression is on its line, or on the deeper ones after it.
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim_start().trim_start_matches("- ").strip_prefix("expr:") else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let mut whole = expression.to_owned();
        while let Some(next) =
            lines.next_if(|next| next.trim().is_empty() || next.len() - next.trim_start().len() > indent)
        {
            whole.push(' ');
            whole.push_str(next.trim());
        }
        all.push(whole);
    }
    assert!(panels > 20 && all.len() > panels + 15, "{panels} of {}", all.len());
    all
}

#[test]
fn what_dashboards_and_alerts_ask_for_is_there() {
    let (host, server, mut client) = busy();
    drive(&host, &mut client);
    let (text, all) = scraped(&server);
    let mut wrong = vec![];
    for (name, labels) in expressions().iter().flat_map(|expression| asked_for(expression)) {
        match all.get(&name) {
            None => wrong.push(format!("{name} is not emitted")),
            Some(samples) => {
                let has = |label: &String| {
                    label == "job"
                        || label == "instance"
                        || label == "le"
                        || samples.iter().any(|(of, _)| of.contains_key(label))
                };
                wrong.extend(
                    labels
                        .iter()
                        .filter(|label| !has(label))
                        .map(|label| format!("{name} has no label {label}")),
                );
            }
        }
    }
    // Only where a rule has acted.
    wrong.retain(|problem| !problem.starts_with("skillhost_playbook_fired_total"));
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{wrong:#?}\n{text}");
    // The judge of those who made the format, where there is one.
    if let Some(promtool) = std::env::var_os("SKILLHOST_PROMTOOL") {
        let file = host.root().join("metrics.prom");
        fs::write(&file, &text).unwrap();
        let out = Command::new(promtool)
            .args(["check", "metrics"])
            .stdin(fs::File::open(&file).unwrap())
            .output()
            .unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn the_documented_metrics_are_those_that_there_are() {
    let mut table = String::from("| metric | kind | labels | what it tells |\n|---|---|---|---|\n");
    for facts in Metric::ALL.iter().map(|metric| metric.facts()) {
        let kind = match facts.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<_> =
            facts.labels.iter().map(|label| format!("`{}`", label.replace('.', "_"))).collect();
        table += &format!("| `{}` | {kind} | {} | {} |\n", facts.prometheus(), labels.join(", "), facts.help);
    }
    let file = repo().join("docs/telemetry.md");
    let page = fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once("<!-- metrics -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- /metrics -->\n").unwrap();
    let expected = format!("{before}<!-- metrics -->\n{table}<!-- /metrics -->\n{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &expected).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), expected, "run with UPDATE_DOCS=1");
}

#[test]
fn metrics_can_be_switched_off() {
    let server = crate::samples().config("[telemetry]\nmetrics = false").serve();
    let (status, told) = text(&server, "/metrics", &[]);
    assert_eq!(status, 404, "{told}");
    assert_eq!(text(&server, "/health/liveness", &[]).0, 200);
}
