//! Components that are broken, or strange: each serves, or is refused for a reason, and the host lives on.
//!
//! Some are written by hand, the others made from good ones by a fixed seed. What fails is left in `target/tmp/mutated`.

mod damage;
pub(crate) mod strange;

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};
use skillhost_core::Schema;
use skillhost_e2e::{Client, component};

use crate::empty;

const ALL: usize = 200;

/// A component by the name of its skill.
type Named = (String, Vec<u8>);

#[test]
fn what_a_file_holds_serves_or_is_refused_and_the_host_lives_on() {
    let host = empty().own_data().config("[defaults]\nload_timeout = \"2s\"\nmount = \"prefixed\"");
    let mut files: BTreeMap<String, Vec<u8>> = strange::strange().into_iter().collect();
    let by_hand = files.len();
    files.extend(damage::mutated(ALL - by_hand));
    assert_eq!(files.len(), ALL, "a name twice");
    for (name, bytes) in &files {
        host.put(&format!("{name}.wasm"), bytes);
    }
    host.put("text.wasm", &component("text.wasm"));
    // The first listing waits until every file was tried.
    let mut client = host.stdio();
    let tools = client.request("tools/list", json!({}))["result"]["tools"].take();
    let tools = tools.as_array().expect("a listing");
    let list = host.json(&["list", "--json"]);
    let skills: BTreeMap<_, _> =
        list["skills"].as_array().unwrap().iter().map(|one| (text(one, "name"), one)).collect();
    let mut faults: Vec<String> =
        tools.iter().filter_map(|tool| Some(format!("{}: {}", tool["name"], malformed(tool)?))).collect();
    let (mut served, mut broken) = (0, vec![]);
    for name in files.keys() {
        let fault = match skills.get(&**name) {
            None => Some(format!("not listed: {}", list["refused"])),
            Some(skill) if text(skill, "state") == "ready" => {
                served += 1;
                unlisted(skill, tools)
            }
            Some(skill) => unclear(skill, tools, host.root()),
        };
        if let Some(fault) = fault {
            faults.push(format!("{name}: {fault}"));
            broken.push(name);
        }
    }
    assert_eq!(text(skills["text"], "state"), "ready");
    lives(client, &mut faults);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutated");
    for name in broken {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.wasm")), &files[name]).unwrap();
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // Both happen, or nothing was tested.
    assert!((ALL / 10..ALL * 9 / 10).contains(&served), "{served} of {ALL} serve");
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// What a client would not take.
fn malformed(tool: &Value) -> Option<String> {
    let name = text(tool, "name");
    if !(1..=64).contains(&name.len())
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    {
        return Some("no name for a tool".into());
    }
    if text(tool, "description").is_empty() {
        return Some("no description".into());
    }
    let objects = [Some(&tool["inputSchema"]), tool.get("outputSchema")];
    objects
        .into_iter()
        .flatten()
        .find_map(|schema| Schema::for_arguments(&schema.to_string()).err())
        .map(|why| why.to_string())
}

/// What another process says that it serves, and this one does not.
fn unlisted(skill: &Value, tools: &[Value]) -> Option<String> {
    let offered = skill["tools"].as_array()?;
    if offered.is_empty() {
        return Some("it serves nothing".into());
    }
    let missing = |offer: &&Value| tools.iter().filter(|tool| tool["name"] == offer["name"]).count() != 1;
    offered.iter().find(missing).map(|offer| format!("not listed once: {offer}"))
}

/// A state or a reason that helps nobody, or tells more than it should.
fn unclear(skill: &Value, tools: &[Value], root: &Path) -> Option<String> {
    let (state, reason) = (text(skill, "state"), text(skill, "reason"));
    let told = ["panicked", "overflow", "the compiler died", ".rs:", ".cargo", root.to_str()?];
    if state != "failed" || reason.trim().is_empty() {
        return Some(format!("{state} for {reason:?}"));
    }
    let own = format!("{}_", text(skill, "name"));
    if tools.iter().any(|tool| text(tool, "name").starts_with(&own)) {
        return Some("served all the same".into());
    }
    told.into_iter().find(|word| reason.contains(word)).map(|word| format!("{word:?} in {reason:?}"))
}

/// The host still answers, and nothing panicked on the way.
fn lives(mut client: Client, faults: &mut Vec<String>) {
    assert_eq!(client.call("text_word_count", json!({"text": "a b"}))["structuredContent"]["words"], 2);
    let (code, logs) = client.close();
    assert_eq!(code, Some(0));
    faults.extend(logs.iter().map(Value::to_string).filter(|line| line.contains("panicked")));
}
