//! The end of a host, with calls in flight.

use std::{
    process::Command,
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};
use skillhost_e2e::{Host, Modern, Server, eventually};

use crate::health::get;

const CALLS: usize = 200;
/// What does not fail by itself, whatever the number of calls.
const QUIET: &str = "[defaults]\nbreaker = \"off\"\nretry = \"off\"\n";

fn terminate(server: &Server) {
    assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
}

fn metric(server: &Server, name: &str) -> f64 {
    let text = crate::health::text(server, "/metrics", &[]).1;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.and_then(|value| value.parse().ok()).unwrap_or(-1.0)
}

/// This many calls, all in flight, each with its answer.
fn in_flight(server: &Server, count: usize, params: impl Fn(usize) -> Value) -> Vec<JoinHandle<Value>> {
    let call = |n: usize| {
        let (url, params) = (server.url().to_owned(), params(n));
        thread::spawn(move || Modern::at(&url).post("tools/call", params).response())
    };
    let all: Vec<_> = (0..count).map(call).collect();
    #[expect(clippy::cast_precision_loss, reason = "some hundred")]
    eventually(|| (metric(server, "skillhost_calls_in_flight") >= count as f64).then_some(()));
    all
}

fn stages(server: &Server) -> Vec<Value> {
    let mut stages = vec![];
    server.wait_log("the end", |line| {
        if line["message"].as_str().is_some_and(|text| text.starts_with("shutdown")) {
            stages.push(line.clone());
        }
        line["stage"] == "telemetry"
    });
    stages
}

#[test]
fn two_hundred_calls_in_flight_are_all_answered() {
    let host = crate::samples().own_data().config(QUIET);
    let server = host.serve();
    let client = Modern::http(&server);
    let calls = in_flight(&server, CALLS, |_| json!({"name": "faulty_sleep", "arguments": {"ms": 1_500}}));
    terminate(&server);
    // Who asks now is told, and told where to go; who asks for calls is told when to come back.
    eventually(|| (get(&server, "/health/readiness").0 == 503).then_some(()));
    let reasons = get(&server, "/health/readiness").1["reasons"].to_string();
    assert!(reasons.contains("draining"), "{reasons}");
    assert_eq!(get(&server, "/health/liveness").0, 200, "a restart is not what it needs");
    let refused =
        client.post("tools/call", json!({"name": "text_word_count", "arguments": {"text": "a"}})).response();
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    let failure = &refused["result"]["_meta"]["skillhost/failure"];
    assert_eq!(failure["kind"], "shutting-down", "{refused}");
    assert!(failure["retry_after_ms"].as_u64().is_some(), "{refused}");
    for call in calls {
        let answer = call.join().unwrap();
        assert_eq!(answer["result"]["isError"], json!(false), "{answer}");
    }
    let stages = stages(&server);
    let names: Vec<_> = stages.iter().map(|line| line["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["drain", "drain", "journal", "telemetry"], "{stages:?}");
    assert!(stages[1..].iter().all(|line| line["took_ms"].is_u64()), "{stages:?}");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn what_never_ends_is_ended_answered_and_none_is_lost() {
    let config = format!(
        "{QUIET}[shutdown]\ndrain = \"500ms\"\n[skills.faulty]\ntimeout = \"10m\"\n[skills.faulty.tools.sleep_forever]\nidempotent = true\n"
    );
    let host = crate::samples().own_data().config(&config);
    let server = host.serve();
    // Every second one must happen.
    let durable = |n: usize| n.is_multiple_of(2);
    let calls = in_flight(&server, 60, |n| {
        let meta = json!({"skillhost/durable": durable(n), "skillhost/idempotency_key": format!("call {n}")});
        json!({"name": "faulty_sleep_forever", "arguments": {}, "_meta": meta})
    });
    terminate(&server);
    let mut kept = vec![];
    for (n, call) in calls.into_iter().enumerate() {
        let answer = call.join().unwrap();
        let (result, meta) = (&answer["result"], &answer["result"]["_meta"]);
        if durable(n) {
            assert_eq!(meta["skillhost/call"]["state"], "waiting", "{answer}");
            kept.push(meta["skillhost/call_id"].as_str().unwrap().to_owned());
        } else {
            // What had not begun by then can be made again without a look.
            let failure = &meta["skillhost/failure"];
            let expected = if failure["effect"] == "none" { "shutting-down" } else { "cancelled" };
            assert_eq!((&result["isError"], &failure["kind"]), (&json!(true), &json!(expected)), "{answer}");
            assert!(answer.to_string().contains("the host is stopping"), "{answer}");
        }
    }
    let stages = stages(&server);
    let cut = stages.iter().find(|line| line["stage"] == "cancel" && line["calls"] == 60);
    assert!(cut.is_some(), "{stages:?}");
    assert_eq!(server.wait(), Some(0), "everything was in order");
    let letters = host.json(&["dlq", "list", "--json", "--limit", "100"]);
    assert!(!letters.to_string().contains("the client gave up"), "it did not: {letters}");
    let ids: Vec<_> =
        letters["letters"].as_array().unwrap().iter().map(|letter| letter["id"].as_str().unwrap()).collect();
    kept.sort();
    let mut found: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
    found.sort();
    assert_eq!(found, kept, "all, and no others");
}

#[test]
fn what_the_end_cuts_short_is_not_its_clients_doing() {
    let host = crate::samples()
        .own_data()
        .config("[shutdown]\ndrain = \"100ms\"\n[skills.faulty]\ntimeout = \"10m\"\n");
    let server = host.serve();
    let kinds = ["faulty_loop", "faulty_sleep_forever"];
    let calls = in_flight(
        &server,
        4,
        |n| json!({"name": kinds[n % 2], "arguments": {}, "_meta": {"skillhost/durable": n > 1}}),
    );
    terminate(&server);
    assert!(calls.into_iter().all(|call| call.join().unwrap().to_string().contains("the host is stopping")));
    assert_eq!(server.wait(), Some(0));
    let letters = host.json(&["dlq", "list", "--json"]).to_string();
    assert!(letters.contains("the host is stopping") && !letters.contains("the client gave up"), "{letters}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let host = crate::samples()
        .own_data()
        .config("[skills.faulty]\ntimeout = \"10m\"\n[shutdown]\ndrain = \"1h\"\n");
    let server = host.serve();
    let calls = in_flight(&server, 3, |_| json!({"name": "faulty_sleep_forever"}));
    terminate(&server);
    server.wait_log("the first", |line| line["stage"] == "drain");
    terminate(&server);
    assert_eq!(server.wait(), Some(143));
    drop(calls);
}

#[test]
fn the_end_of_stdin_lets_calls_in_flight_be_answered() {
    let mut client = crate::samples().stdio();
    client.tools();
    // Longer than the host waits for what was read last to begin.
    let call = client.begin_call("faulty_sleep", json!({"ms": 1500}));
    client.end_input();
    assert_eq!(client.wait(call)["result"]["isError"], json!(false));
    assert_eq!(client.close().0, Some(0));
}

#[test]
fn who_stops_reading_does_not_keep_the_host_from_ending() {
    for by_signal in [false, true] {
        let host = crate::samples();
        let mut child = host.command(&["stdio"]);
        let piped = || std::process::Stdio::piped();
        let mut child = child.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut send = |message: Value| {
            std::io::Write::write_all(&mut stdin, format!("{message}\n").as_bytes()).unwrap();
        };
        let info = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"}});
        send(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": info}));
        send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        // A pipe holds 64 KiB, and each answer is half of that.
        let text = "x".repeat(30_000);
        for id in 1..=20 {
            let params = json!({"name": "faulty_echo", "arguments": {"text": text}});
            send(json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}));
        }
        // All have ended, as far as the host can tell.
        let log = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
        let done = log.map(Result::unwrap).filter(|line| line.contains("call done"));
        assert_eq!(done.take(20).count(), 20);
        if by_signal {
            assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        } else {
            drop(stdin);
        }
        let ended = eventually(|| child.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0), "by a signal: {by_signal}");
    }
}

#[test]
fn a_client_that_never_came_is_no_failure() {
    let host = crate::samples();
    let mut command = host.command(&["stdio"]);
    assert_eq!(command.stdin(std::process::Stdio::null()).output().unwrap().status.code(), Some(0));
    let mut child =
        command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut log = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    assert!(log.any(|line| line.unwrap().contains("skill ready")), "it runs");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(eventually(|| child.try_wait().unwrap()).code(), Some(0));
}

/// Compiling takes longer than anything else: the skills are not there yet when stdin ends.
#[test]
fn what_was_read_before_stdin_ended_is_answered_also_while_skills_are_loaded() {
    let host = crate::samples().own_data();
    let mut client = host.stdio();
    let call = |n: usize| json!({"text": "a".repeat(n + 1)});
    let calls: Vec<_> = (0..20).map(|n| client.begin_call("text_word_count", call(n))).collect();
    client.end_input();
    for call in calls {
        let answer = client.wait(call);
        assert_eq!(answer["result"]["isError"], json!(false), "{answer}");
    }
    assert_eq!(client.close().0, Some(0));
}

fn rolled(host: &Host) -> usize {
    crate::ledger::story(host).iter().filter(|line| line.starts_with("undo")).count()
}

#[test]
fn a_roll_back_stops_between_two_steps_and_the_next_host_goes_on() {
    use crate::{
        ledger::{and, ledger, put, world},
        sagas::{begin, step},
    };
    let host =
        ledger("[shutdown]\ndrain = \"1h\"\n[skills.ledger]\nundo = { attempts = 9, delays = [\"1h\"] }");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({}));
    for n in 0..4 {
        // The second to be undone waits for its second try.
        let undo = if n == 2 { "flaky:1" } else { "ok" };
        step(&mut client, &saga, "ledger_put", and(put(&format!("k{n}"), "1"), json!({"undo": undo})));
    }
    client.begin_call("saga_rollback", json!({"saga": saga}));
    crate::ledger::until_counted(&host, &crate::ledger::call_of(&host, "k2"));
    let killed = Command::new("kill").arg(client.id().to_string()).status().unwrap();
    assert!(killed.success());
    client.wait_log("the end", |line| line["stage"] == "telemetry");
    assert_eq!(rolled(&host), 1, "the host was not held up by what waits for an hour");
    let _next = host.stdio();
    // The line of an undo comes after its effect.
    eventually(|| (rolled(&host) == 4).then_some(()));
    assert!(world(&host).is_empty());
}
