//! Skills that come from a file or over https, and go again: whole or not at all, and only what was asked for.

mod remove;
mod server;
mod trouble;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use skillhost_core::Digest;
use skillhost_e2e::{Host, component, eventually, faulty};

use crate::empty;
use server::{Https, ok};

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// A file outside the skills folder.
fn outside(host: &Host, name: &str, bytes: &[u8]) -> String {
    let path = host.root().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What lies in the skills folder, whoever may see it.
fn entries(host: &Host) -> Vec<String> {
    let all = fs::read_dir(host.skill("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut all: Vec<_> = all.map(|name| name.into_string().unwrap()).collect();
    all.sort();
    all
}

/// `skillhost add` on a machine that trusts this certificate.
fn trusting(host: &Host, certificate: &str, args: &[&str]) -> Command {
    let file = host.root().join("roots.pem");
    fs::write(&file, certificate).unwrap();
    let mut command = host.command(args);
    command.env("SSL_CERT_FILE", file).stdin(Stdio::null());
    command
}

fn failed(output: &Output, code: i32, wanted: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    for wanted in wanted {
        assert!(text.contains(wanted), "expected {wanted:?} in {text}");
    }
}

fn shown(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn as_json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_file_is_shown_installed_and_served_by_the_host_that_runs() {
    let host = empty();
    let mut client = host.stdio();
    assert!(client.tools().is_empty());
    let file = outside(&host, "text.wasm", &component("text.wasm"));
    let page = shown(&host.run(&["add", &file, "--yes"]));
    for wanted in ["skill    text", &digest(&component("text.wasm")), "text_word_count", "installed as"] {
        assert!(page.contains(wanted), "{wanted} in {page}");
    }
    client.wait_notification("notifications/tools/list_changed");
    eventually(|| client.tools().contains(&"text_word_count".to_owned()).then_some(()));
    let result = client.call("text_word_count", json!({"text": "a b"}));
    assert_eq!(result["structuredContent"]["words"], 2);
    assert_eq!(entries(&host), ["text.wasm"]);
    assert_eq!(fs::read(host.skill("text.wasm")).unwrap(), component("text.wasm"));
}

#[test]
fn what_it_asks_for_stands_beside_what_is_granted() {
    let host = empty().config("[skills.notes.grants]\nkeyvalue = true\n");
    let notes = outside(&host, "notes.wasm", &component("notes.wasm"));
    let seen = as_json(&host.run(&["add", &notes, "--dry-run", "--json"]));
    let ask = |seen: &Value, key: &str| {
        seen["asks"].as_array().unwrap().iter().find(|ask| ask["needs"] == key).unwrap()["granted"].clone()
    };
    assert_eq!((ask(&seen, "keyvalue"), &seen["installed"]), (json!(true), &json!(false)));
    // Granted by its name alone: a pin is told.
    let pin = format!("digest = \"{}\"", digest(&component("notes.wasm")));
    assert!(seen["grants"]["lines"].as_str().unwrap().contains(&pin), "{seen}");
    let fetch = outside(&host, "fetch.wasm", &component("fetch.wasm"));
    let page = shown(&host.run(&["add", &fetch, "--dry-run"]));
    for wanted in
        ["! wasi:http/outgoing-handler", "no host", "[skills.fetch.grants]", "# http = [", "digest = "]
    {
        assert!(page.contains(wanted), "{wanted} in {page}");
    }
    assert!(entries(&host).is_empty());
    // The lines can be pasted: they are sound, and pin what is installed.
    let lines = as_json(&host.run(&["add", &fetch, "--dry-run", "--json"]))["grants"]["lines"].take();
    let host = host.config(lines.as_str().unwrap());
    shown(&host.run(&["add", &fetch, "--yes"]));
    assert_eq!(host.state("fetch").0, "ready");
    // Another component is not what they are for; that is told before it is installed.
    let text = outside(&host, "text.wasm", &component("text.wasm"));
    let page = shown(&host.run(&["add", &text, "--name", "fetch", "--force", "--dry-run"]));
    assert!(page.contains("PROBLEM") && page.contains("pinned"), "{page}");
}

#[test]
fn a_url_is_fetched_by_its_digest() {
    let host = empty();
    let bytes = component("json.wasm");
    let served = bytes.clone();
    let server = Https::start(move |path, to| match path {
        "/dist/json.wasm?v=1" => ok(to, &served),
        "/moved" => {
            write!(to, "HTTP/1.1 302 Found\r\nlocation: dist/json.wasm?v=1\r\ncontent-length: 0\r\n\r\n")
        }
        _ => write!(to, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
    });
    let hex = digest(&bytes).replace("sha256:", "");
    let args = |url: &str| ["add".to_owned(), url.to_owned(), "--sha256".into(), hex.clone(), "--yes".into()];
    let add = |url: &str, more: &[&str]| {
        let args = args(url);
        let args: Vec<_> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        trusting(&host, &server.certificate, &args).output().unwrap()
    };
    let told = as_json(&add(&server.url("/dist/json.wasm?v=1"), &["--json"]));
    assert_eq!((&told["name"], &told["installed"]), (&json!("json"), &json!(true)));
    assert_eq!(fs::read(host.skill("json.wasm")).unwrap(), bytes);
    // The same again changes nothing, wherever it comes from.
    let before = fs::metadata(host.skill("json.wasm")).unwrap().modified().unwrap();
    let told = as_json(&add(&server.url("/moved"), &["--json", "--name", "json"]));
    assert_eq!((&told["same"], &told["installed"]), (&json!(true), &json!(false)));
    assert_eq!(fs::metadata(host.skill("json.wasm")).unwrap().modified().unwrap(), before);
    failed(&add(&server.url("/nowhere.wasm"), &[]), 1, &["404"]);
    assert_eq!(entries(&host), ["json.wasm"]);
    // Without its digest it is not even asked for.
    let asked = server.asked();
    let output =
        trusting(&host, &server.certificate, &["add", &server.url("/moved"), "--yes"]).output().unwrap();
    failed(&output, 2, &["--sha256"]);
    assert_eq!(server.asked(), asked);
}

#[test]
fn another_skill_of_the_name_is_replaced_when_that_is_meant() {
    let host = empty();
    let old = outside(&host, "old.wasm", &component("faulty.wasm"));
    shown(&host.run(&["add", &old, "--name", "it", "--yes"]));
    let mut client = host.stdio();
    eventually(|| client.tools().contains(&"it_echo".to_owned()).then_some(()));
    // A version with another description, and one with other tools.
    let next = outside(&host, "next.wasm", &faulty("v2"));
    let output = host.run(&["add", &next, "--name", "it", "--yes"]);
    failed(&output, 1, &["there is another skill `it`", "--force"]);
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(page.contains(&format!("it replaces {}", digest(&component("faulty.wasm")))), "{page}");
    assert!(page.contains("tools that change: echo") && !page.contains("new tools"), "{page}");
    assert_eq!(fs::read(host.skill("it.wasm")).unwrap(), component("faulty.wasm"));
    let text = outside(&host, "text.wasm", &component("text.wasm"));
    let told = as_json(&host.run(&["add", &text, "--name", "it", "--force", "--yes", "--json"]));
    let replaced = &told["replaces"];
    assert_eq!(replaced["digest"], digest(&component("faulty.wasm")));
    let has = |key: &str, tool: &str| replaced[key].as_array().unwrap().contains(&json!(tool));
    assert!(has("tools_added", "word_count") && has("tools_removed", "echo"), "{told}");
    eventually(|| client.tools().contains(&"it_word_count".to_owned()).then_some(()));
    assert_eq!(entries(&host), ["it.wasm"]);
    assert_eq!(client.call("it_word_count", json!({"text": "a"}))["structuredContent"]["words"], 1);
    // What is there may be no skill at all.
    host.put("it.wasm", b"nonsense");
    let told = as_json(&host.run(&["add", &text, "--name", "it", "--force", "--yes", "--json"]));
    assert!(told["replaces"]["unknown"].as_str().unwrap().contains("not WebAssembly"), "{told}");
}

#[test]
fn nobody_is_asked_where_there_is_no_terminal() {
    let host = empty();
    let file = outside(&host, "text.wasm", &component("text.wasm"));
    failed(&host.run(&["add", &file]), 1, &["no terminal", "--yes"]);
    failed(&host.run(&["add", &file, "--json"]), 2, &["--yes"]);
    assert!(entries(&host).is_empty());
}

/// What somebody says at a terminal of his own.
fn at_a_terminal(host: &Host, args: &[&str], says: &str) -> (Option<i32>, String) {
    let words = |command: &Command| {
        let all = std::iter::once(command.get_program()).chain(command.get_args());
        all.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ")
    };
    let typed = host.root().join("typed");
    let mut script = Command::new("script");
    script.args(["-qec", &words(&host.command(args))]).arg(&typed).env_clear().env("PATH", "/usr/bin:/bin");
    let child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script(1) is there");
    std::io::Write::write_all(&mut child.stdin.as_ref().unwrap(), says.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn somebody_at_a_terminal_is_asked() {
    let host = empty();
    let file = outside(&host, "text.wasm", &component("text.wasm"));
    for no in ["n\n", "\n", "yess\n"] {
        let (code, text) = at_a_terminal(&host, &["add", &file], no);
        assert!(
            code == Some(1) && text.contains("[y/N]") && text.contains("nothing was installed"),
            "{text}"
        );
        assert!(entries(&host).is_empty());
    }
    let (code, text) = at_a_terminal(&host, &["add", &file], "y\n");
    assert!(code == Some(0) && text.contains("installed as"), "{text}");
    assert_eq!(entries(&host), ["text.wasm"]);
    let (code, _) = at_a_terminal(&host, &["remove", "text"], "n\n");
    assert_eq!((code, entries(&host)), (Some(1), vec!["text.wasm".to_owned()]));
    let (code, _) = at_a_terminal(&host, &["remove", "text"], "yes\n");
    assert_eq!((code, entries(&host)), (Some(0), vec![]));
}

#[test]
fn names_and_rights_are_as_they_should_be() {
    let host = empty();
    let bytes = component("text.wasm");
    let file = outside(&host, "my_skill.wasm", &bytes);
    failed(&host.run(&["add", &file, "--yes"]), 1, &["'_'", "--name", "my-skill"]);
    failed(&host.run(&["add", &file, "--yes", "--name", "../x"]), 2, &["'.'"]);
    failed(&host.run(&["add", &file, "--yes", "--name", "saga"]), 2, &["reserved"]);
    // Whatever the umask takes away is away.
    for (umask, mode) in [("022", 0o644), ("077", 0o600)] {
        let command = host.command(&["add", &file, "--yes", "--force", "--name", "a"]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]).arg(command.get_program());
        shell.args(command.get_args()).env_clear().current_dir(host.root());
        shown(&shell.output().unwrap());
        let rights = fs::metadata(host.skill("a.wasm")).unwrap().permissions().mode();
        assert_eq!(rights & 0o7777, mode);
        fs::remove_file(host.skill("a.wasm")).unwrap();
    }
    // A link that leads out of the folder is replaced, and what it leads to stays.
    let target = outside(&host, "theirs", b"theirs");
    symlink(&target, host.skill("b.wasm")).unwrap();
    failed(&host.run(&["add", &file, "--yes", "--name", "b"]), 1, &["another skill", "--force"]);
    shown(&host.run(&["add", &file, "--yes", "--name", "b", "--force"]));
    assert_eq!(fs::read(Path::new(&target)).unwrap(), b"theirs");
    assert_eq!(fs::read(host.skill("b.wasm")).unwrap(), bytes);
    assert!(!fs::symlink_metadata(host.skill("b.wasm")).unwrap().is_symlink());
}
