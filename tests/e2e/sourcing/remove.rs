//! Skills that are taken away, and what stays of them.

use std::fs;

use serde_json::json;
use skillhost_e2e::{component, eventually};

use super::{as_json, entries, failed, shown};
use crate::{
    ledger::{done, ledger, put, undone},
    samples,
};

#[test]
fn a_skill_goes_and_the_host_that_runs_sees_it() {
    let host = samples().config("[skills.text.grants]\nkeyvalue = true\n");
    let mut client = host.stdio();
    eventually(|| client.tools().contains(&"text_word_count".to_owned()).then_some(()));
    failed(&host.run(&["remove", "text"]), 1, &["no terminal", "--yes"]);
    failed(&host.run(&["remove", "text", "--json"]), 2, &["--yes"]);
    let page = shown(&host.run(&["remove", "text", "--yes"]));
    assert!(page.contains("removed") && page.contains("[skills.text] stays"), "{page}");
    assert_eq!(entries(&host), ["faulty.wasm", "json.wasm"]);
    eventually(|| (!client.tools().iter().any(|tool| tool.starts_with("text_"))).then_some(()));
    failed(&host.run(&["remove", "text", "--yes"]), 1, &["no skill `text`"]);
    failed(&host.run(&["remove", "jsno", "--yes"]), 1, &["did you mean `json`?"]);
    failed(&host.run(&["remove", "../json", "--yes"]), 1, &["no skill"]);
    let told = as_json(&host.run(&["remove", "json.wasm", "--yes", "--json"]));
    assert_eq!(
        (&told["skill"], &told["removed"], &told["configured"]),
        (&json!("json"), &json!(true), &json!(false))
    );
    assert_eq!(told["open"], json!({"running": 0, "letters": 0, "undoable": 0}));
    assert_eq!(entries(&host), ["faulty.wasm"]);
}

#[test]
fn a_link_goes_and_what_it_leads_to_stays() {
    let host = samples();
    let target = host.root().join("elsewhere.wasm");
    fs::write(&target, component("text.wasm")).unwrap();
    std::os::unix::fs::symlink(&target, host.skill("linked.wasm")).unwrap();
    let page = shown(&host.run(&["remove", "linked", "--yes"]));
    assert!(page.contains("what it leads to stays"), "{page}");
    assert!(target.is_file() && !host.skill("linked.wasm").exists());
}

#[test]
fn what_is_still_open_is_told_and_can_be_taken_back() {
    let host = ledger("");
    let mut client = host.stdio();
    let first = done(&mut client, "ledger_put", put("a", "1"));
    let second = done(&mut client, "ledger_put", put("b", "1"));
    undone(&mut client, &second);
    let output = host.run(&["remove", "ledger", "--yes", "--json"]);
    assert_eq!(as_json(&output)["open"], json!({"running": 0, "letters": 0, "undoable": 1}));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("1 of its calls can be taken back") && said.contains("kept its component"),
        "{said}"
    );
    eventually(|| client.tools().is_empty().then_some(()));
    undone(&mut client, &first);
}
