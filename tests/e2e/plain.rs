//! Components that know nothing of skillhost: what they export are tools.

use std::fs;

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, component, eventually};

use crate::{
    empty,
    mutated::strange::{exports, interface, nested},
    sagas::{begin, rolled_back, step},
};

/// A host with the shop, whose folder is `shop`.
fn shop(config: &str) -> Host {
    let host = empty().own_data();
    let folder = host.root().join("shop");
    fs::create_dir(&folder).unwrap();
    let host = host.config(&format!(
        "[skills.plain.grants]\nfiles = [{{ host = {folder:?}, guest = \"/shop\", access = \"rw\" }}]\n{config}"
    ));
    host.put("plain.wasm", &component("plain.wasm"));
    host
}

fn tools(client: &mut Client) -> Vec<Value> {
    client.request("tools/list", json!({}))["result"]["tools"].as_array().unwrap().clone()
}

fn item() -> Value {
    json!({
        "name": "Käse 🧀", "price": 5, "storage": "fridge", "marks": ["fragile", "new"],
        "origin": {"tag": "country", "val": "Norge"}, "picture": "AAEC/w==", "parents": [1, null],
    })
}

#[test]
fn functions_are_tools_with_exact_schemas() {
    let host = shop("");
    let mut client = host.stdio();
    let tools = tools(&mut client);
    let mut names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    names.retain(|name| name.starts_with("plain_"));
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "plain_acme_greet_greeter_greet_v1_0_0",
            "plain_acme_greet_greeter_greet_v2_0_0",
            "plain_add",
            "plain_divide",
            "plain_echo",
            "plain_nothing",
            "plain_panic",
            "plain_remove",
            "plain_stock",
            "plain_text_length",
        ]
    );
    let find = |name: &str| tools.iter().find(|tool| tool["name"] == name).unwrap();
    assert_eq!(
        find("plain_text_length")["inputSchema"],
        json!({
            "type": "object", "additionalProperties": false, "required": ["text"],
            "properties": {"text": {"type": "string"}, "unit": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        })
    );
    let output = &find("plain_text_length")["outputSchema"]["properties"]["result"];
    assert_eq!(output, &json!({"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32}));
    let told = host.json(&["inspect", "plain", "--json"]);
    let refused = told["no_tools"].to_string();
    assert!(refused.contains("catalog@1.2.0#count") && refused.contains("resource"), "{told}");
    let page = String::from_utf8(host.run(&["inspect", "plain"]).stdout).unwrap();
    assert!(page.contains("[method]counter.next"), "{page}");
}

/// What becomes of a component, by the name of a skill: the names of its tools, and why what is none is none.
fn became(host: &Host, text: &str) -> (Vec<String>, String) {
    host.put("odd.wasm", &wat::parse_str(text).unwrap());
    let told = host.json(&["inspect", "odd", "--json"]);
    let names = told["tools"].as_array().unwrap().iter();
    let names = names.map(|tool| tool["name"].as_str().unwrap().trim_start_matches("odd_").to_owned());
    (names.collect(), told["no_tools"].to_string())
}

#[test]
fn what_cannot_be_a_tool_is_told_and_the_others_serve() {
    let host = empty().own_data().config("");
    // One whose types nest too deep, beside one that takes nothing.
    let deep = nested(70, |t| format!("(list {t})")).replace("(param i32)", "(param i32 i32)").replace(
        "(export \"f\" (func $f))",
        "(export \"f\" (func $f)) (func $g (canon lift (core func $i \"g\"))) (export \"good\" (func $g))",
    );
    let deep = deep
        .replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 1) (func (export \"g\"))");
    for (what, text, serve, why) in [
        ("too long a name", exports([&*"x".repeat(61), "good"], &[]), &["good"][..], "at most 64"),
        ("a name of an interface", exports(["a:b/c@0.1.0", "good"], &[]), &["good"], "holds ':'"),
        ("types that nest too deep", deep, &["good"], "nest"),
        (
            "two names alike, whatever is said before them",
            exports(["good"], &[("a:b/c@1.0.0-rc.1", &["d"]), ("a:b/c@1.0.0-rc-1", &["d"])]),
            &["good"],
            "another function would be the tool",
        ),
        ("no command", exports(["good"], &[("wasi:cli/run@0.2.0", &["run"])]), &["good"], "wasi:cli/run`: "),
        ("half a command", exports(["good"], &[("wasi:cli/run@0.2.0", &["walk"])]), &["good"], "of WASI 0.2"),
        (
            "no handler",
            exports(["good"], &[("wasi:http/incoming-handler@0.2.0", &["handle"])]),
            &["good"],
            "incoming-handler`: ",
        ),
    ] {
        let (names, refused) = became(&host, &text);
        assert_eq!(names, serve, "{what}: {refused}");
        assert!(refused.contains(why), "{what}: {refused}");
    }
}

#[test]
fn a_component_of_which_nothing_can_be_a_tool_is_refused() {
    let host = empty().own_data().config("");
    for (text, why) in [
        (interface("wasi:cli/run@0.2.0", &["run"]), "`wasi:cli/run`: "),
        (interface("wasi:cli/run@0.2.0", &["walk"]), "`wasi:cli/run@0.2.0`: it is not that of WASI 0.2"),
        (interface("wasi:http/incoming-handler@0.2.0", &["handle"]), "`wasi:http/incoming-handler`: "),
        (exports(["x".repeat(61)], &[]), "at most 64"),
    ] {
        host.put("odd.wasm", &wat::parse_str(&text).unwrap());
        let run = host.run(&["inspect", "odd"]);
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(!run.status.success() && said.contains("nothing that it exports can be a tool"), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_command_displaces_no_function_of_its_name() {
    let text = exports(["run", "wasi-run"], &[("wasi:cli/run@0.2.0", &["run"])])
        .replace("(func (export \"f\") ", "(func (export \"f\") (result i32) ")
        .replace("(func $f ", "(func $f (result (result)) ");
    let (names, refused) = became(&empty().own_data().config(""), &text);
    assert_eq!(names, ["run", "wasi_run", "wasi_wasi_run"]);
    assert_eq!(refused, "[]");
}

#[test]
fn values_come_back_as_they_went() {
    let mut client = shop("").stdio();
    let echoed = |client: &mut Client, item: &Value| {
        client.call("plain_echo", json!({"item": item}))["structuredContent"].take()
    };
    assert_eq!(echoed(&mut client, &item()), item());
    let mut other = item();
    // Beyond what a double tells apart.
    other["price"] = json!("18446744073709551615");
    other["origin"] = json!({"tag": "at", "val": [0.1, -1e300]});
    other["marks"] = json!([]);
    other.as_object_mut().unwrap().remove("picture");
    assert_eq!(echoed(&mut client, &other), other);
    // As digits, or as a number that JSON can hold.
    other["price"] = json!(u64::MAX);
    assert_eq!(echoed(&mut client, &other)["price"], "18446744073709551615");
    for (member, value) in [
        ("price", json!(-1)),
        ("price", json!("18446744073709551616")),
        ("price", json!("01")),
        ("storage", json!("oven")),
        ("marks", json!(["old"])),
        ("origin", json!({"tag": "country"})),
        ("origin", json!({"tag": "unknown", "val": 1})),
        ("picture", json!("no base64!")),
        ("parents", json!([4_294_967_296_u64])),
        ("name", json!(null)),
        ("more", json!(1)),
    ] {
        let mut wrong = item();
        wrong[member] = value;
        let failure = client.call_fails("plain_echo", json!({"item": wrong}));
        assert!(failure.contains("[invalid-input]"), "{member}: {failure}");
    }
}

#[test]
fn an_error_is_a_failed_call() {
    let mut client = shop("").stdio();
    assert_eq!(client.call("plain_nothing", json!({}))["isError"], false);
    assert_eq!(
        client.call("plain_acme_greet_greeter_greet_v1_0_0", json!({"name": "Ann"}))["structuredContent"],
        json!({"result": "Hello, Ann!"})
    );
    let second = "plain_acme_greet_greeter_greet_v2_0_0";
    assert_eq!(
        client.call(second, json!({"names": ["Ann", "Bob"]}))["content"][0]["text"],
        "Hello, Ann and Bob!"
    );
    let says_no = |client: &mut Client, tool: &str, arguments: Value| {
        let result = client.call(tool, arguments);
        assert_eq!(
            (&result["isError"], &result["structuredContent"]),
            (&json!(true), &Value::Null),
            "{result}"
        );
        result["content"][0]["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(says_no(&mut client, second, json!({"names": []})), "it failed, and does not say why");
    assert_eq!(
        client.call("plain_add", json!({"name": "a", "price": 1}))["structuredContent"],
        json!({"id": 1, "name": "a"})
    );
    // Nothing is said of what it did before: nobody knows.
    assert_eq!(
        says_no(&mut client, "plain_add", json!({"name": "b", "price": 1})),
        r#"{"tag":"taken","val":"b"}"#
    );
    let failure = client.call_fails("plain_divide", json!({"by": 0.0}));
    assert!(failure.contains("[invalid-output]") && failure.contains("inf"), "{failure}");
    let failure = client.call_fails("plain_panic", json!({"why": "ß"}));
    assert!(failure.contains("[trap]") && failure.contains("because of ß"), "{failure}");
}

#[test]
fn what_undoes_what_is_the_operators_to_say() {
    let host = shop("[skills.plain.tools.add]\nundone_by = \"remove\"");
    let mut client = host.stdio();
    let listed = tools(&mut client);
    let add = listed.iter().find(|tool| tool["name"] == "plain_add").unwrap();
    assert_eq!(add["_meta"]["skillhost/undoable"], true, "{add}");
    let added = client.call("plain_add", json!({"name": "abc", "price": 1}));
    let stock =
        |client: &mut Client| client.call("plain_stock", json!({}))["structuredContent"]["result"].take();
    assert_eq!(stock(&mut client), json!(["3"]));
    client.call("undo_call", json!({"id": added["_meta"]["skillhost/call_id"]}));
    assert_eq!(stock(&mut client), json!([]));
    // What said "no" left nothing; by its arguments another call's work would be taken back.
    client.call("plain_add", json!({"name": "abc", "price": 1}));
    let no = client.call("plain_add", json!({"name": "abc", "price": 1}));
    assert_eq!(no["isError"], true, "{no}");
    client.call("undo_call", json!({"id": no["_meta"]["skillhost/call_id"]}));
    assert_eq!(stock(&mut client), json!(["3"]));
    client.call("plain_remove", json!({"id": 3}));
    let saga = begin(&mut client, json!({}));
    for name in ["a", "bc"] {
        step(&mut client, &saga, "plain_add", json!({"name": name, "price": 1}));
    }
    assert_eq!(stock(&mut client).as_array().unwrap().len(), 2);
    rolled_back(&mut client, &saga);
    assert_eq!(stock(&mut client), json!([]));
    // Undone by hand meanwhile: that it cannot be undone is told.
    let added = client.call("plain_add", json!({"name": "abc", "price": 1}));
    client.call("plain_remove", json!({"id": 3}));
    let told = client.call("undo_call", json!({"id": added["_meta"]["skillhost/call_id"]}));
    assert!(told.to_string().contains("stuck"), "{told}");
    for (config, why) in
        [("undone_by = \"gone\"", "does not export"), ("undone_by = \"text_length\"", "called `text`")]
    {
        let host = shop(&format!("[skills.plain.tools.add]\n{config}"));
        let (state, reason) = host.state("plain");
        assert!(state == "failed" && reason.contains(why), "{reason}");
    }
}

#[test]
fn a_plain_component_goes_through_the_whole_pipeline() {
    let host = shop(
        "[skills.plain.tools.text_length]\nread_only = true\ncache = { ttl = \"1h\" }\n\
         [skills.plain.tools.stock]\nrate_limit = { max = 1, per_second = 0.001 }\n[skills.plain.tools.panic]\ndelivery = \"durable\"",
    );
    let mut client = host.stdio();
    for cached in [false, true] {
        let result = client.call("plain_text_length", json!({"text": "ä", "unit": "bytes"}));
        assert_eq!(result["structuredContent"], json!({"result": 2}));
        assert_eq!(result["_meta"]["skillhost/cache"].is_object(), cached, "{result}");
    }
    client.call("plain_stock", json!({}));
    assert!(client.call_fails("plain_stock", json!({})).contains("[rate-limited]"));
    client.call_fails("plain_panic", json!({"why": "!"}));
    let letters = eventually(|| {
        let letters = host.json(&["dlq", "list", "--json"])["letters"].take();
        letters.as_array().is_some_and(|letters| letters.len() == 1).then_some(letters)
    });
    assert_eq!(letters[0]["tool"], "plain_panic", "{letters}");
}

#[test]
fn a_handler_of_requests_is_a_tool() {
    let host = empty().config("[skills.handler]\nresult = \"64 KiB\"");
    host.put("handler.wasm", &component("handler.wasm"));
    let mut client = host.stdio();
    let request =
        json!({"method": "PUT", "path": "/a?b=c", "headers": {"content-type": "text/plain"}, "body": "said"});
    let result = client.call("handler_request", request);
    let response = &result["structuredContent"];
    assert_eq!(
        (&response["status"], &response["headers"]["x-path"]),
        (&json!(200), &json!("/a?b=c")),
        "{result}"
    );
    assert_eq!(response["body"], "Method::Put said");
    let binary = client.call("handler_request", json!({"body_base64": "/w=="}));
    assert_eq!(binary["structuredContent"]["body_base64"], "TWV0aG9kOjpHZXQg/w==");
    assert_eq!(client.call("handler_request", json!({"path": "/missing"}))["isError"], true);
    let cookies =
        client.call("handler_request", json!({"path": "/cookies", "headers": {"accept": ["a/b", "c/d"]}}));
    assert_eq!(cookies["structuredContent"]["headers"]["set-cookie"], json!(["a=1", "b=2"]), "{cookies}");
    for (request, why) in [
        (json!({"path": "/silent"}), "no response"),
        (json!({"path": "/panic"}), "[trap]"),
        (json!({"path": "/unfinished"}), "before its response's body was finished"),
        (json!({"path": "/flood", "body": "x".repeat(100)}), "cannot be read"),
        (json!({"path": "/ no"}), "- /path: "),
        (json!({"headers": {"a b": "c"}}), "it is no request"),
        (json!({"body": "a", "body_base64": "YQ=="}), "body_base64"),
        (json!({"path": "relative"}), "[invalid-input]"),
    ] {
        let failure = client.call_fails("handler_request", request.clone());
        assert!(failure.contains(why), "{request}: {failure}");
    }
}

/// A command that writes its first argument, and fails when there is a second.
const COMMAND: &str = r#"(component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $err))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $out (sub resource)))
    (alias outer 1 $err (type $e1))
    (export "error" (type $e2 (eq $e1)))
    (type $failed (variant (case "last-operation-failed" (own $e2)) (case "closed")))
    (export "stream-error" (type $failed2 (eq $failed)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $failed2)))))))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output (type $o1))
    (export "output-stream" (type $o2 (eq $o1)))
    (export "get-stdout" (func (result (own $o2))))))
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-arguments" (func (result (list string))))))
  (core module $memory
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $m (instantiate $memory))
  (core func $get (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $m "memory"))))
  (core func $args (canon lower (func $environment "get-arguments")
    (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core module $main
    (import "e" "memory" (memory 1))
    (import "e" "get" (func $get (result i32)))
    (import "e" "write" (func $write (param i32 i32 i32 i32)))
    (import "e" "args" (func $args (param i32)))
    (func (export "run") (result i32)
      (local $list i32)
      (call $args (i32.const 8))
      (local.set $list (i32.load (i32.const 8)))
      (call $write (call $get)
        (i32.load offset=8 (local.get $list)) (i32.load offset=12 (local.get $list)) (i32.const 32))
      (i32.gt_u (i32.load (i32.const 12)) (i32.const 2))))
  (core instance $i (instantiate $main (with "e" (instance
    (export "memory" (memory $m "memory"))
    (export "get" (func $get)) (export "write" (func $write)) (export "args" (func $args))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.6" (instance $exported)))"#;

#[test]
fn a_command_is_a_tool() {
    let host = empty().config("[skills.say]\nresult = \"1 KiB\"");
    host.put("say.wasm", &wat::parse_str(COMMAND).unwrap());
    let mut client = host.stdio();
    let result = client.call("say_run", json!({"args": ["häh?"], "stdin": "unread"}));
    assert_eq!(result["structuredContent"], json!({"exit_code": 0, "stdout": "häh?"}), "{result}");
    let result = client.call("say_run", json!({"args": ["a", "b"]}));
    assert_eq!(
        (&result["isError"], &result["structuredContent"]["exit_code"]),
        (&json!(true), &json!(1)),
        "{result}"
    );
    let whole = client.call("say_run", json!({"args": ["x".repeat(1_024)]}));
    assert_eq!(whole["structuredContent"]["stdout"].as_str().map(str::len), Some(1_024), "{whole}");
    for much in [1_025, 2_000] {
        let failure = client.call_fails("say_run", json!({"args": ["x".repeat(much)]}));
        assert!(failure.contains("more than 1024 bytes"), "{failure}");
    }
    // Not there: it reads where nothing is, and traps.
    assert!(client.call_fails("say_run", json!({})).contains("[trap]"));
}
