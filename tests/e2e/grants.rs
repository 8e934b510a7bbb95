//! What an operator grants, from the file to the call.

use std::fs;

use serde_json::json;
use skillhost_e2e::{Host, component, faulty};

use crate::{empty, samples};

fn reach(path: &str) -> serde_json::Value {
    json!({"op": "read", "path": path})
}

fn text(result: &serde_json::Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

fn granted(host: Host, skill: &str, access: &str) -> Host {
    let folder = host.root().join("granted");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.txt"), "inside").unwrap();
    host.config(&format!(
        "[skills.{skill}.grants]\nfiles = [{{ host = {folder:?}, guest = \"/data\", access = \"{access}\" }}]"
    ))
}

#[test]
fn settings_and_variables_arrive() {
    let host = samples().config(
        "[skills.faulty.grants]\nconfig = { units = \"metric\" }\nenv = { MODE = \"test\", FROM_HOST = { env = \"OUTSIDE\" } }",
    );
    let mut command = host.command(&["call", "faulty_env"]);
    let output = command.env("OUTSIDE", "from the host").env("HIDDEN", "x").output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("(\"MODE\", \"test\")") && shown.contains("(\"FROM_HOST\", \"from the host\")"),
        "{shown}"
    );
    assert!(!shown.contains("HIDDEN"), "{shown}");
    let mut client = host.command(&["call", "faulty_config"]);
    let output = client.env("OUTSIDE", "x").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "Ok([(\"units\", \"metric\")])\n");
    let (state, reason) = host.state("faulty");
    assert_eq!(state, "failed", "without the variable");
    assert!(reason.contains("`OUTSIDE`"), "{reason}");
}

#[test]
fn what_is_the_hosts_own_cannot_be_granted() {
    for (folder, what) in
        [("skills", "the skills folder"), (".", "the skills folder"), ("data", "the data folder")]
    {
        let host = samples().own_data();
        fs::create_dir_all(host.data()).unwrap();
        let path = host.root().join(folder);
        let host = host
            .config(&format!("[skills.faulty.grants]\nfiles = [{{ host = {path:?}, guest = \"/data\" }}]"));
        let output = host.run(&["config", "check"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("`skills.faulty.grants`") && error.contains(what), "{error}");
        let (state, reason) = host.state("faulty");
        assert!(state == "failed" && reason.contains("overlaps"), "{reason}");
        assert_eq!(host.state("text").0, "ready", "the others go on");
    }
}

#[test]
fn grants_for_one_component_are_for_no_other() {
    let host = granted(samples(), "faulty", "ro");
    let digest = host.json(&["inspect", "faulty", "--json"])["digest"].as_str().unwrap().to_owned();
    let host = host.config(&format!("digest = \"{digest}\""));
    let mut client = host.stdio();
    assert_eq!(text(&client.call("faulty_reach", reach("a.txt"))), "read inside");
    // Somebody puts another component in its place: the good one goes on.
    host.put("faulty.wasm", &faulty("no-tools"));
    let line = client.wait_log("the other is refused", |line| line["message"] == "skill failed to load");
    assert!(line["reason"].as_str().unwrap().contains("pinned to"), "{line}");
    assert_eq!(text(&client.call("faulty_reach", reach("a.txt"))), "read inside");
    let shown = String::from_utf8(host.run(&["inspect", "faulty"]).stdout).unwrap();
    let (state, reason) = host.state("faulty");
    assert!(state == "failed" && reason.contains("put its digest"), "{reason} {shown}");
}

#[test]
fn inspect_shows_what_is_asked_beside_what_is_granted() {
    let host = granted(samples(), "faulty", "rw").config("[skills.text.grants]\nkeyvalue = true");
    let shown = host.json(&["inspect", "faulty", "--json"]);
    let ask = |name: &str| {
        let asks = shown["asks"].as_array().unwrap().iter();
        asks.clone().find(|ask| ask["import"].as_str().unwrap().starts_with(name)).unwrap().clone()
    };
    let files = ask("wasi:filesystem/preopens");
    assert_eq!((&files["gets"], &files["granted"]), (&json!("/data (rw)"), &json!(true)));
    let http = ask("wasi:http/outgoing-handler");
    assert_eq!((&http["needs"], &http["granted"]), (&json!("http"), &json!(false)));
    let text = host.json(&["inspect", "text", "--json"]);
    assert_eq!(text["grants"]["unasked"], json!(["keyvalue"]));
    let page = String::from_utf8(host.run(&["inspect", "text"]).stdout).unwrap();
    assert!(page.contains("UNASKED  `keyvalue`") && page.contains("not pinned"), "{page}");
    let mut client = host.stdio();
    client.wait_log("a grant nobody asked for", |line| {
        line["grant"] == "keyvalue"
            && line["message"].as_str().is_some_and(|text| text.contains("does not ask for"))
    });
}

#[test]
fn a_tool_has_settings_of_its_own() {
    let host = samples().config(
        "[skills.faulty]\nfuel = 1_000_000_000\n[skills.faulty.tools.loop]\nfuel = 1_000_000\n[skills.faulty.tools.trap]\nenabled = false\n[skills.faulty.tools.random]\nread_only = true\nopen_world = false\n[skills.faulty.tools.absent]\nenabled = true",
    );
    let mut client = host.stdio();
    let tools = client.request("tools/list", json!({}))["result"]["tools"].take();
    let tools = tools.as_array().unwrap();
    let find = |name: &str| tools.iter().find(|tool| tool["name"] == name);
    assert!(find("faulty_trap").is_none());
    assert_eq!(find("faulty_random").unwrap()["annotations"]["readOnlyHint"], true);
    let failure = client.call_fails("faulty_loop", json!({}));
    assert!(failure.contains("its fuel of 1000000 units"), "{failure}");
    let shown =
        String::from_utf8(host.run(&["config", "show", "--effective", "faulty_loop"]).stdout).unwrap();
    let fuel = shown.lines().find(|line| line.starts_with("fuel")).unwrap();
    assert!(fuel.contains("1000000") && fuel.ends_with("skillhost.toml:4:1"), "{shown}");
    let (_, logs) = client.close();
    assert!(logs.iter().any(|line| line["tool"] == "absent"), "a tool that is not there is told");
}

#[test]
fn a_skill_calls_the_tools_it_was_granted() {
    let host = samples().config("[skills.faulty.grants]\ntools = [\"text_*\", \"faulty_*\", \"second_call_tool\", \"late_call_tool\"]\n[skills.late.grants]\ntools = [\"faulty_*\"]\n[skills.late.tools.call_tool]\ntimeout = \"2s\"");
    host.put("late.wasm", &component("faulty.wasm"));
    let others = ["second", "third", "fourth", "fifth"];
    let host = others.into_iter().fold(host, |host, name| {
        host.put(&format!("{name}.wasm"), &component("faulty.wasm"));
        let next = "tools = [\"text_*\", \"third_*\", \"fourth_*\", \"fifth_*\"]";
        host.config(&format!("[skills.{name}.grants]\n{next}"))
    });
    let mut client = host.stdio();
    let mut call = |name: &str, arguments: &str| {
        let result = client.call("faulty_call_tool", json!({"name": name, "arguments": arguments}));
        text(&result).to_owned()
    };
    let counted = call("text_word_count", r#"{"text": "a b"}"#);
    assert!(counted.contains("words") && counted.contains("2"), "{counted}");
    let wrong = call("text_word_count", r#"{"text": 1}"#);
    assert!(wrong.contains("InvalidInput"), "the callee's own checks count: {wrong}");
    assert!(call("text_word_count", "[]").contains("not a JSON object"));
    assert!(call("json_query", "{}").contains("HostError::Denied"), "not granted");
    assert!(call("text_nothing", "{}").contains("unknown tool"));
    // A call in a call in a call: each is one deeper, and there is an end to it.
    let mut arguments = json!({"name": "text_word_count", "arguments": r#"{"text": "a"}"#});
    for name in others.iter().skip(1).rev() {
        arguments = json!({"name": format!("{name}_call_tool"), "arguments": arguments.to_string()});
    }
    let deep = call("second_call_tool", &arguments.to_string());
    assert!(deep.contains("nested at most 4 deep"), "{deep}");
    let around = call("faulty_call_tool", &arguments.to_string());
    assert!(around.contains("in a circle: faulty_call_tool -> faulty_call_tool"), "{around}");
    // The callee has no more time than its caller: whichever of the two ends first says so.
    let arguments = json!({"name": "faulty_sleep", "arguments": r#"{"ms": 60000}"#});
    let late = client.call("late_call_tool", arguments).to_string();
    assert!(late.contains("longer than its 2 s") || late.contains("the time its caller had left"), "{late}");
}

#[test]
fn callers_that_wait_do_not_starve_those_they_wait_for() {
    let host = samples()
        .config("[engine]\ninstances = 1\n[skills.faulty.grants]\ntools = [\"text_*\"]\n[skills.faulty.tools.call_tool]\ntimeout = \"30s\"");
    let mut client = host.stdio();
    let ids: Vec<_> = (0..20)
        .map(|_| {
            let arguments = json!({"name": "text_word_count", "arguments": r#"{"text": "a b"}"#});
            client.begin_call("faulty_call_tool", arguments)
        })
        .collect();
    for id in ids {
        let answer = client.wait(id).to_string();
        assert!(answer.contains("words"), "{answer}");
    }
}

#[test]
fn changes_of_the_configuration_count_at_once() {
    let host = granted(samples(), "faulty", "rw");
    let mut client = host.stdio();
    assert_eq!(text(&client.call("faulty_reach", reach("a.txt"))), "read inside");
    let file = host.root().join("skillhost.toml");
    let before = fs::read_to_string(&file).unwrap();
    let put = |text: &str| {
        fs::write(host.root().join("new.toml"), text).unwrap();
        fs::rename(host.root().join("new.toml"), &file).unwrap();
    };
    let loaded = |line: &serde_json::Value| line["message"] == "skill ready" && line["skill"] == "faulty";
    // Taken away.
    put("[skills.faulty]\nfuel = 5_000_000_000\n[server]\nmax_depth = 9\n[sagas]\ntools = false");
    for section in ["server", "sagas"] {
        client.wait_log("a restart is needed", |line| line["section"] == section);
    }
    client.wait_log("the skill is loaded again", loaded);
    assert_eq!(text(&client.call("faulty_reach", reach("a.txt"))), "no folder");
    // Not sound: what counted before goes on.
    put("[skills.faulty]\nfule = 1");
    client.wait_log("the mistake is told", |line| {
        line["error"].as_str().is_some_and(|text| text.contains("did you mean `fuel`?"))
    });
    assert_eq!(text(&client.call("faulty_reach", reach("a.txt"))), "no folder");
    // Back.
    put(&before);
    client.wait_log("the skill is loaded again", loaded);
    assert_eq!(text(&client.call("faulty_reach", reach("a.txt"))), "read inside");
    // What cannot be given takes the skill away, not only the grant.
    put(&before.replace("/granted\"", "/missing\""));
    client.wait_log("the skill fails", |line| line["message"] == "skill failed to load");
    let failure = client.call_fails("faulty_reach", reach("a.txt"));
    assert!(failure.contains("not-ready"), "{failure}");
    assert!(client.tools().contains(&"text_word_count".to_owned()), "the others go on");
}

#[test]
fn a_value_that_was_set_survives_kill_9() {
    let host = empty().own_data().config("[skills.notes.grants]\nkeyvalue = true");
    host.put("notes.wasm", &component("notes.wasm"));
    for n in 0..3 {
        let mut client = host.stdio();
        let kept = client.call("notes_put", json!({"name": format!("note {n}"), "text": "kept"}));
        assert_eq!(kept["structuredContent"]["text"], "kept", "{kept}");
        // Dropped without a word: killed.
        drop(client);
    }
    let mut client = host.stdio();
    let names = client.call("notes_list", json!({}))["structuredContent"]["names"].take();
    assert_eq!(names, json!(["note 0", "note 1", "note 2"]));
}

#[test]
fn a_store_that_is_no_database_takes_only_its_users_away() {
    let host = empty().own_data().config("[skills.notes.grants]\nkeyvalue = true");
    host.put("notes.wasm", &component("notes.wasm"));
    host.put("text.wasm", &component("text.wasm"));
    fs::create_dir_all(host.data()).unwrap();
    let file = host.data().join("keyvalue.sqlite");
    fs::write(&file, "x".repeat(5000)).unwrap();
    let (state, reason) = host.state("notes");
    assert!(state == "failed" && reason.contains("not a database"), "{reason}");
    assert_eq!(host.state("text").0, "ready");
    assert_eq!(fs::read_to_string(&file).unwrap(), "x".repeat(5000), "it is left alone");
}

#[test]
fn a_skill_exports_what_its_source_lists() {
    let host = empty();
    for name in ["whole.wasm", "text.wasm"] {
        host.put(name, &component(name));
    }
    let exports = |skill: &str| {
        let shown = host.json(&["inspect", skill, "--json"]);
        let names = shown["exports"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        names
            .filter_map(|name| Some(name.strip_prefix("skillhost:skill/")?.split('@').next()?.to_owned()))
            .collect::<Vec<_>>()
    };
    let mut all = exports("whole");
    all.sort();
    assert_eq!(all, ["completions", "prompts", "resources", "tools", "undo"]);
    assert_eq!(exports("text"), ["tools"]);
}
