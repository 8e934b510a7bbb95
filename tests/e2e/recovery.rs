//! Idempotency keys and durable calls, as clients and the command line see them. Effects are counted in a file that the
//! skill writes, not by what the host says of itself.

use std::fs;

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, component, eventually, faulty};

use crate::empty;

/// A host whose skill `faulty` appends lines to a file, and the same skill as `same`, which its operator calls idempotent.
pub(crate) fn recording(config: &str) -> Host {
    let host = empty();
    let effects = host.root().join("effects");
    fs::create_dir(&effects).unwrap();
    host.put("faulty.wasm", &component("faulty.wasm"));
    host.put("same.wasm", &component("faulty.wasm"));
    let grant = |skill: &str| {
        format!(
            "[skills.{skill}.grants]\nfiles = [{{ host = {:?}, guest = \"/effects\", access = \"rw\" }}]\n",
            effects.display()
        )
    };
    let (one, other) = (grant("faulty"), grant("same"));
    host.config(&format!(
        "{config}\n[defaults]\nbreaker = \"off\"\nretry = \"off\"\n{one}{other}[skills.same.tools.record]\nidempotent = true\n"
    ))
}

/// Lines that took effect.
pub(crate) fn effects(host: &Host) -> Vec<String> {
    let text = fs::read_to_string(host.root().join("effects/log")).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

fn id(result: &Value) -> &str {
    result["_meta"]["skillhost/call_id"].as_str().unwrap_or_else(|| panic!("no id: {result}"))
}

fn key(key: &str) -> Value {
    json!({"skillhost/idempotency_key": key})
}

fn durable() -> Value {
    json!({"skillhost/durable": true})
}

pub(crate) fn status(client: &mut Client, id: &str) -> Value {
    client.call("call_status", json!({"id": id}))["structuredContent"].take()
}

#[test]
fn a_key_is_one_effect_whoever_asks_and_however_often() {
    let host = recording("");
    let mut client = host.stdio();
    let first = client.call_with("faulty_record", json!({"line": "a"}), key("k"));
    assert_eq!(text(&first), "a false");
    let again = client.call_with("faulty_record", json!({"line": "a"}), key("k"));
    assert_eq!((text(&again), id(&again)), ("a false", id(&first)));
    assert_eq!(again["_meta"]["skillhost/replayed"], true);
    // Another process beside it, another way in.
    let cli = ["call", "faulty_record", "--args", r#"{"line":"a"}"#, "--idempotency-key", "k", "--json"];
    let third: Value = serde_json::from_slice(&host.run(&cli).stdout).unwrap();
    assert_eq!(id(&third), id(&first));
    // After a restart.
    drop(client);
    let mut client = host.stdio();
    let fourth = client.call_with("faulty_record", json!({"line": "a"}), key("k"));
    assert_eq!(id(&fourth), id(&first));
    let conflict = client.call_with("faulty_record", json!({"line": "b"}), key("k"));
    assert_eq!(conflict["_meta"]["skillhost/failure"]["kind"], "key-conflict");
    assert_eq!(effects(&host).len(), 1);
    assert_eq!(status(&mut client, id(&first))["state"], "done");
}

#[test]
fn a_kept_result_is_whole_however_deep() {
    let host = recording("[server]\nmax_depth = 100");
    let mut client = host.stdio();
    let mut kept = 0;
    for depth in [1, 60, 100, 120, 124, 125, 126, 127] {
        let mut call =
            || client.call_with("faulty_deep_json", json!({"depth": depth}), key(&depth.to_string()));
        let (first, again) = (call(), call());
        if first["isError"] == true {
            continue;
        }
        assert_eq!(again["structuredContent"], first["structuredContent"], "{depth}: {again}");
        assert_eq!(again["_meta"]["skillhost/replayed"], true, "{depth}");
        kept += 1;
    }
    assert_eq!(kept, 3, "deeper results are refused, and so need not be kept");
    let deep = (0..95).fold(json!(1), |inner, _| json!([inner]));
    let arguments = json!({"line": "a", "before": "permanent", "x": deep});
    let parked = client.call_with("faulty_record", arguments, durable());
    assert_eq!(parked["_meta"]["skillhost/call"]["state"], "parked", "{parked}");
    assert_eq!(host.json(&["dlq", "show", id(&parked), "--json"])["state"], "parked");
}

#[test]
fn what_a_client_asks_for_wrongly_is_refused() {
    let host = recording("");
    let mut client = host.stdio();
    for (meta, word) in [
        (json!({"skillhost/idempotency_key": ""}), "1 to 255"),
        (json!({"skillhost/idempotency_key": "x".repeat(256)}), "1 to 255"),
        (json!({"skillhost/idempotency_key": "a\nb"}), "control"),
        (json!({"skillhost/idempotency_key": 5}), "text"),
        (json!({"skillhost/durable": "yes"}), "true or false"),
        (json!({"skillhost/priority": "top"}), "urgent"),
    ] {
        let params = json!({"name": "faulty_record", "arguments": {"line": "a"}, "_meta": meta});
        let error = client.request("tools/call", params)["error"].take();
        assert_eq!(error["code"], -32602, "{error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
    let output = host.run(&["call", "faulty_record", "--idempotency-key", ""]);
    assert_eq!(output.status.code(), Some(2));
    for wrong in ["", "nonsense", "01990d2e5c7a7b319d0e6f3a2b1c0d4e0000"] {
        assert_eq!(client.call("call_status", json!({"id": wrong}))["isError"], true, "{wrong}");
    }
    assert!(effects(&host).is_empty());
}

#[test]
fn a_durable_call_recovers_when_its_skill_is_mended_with_no_hand_laid_on() {
    // Only the new version can make it due within this test.
    let host = recording("").config("[skills.same]\nredelivery = { attempts = 5, delays = [\"1h\"] }");
    let server = host.serve();
    let mut client = host.stdio();
    let accepted = client.call_with(
        "same_record",
        json!({"line": "a", "before": "trap", "token": "hunter2"}),
        durable(),
    );
    assert_ne!(accepted["isError"], true, "{accepted}");
    assert!(text(&accepted).contains("Do not repeat it"), "{accepted}");
    assert_eq!(accepted["_meta"]["skillhost/call"]["state"], "waiting");
    let id = id(&accepted).to_owned();
    assert!(text(&accepted).contains(&id), "{accepted}");
    assert_eq!(status(&mut client, &id)["failure"]["kind"], "trap");
    assert!(effects(&host).is_empty());
    host.put("same.wasm", &faulty("mended"));
    let recovered =
        eventually(|| Some(status(&mut client, &id)).filter(|status| status["state"] == "recovered"));
    // Of both hosts one that has the old version still may have been the first to try.
    let attempts = recovered["attempts"].as_u64();
    assert!(matches!(attempts, Some(2 | 3)) && recovered["result"]["is_error"] == false, "{recovered}");
    assert_eq!(effects(&host), [format!("a {id}")]);
    let result = client.call("call_status", json!({"id": id}));
    assert_eq!(result["content"][1]["text"], "a true", "the secret reached the tool: {result}");
    // Its life, in the log and on the letter; its secret nowhere.
    let shown = host.json(&["dlq", "show", &id, "--json"]);
    let steps: Vec<_> =
        shown["history"].as_array().unwrap().iter().map(|event| event["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["failed", "scheduled", "retried", "recovered"], "{shown}");
    assert_eq!(shown["arguments"]["token"], "[secret]");
    drop(server);
    let (_, logs) = client.close();
    let dump = format!("{logs:?}");
    assert!(!dump.contains("hunter2"));
    let journal = fs::read(host.data().join("journal.sqlite")).unwrap();
    assert!(!String::from_utf8_lossy(&journal).contains("hunter2"));
}

#[test]
fn a_client_that_goes_away_does_not_take_a_durable_call_with_it() {
    let host = recording("");
    let server = host.serve();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "faulty_record", "arguments": {"line": "a", "ms": 300},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "skillhost/durable": true,
        },
    }});
    let address = server.url().trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    let body = body.to_string();
    use std::io::Write as _;
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: application/json, \
         text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: faulty_record\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    // It has begun, so it is written down.
    eventually(|| Some(effects(&host)).filter(|lines| lines.len() == 1));
    drop(stream);
    let line = effects(&host).remove(0);
    let id = line.split_once(' ').unwrap().1.to_owned();
    let mut client = host.stdio();
    eventually(|| Some(status(&mut client, &id)).filter(|status| status["state"] == "done"));
    assert_eq!(effects(&host).len(), 1);
}

#[test]
fn what_a_killed_host_left_is_run_again_or_parked() {
    let host = recording("");
    let mut client = host.stdio();
    // The order of what a host begins is its own.
    for (tool, line) in [("same_record", "safe"), ("faulty_record", "unsafe")] {
        client.begin_call_with(tool, json!({"line": line, "after": "hang"}), durable());
    }
    client.begin_call_with("faulty_record", json!({"line": "keyed", "after": "hang"}), key("k"));
    let lines = eventually(|| Some(effects(&host)).filter(|lines| lines.len() == 3));
    client.kill();
    let of = |line: &str| {
        let found = lines.iter().find_map(|all| all.strip_prefix(&format!("{line} ")));
        found.unwrap_or_else(|| panic!("{lines:?}")).to_owned()
    };
    host.put("same.wasm", &faulty("mended"));
    let mut client = host.stdio();
    eventually(|| Some(status(&mut client, &of("safe"))).filter(|status| status["state"] == "recovered"));
    for line in ["unsafe", "keyed"] {
        let parked = status(&mut client, &of(line));
        assert_eq!((&parked["state"], &parked["failure"]["effect"]), (&json!("parked"), &json!("unknown")));
    }
    // Once more under its key: told, not run.
    let again = client.call_with("faulty_record", json!({"line": "keyed", "after": "hang"}), key("k"));
    assert_eq!((&again["isError"], id(&again)), (&json!(true), &*of("keyed")));
    let mut now = effects(&host);
    now.sort();
    assert_eq!(now.len(), 4, "only the safe one ran twice: {now:?}");
}

#[test]
fn a_journal_that_cannot_be_used_is_refused_and_left_alone() {
    let host = recording("");
    let file = host.data().join("journal.sqlite");
    // One that ends in order leaves nothing beside the file.
    assert_eq!(host.stdio().close().0, Some(0));
    let sound = fs::read(&file).unwrap();
    let newer = {
        let mut newer = sound.clone();
        // `user_version`, of which this host knows two.
        newer[60..64].copy_from_slice(&7_u32.to_be_bytes());
        newer
    };
    let torn = sound[..sound.len() / 2].to_vec();
    let other = {
        let path = host.root().join("other.sqlite");
        let output = std::process::Command::new("sqlite3").arg(&path).arg("create table t (a)").output();
        output.ok().filter(|output| output.status.success()).map(|_| fs::read(path).unwrap())
    };
    let cases = [
        ("newer", Some(newer)),
        ("damaged", Some(torn)),
        ("damaged", Some(b"not a database at all, but long enough".repeat(100))),
        ("not a journal", other),
    ];
    for (word, bytes) in cases {
        let Some(bytes) = bytes else { continue };
        for beside in ["-wal", "-shm"] {
            let _ = fs::remove_file(host.data().join(format!("journal.sqlite{beside}")));
        }
        fs::write(&file, &bytes).unwrap();
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["stdio"], &["dlq", "list"]] {
            let output = host.run(command);
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{word}: {told}");
            assert!(told.contains(word) && told.contains("hint: "), "{word}: {told}");
            assert!(fs::read(&file).unwrap() == bytes, "{word}: it was touched");
        }
        // What needs no journal goes on.
        assert_eq!(host.call("faulty_echo", &json!({"a": 1})).1, Some(0), "{word}");
        let (result, code) = (host.run(&["call", "faulty_echo", "--durable", "--json"]), Some(3));
        assert_eq!(result.status.code(), code, "{word}");
        assert!(String::from_utf8_lossy(&result.stdout).contains("journal-unavailable"), "{word}");
    }
}

#[test]
fn a_full_disk_refuses_what_must_be_written_down_and_recovers_by_itself() {
    let host = recording("[journal]\nmax_size = \"1 MiB\"");
    let mut client = host.stdio();
    let big = "x".repeat(100_000);
    let mut filled = 0;
    let refused = loop {
        let result =
            client.call_with("faulty_record", json!({"line": big, "before": "permanent"}), durable());
        if result["_meta"]["skillhost/failure"]["kind"] == "journal-unavailable" {
            break result;
        }
        assert_eq!(result["_meta"]["skillhost/call"]["state"], "parked", "{result}");
        filled += 1;
        assert!(filled < 20, "it is never full");
    };
    assert!(filled > 3);
    assert_eq!(refused["_meta"]["skillhost/failure"]["effect"], "none");
    let keyed = client.call_with("faulty_record", json!({"line": big}), key("k"));
    assert_eq!(keyed["_meta"]["skillhost/failure"]["kind"], "journal-unavailable", "{}", text(&keyed));
    // Others go on.
    assert_ne!(client.call("faulty_echo", json!({}))["isError"], true);
    assert_ne!(client.call("faulty_record", json!({"line": "plain"}))["isError"], true);
    // Room is made; nobody is restarted.
    let mut archived = 0;
    eventually(|| {
        // The last one was told before it could be written down as parked.
        let done = host.json(&["dlq", "archive", "--all", "--state", "parked", "--json"]);
        archived += done["changed"].as_u64().unwrap();
        (archived == filled).then_some(())
    });
    let keyed = client.call_with("faulty_record", json!({"line": "at last"}), key("k"));
    assert_ne!(keyed["isError"], true, "{keyed}");
    let lines = effects(&host);
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn call_status_is_a_tool_like_any_other() {
    let host = recording("");
    let mut client = host.stdio();
    assert!(client.all_tools().contains(&"call_status".to_owned()));
    let tools = client.request("tools/list", json!({}))["result"]["tools"].take();
    let tool = tools.as_array().unwrap().iter().find(|tool| tool["name"] == "call_status").unwrap().clone();
    assert_eq!(tool["annotations"]["readOnlyHint"], true);
    assert_eq!(tool["inputSchema"]["required"], json!(["id"]));
    let unknown = client.call("call_status", json!({"id": "01990d2e-5c7a-7b31-9d0e-6f3a2b1c0d4e"}));
    assert_eq!(unknown["isError"], true);
    // No skill can take its name.
    host.put("call.wasm", &component("text.wasm"));
    let list = host.json(&["list", "--json"]);
    assert_eq!(list["refused"][0]["file"], "call.wasm", "{list}");
    assert!(list["refused"][0]["reason"].as_str().unwrap().contains("reserved"), "{list}");
}

#[test]
fn the_command_line_says_that_a_call_goes_on() {
    use std::os::unix::fs::PermissionsExt as _;
    let host = recording("");
    let call = ["call", "faulty_record", "--args", r#"{"line":"a","before":"transient"}"#, "--durable"];
    let accepted = host.run(&call);
    assert_eq!(accepted.status.code(), Some(4), "{accepted:?}");
    assert!(String::from_utf8_lossy(&accepted.stdout).contains("Do not repeat it"), "{accepted:?}");
    assert!(String::from_utf8_lossy(&accepted.stderr).contains("no host runs"), "{accepted:?}");
    let client = host.stdio();
    let accepted = host.run(&call);
    assert_eq!(accepted.status.code(), Some(4));
    assert!(!String::from_utf8_lossy(&accepted.stderr).contains("no host runs"), "{accepted:?}");
    // Nobody else reads any of it.
    for file in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "journal.key"] {
        if let Ok(found) = fs::metadata(host.data().join(file)) {
            assert_eq!(found.permissions().mode() & 0o777, 0o600, "{file}");
        }
    }
    assert!(host.data().join("journal.sqlite-wal").exists());
    drop(client);
}
