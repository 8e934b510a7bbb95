//! Whether the host lives, is ready, and is well: for probes, people and programs.

use std::process::Command;

use serde_json::{Value, json};
use skillhost_e2e::{Host, Server, eventually};

/// The status and the JSON of an address of the host's.
pub(crate) fn get(server: &Server, path: &str) -> (u16, Value) {
    let (status, body) = text(server, path, &[]);
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}")))
}

pub(crate) fn text(server: &Server, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut request = agent.get(format!("{}{path}", server.url().strip_suffix("/mcp").unwrap()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

fn until_ready(server: &Server) {
    eventually(|| (get(server, "/health/readiness").0 == 200).then_some(()));
}

fn signal(server: &Server, name: &str) {
    assert!(Command::new("kill").args([name, &server.id().to_string()]).status().unwrap().success());
}

/// What `skillhost health` says, and its exit code.
fn asked(host: &Host, more: &[&str]) -> (String, Option<i32>) {
    let out = host.run(&[&["health"], more].concat());
    (String::from_utf8_lossy(&out.stdout).into_owned(), out.status.code())
}

/// Disks and memories of machines that run tests are not the tests' business.
pub(crate) const ROOMY: &str = "[health]\ndisk_warning = \"0 B\"\ndisk_critical = \"0 B\"\nmemory_warning = \"0 B\"\nmemory_critical = \"0 B\"\n";

#[test]
fn a_host_that_is_well_says_so_to_everybody_who_asks() {
    let host = crate::samples().own_data().config(ROOMY);
    assert_eq!(asked(&host, &[]).1, Some(1), "none runs");
    let server = host.serve();
    until_ready(&server);
    assert_eq!(get(&server, "/health/liveness"), (200, json!({"status": "alive"})));
    assert_eq!(get(&server, "/health/readiness"), (200, json!({"status": "ready", "reasons": []})));
    let (status, all) = get(&server, "/health");
    assert_eq!((status, &all["status"], &all["ready"]), (200, &json!("ok"), &json!(true)), "{all}");
    for part in
        ["journal", "disk", "memory", "skills", "breakers", "rate-limits", "cache", "dead-letters", "sagas"]
    {
        assert_eq!(all["parts"][part]["status"], "ok", "{part}: {all}");
    }
    let again = get(&server, "/health").1;
    assert!(again["uptime_seconds"].as_f64() > all["uptime_seconds"].as_f64(), "true uptime grows");
    for probe in [&["--liveness"][..], &["--readiness"], &[], &["--json"]] {
        let (told, code) = asked(&host, probe);
        assert_eq!(code, Some(0), "{probe:?}: {told}");
    }
    assert!(asked(&host, &[]).0.starts_with("ok (process "), "{}", asked(&host, &[]).0);
    // By whatever name a probe asks; what names skills is not for pages of other names.
    assert_eq!(text(&server, "/health/readiness", &[("host", "10.1.2.3:8000")]).0, 200);
    assert_eq!(text(&server, "/health", &[("host", "10.1.2.3:8000")]).0, 403);
    assert_eq!(text(&server, "/metrics", &[("host", "evil.example")]).0, 403);
    assert_eq!(
        text(&server, "/metrics", &[("x-forwarded-for", "8.8.8.8")]).0,
        403,
        "through a proxy on this machine"
    );
    assert_eq!(text(&server, "/metrics", &[("origin", "http://evil.example")]).0, 403);
}

#[test]
fn a_name_that_is_served_beside_loopback_is_no_leave_to_look() {
    let host = crate::samples()
        .own_data()
        .config("[server]\nallowed_hosts = [\"tools.example\"]\n[admin]\ntoken = { env = \"TOKEN\" }\n");
    let mut command = host.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("TOKEN", "a token of sixteen bytes");
    let server = host.server(command);
    let (by_name, right) = (("host", "tools.example"), ("authorization", "Bearer a token of sixteen bytes"));
    for path in ["/metrics", "/health"] {
        assert_eq!(text(&server, path, &[by_name]).0, 401, "{path}");
        assert_ne!(text(&server, path, &[by_name, right]).0, 401, "{path}");
    }
    assert_eq!(text(&server, "/metrics", &[]).0, 200);
}

#[test]
fn what_is_wrong_is_named_and_does_not_keep_calls_away_when_they_can_be_served() {
    let host = crate::samples().config(ROOMY);
    host.put("broken.wasm", b"no component");
    let server = host.serve();
    until_ready(&server);
    let (status, all) = get(&server, "/health");
    assert_eq!((status, &all["status"]), (200, &json!("warning")), "{all}");
    assert!(all["parts"]["skills"]["message"].as_str().unwrap().contains("broken"), "{all}");
}

#[test]
fn what_is_critical_keeps_calls_away() {
    let host =
        crate::samples().own_data().config("[health]\ndisk_warning = \"1 EiB\"\ndisk_critical = \"1 EiB\"");
    let server = host.serve();
    let (status, told) = get(&server, "/health/readiness");
    assert_eq!((status, &told["status"]), (503, &json!("not-ready")));
    assert!(told["reasons"].to_string().contains("disk: "), "{told}");
    assert_eq!(get(&server, "/health/liveness").0, 200, "a restart would not help");
    assert_eq!(asked(&host, &["--readiness"]).1, Some(1));
}

#[test]
fn a_journal_that_cannot_be_written_is_no_place_for_calls_until_it_can() {
    let host = crate::samples().own_data().config(&format!("{ROOMY}[journal]\nmax_size = \"1 MiB\""));
    let server = host.serve();
    until_ready(&server);
    let mut client = host.stdio();
    // Each is a letter, with its arguments, as long as the journal has room.
    let message = "x".repeat(100_000);
    let full = (0..100).any(|_| {
        let arguments = json!({"kind": "permanent", "message": message});
        let result = client.call_with("faulty_fail", arguments, json!({"skillhost/durable": true}));
        result["_meta"]["skillhost/failure"]["kind"] == "journal-unavailable"
    });
    assert!(full, "it has a bound");
    eventually(|| (get(&server, "/health/readiness").0 == 503).then_some(()));
    let (status, told) = get(&server, "/health/readiness");
    assert_eq!(status, 503);
    assert!(told["reasons"].to_string().contains("journal: "), "{told}");
    assert!(!told.to_string().contains("journal.sqlite"), "no file of the host's: {told}");
    assert_eq!(get(&server, "/health").1["parts"]["journal"]["status"], "critical");
    assert_eq!(get(&server, "/health/liveness").0, 200, "a restart would not help");
    // Somebody makes room.
    host.json(&["dlq", "discard", "--all", "--json"]);
    host.json(&["dlq", "archive", "--all", "--json"]);
    until_ready(&server);
}

#[test]
fn a_host_whose_threads_are_stuck_does_not_live() {
    for (fault, answers) in [("block-guests", true), ("block-io", false)] {
        let host = crate::samples().own_data().config(ROOMY);
        let mut command = host.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SKILLHOST_FAULT", fault);
        let server = host.server(command);
        until_ready(&server);
        assert_eq!(asked(&host, &["--liveness"]).1, Some(0));
        signal(&server, "-USR1");
        server.wait_log("the fault", |line| line["fault"] == fault);
        if answers {
            eventually(|| (get(&server, "/health/liveness").0 == 503).then_some(()));
            let (_, told) = get(&server, "/health/liveness");
            assert_eq!(told["reasons"], json!(["the threads that run skills do not turn"]));
        }
        // With nobody left who could answer, that is an answer, too.
        eventually(|| (asked(&host, &["--liveness"]).1 == Some(1)).then_some(()));
        if !answers {
            // Whoever stops it needs none of those threads.
            signal(&server, "-TERM");
            server.wait_log("the first signal", |line| {
                line["message"].as_str().is_some_and(|text| text.contains("a second signal ends at once"))
            });
            signal(&server, "-TERM");
            assert_eq!(server.wait(), Some(143));
        }
    }
}

#[test]
fn beyond_loopback_only_probes_are_for_everybody() {
    const NETWORK: &str = "[server]\nallow_unauthenticated_network = true\n";
    let serve = |config: &str| {
        let host = crate::samples().own_data().config(&format!("{NETWORK}{ROOMY}{config}"));
        let mut command = host.command(&["serve", "--listen", "0.0.0.0:0"]);
        command.env("TOKEN", "a token of sixteen bytes");
        (host.server(command), host)
    };
    let (closed, _host) = serve("");
    assert_eq!(text(&closed, "/health/liveness", &[("host", "10.1.2.3")]).0, 200);
    assert_eq!(text(&closed, "/health", &[]).0, 403);
    assert_eq!(text(&closed, "/metrics", &[]).0, 403);
    let (guarded, _host) = serve("[admin]\ntoken = { env = \"TOKEN\" }\n");
    let right = ("authorization", "Bearer a token of sixteen bytes");
    until_ready(&guarded);
    assert_eq!(text(&guarded, "/metrics", &[]).0, 401);
    assert_eq!(text(&guarded, "/metrics", &[("authorization", "Bearer another one of that size")]).0, 401);
    assert_eq!(text(&guarded, "/metrics", &[right, ("host", "10.1.2.3:8000")]).0, 200);
    assert_eq!(text(&guarded, "/health", &[right]).0, 200);
    let (open, _host) = serve("[telemetry]\nopen = true\n");
    assert_eq!(text(&open, "/metrics", &[("host", "10.1.2.3:8000")]).0, 200);
}

#[test]
fn agents_that_look_after_the_host_can_ask_it() {
    let host = crate::samples().config(&format!("{ROOMY}[tools]\nhealth = true"));
    host.put("broken.wasm", b"no component");
    let mut client = host.stdio();
    client.tools();
    let told = client.call("host_health", json!({}));
    let report = &told["structuredContent"];
    assert_eq!((&report["status"], &report["ready"]), (&json!("warning"), &json!(true)), "{told}");
    assert_eq!(report["parts"]["skills"]["seen"]["failed"], json!(["broken"]));
    assert!(
        !crate::samples().stdio().all_tools().contains(&"host_health".to_owned()),
        "only where it is wanted"
    );
}
