//! Sagas that agents hold: begun, added to, committed or rolled back.

use std::fs;

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, component, snapshot};

use crate::ledger::{
    and, call_of, done, id, ledger, nothing_stays, put, shown, story, text, told, undone, until_event,
    with_keys, world,
};

/// Begin a saga. Its id.
pub(crate) fn begin(client: &mut Client, arguments: Value) -> String {
    let result = client.call("saga_begin", arguments);
    let saga = result["structuredContent"]["saga"].as_str().unwrap_or_else(|| panic!("no saga: {result}"));
    assert!(text(&result).contains(saga), "models read the text: {result}");
    saga.to_owned()
}

pub(crate) fn arguments(saga: &str, tool: &str, arguments: Value) -> Value {
    json!({"saga": saga, "tool": tool, "arguments": arguments})
}

/// A step, whose tool is said by its full name, and which must succeed. The call's id.
pub(crate) fn step(client: &mut Client, saga: &str, tool: &str, with: Value) -> String {
    done(client, "saga_call", arguments(saga, tool, with))
}

/// Roll it back, which must leave nothing. How many calls were taken back.
pub(crate) fn rolled_back(client: &mut Client, saga: &str) -> Value {
    let result = client.call("saga_rollback", json!({"saga": saga}));
    assert_eq!(result["structuredContent"]["state"], "rolled-back", "{result}");
    assert_eq!(result["structuredContent"]["stays"], json!([]), "{result}");
    assert!(text(&result).contains("nothing of it stays"), "{result}");
    result["structuredContent"]["undone"].clone()
}

/// A host with the skill `files` and a folder full of things.
fn with_files() -> (Host, std::path::PathBuf) {
    let host = crate::empty();
    let folder = host.root().join("granted");
    fs::create_dir_all(folder.join("docs/old")).unwrap();
    fs::write(folder.join("a.txt"), "one\n").unwrap();
    // More than a token holds.
    fs::write(folder.join("large.bin"), (0..200_000).map(|n| (n % 251) as u8).collect::<Vec<_>>()).unwrap();
    fs::write(folder.join("log.txt"), "no line end").unwrap();
    fs::write(folder.join("docs/move.md"), "moved").unwrap();
    fs::write(folder.join("docs/over.md"), [0, 255, 254]).unwrap();
    fs::write(folder.join("docs/old/gone.md"), "").unwrap();
    std::os::unix::fs::symlink("gone.md", folder.join("docs/old/link")).unwrap();
    host.put("files.wasm", &component("files.wasm"));
    let host = host.config(&format!(
        "[skills.files.grants]\nkeyvalue = true\nfiles = [{{ host = {folder:?}, guest = \"/data\", access = \"rw\" }}]"
    ));
    (host, folder)
}

#[test]
fn a_folder_is_byte_for_byte_as_before() {
    let (host, folder) = with_files();
    let before = snapshot(&folder);
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({"label": "tidy up"}));
    let mut call = |tool: &str, arguments: Value| {
        let before = snapshot(&folder);
        step(&mut client, &saga, &format!("files_{tool}"), arguments);
        assert_ne!(snapshot(&folder), before, "{tool} does something");
    };
    call("write", json!({"path": "new/sub/b.txt", "text": "new\n", "create_folders": true}));
    call("write", json!({"path": "large.bin", "text": "small", "mode": "overwrite"}));
    call("write", json!({"path": "log.txt", "text": "\nmore\n", "mode": "append"}));
    call("move", json!({"from": "docs/move.md", "to": "docs/over.md", "overwrite": true}));
    call("delete", json!({"path": "docs/old", "recursive": true}));
    // Over what an earlier step made.
    call("write", json!({"path": "new/sub/b.txt", "text": "again", "mode": "overwrite"}));
    call("move", json!({"from": "new", "to": "newer"}));
    assert_eq!(rolled_back(&mut client, &saga), 7);
    assert_eq!(snapshot(&folder), before);
    assert_eq!(rolled_back(&mut client, &saga), 7, "said again");
}

#[test]
fn what_is_committed_stays_and_can_be_undone_call_by_call() {
    let host = ledger("");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({}));
    let call = step(&mut client, &saga, "ledger_put", put("a", "1"));
    step(&mut client, &saga, "ledger_put", put("b", "1"));
    for _ in 0..2 {
        let committed = client.call("saga_commit", json!({"saga": saga}));
        assert_ne!(committed["isError"], true, "{committed}");
    }
    let refused = client.call("saga_rollback", json!({"saga": saga}));
    assert_eq!(refused["isError"], true, "{refused}");
    assert!(text(&refused).contains("is committed: what was done stays"), "{refused}");
    assert_eq!(host.run(&["saga", "rollback", &saga]).status.code(), Some(1));
    assert_eq!(world(&host), with_keys(&[("a", "1"), ("b", "1")]));
    undone(&mut client, &call);
    assert_eq!(world(&host), with_keys(&[("b", "1")]));
    assert_eq!(shown(&host, &saga)["state"], "committed");
}

#[test]
fn a_saga_that_is_not_open_takes_no_calls() {
    let host = ledger("");
    let mut client = host.stdio();
    let (committed, back) = (begin(&mut client, json!({})), begin(&mut client, json!({})));
    client.call("saga_commit", json!({"saga": committed}));
    rolled_back(&mut client, &back);
    let alone = done(&mut client, "ledger_put", put("alone", "1"));
    let unknown = "01990d2e-5c7a-7b31-9d0e-6f3a2b1c0d4e";
    // A call's own id is no saga either.
    for (saga, word) in [
        (&*committed, "is committed"),
        (&*back, "is rolled-back"),
        (unknown, "no such saga"),
        (&*alone, "no such saga"),
    ] {
        let failed = client.call("saga_call", arguments(saga, "ledger_put", put("a", "1")));
        assert_eq!(failed["_meta"]["skillhost/failure"]["kind"], "conflict", "{failed}");
        assert!(text(&failed).contains(word), "{failed}");
    }
    for saga in [unknown, &*alone] {
        for tool in ["saga_commit", "saga_rollback"] {
            let failed = client.call_fails(tool, json!({"saga": saga}));
            assert!(failed.contains("there is no saga"), "{tool}: {failed}");
        }
    }
    let failed = client.call_fails("saga_commit", json!({"saga": back}));
    assert!(failed.contains("is rolled-back and cannot be committed"), "{failed}");
    assert_eq!(world(&host), with_keys(&[("alone", "1")]));
}

#[test]
fn a_step_is_the_tools_own_call() {
    let host = ledger("");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({}));
    let result = client.call("saga_call", arguments(&saga, "ledger_put", put("a", "1")));
    assert_eq!(result["structuredContent"]["new"], "1", "{result}");
    assert_eq!(result["structuredContent"]["call_id"], *id(&result), "{result}");
    let read = client.call("saga_call", arguments(&saga, "ledger_get", json!({"key": "a"})));
    assert_eq!(read["structuredContent"]["value"], "1", "{read}");
    // Its own rules apply, and what is no step is none.
    for (wrong, kind) in [
        (arguments(&saga, "ledger_put", json!({"key": "a"})), "invalid-input"),
        (arguments(&saga, "undo_call", json!({"id": saga})), "invalid-input"),
        (arguments(&saga, "saga_call", json!({})), "invalid-input"),
        (json!({"saga": saga}), "invalid-input"),
        (json!({"saga": saga, "tool": "ledger_put", "key": "a", "value": "1"}), "invalid-input"),
        (json!({"saga": saga, "tool": "ledger_put", "arguments": [1]}), "invalid-input"),
        (json!({"saga": "x", "tool": "ledger_put"}), "invalid-input"),
    ] {
        let failed = client.call("saga_call", wrong.clone());
        assert_eq!(failed["_meta"]["skillhost/failure"]["kind"], kind, "{wrong}: {failed}");
    }
    let params = json!({"name": "saga_call", "arguments": arguments(&saga, "no_tool", json!({}))});
    assert_eq!(client.request("tools/call", params)["error"]["code"], -32602);
    assert_eq!(rolled_back(&mut client, &saga), 1);
    assert_eq!(story(&host), ["do a", "undo a"]);
}

#[test]
fn a_step_that_fails_leaves_nothing_and_the_saga_goes_on() {
    let host = ledger("");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({}));
    step(&mut client, &saga, "ledger_put", put("a", "1"));
    let failed =
        client.call("saga_call", arguments(&saga, "ledger_put", and(put("b", "1"), json!({"end": "trap"}))));
    nothing_stays(&failed, "trap");
    assert_eq!(world(&host), with_keys(&[("a", "1")]));
    step(&mut client, &saga, "ledger_put", put("c", "1"));
    assert_eq!(rolled_back(&mut client, &saga), 3, "with the one that took itself back");
    assert_eq!(story(&host), ["do a", "do b", "undo b", "do c", "undo c", "undo a"]);
}

#[test]
fn a_roll_back_ends_what_still_runs() {
    let host = ledger("");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({}));
    step(&mut client, &saga, "ledger_put", put("a", "1"));
    let hang = and(put("b", "1"), json!({"end": "hang"}));
    let request = client.begin_call("saga_call", arguments(&saga, "ledger_put", hang));
    until_event(&host, "end hang");
    rolled_back(&mut client, &saga);
    assert_eq!(story(&host), ["do a", "do b", "undo b", "undo a"]);
    assert_eq!(world(&host), with_keys(&[]));
    let ended = client.wait(request)["result"].take();
    assert_eq!((&ended["isError"], id(&ended)), (&json!(true), call_of(&host, "b")), "{ended}");
    let late = client.call("saga_call", arguments(&saga, "ledger_put", put("c", "1")));
    assert!(text(&late).contains("is rolled-back"), "{late}");
}

#[test]
fn what_cannot_be_undone_in_a_saga_is_named() {
    let host = ledger("");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({}));
    step(&mut client, &saga, "ledger_put", put("a", "1"));
    let stays = step(&mut client, &saga, "ledger_mutate", put("m", "1"));
    step(&mut client, &saga, "ledger_get", json!({"key": "m"}));
    let result = client.call("saga_rollback", json!({"saga": saga}));
    let report = &result["structuredContent"];
    assert_eq!((&report["state"], &report["undone"]), (&json!("partial"), &json!(1)), "{result}");
    let named = json!([{"id": stays, "tool": "ledger_mutate", "state": "cannot-be-undone"}]);
    assert_eq!((&report["stays"], &result["isError"]), (&named, &json!(true)), "{result}");
    assert_eq!(world(&host), with_keys(&[("m", "1")]));
    let page = told(&host, &["saga", "show", &saga], 0);
    assert!(page.contains("ledger_mutate [done, cannot be undone]"), "{page}");
    assert!(page.contains("ledger_put [done, undone]"), "{page}");
}

#[test]
fn a_conflict_in_a_saga_is_resumed_by_force() {
    let host = ledger("");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({}));
    for key in ["a", "b", "c"] {
        step(&mut client, &saga, "ledger_put", put(key, "1"));
    }
    fs::write(host.root().join("world/b"), "mine").unwrap();
    let result = client.call("saga_rollback", json!({"saga": saga}));
    assert_eq!(result["structuredContent"]["state"], "stuck", "{result}");
    assert_eq!(result["structuredContent"]["stays"][0]["id"], *call_of(&host, "b"), "{result}");
    assert_eq!(world(&host), with_keys(&[("b", "mine")]));
    told(&host, &["saga", "resume", &saga], 1);
    told(&host, &["saga", "resume", &saga, "--force"], 0);
    assert_eq!(world(&host), with_keys(&[]));
    assert_eq!(story(&host), ["do a", "do b", "do c", "undo c", "undo a", "undo b"]);
    rolled_back(&mut client, &saga);
}

#[test]
fn a_conflict_in_a_saga_is_undone_by_itself() {
    let host = ledger("");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({}));
    step(&mut client, &saga, "ledger_put", put("a", "1"));
    let second = step(&mut client, &saga, "ledger_put", put("b", "1"));
    let wrong = client.call_fails("undo_call", json!({"id": saga}));
    assert!(wrong.contains("saga_rollback"), "{wrong}");
    fs::write(host.root().join("world/b"), "mine").unwrap();
    client.call("saga_rollback", json!({"saga": saga}));
    assert_eq!(shown(&host, &saga)["state"], "stuck");
    told(&host, &["undo", &second, "--force"], 0);
    // It was the last that stood in the way.
    assert_eq!(shown(&host, &saga)["state"], "rolled-back");
    assert_eq!(story(&host), ["do a", "do b", "undo a", "undo b"]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_call_that_was_undone_by_itself_is_not_undone_with_its_saga_again() {
    let host = ledger("");
    let mut client = host.stdio();
    let saga = begin(&mut client, json!({}));
    for key in ["a", "b", "c"] {
        step(&mut client, &saga, "ledger_put", put(key, "1"));
    }
    undone(&mut client, &call_of(&host, "b"));
    // Whose it is now is nobody's business here.
    fs::write(host.root().join("world/b"), "mine").unwrap();
    assert_eq!(rolled_back(&mut client, &saga), 3);
    assert_eq!(story(&host), ["do a", "do b", "do c", "undo b", "undo c", "undo a"]);
    assert_eq!(world(&host), with_keys(&[("b", "mine")]));
}

#[test]
fn a_caller_has_so_many_open_at_once() {
    let host = ledger("[sagas]\nmax_open = 2");
    let mut client = host.stdio();
    let sagas = [begin(&mut client, json!({})), begin(&mut client, json!({}))];
    let refused = client.call_fails("saga_begin", json!({}));
    assert!(refused.contains("2 open sagas"), "{refused}");
    client.call("saga_commit", json!({"saga": sagas[0]}));
    begin(&mut client, json!({}));
    rolled_back(&mut client, &sagas[1]);
    begin(&mut client, json!({}));
    client.call_fails("saga_begin", json!({}));
}
