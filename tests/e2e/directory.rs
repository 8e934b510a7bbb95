//! Files come and go while clients are connected.

use std::{fs, io::Write as _, os::unix::fs::symlink};

use serde_json::{Value, json};
use skillhost_e2e::{Client, component, eventually, faulty};

use crate::{empty, hostile_files::slow_component, samples};

const CHANGED: &str = "notifications/tools/list_changed";

/// Look at the listing until it is as wanted; every further look is owed to a notification.
fn until(client: &mut Client, wanted: impl Fn(&[String]) -> bool) {
    while !wanted(&client.tools()) {
        client.wait_notification(CHANGED);
    }
}

#[test]
fn a_file_copied_in_is_a_tool_and_a_file_deleted_is_none() {
    let host = empty();
    let mut client = host.stdio();
    assert!(client.tools().is_empty());
    host.put("words.wasm", &component("text.wasm"));
    until(&mut client, |tools| tools.contains(&"words_word_count".into()));
    fs::rename(host.skill("words.wasm"), host.skill("verbs.wasm")).unwrap();
    until(&mut client, |tools| {
        tools.contains(&"verbs_word_count".into()) && !tools.contains(&"words_word_count".into())
    });
    fs::remove_file(host.skill("verbs.wasm")).unwrap();
    until(&mut client, <[String]>::is_empty);
}

#[test]
fn a_half_copied_file_waits_for_its_other_half() {
    let host = empty();
    let mut client = host.stdio();
    let bytes = component("text.wasm");
    let mut file = fs::File::create(host.skill("text.wasm")).unwrap();
    file.write_all(&bytes[..bytes.len() / 2]).unwrap();
    file.sync_all().unwrap();
    // Quiet for too long: it is tried, and told apart from a broken one.
    let line = client.wait_log("the half", |line| line["message"] == "skill failed to load");
    assert!(line["reason"].as_str().unwrap().contains("still being copied"), "{line}");
    file.write_all(&bytes[bytes.len() / 2..]).unwrap();
    drop(file);
    client.wait_notification(CHANGED);
    assert_eq!(client.call("text_word_count", json!({"text": "a"}))["structuredContent"]["words"], 1);
}

#[test]
fn a_version_that_fails_leaves_the_last_good_one_serving() {
    let host = samples();
    let mut client = host.stdio();
    let before = client.tools();
    host.put("text.wasm", b"\0asm\x0d\0\x01\0 nonsense");
    client.wait_log("the failure", |line| line["message"] == "skill failed to load");
    assert_eq!(client.tools(), before);
    assert_eq!(client.call("text_word_count", json!({"text": "a"}))["structuredContent"]["words"], 1);
}

#[test]
fn a_call_in_flight_ends_on_the_version_it_began_with() {
    let host = samples();
    let mut client = host.stdio();
    client.tools();
    let call = client.begin_call("faulty_sleep", json!({"ms": 1500}));
    host.put("faulty.wasm", &faulty("v2"));
    let line = client.wait_log("the change", |line| {
        line["message"].as_str().is_some_and(|text| text.contains("changed with a reload"))
    });
    assert_eq!(line["tool"], "faulty_echo");
    client.wait_notification(CHANGED);
    assert_ne!(client.wait(call)["result"]["isError"], true);
}

#[test]
fn a_touched_file_is_not_loaded_again() {
    let host = samples();
    let mut client = host.stdio();
    client.tools();
    host.put("text.wasm", &component("text.wasm"));
    // A later change shows that the earlier one was dealt with, and that it changed nothing.
    host.put("words.wasm", &component("text.wasm"));
    let mut loaded = 0;
    client.wait_log("words", |line| {
        loaded += u32::from(line["message"] == "skill ready" && line["skill"] == "text");
        line["message"] == "skill ready" && line["skill"] == "words"
    });
    assert_eq!(loaded, 1);
}

#[test]
fn a_skill_that_is_whole_again_is_told_though_it_never_stopped_to_serve() {
    let host = samples();
    let mut client = host.stdio();
    client.tools();
    let of_text = |line: &Value, message: &str| line["skill"] == "text" && line["message"] == message;
    client.wait_log("it serves", |line| of_text(line, "skill ready"));
    host.put("text.wasm", b"garbage");
    client.wait_log("it is broken", |line| of_text(line, "skill failed to load"));
    host.put("text.wasm", &component("text.wasm"));
    client.wait_log("it is whole again", |line| of_text(line, "skill ready"));
}

#[test]
fn one_broken_skill_takes_nothing_from_the_others() {
    let host = samples();
    host.put("broken.wasm", b"garbage");
    host.put("my_skill.wasm", &component("text.wasm"));
    symlink("/etc/passwd", host.skill("link.wasm")).unwrap();
    let list = host.json(&["list", "--json"]);
    assert_eq!(list["refused"][0]["file"], "my_skill.wasm");
    assert_eq!(host.state("broken").0, "failed");
    assert!(host.state("link").1.contains("leads out of the folder"));
    let inspect = host.run(&["inspect", "link"]);
    assert!(String::from_utf8_lossy(&inspect.stderr).contains("leads out of the folder"), "{inspect:?}");
    assert_eq!(host.state("text").0, "ready");
}

#[test]
fn the_incumbent_keeps_a_contested_name() {
    let host = samples().config("[skills.text]\nmount = \"root\"\n[skills.another]\nmount = \"root\"");
    let mut client = host.stdio();
    assert!(client.tools().contains(&"word_count".to_owned()));
    host.put("another.wasm", &component("text.wasm"));
    let line = client.wait_log("the contest", |line| {
        line["message"].as_str().is_some_and(|text| text.contains("taken by another skill"))
    });
    assert_eq!((&line["skill"], &line["owner"]), (&json!("another"), &json!("text")));
    assert_eq!(client.call("word_count", json!({"text": "a"}))["structuredContent"]["words"], 1);
}

#[test]
fn the_folder_itself_may_go_and_come_back() {
    let host = samples();
    let mut client = host.stdio();
    let before = client.tools();
    let (folder, away) = (host.root().join("skills"), host.root().join("away"));
    fs::rename(&folder, &away).unwrap();
    client.wait_log("the loss", |line| {
        line["message"].as_str().is_some_and(|text| text.contains("cannot be read"))
    });
    assert_eq!(client.tools(), before);
    fs::create_dir(&folder).unwrap();
    fs::copy(away.join("text.wasm"), folder.join("text.wasm")).unwrap();
    until(&mut client, |tools| tools == ["text_diff", "text_regex_search", "text_word_count"]);
}

#[test]
fn a_link_serves_what_it_leads_to_now() {
    // As orchestrators mount configuration: each version in a folder of its own, swapped by one link.
    let host = empty();
    let version = |name: &str, component: &[u8]| {
        fs::create_dir(host.skill(name)).unwrap();
        fs::write(host.skill(name).join("words.wasm"), component).unwrap();
        symlink(name, host.skill("..next")).unwrap();
        fs::rename(host.skill("..next"), host.skill("..data")).unwrap();
    };
    version("..one", &component("text.wasm"));
    symlink("..data/words.wasm", host.skill("words.wasm")).unwrap();
    let mut client = host.stdio();
    until(&mut client, |tools| tools.contains(&"words_word_count".into()));
    version("..two", &component("json.wasm"));
    until(&mut client, |tools| tools.contains(&"words_query".into()));
    // And in place, behind the link.
    fs::write(host.skill("..two").join("words.wasm"), component("text.wasm")).unwrap();
    until(&mut client, |tools| tools.contains(&"words_word_count".into()));
}

#[test]
fn a_skill_loads_while_every_instance_is_busy() {
    let host = samples().config("[engine]\ninstances = 1\n[defaults]\ntimeout = \"10m\"");
    let mut client = host.stdio();
    client.tools();
    client.begin_call("faulty_sleep", json!({"ms": 600_000}));
    host.put("words.wasm", &component("text.wasm"));
    until(&mut client, |tools| tools.contains(&"words_word_count".into()));
}

#[test]
fn compiled_code_that_cannot_be_kept_serves_from_memory() {
    let host = empty().own_data();
    let mut client = host.stdio();
    client.tools();
    fs::remove_dir_all(host.data().join("compiled")).unwrap();
    host.put("text.wasm", &component("text.wasm"));
    client.wait_log("the reason", |line| {
        line["message"].as_str().is_some_and(|text| text.contains("serves from memory"))
    });
    until(&mut client, |tools| !tools.is_empty());
    assert_eq!(client.call("text_word_count", json!({"text": "a"}))["structuredContent"]["words"], 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_compiler_dies_with_its_host() {
    let host = empty().own_data();
    host.put("slow.wasm", &slow_component());
    let client = host.stdio();
    let children = format!("/proc/{0}/task", client.id());
    let child = || {
        let tasks = fs::read_dir(&children).unwrap().map(|task| task.unwrap().path().join("children"));
        tasks.filter_map(|file| fs::read_to_string(file).ok()?.split_whitespace().next()?.parse().ok()).next()
    };
    let child: i32 = eventually(child);
    let signal = |pid: i32, name: &str| {
        let status =
            std::process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
        assert!(status.unwrap().success());
    };
    // It is bound by now: the signal at its parent's death comes before its limits.
    eventually(|| {
        let limits = fs::read_to_string(format!("/proc/{child}/limits")).ok()?;
        limits
            .lines()
            .find(|line| line.starts_with("Max file size"))?
            .split_whitespace()
            .any(|word| word == "0")
            .then_some(())
    });
    // Stopped, it can end by nothing of its own doing.
    signal(child, "STOP");
    drop(client);
    let state = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    eventually(|| match state(child) {
        None => Some(()),
        // Dead, though nobody looked yet.
        Some(stat) => stat.rsplit(')').next()?.trim_start().starts_with('Z').then_some(()),
    });
}

#[test]
fn compiled_code_is_kept_and_damage_is_noticed() {
    let host = empty().own_data();
    host.put("text.wasm", &component("text.wasm"));
    assert_eq!(host.state("text").0, "ready");
    let compiled = host.data().join("compiled");
    let engine = fs::read_dir(&compiled).unwrap().next().unwrap().unwrap().path();
    let code = || {
        let mut files = fs::read_dir(&engine).unwrap().map(|file| file.unwrap().path());
        files.find(|path| path.extension().is_some_and(|ending| ending == "cwasm")).unwrap()
    };
    let first = fs::metadata(code()).unwrap();
    assert_eq!(host.state("text").0, "ready");
    assert_eq!(fs::metadata(code()).unwrap().modified().unwrap(), first.modified().unwrap(), "kept");
    let mut bytes = fs::read(code()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(code(), bytes).unwrap();
    let (result, _) = host.call("text_word_count", &json!({"text": "a"}));
    assert_eq!(result["structuredContent"]["words"], 1, "compiled anew");
    assert_ne!(fs::metadata(code()).unwrap().modified().unwrap(), first.modified().unwrap());
}
