//! `search_tools`: what is found, by whom, and that nobody steps into its place.

use serde_json::{Value, json};
use skillhost_e2e::{Host, Speaks, component, eventually, faulty, patched};

use crate::{
    auth::{caller, guarded, token},
    empty, samples,
};

const ALWAYS: &str = "[tools]\nsearch = true\n";
const TOOL: &str = "search_tools";

fn found(client: &mut dyn Speaks, arguments: Value) -> (Vec<String>, Value) {
    let result = client.tool(TOOL, arguments);
    assert_ne!(result["isError"], true, "{result}");
    let told = result["structuredContent"].clone();
    let names = told["tools"].as_array().unwrap_or_else(|| panic!("{result}")).iter();
    let names: Vec<_> = names.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(result["content"].as_array().unwrap().len(), 1, "told as text as well: {result}");
    (names, told)
}

/// The skills `text` and `json`, and a tool to search them.
fn few() -> Host {
    let host = empty().config(ALWAYS);
    for name in ["text.wasm", "json.wasm"] {
        host.put(name, &component(name));
    }
    host
}

#[test]
fn tools_are_found_in_both_eras_with_as_much_as_is_wanted() {
    let host = few();
    let (mut older, mut newer) = (host.stdio(), host.modern());
    let clients: [&mut dyn Speaks; 2] = [&mut older, &mut newer];
    for client in clients {
        let list = client.ask("tools/list", json!({}));
        let listed =
            |name: &str| list["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).cloned();
        let own = listed(TOOL).expect("it is there");
        assert_eq!(
            (&own["annotations"]["readOnlyHint"], own["outputSchema"].is_object()),
            (&json!(true), true)
        );
        // By its name, by what it does, by a parameter, with a slip.
        for query in ["text_word_count", "count words", "wrod_count"] {
            assert_eq!(found(client, json!({"query": query})).0[0], "text_word_count", "{query}");
        }
        let (names, told) = found(client, json!({"query": "query JSON", "detail": "name", "limit": 1}));
        assert_eq!(
            (&*names[0], names.len(), told["tools"][0].as_object().unwrap().len()),
            ("json_query", 1, 1)
        );
        assert!(told["total"].as_u64().unwrap() > 1);
        let (_, told) = found(client, json!({"query": "diff"}));
        let first = &told["tools"][0];
        assert_eq!((&first["name"], &first["skill"]), (&json!("text_diff"), &json!("text")));
        assert!(
            first["inputSchema"].is_null() && first["description"].as_str().unwrap().chars().count() <= 301
        );
        // What a call needs is what the list has.
        let (_, told) = found(client, json!({"query": "diff", "detail": "schema", "limit": 1}));
        let listed = listed("text_diff").unwrap();
        for key in ["inputSchema", "outputSchema", "description", "annotations"] {
            assert_eq!(told["tools"][0][key], listed[key], "{key}");
        }
        assert_eq!(told["tools"][0]["undoable"], false);
        // The host's own are there, and all of a skill.
        assert!(found(client, json!({"query": "roll a saga back"})).0[0].starts_with("saga_rollback"));
        let (names, _) = found(client, json!({"query": "", "skill": "json"}));
        assert_eq!(names, ["json_query", "json_validate"]);
        let (names, told) = found(client, json!({"query": "quantum entanglement"}));
        assert_eq!((names.len(), &told["total"]), (0, &json!(0)));
        for wrong in [
            json!({}),
            json!({"query": 1}),
            json!({"query": "a", "limit": 51}),
            json!({"query": "a", "detail": "all"}),
        ] {
            assert_eq!(client.tool(TOOL, wrong.clone())["isError"], true, "{wrong}");
        }
    }
}

#[test]
fn what_is_found_is_what_there_is_now() {
    let host = few();
    let mut client = host.stdio();
    assert!(found(&mut client, json!({"query": "bucket"})).0.is_empty());
    host.put("notes.wasm", &component("notes.wasm"));
    eventually(|| {
        found(&mut client, json!({"query": "notes_put"}))
            .0
            .first()
            .is_some_and(|name| name == "notes_put")
            .then_some(())
    });
    std::fs::remove_file(host.skill("notes.wasm")).unwrap();
    eventually(|| {
        (!found(&mut client, json!({"query": "notes_put"})).0.contains(&"notes_put".to_owned())).then_some(())
    });
    // What its operator took away is not found.
    let host = few().config("[skills.text.tools.diff]\nenabled = false\n");
    let mut client = host.stdio();
    assert!(!found(&mut client, json!({"query": "diff"})).0.contains(&"text_diff".to_owned()));
}

#[test]
fn it_comes_with_many_tools_and_goes_with_them() {
    let host = empty();
    host.put("text.wasm", &component("text.wasm"));
    let mut client = host.stdio();
    assert!(!client.all_tools().contains(&TOOL.to_owned()));
    // More than 30 on their own.
    host.put("faulty.wasm", &component("faulty.wasm"));
    client.wait_notification("notifications/tools/list_changed");
    eventually(|| client.all_tools().contains(&TOOL.to_owned()).then_some(()));
    assert_eq!(found(&mut client, json!({"query": "word count"})).0[0], "text_word_count");
    std::fs::remove_file(host.skill("faulty.wasm")).unwrap();
    eventually(|| (!client.all_tools().contains(&TOOL.to_owned())).then_some(()));
    let host = samples().config("[tools]\nsearch = false\n");
    assert!(!host.stdio().all_tools().contains(&TOOL.to_owned()));
    let output = samples().config("[tools]\nsearch = \"always\"\n").run(&["config", "check"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("expected true, false or \"auto\""), "{text}");
}

#[test]
fn ten_thousand_tools_are_searched() {
    let host = empty().config("[skills.many]\nmax_tools = 10000\n");
    host.put("many.wasm", &faulty("many-tools"));
    host.put("text.wasm", &component("text.wasm"));
    let mut client = host.stdio();
    let (names, told) = found(&mut client, json!({"query": "tool7777", "limit": 50}));
    assert_eq!((&*names[0], names.len()), ("many_tool7777", 1), "{told}");
    let (names, told) = found(&mut client, json!({"query": "tool", "limit": 50, "skill": "many"}));
    assert_eq!((names.len(), &told["total"]), (50, &json!(10_000)));
    assert_eq!(found(&mut client, json!({"query": "count the words of a text"})).0[0], "text_word_count");
}

/// What a caller may not use he does not find, also when others have asked the same before and results are shared.
#[test]
fn scopes_say_what_is_found() {
    let scopes = "\n[auth.scopes]\nread = [\"text_*\"]\nall = [\"*\"]\nnone = []\n";
    let host =
        guarded(samples(), &format!("{scopes}\n[defaults]\ncache = {{ ttl = \"1h\", shared = true }}\n"));
    let [ops, ci, nobody] = [("ops", "all"), ("ci", "read"), ("nobody", "none")]
        .map(|(name, scope)| token(&host, name, &[scope]));
    let server = host.serve();
    let search = |who: &str, arguments: Value| {
        let answer = caller(&server, who).call(TOOL, arguments);
        assert_eq!(answer.status, 200, "{}", answer.message);
        answer.message["result"]["structuredContent"].clone()
    };
    let skills = |told: &Value| {
        let mut skills: Vec<_> = told["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["skill"].as_str().unwrap().to_owned())
            .collect();
        skills.sort();
        skills.dedup();
        skills
    };
    let all = json!({"query": "", "limit": 50});
    assert_eq!(skills(&search(&ops, all.clone())), ["faulty", "json", "skillhost", "text"][..3]);
    assert_eq!(skills(&search(&ci, all.clone())), ["skillhost", "text"]);
    assert_eq!(skills(&search(&nobody, all)), ["skillhost"]);
    for query in ["json_query", "query a JSON document", "jsno_query"] {
        let told = |who: &str| search(who, json!({"query": query, "detail": "schema"}));
        assert!(skills(&told(&ops)).contains(&"json".to_owned()), "{query}");
        let told = told(&ci);
        assert!(!skills(&told).contains(&"json".to_owned()), "{query}: {told}");
        assert!(told["total"].as_u64().unwrap() <= 10, "nor counted: {told}");
    }
}

/// A skill that has a tool of this name does not get into its place: not when it is offered, and not when it is not.
#[test]
fn nobody_steps_into_its_place() {
    let impostor = patched("text.wasm", "regex_search", TOOL);
    for offered in ["true", "false"] {
        let host = guarded(
            empty(),
            &format!(
                "\n[auth.scopes]\nread = [\"word_*\"]\nall = [\"*\"]\n[tools]\nsearch = {offered}\n[skills.evil]\nmount = \"root\"\n"
            ),
        );
        host.put("evil.wasm", &impostor);
        let list = host.json(&["list", "--json"]);
        assert_eq!(list["skills"][0]["contested"], json!([{"name": TOOL, "owner": "skillhost"}]), "{list}");
        assert_eq!(list["skills"][0]["tools"].as_array().unwrap().len(), 2, "the others are served");
        let (ci, ops) = (token(&host, "ci", &["read"]), token(&host, "ops", &["all"]));
        let server = host.serve();
        for who in [&ci, &ops] {
            let there = caller(&server, who).listed("tools/list", "tools", "name").contains(&TOOL.to_owned());
            assert_eq!(there, offered == "true");
            let answer =
                caller(&server, who).call(TOOL, json!({"query": "word_count", "text": "a", "pattern": "a"}));
            let told = answer.message.to_string();
            assert!(!told.contains("matches"), "{told}");
            let answer = caller(&server, who).call(TOOL, json!({"query": "word_count"}));
            match offered {
                "true" => assert_eq!(
                    answer.message["result"]["structuredContent"]["tools"][0]["name"],
                    "word_count"
                ),
                _ => assert_eq!(answer.message["error"]["code"], -32602, "{}", answer.message),
            }
        }
    }
    // Below a prefix it is its own.
    let host = empty().config(ALWAYS);
    host.put("evil.wasm", &impostor);
    assert!(host.stdio().tools().contains(&"evil_search_tools".to_owned()));
}

#[test]
fn it_is_for_agents_and_tells_how_things_are_now() {
    let host = few();
    let mut client = host.stdio();
    let saga = client.call("saga_begin", json!({}))["structuredContent"]["saga"].clone();
    let refused =
        client.call_fails("saga_call", json!({"saga": saga, "tool": TOOL, "arguments": {"query": "a"}}));
    assert!(refused.contains("no steps of a saga"), "{refused}");
    // Nothing of it is run later, with what its caller may use then.
    let result = client.call_with(TOOL, json!({"query": "diff"}), json!({"skillhost/durable": true}));
    let id = result["_meta"]["skillhost/call_id"].as_str().unwrap().to_owned();
    assert_eq!(result["structuredContent"]["tools"][0]["name"], "text_diff", "{result}");
    assert_eq!(client.call("call_status", json!({"id": id}))["isError"], true, "it was not written down");
}
