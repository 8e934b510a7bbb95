use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;
use skillhost_sdk::host::CallError;
use skillhost_sdk::testing::Host;

use super::*;

/// The calls that were made, by tool and arguments.
type Calls = Rc<RefCell<Vec<(&'static str, Value)>>>;

/// The other skills, played. The folder has next.md and next.lock when `full`.
fn skills(full: bool) -> (Host, Calls) {
    let calls = Calls::default();
    let mut host = Host::new();
    let entries = if full { ["/w/manifest.json", "/w/next.lock", "/w/next.md"].as_slice() } else { &[] };
    let entries: Vec<_> = entries.iter().map(|path| json!({"path": path, "kind": "file"})).collect();
    let answers = [
        (
            "files_read",
            json!({"text": "{\"version\": \"1.9.0\", \"name\": \"x\"}", "lines": 1, "more": false, "size": 1}),
        ),
        ("files_list", json!({"entries": entries, "truncated": false})),
        ("json_query", json!({"results": ["1.9.0", {"version": "1.10.0"}], "truncated": false})),
        ("fetch_get", json!({"status": 200, "text": "What is new.\n"})),
        ("files_write", json!({"size": 1})),
        ("files_move", json!("moved")),
        ("files_delete", json!("deleted")),
    ];
    for (name, answer) in answers {
        let calls = Rc::clone(&calls);
        host = host.tool(name, move |arguments| {
            calls.borrow_mut().push((name, serde_json::from_str(arguments.unwrap()).unwrap()));
            Ok(match &answer {
                Value::String(text) => Reply::text(text.as_str()),
                other => Reply::structured(other),
            })
        });
    }
    (host, calls)
}

fn args(more: Value) -> Args {
    let mut arguments = json!({"folder": "/w/", "version": "1.10.0"});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(arguments).unwrap()
}

fn names(calls: &Calls) -> Vec<&'static str> {
    calls.borrow().iter().map(|(name, _)| *name).collect()
}

#[test]
fn a_release_is_a_row_of_calls() {
    let (host, calls) = skills(true);
    let released = host.run(|| run(args(json!({"source_url": "https://a.org/n"})))).unwrap();
    let notes = "/w/releases/1.10.0.md".to_owned();
    assert_eq!(released, Released { before: "1.9.0".into(), version: "1.10.0".into(), notes });
    let expected = [
        ("files_read", json!({"path": "/w/manifest.json", "max_lines": 100_000})),
        ("files_list", json!({"path": "/w", "max_entries": 10_000})),
        (
            "json_query",
            json!({
                "json": [{"version": "1.9.0", "name": "x"}, "1.10.0"],
                "filter": ".[1] as $version | .[0] | .version, (.version = $version)",
            }),
        ),
        ("fetch_get", json!({"url": "https://a.org/n"})),
        (
            "files_write",
            json!({
                "path": "/w/manifest.json",
                "text": "{\"version\":\"1.10.0\"}\n",
                "mode": "overwrite",
                "create_folders": false,
            }),
        ),
        (
            "files_write",
            json!({
                "path": "/w/releases/1.10.0.md",
                "text": "# 1.10.0\n\nAfter 1.9.0.\n\nWhat is new.\n",
                "mode": "create",
                "create_folders": true,
            }),
        ),
        (
            "files_write",
            json!({
                "path": "/w/CHANGELOG.txt",
                "text": "1.10.0 after 1.9.0\n",
                "mode": "append",
                "create_folders": false,
            }),
        ),
        ("files_move", json!({"from": "/w/next.md", "to": "/w/releases/1.10.0-details.md"})),
        ("files_delete", json!({"path": "/w/next.lock"})),
    ];
    assert_eq!(*calls.borrow(), expected);
    let progress = host.progress();
    let told: Vec<_> = progress.iter().map(|step| step.message.clone().unwrap()).collect();
    assert_eq!(told, Step::ALL.map(Step::name));
    assert!(progress.iter().enumerate().all(|(n, step)| step.progress == n as f64 + 1.0));
}

#[test]
fn what_is_not_there_is_left_out() {
    let (host, calls) = skills(false);
    host.run(|| run(args(json!({})))).unwrap();
    let expected = ["files_read", "files_list", "json_query", "files_write", "files_write", "files_write"];
    assert_eq!(names(&calls), expected);
}

#[test]
fn it_stops_where_and_how_it_is_told() {
    for (n, step) in Step::ALL.into_iter().enumerate() {
        let (host, calls) = skills(true);
        let stopped = host.run(|| run(args(json!({"stop_at": step, "source_url": "https://a.org"}))));
        let Err(Failure::Permanent(message)) = stopped else { panic!("{stopped:?}") };
        assert_eq!(message, format!("stopped before the step `{}`, as asked", step.name()));
        assert_eq!(host.progress().len(), n + 1, "the step is announced");
        // Reading takes two calls, the end none.
        assert_eq!(calls.borrow().len(), if n == 0 { 0 } else { n + 1 });
    }
    let how = |how: &str| skills(true).0.run(|| run(args(json!({"stop_at": "end", "stop_how": how}))));
    assert!(matches!(how("transient"), Err(Failure::Transient(_))));
    assert!(matches!(how("conflict"), Err(Failure::Conflict(_))));
    assert!(std::panic::catch_unwind(|| how("trap")).is_err());
}

#[test]
fn a_callees_failure_is_handed_on_and_nothing_more_is_called() {
    let (host, calls) = skills(true);
    let host = host.tool("files_move", |_| Err(CallError::Failed(Failure::conflict("it is there already"))));
    assert_eq!(host.run(|| run(args(json!({})))), Err(Failure::conflict("it is there already")));
    assert_eq!(names(&calls).last(), Some(&"files_write"));
    let host = host.tool("files_read", |_| Err(CallError::Ended("it ran out of time".into())));
    let Err(Failure::Permanent(message)) = host.run(|| run(args(json!({})))) else { panic!("read") };
    assert_eq!(message, "`files_read` was ended: it ran out of time");
}

#[test]
fn nothing_is_changed_for_a_version_that_does_not_fit() {
    for version in ["1.9.0", "1.8.99", "0.10.0", "1.9.0-rc.1"] {
        let (host, calls) = skills(true);
        let refused = host.run(|| run(args(json!({"version": version}))));
        assert!(matches!(refused, Err(Failure::Conflict(_))), "{version}: {refused:?}");
        assert!(!names(&calls).contains(&"files_write"));
    }
    for version in ["", "1", "1.2", "1.2.3.4", "v1.2.3", "1.2.x", "1.2.3-", "1.2.3-a/b", "1.2.3-..", "+1.2.3"]
    {
        let (host, calls) = skills(true);
        let refused = host.run(|| run(args(json!({"version": version}))));
        assert!(matches!(refused, Err(Failure::InvalidInput(_))), "{version}: {refused:?}");
        assert!(names(&calls).is_empty());
    }
}

#[test]
fn a_manifest_must_fit_and_a_page_must_be_there() {
    let refused = |tool: &str, answer: Value| {
        let (host, calls) = skills(true);
        let host = host.tool(tool, move |_| Ok(Reply::structured(&answer)));
        let refused = host.run(|| run(args(json!({"source_url": "https://a.org"}))));
        assert!(!names(&calls).contains(&"files_write"));
        match refused {
            Err(Failure::Permanent(message)) => message,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused("files_read", json!({"text": "{", "more": false})).contains("is not JSON"));
    assert!(refused("files_read", json!({"text": "{}", "more": true})).contains("is too large"));
    assert!(refused("json_query", json!({"results": [null, {}]})).contains("has no version"));
    assert!(refused("fetch_get", json!({"status": 404, "text": ""})).contains("answers 404"));
}

#[test]
fn it_has_nothing_of_its_own_to_take_back() {
    let tool = run::definition();
    let described = tool.describe();
    assert!(described.undoable && described.annotations.destructive == Some(true));
    let arguments = r#"{"folder": "/w", "version": "1.10.0"}"#;
    // Without a host: it asks nobody.
    assert_eq!(tool.undo(&Context::for_tests(), Some(arguments), None, false), Ok(()));
}
