//! Prompts, resources, families of resources and completions, as clients of both eras see them over both transports.

use serde_json::{Value, json};
use skillhost_e2e::{Host, Modern, Server, Session, Speaks, component, eventually, patched};

use crate::empty;

/// A host with the conformance suite's fixtures at the root. `config` may begin with more of its settings.
pub(crate) fn conformance(config: &str) -> Host {
    let host = empty().config(&format!("[skills.conformance]\nmount = \"root\"\ntimeout = \"2m\"\n{config}"));
    host.put("conformance.wasm", &component("fixtures/conformance.wasm"));
    host
}

/// A client of each era over each transport, and what they need to stay.
pub(crate) fn everybody(host: &Host) -> (Server, Vec<Box<dyn Speaks>>) {
    let server = host.serve();
    let session = Session::open(server.url(), json!({}));
    let http = Modern::http(&server);
    let all: Vec<Box<dyn Speaks>> =
        vec![Box::new(host.stdio()), Box::new(host.modern()), Box::new(session), Box::new(http)];
    (server, all)
}

/// The text of a prompt's only message.
pub(crate) fn said(filled: &Value) -> &str {
    assert_eq!(filled["messages"].as_array().map(Vec::len), Some(1), "{filled}");
    filled["messages"][0]["content"]["text"].as_str().unwrap_or_else(|| panic!("no text: {filled}"))
}

fn completed(client: &mut dyn Speaks, of: Value, argument: &str, value: &str) -> Value {
    let params = json!({"ref": of, "argument": {"name": argument, "value": value}});
    client.ask("completion/complete", params)["completion"].take()
}

fn prompt(name: &str) -> Value {
    json!({"type": "ref/prompt", "name": name})
}

fn family(template: &str) -> Value {
    json!({"type": "ref/resource", "uri": template})
}

/// Fixtures at the root, and a skill with everything under its own name.
fn both() -> Host {
    let host = conformance("[skills.whole.grants]\nkeyvalue = true");
    host.put("whole.wasm", &component("whole.wasm"));
    host
}

#[test]
fn that_they_are_there_is_said_before_anybody_asks() {
    let host = both();
    let mut modern = host.modern();
    let discovered = modern.ask("server/discover", json!({}));
    for said in [&host.stdio().server()["capabilities"], &discovered["capabilities"]] {
        for kind in ["tools", "prompts", "resources"] {
            assert_eq!(said[kind]["listChanged"], true, "{said}");
        }
        assert_eq!(said["resources"]["subscribe"], true, "{said}");
        assert!(said["completions"].is_object() && said["logging"].is_object(), "{said}");
    }
    assert!(discovered["capabilities"]["extensions"]["io.modelcontextprotocol/tasks"].is_object());
}

#[test]
fn prompts_are_listed_and_filled_in() {
    let host = both();
    let (_server, all) = everybody(&host);
    for mut client in all {
        let prompts = client.ask("prompts/list", json!({}))["prompts"].take();
        let names: Vec<_> =
            prompts.as_array().unwrap().iter().map(|prompt| prompt["name"].as_str().unwrap()).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert!(names.contains(&"whole_essay") && names.contains(&"test_simple_prompt"), "{names:?}");
        let essay =
            prompts.as_array().unwrap().iter().find(|prompt| prompt["name"] == "whole_essay").unwrap();
        assert_eq!(essay["description"], "Asks for a text.");
        let topic = json!({"name": "topic", "description": "What it is about.", "required": true});
        assert_eq!(essay["arguments"], json!([topic]));

        let essay = client.ask("prompts/get", json!({"name": "whole_essay", "arguments": {"topic": "rain"}}));
        assert_eq!(said(&essay), "Write about rain.");
        assert_eq!(essay["messages"][0]["role"], "user");
        let simple = client.ask("prompts/get", json!({"name": "test_simple_prompt"}));
        assert_eq!(said(&simple), "This is a simple prompt for testing.");
        let image = client.ask("prompts/get", json!({"name": "test_prompt_with_image"}));
        let image = &image["messages"][0]["content"];
        assert_eq!((&image["type"], &image["mimeType"]), (&json!("image"), &json!("image/png")));
        assert!(image["data"].as_str().unwrap().starts_with("iVBORw0KGgo"), "{image}");
        let arguments = json!({"resourceUri": "test://x"});
        let embedded = json!({"name": "test_prompt_with_embedded_resource", "arguments": arguments});
        let embedded = client.ask("prompts/get", embedded);
        assert_eq!(embedded["messages"][0]["content"]["resource"]["uri"], "test://x", "{embedded}");
    }
}

#[test]
fn resources_are_listed_and_read() {
    let host = both();
    let (_server, all) = everybody(&host);
    for (n, mut client) in all.into_iter().enumerate() {
        let uris = client.listed("resources/list", "resources", "uri");
        assert_eq!(uris, ["test://static-binary", "test://static-text", "test://watched-resource"]);
        let templates = client.listed("resources/templates/list", "resourceTemplates", "uriTemplate");
        assert_eq!(templates, ["test://template/{id}/data", "value://{key}"]);

        let mut read = |uri: &str| {
            let mut read = client.ask("resources/read", json!({"uri": uri}));
            assert_eq!(read["contents"].as_array().map(Vec::len), Some(1), "{read}");
            assert_eq!(read["contents"][0]["uri"], uri, "{read}");
            read["contents"][0].take()
        };
        let text = read("test://static-text");
        assert_eq!(text["text"], "This is the content of the static text resource.");
        assert_eq!(text["mimeType"], "text/plain");
        let binary = read("test://static-binary");
        assert!(binary["blob"].as_str().unwrap().starts_with("iVBORw0KGgo"), "{binary}");
        assert!(binary.get("text").is_none(), "{binary}");
        let data: Value =
            serde_json::from_str(read("test://template/a%20b/data")["text"].as_str().unwrap()).unwrap();
        assert_eq!(data["id"], "a b");

        let uri = format!("value://key{n}");
        client.tool("whole_set", json!({"key": format!("key{n}"), "value": "abc"}));
        let value = client.ask("resources/read", json!({"uri": uri}));
        assert_eq!(value["contents"][0]["blob"], "YWJj", "{value}");
    }
}

#[test]
fn arguments_are_completed() {
    let host = both();
    let (_server, all) = everybody(&host);
    for mut client in all {
        let client = &mut *client;
        let rain = completed(client, prompt("whole_essay"), "topic", "r");
        assert_eq!(
            (&rain["values"], &rain["hasMore"]),
            (&json!(["rain", "rivers"]), &json!(false)),
            "{rain}"
        );
        let root = completed(client, prompt("test_prompt_with_arguments"), "arg1", "testV");
        assert_eq!(root["values"], json!(["testValue1", "testValue2"]));
        let id = completed(client, family("test://template/{id}/data"), "id", "12");
        assert_eq!(id["values"], json!(["12", "123"]));
        client.tool("whole_set", json!({"key": "cloud", "value": "1"}));
        let keys = completed(client, family("value://{key}"), "key", "clo");
        assert_eq!(keys["values"], json!(["cloud"]));
        let none = completed(client, prompt("whole_essay"), "topic", "x");
        assert_eq!(none["values"], json!([]));
        for (of, argument) in [
            (prompt("whole_nothing"), "topic"),
            (prompt("whole_essay"), "nothing"),
            (family("value://{nothing}"), "key"),
        ] {
            let params = json!({"ref": of, "argument": {"name": argument, "value": ""}});
            assert_eq!(client.refused("completion/complete", params)["code"], -32602, "{of}");
        }
    }
}

#[test]
fn what_is_not_there_or_asked_for_wrongly_is_refused() {
    let host = both();
    let (_server, all) = everybody(&host);
    for mut client in all {
        for (params, word) in [
            (json!({"name": "essay", "arguments": {"topic": "a"}}), "unknown prompt `essay`"),
            (json!({"name": "whole_essay"}), "`topic`"),
            (json!({"name": "whole_essay", "arguments": {}}), "`topic`"),
            (json!({"name": "whole_essay", "arguments": {"topic": "a", "tone": "b"}}), "`tone`"),
            (json!({"name": "whole_essay", "arguments": {"topic": 5}}), "topic"),
            (json!({"arguments": {"topic": "a"}}), "malformed"),
            (json!({"name": "whole_essay", "arguments": {"topic": "x".repeat(300 << 10)}}), "at most"),
        ] {
            let error = client.refused("prompts/get", params);
            assert_eq!(error["code"], -32602, "{error}");
            assert!(error["message"].as_str().unwrap().contains(word), "{word}: {error}");
        }
        // One of no skill, and one that a family might have had.
        for uri in ["nowhere://a", "value://never-set", "test://template/a/b/data"] {
            let error = client.refused("resources/read", json!({"uri": uri}));
            assert_eq!(error["code"], if client.is_modern() { -32602 } else { -32002 }, "{error}");
            assert_eq!(error["data"]["uri"], uri, "{error}");
        }
        let error = client.refused("resources/read", json!({}));
        assert_eq!(error["code"], -32602, "{error}");
    }
}

/// `whole` at the root, whose prompt says this.
fn another(host: &Host, file: &str, verb: &str) {
    host.put(file, &patched("whole.wasm", "Write about ", &format!("{verb} about ")));
}

#[test]
fn of_two_skills_the_incumbent_keeps_its_prompts_and_resources() {
    let of = |skill: &str| format!("[skills.{skill}]\nmount = \"root\"\ngrants = {{ keyvalue = true }}\n");
    let host = empty().config(&(of("mine") + &of("a")));
    another(&host, "mine.wasm", "Write");
    let mut client = host.stdio();
    let topic = json!({"name": "essay", "arguments": {"topic": "x"}});
    assert_eq!(said(&client.ask("prompts/get", topic.clone())), "Write about x.");
    client.tool("set", json!({"key": "k", "value": "1"}));
    // It would be the first by name.
    another(&host, "a.wasm", "Speak");
    let mut contested = vec![];
    client.wait_log("the contest", |line| {
        if line["message"].as_str().is_some_and(|text| text.contains("taken by another skill")) {
            assert_eq!((&line["skill"], &line["owner"]), (&json!("a"), &json!("mine")), "{line}");
            contested.push(line["name"].as_str().unwrap().to_owned());
        }
        contested.len() == 4
    });
    contested.sort();
    assert_eq!(contested, ["essay", "set", "setting", "value://{key}"]);
    assert_eq!(said(&client.ask("prompts/get", topic.clone())), "Write about x.");
    let value = client.ask("resources/read", json!({"uri": "value://k"}));
    assert_eq!(value["contents"][0]["blob"], "MQ==");
    assert_eq!(client.listed("prompts/list", "prompts", "name"), ["essay"]);
    // It goes, and the other has them.
    std::fs::remove_file(host.skill("mine.wasm")).unwrap();
    eventually(|| (said(&client.ask("prompts/get", topic.clone())) == "Speak about x.").then_some(()));
    let error = client.refused("resources/read", json!({"uri": "value://k"}));
    assert_eq!(error["code"], -32002, "its own values: {error}");
}

/// What of a skill another one has, with that one, as `skillhost list --json` tells it in `list`.
fn contested(list: &Value, skill: &str) -> Vec<(String, String)> {
    let found = list["skills"].as_array().unwrap().iter().find(|one| one["name"] == skill).unwrap();
    let word = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    found["contested"].as_array().unwrap().iter().map(|one| (word(one, "name"), word(one, "owner"))).collect()
}

#[test]
fn what_is_contested_is_told_in_the_list() {
    let host = conformance("[skills.again]\nmount = \"root\"\n[skills.one]\nmount = \"root\"");
    host.put("again.wasm", &component("fixtures/conformance.wasm"));
    another(&host, "one.wasm", "Write");
    another(&host, "two.wasm", "Speak");
    let list = host.json(&["list", "--json"]);
    // With a prefix, only what has no name of its own: tools and prompts have one, URIs have not.
    let template = |owner: &str| vec![("value://{key}".to_owned(), owner.to_owned())];
    let (one, two) = (contested(&list, "one"), contested(&list, "two"));
    assert!((one.is_empty() && two == template("one")) || (two.is_empty() && one == template("two")));
    for (loser, owner) in [("conformance", "again"), ("again", "conformance")] {
        let all = contested(&list, loser);
        assert!(all.iter().all(|(_, found)| found == owner), "{all:?}");
    }
    let either = [contested(&list, "conformance"), contested(&list, "again")].concat();
    for name in ["greet", "test_simple_prompt", "test://static-text", "test://template/{id}/data"] {
        assert!(either.iter().any(|(one, _)| one == name), "{name}: {either:?}");
    }
}

#[test]
fn what_is_there_at_the_start_is_shared_out_by_name_and_not_by_chance() {
    let of = |skill: &str| format!("[skills.{skill}]\nmount = \"root\"\n");
    let host = empty().own_data().config(&(of("a") + &of("z")));
    another(&host, "z.wasm", "Write");
    assert!(contested(&host.json(&["list", "--json"]), "z").is_empty());
    // The one is compiled already, the other is not: on the next start it is.
    another(&host, "a.wasm", "Speak");
    for start in ["first", "second"] {
        let list = host.json(&["list", "--json"]);
        let all = contested(&list, "z");
        assert_eq!(all.len(), 4, "the {start} start: {all:?}");
        assert!(contested(&list, "a").is_empty(), "the {start} start");
    }
}
