//! What a version of a skill did, that version takes back: after upgrades, removals and restarts.

use std::fs;

use serde_json::json;
use skillhost_e2e::{Client, Host, eventually, patched};

use crate::ledger::{and, done, effects, ledger, put, story, undone, until_event, with_keys, world};

fn upgrade(host: &Host, version: u8) {
    let marker = format!("LEDGER-VERSION:{version}");
    host.put("ledger.wasm", &patched("ledger.wasm", "LEDGER-VERSION:1", &marker));
}

fn until_version(client: &mut Client, version: u8) {
    let marker = format!("LEDGER-VERSION:{version}");
    eventually(|| {
        let result = client.call("ledger_version", json!({}));
        result.to_string().contains(&marker).then_some(())
    });
}

#[test]
fn after_an_upgrade_the_version_that_did_it_takes_it_back() {
    let host = ledger("");
    let mut client = host.stdio();
    let old = done(&mut client, "ledger_put", put("a", "1"));
    upgrade(&host, 2);
    until_version(&mut client, 2);
    let new = done(&mut client, "ledger_put", put("a", "2"));
    undone(&mut client, &new);
    undone(&mut client, &old);
    assert_eq!(effects(&host)[2..], [format!("undo a {new} v2"), format!("undo a {old} v1")]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_skill_that_is_gone_still_takes_back_what_it_did() {
    let host = ledger("");
    let mut client = host.stdio();
    let first = done(&mut client, "ledger_put", put("a", "1"));
    let second = done(&mut client, "ledger_put", put("b", "1"));
    let third = done(&mut client, "ledger_put", put("c", "1"));
    fs::remove_file(host.skill("ledger.wasm")).unwrap();
    eventually(|| client.tools().is_empty().then_some(()));
    undone(&mut client, &first);
    // And after a restart, when nobody has it in memory.
    assert_eq!(client.close().0, Some(0));
    let mut client = host.stdio();
    undone(&mut client, &second);
    // And the command line, with no host at all.
    assert_eq!(client.close().0, Some(0));
    crate::ledger::told(&host, &["undo", &third], 0);
    assert_eq!(story(&host), ["do a", "do b", "do c", "undo a", "undo b", "undo c"]);
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn after_an_upgrade_and_a_restart_as_well() {
    let host = ledger("");
    let mut client = host.stdio();
    let call = done(&mut client, "ledger_put", put("a", "1"));
    assert_eq!(client.close().0, Some(0));
    upgrade(&host, 2);
    let mut client = host.stdio();
    until_version(&mut client, 2);
    undone(&mut client, &call);
    assert_eq!(effects(&host)[1], format!("undo a {call} v1"));
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn a_skill_that_is_being_replaced_is_no_obstacle() {
    let host = ledger("");
    let mut client = host.stdio();
    let calls: Vec<_> = (0..6).map(|n| done(&mut client, "ledger_put", put(&format!("k{n}"), "1"))).collect();
    for (n, call) in calls.iter().enumerate() {
        // Version 2, 3, ... each at the moment of an undo.
        upgrade(&host, u8::try_from(n).unwrap() + 2);
        undone(&mut client, call);
        assert_eq!(effects(&host)[6 + n], format!("undo k{n} {call} v1"));
    }
    assert_eq!(world(&host), with_keys(&[]));
    until_version(&mut client, 7);
}

#[test]
fn a_call_that_runs_while_its_skill_is_replaced_is_taken_back_by_its_own_version() {
    let host = ledger("");
    let mut client = host.stdio();
    let request = client.begin_call("ledger_put", and(put("a", "1"), json!({"end": "hang"})));
    until_event(&host, "end hang");
    upgrade(&host, 2);
    until_version(&mut client, 2);
    client.cancel(request);
    eventually(|| (effects(&host).len() == 2).then_some(()));
    assert!(effects(&host)[1].ends_with(" v1"), "{:?}", effects(&host));
    assert_eq!(world(&host), with_keys(&[]));
}

#[test]
fn what_a_killed_host_left_is_taken_back_by_its_own_version_too() {
    let host = ledger("");
    let mut client = host.stdio();
    client.begin_call("ledger_put", and(put("a", "1"), json!({"end": "hang"})));
    until_event(&host, "end hang");
    client.kill();
    upgrade(&host, 2);
    let _client = host.stdio();
    eventually(|| (effects(&host).len() == 2).then_some(()));
    assert!(effects(&host)[1].ends_with(" v1"), "{:?}", effects(&host));
    assert_eq!(world(&host), with_keys(&[]));
}
