//! The sample skills with effects, through the real binary.

use std::fs;

use serde_json::{Value, json};
use skillhost_e2e::{Host, Web, component, response};

fn host(skill: &str, grants: &str) -> Host {
    let host = crate::empty().config(&format!("[skills.{skill}.grants]\n{grants}"));
    host.put(&format!("{skill}.wasm"), &component(&format!("{skill}.wasm")));
    host
}

fn with_folder(access: &str) -> Host {
    let host = host("files", "");
    let folder = host.root().join("granted");
    fs::create_dir(&folder).unwrap();
    host.config(&format!("files = [{{ host = {folder:?}, guest = \"/data\", access = \"{access}\" }}]"))
}

#[test]
fn files_are_written_found_moved_and_deleted() {
    let host = with_folder("rw");
    let mut client = host.stdio();
    let mut ok = |tool: &str, arguments: Value| {
        let result = client.call(&format!("files_{tool}"), arguments);
        assert_eq!(result["isError"], false, "{result}");
        result["structuredContent"].clone()
    };
    ok("write", json!({"path": "/data/sub/a.txt", "text": "one\ntwo\n", "create_folders": true}));
    assert_eq!(fs::read_to_string(host.root().join("granted/sub/a.txt")).unwrap(), "one\ntwo\n");
    let read = ok("read", json!({"path": "sub/a.txt", "first_line": 2}));
    assert_eq!((&read["text"], &read["more"]), (&json!("two\n"), &json!(false)));
    let found = ok("search", json!({"path": "/data", "pattern": "^t"}));
    assert_eq!(found["matches"], json!([{"path": "/data/sub/a.txt", "line": 2, "text": "two"}]));
    ok("move", json!({"from": "sub/a.txt", "to": "b.txt"}));
    let list = ok("list", json!({"path": "/data", "depth": 2}));
    let names: Vec<_> =
        list["entries"].as_array().unwrap().iter().map(|entry| entry["path"].clone()).collect();
    assert_eq!(names, ["/data/b.txt", "/data/sub"]);
    assert!(list["entries"][0]["modified"].as_u64().unwrap() > 1_700_000_000);
    ok("delete", json!({"path": "sub"}));
    ok("delete", json!({"path": "b.txt"}));
    assert_eq!(fs::read_dir(host.root().join("granted")).unwrap().count(), 0);
}

#[test]
fn what_files_may_not_do_is_told_in_words() {
    let host = with_folder("ro");
    fs::write(host.root().join("granted/a.txt"), "a").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", host.root().join("granted/link")).unwrap();
    let mut client = host.stdio();
    let mut fails = |tool: &str, arguments: Value| client.call_fails(&format!("files_{tool}"), arguments);
    assert!(fails("write", json!({"path": "b.txt", "text": "x"})).contains("granted for reading only"));
    assert!(
        fails("write", json!({"path": "a.txt", "text": "x", "mode": "append"}))
            .contains("granted for reading only")
    );
    assert!(fails("delete", json!({"path": "a.txt"})).contains("granted for reading only"));
    assert!(fails("read", json!({"path": "missing"})).contains("is not there"));
    assert!(fails("read", json!({"path": "../../etc/passwd"})).contains("in no granted folder"));
    assert!(fails("read", json!({"path": "link"})).contains("leads out of it"));
    let mut client = crate::empty().stdio();
    client.close();
    client = self::host("files", "").stdio();
    let failure = client.call_fails("files_list", json!({}));
    assert!(failure.contains("[skills.files.grants]"), "{failure}");
}

#[test]
fn pages_are_fetched_and_redirects_are_judged_anew() {
    let inside = Web::start(|_| response("200 OK", &[], b"inside"));
    let inside_port = inside.address().port();
    let web = Web::start(move |asked| match asked.line.split(' ').nth(1) {
        Some("/page") => response(
            "200 OK",
            &["content-type: text/html; charset=utf-8"],
            b"<h1>Head</h1><a href='/x'>link</a>",
        ),
        Some("/there") => response("302 Found", &["location: /page"], b""),
        Some("/trap") => {
            let to = format!("location: http://127.0.0.1:{inside_port}/");
            response("302 Found", &[&to], b"")
        }
        Some("/echo") => {
            let text = [asked.line.as_bytes(), b" ", &asked.body].concat();
            response("201 Created", &["content-type: text/plain"], &text)
        }
        _ => response("404 Not Found", &["content-type: application/json"], b"{\"error\": 1}"),
    });
    let at = web.address();
    let host = host("fetch", &format!("http = [{{ host = \"{at}\", methods = [\"GET\", \"POST\"] }}]"));
    let mut client = host.stdio();
    let mut get = |path: &str| client.call("fetch_get", json!({"url": format!("http://{at}{path}")}));
    let page = get("/there")["structuredContent"].take();
    assert_eq!(page["text"], format!("# Head\n\n[link](http://{at}/x)"));
    assert_eq!(page["url"], format!("http://{at}/page"));
    assert_eq!(get("/nothing")["structuredContent"]["status"], 404);
    let trapped = get("/trap");
    assert!(trapped.to_string().contains("not granted to this skill"), "{trapped}");
    assert_eq!(inside.connections(), 0);
    let posted = client.call("fetch_post", json!({"url": format!("http://{at}/echo"), "json": {"a": 1}}));
    assert_eq!(posted["structuredContent"]["text"], "POST /echo HTTP/1.1 {\"a\":1}", "{posted}");
    let dead = client.call_fails("fetch_get", json!({"url": "http://192.0.2.1/"}));
    assert!(dead.contains("not granted to this skill"), "{dead}");
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut client = host("fetch", &format!("http = [{{ host = \"{at}\" }}]")).stdio();
    let url = format!("http://{at}/");
    let failure = client.call_fails("fetch_get", json!({"url": url, "timeout_ms": 50}));
    assert!(failure.contains("took too long") && failure.contains("[transient]"), "{failure}");
    drop(listener);
    let failure = client.call_fails("fetch_get", json!({"url": url}));
    assert!(failure.contains("refused") || failure.contains("ended early"), "{failure}");
}

#[test]
fn notes_are_the_skills_own() {
    let mut client = host("notes", "keyvalue = true").own_data().stdio();
    client.call("notes_put", json!({"name": "a", "text": "Milk and bread", "tags": ["shop"]}));
    let found = client.call("notes_search", json!({"words": "bread SHOP"}));
    assert_eq!(found["structuredContent"]["notes"][0]["name"], "a", "{found}");
    assert!(client.call_fails("notes_get", json!({"name": "b"})).contains("there is no note `b`"));
    client.call("notes_delete", json!({"name": "a"}));
    assert_eq!(client.call("notes_list", json!({}))["structuredContent"]["names"], json!([]));
}
