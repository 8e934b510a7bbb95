//! `skillhost dlq` and the admin API.

use std::fs;

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, eventually, faulty};

use crate::recovery::{effects, recording, status};

/// Parked letters with these lines; their ids.
fn parked(client: &mut Client, lines: &[&str]) -> Vec<String> {
    let park = |line: &&str| {
        let meta = json!({"skillhost/durable": true, "skillhost/priority": "high"});
        let result = client.call_with("faulty_record", json!({"line": line, "before": "permanent"}), meta);
        assert_eq!(result["_meta"]["skillhost/call"]["state"], "parked", "{result}");
        result["_meta"]["skillhost/call_id"].as_str().unwrap().to_owned()
    };
    lines.iter().map(park).collect()
}

fn told(host: &Host, args: &[&str]) -> String {
    let output = host.run(args);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn ids(list: &Value) -> Vec<&str> {
    list["letters"].as_array().unwrap().iter().map(|letter| letter["id"].as_str().unwrap()).collect()
}

#[test]
fn they_are_listed_shown_explained_and_counted() {
    let host = recording("");
    let mut client = host.stdio();
    let all = parked(&mut client, &["a", "b", "c"]);
    client.call("faulty_record", json!({"line": "d", "after": "trap"}));
    let list = |more: &[&str]| host.json(&[&["dlq", "list", "--json"], more].concat());
    assert_eq!(ids(&list(&[])).len(), 4);
    assert_eq!(ids(&list(&["--kind", "permanent"])), all);
    assert_eq!(ids(&list(&["--kind", "trap", "--text", "UNREACHABLE"])).len(), 1);
    assert_eq!(ids(&list(&["--with-priority", "high", "--limit", "2"])), all[..2]);
    assert_eq!(ids(&list(&["--after", &all[0], "--limit", "2"])), all[1..]);
    assert_eq!(ids(&list(&["--state", "waiting,recovered"])).len(), 0);
    assert_eq!(ids(&list(&["--skill", "same"])).len(), 0);
    assert_eq!(ids(&list(&["--older-than", "1h"])).len(), 0);
    assert_eq!(ids(&list(&["--newer-than", "1h", "--tool", "faulty_record", "--caller", "local"])).len(), 4);
    for wrong in [&["--state", "lost"][..], &["--older-than", "soon"], &["--with-priority", "top"]] {
        let output = host.run(&[&["dlq", "list"], wrong].concat());
        assert_eq!(output.status.code(), Some(1), "{wrong:?}");
    }
    let page = told(&host, &["dlq", "list"]);
    assert!(page.contains("parked") && page.contains("permanent: the line can never be written"), "{page}");
    let page = told(&host, &["dlq", "show", &all[0]]);
    assert!(page.contains(r#"{"line":"a","before":"permanent"}"#) && page.contains("history"), "{page}");
    let page = told(&host, &["dlq", "explain", &all[0]]);
    assert!(page.contains(&format!("skillhost dlq replay {}", all[0])), "{page}");
    let stats = host.json(&["dlq", "stats", "--json"]);
    assert_eq!((&stats["open"], &stats["states"]["parked"]), (&json!(4), &json!(4)));
    assert_eq!((&stats["kinds"]["trap"], &stats["priorities"]["high"]), (&json!(1), &json!(3)));
    assert!(told(&host, &["dlq", "stats"]).contains("open of at most 10000"));
    for missing in ["show", "explain"] {
        let output = host.run(&["dlq", missing, "01990d2e-5c7a-7b31-9d0e-6f3a2b1c0d4e"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("there is no dead letter"));
    }
}

#[test]
fn they_are_edited_replayed_and_discarded_while_a_host_runs() {
    let host = recording("");
    let mut client = host.stdio();
    let all = parked(&mut client, &["a", "b", "c", "d"]);
    // The one that failed as asked succeeds with other arguments.
    let edited = host.json(&[
        "dlq",
        "edit",
        &all[0],
        "--args",
        r#"{"line":"mended"}"#,
        "--priority",
        "urgent",
        "--json",
    ]);
    assert_eq!((&edited["arguments"]["line"], &edited["priority"]), (&json!("mended"), &json!("urgent")));
    let wrong = host.run(&["dlq", "edit", &all[0], "--args", r#"{"lime":1}"#]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("the tool does not take"), "{wrong:?}");
    assert_eq!(host.run(&["dlq", "edit", &all[0]]).status.code(), Some(1));
    let dry = host.json(&["dlq", "replay", "--all", "--dry-run", "--json"]);
    assert_eq!((&dry["changed"], dry["matched"].as_array().unwrap().len()), (&json!(4), 4));
    assert_eq!(host.json(&["dlq", "replay", &all[0], "--json"])["changed"], 1);
    eventually(|| Some(status(&mut client, &all[0])).filter(|status| status["state"] == "recovered"));
    assert_eq!(effects(&host), [format!("mended {}", all[0])]);
    // What has recovered is not run again.
    let again = host.run(&["dlq", "replay", &all[0]]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stdout).contains("it is recovered"), "{again:?}");
    assert_eq!(host.json(&["dlq", "discard", &all[1], "--json"])["changed"], 1);
    assert_eq!(status(&mut client, &all[1])["state"], "discarded");
    // All the others, with a version that is mended.
    host.put("faulty.wasm", &faulty("mended"));
    eventually(|| {
        host.json(&["dlq", "replay", "--all", "--rate", "100", "--json"]);
        Some(host.json(&["dlq", "list", "--state", "recovered", "--json"]))
            .filter(|list| ids(list).len() == 3)
    });
    assert_eq!(effects(&host).len(), 3);
    assert_eq!(host.run(&["dlq", "replay"]).status.code(), Some(2), "which?");
    for rate in ["0", "nan", "inf", "-1", "1e9"] {
        assert_eq!(host.run(&["dlq", "replay", "--all", "--rate", rate]).status.code(), Some(2), "{rate}");
    }
    for id in ["stats", "?limit=1", "", "../policies", "nonsense"] {
        assert_eq!(host.run(&["dlq", "show", id]).status.code(), Some(2), "{id}");
    }
}

#[test]
fn without_a_host_the_journal_itself_is_asked() {
    let host = recording("");
    let mut client = host.stdio();
    let all = parked(&mut client, &["a", "b"]);
    let (code, _) = client.close();
    assert_eq!(code, Some(0));
    assert_eq!(ids(&host.json(&["dlq", "list", "--json"])), all);
    assert_eq!(host.json(&["dlq", "edit", &all[0], "--priority", "low", "--json"])["priority"], "low");
    // What of them is secret, only its schema says.
    let edited = host.run(&["dlq", "edit", &all[0], "--args", r#"{"line":"x","token":"hunter2"}"#]);
    assert_eq!(edited.status.code(), Some(1), "{edited:?}");
    host.put("faulty.wasm", &faulty("mended"));
    let replayed = host.run(&["dlq", "replay", &all[0]]);
    assert!(String::from_utf8_lossy(&replayed.stderr).contains("no host answers"), "{replayed:?}");
    assert!(effects(&host).is_empty());
    let mut client = host.stdio();
    eventually(|| Some(status(&mut client, &all[0])).filter(|status| status["state"] == "recovered"));
    assert_eq!(effects(&host).len(), 1);
}

#[test]
fn archived_and_restored() {
    let host = recording("");
    let mut client = host.stdio();
    let all = parked(&mut client, &["a", "b", "c"]);
    let nothing = host.json(&["dlq", "archive", "--all", "--json"]);
    assert_eq!(nothing["changed"], 0, "what is parked is archived only when that is asked for");
    let archived = host.json(&["dlq", "archive", &all[0], &all[1], "--json"]);
    assert_eq!(archived["changed"], 2);
    let file = archived["file"].as_str().unwrap();
    assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 2);
    assert_eq!(ids(&host.json(&["dlq", "list", "--json"])), all[2..]);
    assert_eq!(host.json(&["dlq", "stats", "--json"])["archived"], 2);
    fs::write(file, format!("{}nonsense\n", fs::read_to_string(file).unwrap())).unwrap();
    let output = host.run(&["dlq", "restore", file, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let restored: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&restored["restored"], &restored["refused"][0]["line"]), (&json!(2), &json!(3)));
    assert_eq!(ids(&host.json(&["dlq", "list", "--json"])), all);
    let shown = host.json(&["dlq", "show", &all[0], "--json"]);
    assert_eq!(shown["history"].as_array().unwrap().last().unwrap()["step"], "restored");
    assert_eq!(host.run(&["dlq", "restore", "/nowhere"]).status.code(), Some(1));
}

#[test]
fn over_tcp_it_wants_the_token_and_describes_itself() {
    let host = recording("[admin]\ntoken = { file = \"token\" }");
    let token = "correct-horse-battery-staple";
    fs::write(host.root().join("token"), format!("{token}\n")).unwrap();
    let server = host.serve();
    let mut client = host.stdio();
    let all = parked(&mut client, &["a"]);
    let url = |path: &str| server.url().replace("/mcp", path);
    let agent = || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        ureq::Agent::new_with_config(config)
    };
    let get = |path: &str, token: Option<&str>| {
        let mut request = agent().get(url(path));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text)))
    };
    for wrong in [None, Some("correct-horse-battery-stapl"), Some(""), Some("correct-horse-battery-staple2")]
    {
        for path in ["/admin/dead-letters", "/admin/policies", "/admin/openapi.json"] {
            assert_eq!(get(path, wrong).0, 401, "{path} {wrong:?}");
        }
    }
    let (code, list) = get("/admin/dead-letters?state=parked", Some(token));
    assert_eq!((code, ids(&list)), (200, all.iter().map(String::as_str).collect()));
    assert_eq!(get("/admin/dead-letters?stat=parked", Some(token)).0, 400);
    assert_eq!(get(&format!("/admin/dead-letters/{}", all[0]), Some(token)).1["state"], "parked");
    assert_eq!(get("/admin/dead-letters/01990d2e-5c7a-7b31-9d0e-6f3a2b1c0d4e", Some(token)).0, 404);
    // A page of somebody else's must not reach it either.
    let foreign = agent()
        .get(url("/admin/dead-letters"))
        .header("authorization", format!("Bearer {token}"))
        .header("origin", "https://evil.example")
        .call();
    assert_eq!(foreign.unwrap().status().as_u16(), 403);
    let send = |path: &str, body: &str| {
        let request = agent().post(url(path)).header("authorization", format!("Bearer {token}"));
        request.header("content-type", "application/json").send(body).unwrap().status().as_u16()
    };
    assert_eq!(send("/admin/dead-letters/discard", r#"{"ids": ["nonsense"]}"#), 400);
    assert_eq!(send("/admin/dead-letters/discard", r#"{"idz": []}"#), 400);
    assert_eq!(send("/admin/dead-letters/discard", "[]"), 400);
    assert_eq!(send("/admin/dead-letters/discard", "{}"), 400, "which?");
    assert_eq!(send("/admin/dead-letters/discard", r#"{"ids": []}"#), 200, "none");
    let far = r#"{"all": true, "rate": 0.001, "offset": 18446744073709551615}"#;
    assert_eq!(send("/admin/dead-letters/replay", far), 400);
    let many = json!({"ids": vec![&all[0]; 1_001]}).to_string();
    assert_eq!(send("/admin/dead-letters/discard", &many), 400);
    assert_eq!(get(&format!("/admin/dead-letters/{}", all[0]), Some(token)).1["state"], "parked");
    assert_eq!(send(&format!("/admin/dead-letters/{}/discard", all[0]), "{}"), 200);
    assert_eq!(send(&format!("/admin/dead-letters/{}/discard", all[0]), "{}"), 409);
    let saga = client.call("saga_begin", json!({}))["structuredContent"]["saga"].take();
    // Every route is described, and nothing else.
    let (_, document) = get("/admin/openapi.json", Some(token));
    assert_eq!(document["openapi"], "3.1.0");
    for (path, operations) in document["paths"].as_object().unwrap() {
        let about = if path.starts_with("/admin/sagas") { saga.as_str().unwrap() } else { &all[0] };
        let path = path.replace("{id}", about);
        for method in operations.as_object().unwrap().keys() {
            let status = match method.as_str() {
                "get" => get(&path, Some(token)).0,
                "post" => send(&path, "{\"dry_run\": true, \"all\": true}"),
                "patch" => continue,
                other => panic!("{other}"),
            };
            assert!(![404, 405].contains(&status), "{method} {path}: {status}");
        }
    }
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is not described");
    }
}

#[test]
fn without_a_token_there_is_no_admin_api_over_tcp() {
    let server = recording("").serve();
    let url = server.url().replace("/mcp", "/admin/dead-letters");
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    assert_eq!(ureq::Agent::new_with_config(config).get(url).call().unwrap().status().as_u16(), 404);
    for token in ["short", ""] {
        let host = recording("[admin]\ntoken = { file = \"token\" }");
        fs::write(host.root().join("token"), token).unwrap();
        let output = host.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("16 to 4096"), "{output:?}");
    }
}

#[test]
fn one_that_is_damaged_stands_in_nobodys_way() {
    let host = recording("");
    let mut client = host.stdio();
    let all = parked(&mut client, &["a", "b"]);
    let hang = json!({"line": "c", "after": "hang"});
    client.begin_call_with("faulty_record", hang, json!({"skillhost/durable": true}));
    eventually(|| Some(effects(&host)).filter(|lines| lines.len() == 1));
    client.kill();
    let damage = "update calls set arguments = 'x' where state = 0 or tool like '%' and seq = 1";
    let file = host.data().join("journal.sqlite");
    let done = std::process::Command::new("sqlite3").arg(&file).arg(damage).status();
    if !done.is_ok_and(|status| status.success()) {
        // Without that tool there is no way in from outside.
        return;
    }
    host.put("faulty.wasm", &faulty("mended"));
    let mut client = host.stdio();
    assert_eq!(host.json(&["dlq", "replay", &all[1], "--json"])["changed"], 1);
    eventually(|| Some(status(&mut client, &all[1])).filter(|status| status["state"] == "recovered"));
    let replayed = host.run(&["dlq", "replay", &all[0]]);
    assert!(String::from_utf8_lossy(&replayed.stdout).contains("something that cannot be"), "{replayed:?}");
    assert_eq!(host.json(&["dlq", "discard", &all[0], "--json"])["changed"], 1);
    assert_eq!(host.json(&["dlq", "stats", "--json"])["states"]["discarded"], 1);
}
