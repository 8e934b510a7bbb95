//! What goes wrong: servers that lie, disks that are full, processes that die. Nothing half is ever there.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use skillhost_e2e::{Host, Syncs, component, eventually, faulty};

use super::{
    digest, entries, failed, outside,
    server::{Https, ok},
    shown, trusting,
};
use crate::empty;

/// Add what this server has, within this time.
fn fetched(host: &Host, server: &Https, within: &str) -> Output {
    let url = server.url("/text.wasm");
    let sha256 = digest(&component("text.wasm"));
    let args = ["add", &url, "--sha256", &sha256, "--yes", "--timeout", within];
    trusting(host, &server.certificate, &args).output().unwrap()
}

fn refused(server: &Https, within: &str, wanted: &[&str]) {
    let host = empty();
    failed(&fetched(&host, server, within), 1, wanted);
    assert!(entries(&host).is_empty());
}

#[test]
fn a_server_that_drips_is_not_waited_for() {
    // A byte at a time, as fast as it goes: more than the bound would take hours.
    let server = Https::start(|_, to| {
        write!(to, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        loop {
            write!(to, "1\r\nx\r\n").and_then(|()| to.flush())?;
        }
    });
    refused(&server, "500ms", &["longer than 500ms", "--timeout"]);
}

#[test]
fn a_server_that_lies_about_the_length_is_found_out() {
    // Less than it says, more, and nothing of it.
    let server = Https::start(|_, to| {
        write!(to, "HTTP/1.1 200 OK\r\ncontent-length: 300799\r\nconnection: close\r\n\r\n")?;
        to.write_all(&component("text.wasm")[..1_000])
    });
    refused(&server, "1m", &["broke off after 1000 bytes"]);
    let server = Https::start(|_, to| {
        write!(to, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n")?;
        to.write_all(&component("text.wasm"))
    });
    refused(&server, "1m", &["not the component that was asked for"]);
    let server = Https::start(|_, to| write!(to, "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"));
    refused(&server, "1m", &["64 MiB"]);
}

#[test]
fn a_server_that_sends_without_end_is_cut_off() {
    let server = Https::start(|_, to| {
        write!(to, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let chunk = vec![b'x'; 1 << 20];
        loop {
            write!(to, "{:x}\r\n", chunk.len())?;
            to.write_all(&chunk)?;
            write!(to, "\r\n")?;
        }
    });
    refused(&server, "2m", &["64 MiB"]);
}

#[test]
fn redirects_lead_to_https_and_end() {
    for to in ["http://127.0.0.1:9/text.wasm", "file:///etc/passwd", "https://user@127.0.0.1/x"] {
        let server = Https::start(move |_, out| {
            write!(
                out,
                "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        });
        refused(&server, "1m", &["not https", to]);
        assert_eq!(server.asked(), 1);
    }
    let server = Https::start(|_, to| {
        write!(
            to,
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: /again\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    });
    refused(&server, "1m", &["more than 4 redirects"]);
    assert_eq!(server.asked(), 5);
}

#[test]
fn a_server_must_prove_who_it_is() {
    let answer = |_: &str, to: &mut dyn std::io::Write| ok(to, &component("text.wasm"));
    let (server, other) = (Https::start(answer), Https::named("other.example", answer));
    refused(&other, "1m", &["certificate", "SSL_CERT_FILE"]);
    let host = empty();
    let args = ["add", &server.url("/text.wasm"), "--sha256", &digest(&component("text.wasm")), "--yes"];
    let output = trusting(&host, &other.certificate, &args).output().unwrap();
    failed(&output, 1, &["certificate"]);
    assert_eq!((server.asked(), other.asked()), (0, 0));
    // And one that everything is well with.
    shown(&fetched(&host, &server, "1m"));
    assert_eq!(entries(&host), ["text.wasm"]);
}

#[test]
fn plain_http_and_strange_schemes_are_refused() {
    let host = empty();
    for url in ["http://127.0.0.1:9/a.wasm", "ftp://a.example/a.wasm", "https://a:b@a.example/a.wasm"] {
        let output = host.run(&["add", url, "--sha256", &digest(b""), "--yes"]);
        failed(&output, 1, &["hint: fetch it yourself"]);
    }
}

#[test]
fn what_is_no_skill_is_refused_with_the_reason() {
    let host = empty();
    for (name, bytes, why) in [
        ("nonsense", b"nonsense".to_vec(), "not WebAssembly"),
        ("empty", vec![], "empty"),
        ("module", wat::parse_str("(module)").unwrap(), "core WebAssembly module"),
        ("component", wat::parse_str("(component)").unwrap(), "exports no function"),
        ("bad", faulty("bad-schema"), "schema"),
    ] {
        let file = outside(&host, &format!("{name}.wasm"), &bytes);
        failed(&host.run(&["add", &file, "--yes"]), 1, &["not a skill", why]);
    }
    let file = outside(&host, "text.wasm", &component("text.wasm"));
    let (wanted, found) = (digest(b"another"), digest(&component("text.wasm")));
    failed(&host.run(&["add", &file, "--yes", "--sha256", &wanted]), 1, &[&wanted, &found]);
    failed(&host.run(&["add", "/nowhere/a.wasm", "--yes"]), 1, &["/nowhere/a.wasm"]);
    failed(&host.run(&["add", "/dev/zero", "--yes", "--name", "a"]), 1, &["not a regular file"]);
    assert!(entries(&host).is_empty());
    fs::create_dir(host.skill("text.wasm")).unwrap();
    failed(&host.run(&["add", &file, "--yes", "--force"]), 1, &["not a regular file", "--name"]);
    fs::remove_dir(host.skill("text.wasm")).unwrap();
    fs::remove_dir(host.skill("")).unwrap();
    failed(&host.run(&["add", &file, "--yes"]), 1, &["cannot be read", "--skills"]);
}

/// `skillhost add` of `text`, where files may have 64 KiB at most. `signal` is what the shell does about the signal for that.
fn within_64_kib(host: &Host, signal: &str) -> Output {
    let file = outside(host, "text.wasm", &component("text.wasm"));
    let command = host.command(&["add", &file, "--yes", "--force"]);
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("{signal} ulimit -c 0; ulimit -f 64; exec \"$@\""), "bash"]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear().current_dir(host.root());
    shell.stdin(Stdio::null()).output().unwrap()
}

/// Compiled before, so that nothing else is written.
fn compiled(host: &Host) {
    let file = outside(host, "text.wasm", &component("text.wasm"));
    shown(&host.run(&["add", &file, "--dry-run"]));
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let host = empty();
    compiled(&host);
    host.put("text.wasm", b"before");
    failed(&within_64_kib(&host, "trap '' XFSZ;"), 1, &["cannot be written", "make room"]);
    assert_eq!(entries(&host), ["text.wasm"]);
    assert_eq!(fs::read(host.skill("text.wasm")).unwrap(), b"before");
}

#[test]
fn a_process_that_dies_while_it_writes_leaves_no_half_skill() {
    let host = empty();
    compiled(&host);
    let mut client = host.stdio();
    // Killed in the middle of a write: nothing of it runs any more.
    let output = within_64_kib(&host, "");
    assert_eq!(output.status.code(), None, "{output:?}");
    let left = entries(&host);
    let [left] = &left[..] else { panic!("one half of a file: {left:?}") };
    assert!(left.starts_with(".text.") && left.ends_with(".skillhost-part"), "{left}");
    assert_eq!(fs::metadata(host.skill(left)).unwrap().len(), 64 << 10);
    assert!(host.json(&["list", "--json"])["skills"].as_array().unwrap().is_empty());
    // The next one finds it and takes it away.
    let file = outside(&host, "text.wasm", &component("text.wasm"));
    shown(&host.run(&["add", &file, "--yes"]));
    assert_eq!(entries(&host), ["text.wasm"]);
    eventually(|| client.tools().contains(&"text_word_count".to_owned()).then_some(()));
    assert!(client.logs().iter().all(|line| line["level"] != "ERROR"));
}

#[test]
fn whoever_is_killed_while_fetching_leaves_nothing() {
    for signal in ["KILL", "INT", "TERM"] {
        let host = empty();
        let server = Https::start(|_, to| {
            write!(to, "HTTP/1.1 200 OK\r\ncontent-length: 300799\r\n\r\n")?;
            to.write_all(&component("text.wasm")[..200_000]).and_then(|()| to.flush())?;
            // Until the test is over.
            loop {
                std::thread::park();
            }
        });
        let (url, sha256) = (server.url("/text.wasm"), digest(&component("text.wasm")));
        let args = ["add", &url, "--sha256", &sha256, "--yes"];
        let mut command = trusting(&host, &server.certificate, &args);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually(|| (server.asked() == 1).then_some(()));
        let killed = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(killed.unwrap().success());
        let output = child.wait_with_output().unwrap();
        match signal {
            "KILL" => assert_eq!(output.status.code(), None),
            _ => failed(&output, 130, &["interrupted: nothing was installed"]),
        }
        assert!(entries(&host).is_empty());
    }
}

/// The component and the folder's entry, both; and a dry run, that writes nothing, as the negative control.
#[test]
fn what_is_installed_has_reached_the_disk() {
    let host = empty();
    compiled(&host);
    let file = outside(&host, "text.wasm", &component("text.wasm"));
    let syncs = |args: &[&str]| {
        let syncs = Syncs::new(host.root());
        let before = syncs.count();
        shown(&syncs.of(&mut host.command(args)).output().unwrap());
        syncs.count() - before
    };
    assert_eq!(syncs(&["add", &file, "--dry-run"]), 0);
    assert_eq!(syncs(&["add", &file, "--yes"]), 2);
    assert_eq!(syncs(&["remove", "text", "--yes"]), 1);
}

#[test]
fn a_running_host_sees_the_old_or_the_new_and_nothing_between() {
    let host = empty();
    let (one, two) = (component("faulty.wasm"), faulty("v2"));
    let (first, second) = (outside(&host, "one.wasm", &one), outside(&host, "two.wasm", &two));
    let add = |file: &str| shown(&host.run(&["add", file, "--name", "it", "--yes", "--force"]));
    add(&first);
    let mut client = host.stdio();
    eventually(|| client.tools().contains(&"it_echo".to_owned()).then_some(()));
    for file in [&second, &first, &second] {
        let call = client.begin_call("it_echo", json!({"n": 1}));
        add(file);
        assert_ne!(client.wait(call)["result"]["isError"], true);
        assert!(client.tools().contains(&"it_echo".to_owned()));
    }
    let (code, log) = client.close();
    assert_eq!(code, Some(0));
    // That a tool has changed is told.
    let well = |line: &Value| match line["level"].as_str() {
        Some("WARN") => line["message"].as_str().unwrap().contains("changed with a reload"),
        level => level != Some("ERROR"),
    };
    let ill: Vec<_> = log.iter().filter(|line| !well(line)).collect();
    assert!(ill.is_empty(), "{ill:?}");
}
