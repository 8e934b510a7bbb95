//! Hosts with the skill `ledger`, which misbehaves on command, and what it leaves in the world: keys that are files, and a
//! line for each effect. Tests look at these, not at what the host says of itself.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, component, eventually};

/// A host with `ledger` under these names. They share one world, and may call each other.
pub(crate) fn ledgers(names: &[&str], config: &str) -> Host {
    let host = crate::empty();
    let (world, log) = (host.root().join("world"), host.root().join("log"));
    fs::create_dir(&world).unwrap();
    fs::create_dir(&log).unwrap();
    let tools: Vec<_> = names.iter().map(|name| format!("{name}_*")).collect();
    let mut all = format!(
        "{config}\n[defaults]\nbreaker = \"off\"\nretry = \"off\"\n\
         undo = {{ attempts = 4, delays = [\"20ms\"], jitter = false }}\n"
    );
    for name in names {
        host.put(&format!("{name}.wasm"), &component("ledger.wasm"));
        all.push_str(&format!(
            "[skills.{name}.grants]\ntools = {tools:?}\nfiles = [{{ host = {world:?}, guest = \"/data\", access = \"rw\" }}, \
             {{ host = {log:?}, guest = \"/log\", access = \"rw\" }}]\n"
        ));
    }
    host.config(&all)
}

/// A host with `ledger`.
pub(crate) fn ledger(config: &str) -> Host {
    ledgers(&["ledger"], config)
}

/// All keys with their values, and whatever else lies there.
pub(crate) fn world(host: &Host) -> BTreeMap<String, String> {
    let files = fs::read_dir(host.root().join("world")).unwrap().map(|entry| entry.unwrap());
    let read = |file: fs::DirEntry| {
        (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap_or("?".into()))
    };
    files.map(read).collect()
}

/// A world with these keys.
pub(crate) fn with_keys(keys: &[(&str, &str)]) -> BTreeMap<String, String> {
    keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn lines(host: &Host, name: &str) -> Vec<String> {
    let text = fs::read_to_string(host.root().join("log").join(name)).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

/// Lines of effects: `do KEY VALUE CALL`, `undo KEY CALL VERSION`, `idle KEY CALL VERSION`.
pub(crate) fn effects(host: &Host) -> Vec<String> {
    lines(host, "effects")
}

/// The same without what differs from run to run: `do KEY`, `undo KEY`, `idle KEY`.
pub(crate) fn story(host: &Host) -> Vec<String> {
    let brief = |line: &String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    effects(host).iter().map(brief).collect()
}

/// Wait until there are this many effects.
pub(crate) fn until_effects(host: &Host, count: usize) {
    eventually(|| (effects(host).len() >= count).then_some(()));
}

/// Wait until a flaky undo of this call has counted its first try. The file alone is not enough: who is killed between its
/// creation and the line has counted nothing, and fails once more.
pub(crate) fn until_counted(host: &Host, call: &str) {
    eventually(|| (!lines(host, &format!("flaky-{call}")).is_empty()).then_some(()));
}

/// The call that set a key, as the skill told it.
pub(crate) fn call_of(host: &Host, key: &str) -> String {
    let start = format!("do {key} ");
    let line = effects(host).into_iter().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("nobody set {key}"));
    line.rsplit(' ').next().unwrap().to_owned()
}

/// Events that begin so: `before WORD CALL ATTEMPT`, `end WORD CALL ATTEMPT`, `undo WORD CALL`.
pub(crate) fn events(host: &Host, start: &str) -> Vec<String> {
    lines(host, "events").into_iter().filter(|line| line.starts_with(start)).collect()
}

/// Wait for such an event.
pub(crate) fn until_event(host: &Host, start: &str) {
    eventually(|| (!events(host, start).is_empty()).then_some(()));
}

/// Arguments that set a key.
pub(crate) fn put(key: &str, value: &str) -> Value {
    json!({"key": key, "value": value})
}

/// Arguments with more of them.
pub(crate) fn and(mut arguments: Value, more: Value) -> Value {
    let (Value::Object(all), Value::Object(more)) = (&mut arguments, more) else { panic!("objects") };
    all.extend(more);
    arguments
}

/// A call that a tree makes.
pub(crate) fn call(tool: &str, arguments: Value) -> Value {
    json!({"tool": tool, "arguments": arguments})
}

/// The text of a result.
pub(crate) fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

/// The call's id, as its reply tells it.
pub(crate) fn id(result: &Value) -> String {
    result["_meta"]["skillhost/call_id"].as_str().unwrap_or_else(|| panic!("no id: {result}")).to_owned()
}

/// What became of a failed call's roll-back.
pub(crate) fn rollback(result: &Value) -> &Value {
    &result["_meta"]["skillhost/rollback"]
}

/// A call that must succeed. Its id.
pub(crate) fn done(client: &mut Client, tool: &str, arguments: Value) -> String {
    let result = client.call(tool, arguments);
    assert_ne!(result["isError"], true, "{tool}: {result}");
    id(&result)
}

/// `undo_call`
pub(crate) fn undo(client: &mut Client, id: &str) -> Value {
    client.call("undo_call", json!({"id": id}))
}

/// `undo_call`, which must take everything back.
pub(crate) fn undone(client: &mut Client, id: &str) -> Value {
    let result = undo(client, id);
    assert_eq!(result["structuredContent"]["state"], "rolled-back", "{result}");
    assert_eq!(result["structuredContent"]["stays"], json!([]), "{result}");
    result
}

/// A call failed as `kind`, and all that it had done was taken back.
pub(crate) fn nothing_stays(result: &Value, kind: &str) {
    assert_eq!(result["isError"], true, "{result}");
    let failure = &result["_meta"]["skillhost/failure"];
    assert_eq!((&failure["kind"], &failure["effect"]), (&json!(kind), &json!("none")), "{result}");
    assert!(text(result).contains("Rolled back: nothing of it stays."), "{result}");
    assert_eq!(rollback(result)["saga"], *id(result), "{result}");
    assert_eq!(rollback(result)["state"], "rolled-back", "{result}");
    assert_eq!(rollback(result)["stays"], json!([]), "{result}");
}

/// What a command prints, which must end with this code.
pub(crate) fn told(host: &Host, args: &[&str], code: i32) -> String {
    let output = host.run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// `skillhost saga show --json`
pub(crate) fn shown(host: &Host, id: &str) -> Value {
    host.json(&["saga", "show", id, "--json"])
}
