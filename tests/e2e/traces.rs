//! What a collector hears: the spans of a call, from the client's request to what the guest asks others for.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::any_value::Value as Any,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use serde_json::{Value, json};
use skillhost_e2e::{Host, Web, eventually, response};

use crate::ledger::{call, ledgers};

/// A collector that speaks OTLP over HTTP.
struct Collector(Web);

impl Collector {
    fn start() -> Self {
        Self(Web::start(|_| response("200 OK", &["content-type: application/x-protobuf"], b"")))
    }

    fn config(&self) -> String {
        format!("[telemetry]\notlp = \"http://{}\"\ninterval = \"1s\"\n", self.0.address())
    }

    fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        let ours = |asked: &skillhost_e2e::Asked| asked.line.starts_with(&format!("POST {path} "));
        self.0.asked().into_iter().filter(ours).map(|asked| asked.body).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self
            .bodies("/v1/traces")
            .into_iter()
            .map(|body| ExportTraceServiceRequest::decode(&*body).unwrap());
        let resources = requests.flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    fn until(&self, count: usize, name: &str) -> Vec<Span> {
        eventually(|| {
            let spans = self.spans();
            (spans.iter().filter(|span| span.name == name).count() >= count).then_some(spans)
        })
    }
}

/// Each span's name below that of its parent, in the order they began.
fn tree(spans: &[Span], below: &[u8], depth: usize, lines: &mut Vec<String>) {
    let mut children: Vec<_> = spans.iter().filter(|span| span.parent_span_id == below).collect();
    children.sort_by_key(|span| span.start_time_unix_nano);
    for span in children {
        let failed = if span.status.as_ref().is_some_and(|status| status.code == 2) { " !" } else { "" };
        lines.push(format!("{}{}{failed}", "  ".repeat(depth), span.name));
        tree(spans, &span.span_id, depth + 1, lines);
    }
}

fn attributes(span: &Span) -> BTreeMap<String, String> {
    let text = |value: Any| match value {
        Any::StringValue(text) => text,
        Any::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let known =
        span.attributes.iter().filter_map(|pair| Some((pair.key.clone(), text(pair.value.clone()?.value?))));
    known.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(sampled: bool) -> Value {
    json!({"traceparent": format!("00-{TRACE}-{PARENT}-0{}", u8::from(sampled))})
}

fn nested(config: &str) -> Host {
    let config = format!(
        "{config}[skills.faulty]\nretry = {{ attempts = 3, delays = [\"1ms\"] }}\n[skills.faulty.tools.flaky]\nidempotent = true\n"
    );
    let host = ledgers(&["ledger", "faulty"], &config);
    host.put("faulty.wasm", &skillhost_e2e::component("faulty.wasm"));
    host
}

#[test]
fn the_spans_of_a_nested_call_with_a_retry_are_one_tree() {
    let collector = Collector::start();
    let host = nested(&collector.config());
    let mut client = host.stdio();
    let calls = json!({"calls": [call("faulty_flaky", json!({"failures": 1, "kind": "transient"}))]});
    let result = client.call_with("ledger_plain_tree", calls, traceparent(true));
    assert_eq!(result["isError"], json!(false), "{result}");
    let (call_id, _) = (result["_meta"]["skillhost/call_id"].as_str().unwrap().to_owned(), client.close());
    let spans: Vec<_> = collector
        .until(1, "tools/call ledger_plain_tree")
        .into_iter()
        .filter(|span| hex(&span.trace_id) == TRACE)
        .collect();
    let parent: Vec<u8> =
        (0..8).map(|n| u8::from_str_radix(&PARENT[2 * n..2 * n + 2], 16).unwrap()).collect();
    let mut lines = vec![];
    tree(&spans, &parent, 0, &mut lines);
    let expected = "\
tools/call ledger_plain_tree
  call
    admission
    rate-limit
    queue
    attempt
      slot
      instantiate
      guest
        call
          admission
          rate-limit
          queue
          attempt !
            slot
            instantiate
            guest
          queue
          attempt
            slot
            instantiate
            guest";
    assert_eq!(lines.join("\n"), expected);
    let root = attributes(spans.iter().find(|span| span.name == "tools/call ledger_plain_tree").unwrap());
    for (name, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "ledger_plain_tree"),
        ("gen_ai.operation.name", "execute_tool"),
        ("network.transport", "pipe"),
        ("mcp.protocol.version", "2025-11-25"),
    ] {
        assert_eq!(root.get(name).map(String::as_str), Some(value), "{name} in {root:?}");
    }
    assert!(root.contains_key("jsonrpc.request.id"), "{root:?}");
    assert_eq!(
        spans.iter().find(|span| span.name == "tools/call ledger_plain_tree").unwrap().kind,
        SpanKind::Server as i32
    );
    let called: Vec<_> = spans.iter().filter(|span| span.name == "call").map(attributes).collect();
    assert!(
        called.iter().any(|call| call["call_id"] == call_id && call["tool"] == "ledger_plain_tree"),
        "{called:?}"
    );
    assert!(
        called.iter().any(|call| call["skill"] == "faulty" && call["skillhost.attempts"] == "2"),
        "{called:?}"
    );
    // No argument and no result is in any of it.
    assert!(!format!("{spans:?}").contains("failures"), "{spans:?}");
}

#[test]
fn the_client_says_what_is_traced() {
    let collector = Collector::start();
    let host = crate::samples().config(&format!("{}sample = 0.0", collector.config()));
    let mut client = host.stdio();
    let args = || json!({"text": "a"});
    client.call("text_word_count", args());
    client.call_with("text_word_count", args(), traceparent(false));
    client.call_with("text_word_count", args(), traceparent(true));
    client.close();
    let spans = collector.until(1, "tools/call text_word_count");
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "{spans:?}");
    assert_eq!(spans.iter().filter(|span| span.name == "guest").count(), 1);
}

#[test]
fn lines_of_guests_name_their_call_whether_it_is_traced_or_not() {
    let collector = Collector::start();
    for config in [String::new(), collector.config(), format!("{}sample = 0.0", collector.config())] {
        let mut client = crate::samples().config(&config).stdio();
        let result = client.call("faulty_print", json!({"stdout": "hello\n", "stderr": ""}));
        let line = client.wait_log("the line", |line| line["target"] == "skillhost::guest");
        assert_eq!(line["span"]["call_id"], result["_meta"]["skillhost/call_id"], "{line}");
        client.close();
    }
}

#[test]
fn metrics_are_sent_too() {
    let collector = Collector::start();
    let host = crate::samples().config(&collector.config());
    let mut client = host.stdio();
    client.call("text_word_count", json!({"text": "a"}));
    client.close();
    let requests = collector
        .bodies("/v1/metrics")
        .into_iter()
        .map(|body| ExportMetricsServiceRequest::decode(&*body).unwrap());
    let scopes =
        requests.flat_map(|request| request.resource_metrics).flat_map(|resource| resource.scope_metrics);
    let names: Vec<_> = scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name).collect();
    for name in ["skillhost.calls", "skillhost.uptime", "mcp.server.operation.duration"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
}

#[test]
fn a_collector_that_is_not_there_harms_nobody() {
    let host =
        crate::samples().config("[telemetry]\notlp = \"http://127.0.0.1:9\"\n[shutdown]\ncleanup = \"2s\"");
    let mut client = host.stdio();
    assert_eq!(client.call("text_word_count", json!({"text": "a"}))["isError"], json!(false));
    // Nothing is lost but what was measured; the log says so.
    let (code, log) = client.close();
    assert_eq!(code, Some(0));
    assert!(log.iter().any(|line| line["stage"] == "telemetry" && line["level"] == "ERROR"), "{log:?}");
}

#[test]
fn who_a_guest_asks_goes_on_with_the_trace() {
    let heard = |config: &str, meta: Value| {
        let web = Web::start(|_| response("200 OK", &[], b"well"));
        let at = web.address();
        let host = crate::empty()
            .config(&format!("{config}\n[skills.fetch.grants]\nhttp = [{{ host = \"{at}\" }}]"));
        host.put("fetch.wasm", &skillhost_e2e::component("fetch.wasm"));
        let mut client = host.stdio();
        let result = client.call_with("fetch_get", json!({"url": format!("http://{at}/")}), meta);
        assert_eq!(result["isError"], json!(false), "{result}");
        client.close();
        let told = |name: &str| {
            let line =
                web.asked()[0].headers.iter().find_map(|line| line.strip_prefix(name).map(ToOwned::to_owned));
            line.map(|line| line.trim_start_matches([':', ' ']).to_owned())
        };
        (told("traceparent"), told("tracestate"))
    };
    // Without a collector of its own the host passes on where its client was.
    let passed = format!("00-{TRACE}-{PARENT}-01");
    let with_state = json!({"traceparent": passed, "tracestate": "vendor=1"});
    assert_eq!(heard("", with_state), (Some(passed), Some("vendor=1".to_owned())));
    assert_eq!(heard("", json!({})), (None, None));
    // With one, its own request stands between them.
    let collector = Collector::start();
    let (parent, _) = heard(&collector.config(), traceparent(true));
    let parent = parent.expect("it is told");
    let span = collector.until(1, "GET").into_iter().find(|span| span.name == "GET").unwrap();
    assert_eq!(parent, format!("00-{TRACE}-{}-01", hex(&span.span_id)));
    assert_eq!(span.kind, SpanKind::Client as i32);
    assert_eq!(attributes(&span)["http.response.status_code"], "200");
}

#[test]
fn a_dead_letter_that_is_run_again_is_linked_to_the_call_that_it_was() {
    let collector = Collector::start();
    let config = format!(
        "{}[defaults]\nretry = \"off\"\n[skills.faulty]\nredelivery = {{ attempts = 3, delays = [\"10ms\"], jitter = false }}\n\
         [skills.faulty.tools.flaky]\nidempotent = true\n",
        collector.config()
    );
    let host = crate::samples().own_data().config(&config);
    let mut client = host.stdio();
    let meta = json!({"traceparent": traceparent(true)["traceparent"], "skillhost/durable": true});
    client.call_with("faulty_flaky", json!({"failures": 1, "kind": "transient"}), meta);
    client.wait_log("the letter", |line| line["step"] == "recovered");
    client.close();
    let spans = collector.until(1, "dead letter faulty_flaky");
    let letter = spans.iter().find(|span| span.name == "dead letter faulty_flaky").unwrap();
    assert_ne!(hex(&letter.trace_id), TRACE, "a trace of its own");
    let [link] = &letter.links[..] else { panic!("one link: {letter:?}") };
    assert_eq!(hex(&link.trace_id), TRACE);
    let linked = spans.iter().find(|span| span.span_id == link.span_id).expect("the call that it was");
    assert_eq!((linked.name.as_str(), hex(&linked.trace_id).as_str()), ("call", TRACE));
    let failed = |span: &Span| span.status.as_ref().is_some_and(|status| status.code == 2);
    // The first time it failed, though its client was told that it goes on.
    assert_eq!((failed(linked), failed(letter)), (true, false));
    let mut lines = vec![];
    tree(&spans, &letter.span_id, 0, &mut lines);
    assert!(lines.iter().any(|line| line.trim() == "guest"), "{lines:?}");
}

/// Spans that no log line shows stand between the call and what its guest says.
#[test]
fn what_a_traced_guest_says_names_its_call() {
    let collector = Collector::start();
    let host = crate::samples().own_data().config(&collector.config());
    let mut client = host.stdio();
    let said = json!({"level": "info", "message": "said while it is traced"});
    let result = client.call_with("faulty_log_line", said, traceparent(true));
    let line = client.wait_log("what the guest says", |line| line["message"] == "said while it is traced");
    assert_eq!(line["span"]["call_id"], result["_meta"]["skillhost/call_id"], "{line}");
    assert_eq!(line["span"]["tool"], "faulty_log_line", "{line}");
}
