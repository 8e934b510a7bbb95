//! The hostile matrix: what a skill tries to reach that it was not given, and what it gets. The table in
//! `docs/security.md` is written from these cases.

mod files;
mod network;
mod secrets;
mod tls;
mod values;

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, component, repo};

/// One thing that is tried.
struct Case {
    /// For people.
    tried: String,
    tool: String,
    arguments: Value,
    /// The text it must get.
    got: &'static str,
}

fn case(tried: impl Into<String>, tool: &str, arguments: Value, got: &'static str) -> Case {
    Case { tried: tried.into(), tool: tool.into(), arguments, got }
}

/// A host with copies of the misbehaving skill under these names.
fn host(names: &[&str]) -> Host {
    // What is ended half-way leaves no letter, which would be told with an id.
    let host = Host::new(super::CACHE).config("[dead_letters]\nunknown_effects = false");
    for name in names {
        host.put(&format!("{name}.wasm"), &component("faulty.wasm"));
    }
    host
}

/// Try all of them. Answers what is wrong, each in a line.
fn run(client: &mut Client, cases: &[Case]) -> Vec<String> {
    let mut wrong = vec![];
    for case in cases {
        let result = client.call(&case.tool, case.arguments.clone());
        let got = result["content"][0]["text"].as_str().unwrap_or_default();
        if got != case.got {
            wrong.push(format!("{}: got {got:?}, not {:?} ({result})", case.tried, case.got));
        }
    }
    wrong
}

/// One area of the table.
struct Area {
    name: &'static str,
    cases: Vec<Case>,
}

#[test]
fn the_documented_table_is_what_is_tried() {
    let areas = [
        Area { name: "Files, with one folder granted for reading and writing", cases: files::cases() },
        Area { name: "HTTP, with every public host granted", cases: network::inside("PORT") },
        Area { name: "HTTP, with one address granted", cases: network::bounds("PORT") },
        Area { name: "Values, with a bucket of 4 KiB and 5 keys", cases: values::cases() },
        Area { name: "Secrets, with one granted", cases: secrets::cases() },
    ];
    let mut table = String::new();
    for Area { name, cases } in areas {
        table += &format!("\n### {name}\n\n| tried | got |\n|---|---|\n");
        for case in cases {
            let plain = |text: &str| text.replace('|', "\\|").replace('\n', " ");
            table += &format!("| {} | {} |\n", plain(&case.tried), plain(case.got));
        }
    }
    let (begin, end) = ("<!-- matrix: written by tests/e2e/matrix.rs -->\n", "\n<!-- end of the matrix -->");
    let file = repo().join("docs/security.md");
    let page = std::fs::read_to_string(&file).expect("docs/security.md");
    let (before, rest) = page.split_once(begin).expect("the beginning of the matrix");
    let (documented, after) = rest.split_once(end).expect("the end of the matrix");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, [before, begin, &table, end, after].concat()).expect("written");
        return;
    }
    assert!(
        documented == table,
        "the table in docs/security.md is not what is tried; run with UPDATE_DOCS=1"
    );
}

/// `{"a": 1}` with more keys.
fn with(mut arguments: Value, more: Value) -> Value {
    if let (Value::Object(into), Value::Object(from)) = (&mut arguments, more) {
        into.extend(from);
    }
    arguments
}

fn reach(op: &str, path: &str, more: Value) -> Value {
    with(json!({"op": op, "path": path}), more)
}
