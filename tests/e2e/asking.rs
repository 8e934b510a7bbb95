//! Tools and prompts that ask, and clients of 2026-07-28, which call again with the answers.

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, Modern, Server, Speaks, component};

use crate::features::{conformance, said};

/// All that can be asked.
pub(crate) fn everything() -> Value {
    json!({"elicitation": {}, "sampling": {}, "roots": {}})
}

/// A form, filled in.
pub(crate) fn accepted(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

/// What the client's model says.
pub(crate) fn sampled(text: &str) -> Value {
    json!({"role": "assistant", "content": {"type": "text", "text": text}, "model": "m"})
}

/// The text of a result.
pub(crate) fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"))
}

/// Call a tool that must ask: the state that it wants back.
pub(crate) fn asks(client: &mut dyn Speaks, tool: &str, arguments: Value) -> (Value, Value) {
    let mut result = client.tool(tool, arguments);
    assert_eq!(result["resultType"], "input_required", "{tool}: {result}");
    assert!(result["requestState"].as_str().is_some_and(|state| !state.is_empty()), "{result}");
    (result["inputRequests"].take(), result["requestState"].take())
}

/// Call it again with what came back; the whole response.
pub(crate) fn again(
    client: &mut dyn Speaks,
    tool: &str,
    arguments: Value,
    answers: Value,
    state: &Value,
) -> Value {
    let params =
        json!({"name": tool, "arguments": arguments, "inputResponses": answers, "requestState": state});
    client.request("tools/call", params)
}

/// A client over each transport.
pub(crate) fn both(host: &Host) -> (Server, [Modern; 2]) {
    let server = host.serve();
    let http = Modern::http(&server).can(everything());
    (server, [host.modern().can(everything()), http])
}

#[test]
fn each_kind_of_question_is_asked_and_its_answer_used() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        let client = &mut client;
        for (tool, key, method, answer, end) in [
            (
                "elicitation",
                "user_name",
                "elicitation/create",
                accepted(json!({"name": "Ann"})),
                "Hello, Ann!",
            ),
            ("sampling", "capital_question", "sampling/createMessage", sampled("Paris"), "Paris"),
            (
                "list_roots",
                "client_roots",
                "roots/list",
                json!({"roots": [{"uri": "file:///a"}, {"uri": "file:///b", "name": "b"}]}),
                "Roots: file:///a, file:///b",
            ),
            ("request_state", "confirm", "elicitation/create", accepted(json!({"ok": true})), "state-ok"),
        ] {
            let tool = format!("test_input_required_result_{tool}");
            let (asked, state) = asks(client, &tool, json!({}));
            assert_eq!(asked[key]["method"], method, "{asked}");
            let mut response = again(client, &tool, json!({}), json!({key: answer}), &state);
            let result = response["result"].take();
            assert_eq!((text(&result), &result["resultType"]), (end, &json!("complete")), "{response}");
        }
        let (asked, _) = asks(client, "test_input_required_result_elicitation", json!({}));
        let form = &asked["user_name"]["params"];
        assert_eq!(
            (&form["mode"], &form["message"]),
            (&json!("form"), &json!("What is your name?")),
            "{asked}"
        );
        assert_eq!(form["requestedSchema"]["properties"]["name"]["type"], "string", "{asked}");
        let (asked, _) = asks(client, "test_input_required_result_sampling", json!({}));
        assert_eq!(asked["capital_question"]["params"]["maxTokens"], 100, "{asked}");
    }
}

#[test]
fn a_prompt_asks_like_a_tool() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        let mut params = json!({"name": "test_input_required_result_prompt"});
        let asked = client.ask("prompts/get", params.clone());
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        assert!(asked["inputRequests"]["user_context"].is_object(), "{asked}");
        params["requestState"] = asked["requestState"].clone();
        params["inputResponses"] = json!({"user_context": accepted(json!({"context": "tests"}))});
        assert_eq!(said(&client.ask("prompts/get", params.clone())), "Use this context: tests");
        // Not for another one.
        params["name"] = "test_simple_prompt".into();
        assert_eq!(client.refused("prompts/get", params)["code"], -32602);
    }
}

/// Ids of the calls of `tool` whose ends are logged, until this many are.
fn logged(client: &mut Client, tool: &str, count: usize) -> Vec<Value> {
    let mut ids = vec![];
    client.wait_log("the end of a round", |line| {
        if line["span"]["tool"] == tool && line["message"].as_str().is_some_and(|text| text.contains("call"))
        {
            ids.push(line["span"]["call_id"].clone());
        }
        ids.len() == count
    });
    ids
}

#[test]
fn all_rounds_are_one_call() {
    const TOOL: &str = "test_input_required_result_multi_round";
    let host = conformance("");
    let (_server, all) = both(&host);
    for (n, mut client) in all.into_iter().enumerate() {
        let (asked, first) = asks(&mut client, TOOL, json!({}));
        assert!(asked["step1"].is_object() && asked["step2"].is_null(), "{asked}");
        let answers = json!({"step1": accepted(json!({"name": "Ann"}))});
        let mut second = again(&mut client, TOOL, json!({}), answers, &first)["result"].take();
        assert_eq!(second["resultType"], "input_required", "{second}");
        assert!(second["inputRequests"]["step2"].is_object(), "{second}");
        let answers = json!({"step2": accepted(json!({"color": "blue"}))});
        let end = again(&mut client, TOOL, json!({}), answers, &second["requestState"].take());
        assert_eq!(text(&end["result"]), "Ann likes blue");
        let id = &end["result"]["_meta"]["skillhost/call_id"];
        assert!(id.is_string(), "{end}");
        if n == 0 {
            assert_eq!(logged(client.client(), TOOL, 3), vec![id.clone(); 3]);
        }
    }
}

#[test]
fn a_question_tells_the_call_that_asks() {
    let host = conformance("");
    let mut client = host.modern().can(everything());
    let tool = "test_input_required_result_elicitation";
    let asked = client.tool(tool, json!({}));
    let answers = json!({"user_name": accepted(json!({"name": "Ann"}))});
    let end = again(&mut client, tool, json!({}), answers, &asked["requestState"]);
    let id = &end["result"]["_meta"]["skillhost/call_id"];
    assert!(id.is_string(), "{end}");
    assert_eq!(&asked["_meta"]["skillhost/call_id"], id, "{asked}");
}

#[test]
fn what_is_asked_together_may_be_answered_apart() {
    const TOOL: &str = "test_input_required_result_multiple_inputs";
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        let (asked, state) = asks(&mut client, TOOL, json!({}));
        assert_eq!(asked.as_object().unwrap().len(), 3, "{asked}");
        let answers = json!({"user_name": accepted(json!({"name": "Ann"})), "greeting": sampled("Moin")});
        let mut rest = again(&mut client, TOOL, json!({}), answers, &state)["result"].take();
        let open: Vec<_> = rest["inputRequests"].as_object().expect("it asks on").keys().cloned().collect();
        assert_eq!(open, ["client_roots"], "{rest}");
        let answers = json!({"client_roots": {"roots": [{"uri": "file:///a"}]}});
        let end = again(&mut client, TOOL, json!({}), answers, &rest["requestState"].take());
        assert_eq!(text(&end["result"]), "Moin Ann, roots: 1", "{end}");
    }
}

#[test]
fn a_person_may_say_no() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        for action in ["decline", "cancel"] {
            let message = json!({"message": "Who?"});
            let (_, state) = asks(&mut client, "test_elicitation", message.clone());
            let answers = json!({"contact": {"action": action}});
            let end = again(&mut client, "test_elicitation", message, answers, &state);
            assert_eq!(text(&end["result"]), format!("User response: action={action}, content={{}}"));
            let tool = "test_input_required_result_elicitation";
            let (_, state) = asks(&mut client, tool, json!({}));
            let end = again(&mut client, tool, json!({}), json!({"user_name": {"action": action}}), &state);
            assert_eq!(end["result"]["isError"], true, "{end}");
        }
    }
}

#[test]
fn an_answer_that_does_not_fit_is_refused_and_may_be_mended() {
    const TOOL: &str = "test_input_required_result_elicitation";
    let host = conformance(
        "[skills.conformance.tools.test_input_required_result_elicitation]\nread_only = false\nidempotent = false",
    );
    let (_server, all) = both(&host);
    for mut client in all {
        let (_, state) = asks(&mut client, TOOL, json!({}));
        for wrong in [
            accepted(json!({"name": 5})),
            accepted(json!({})),
            json!({"action": "accept"}),
            json!({"action": "perhaps"}),
            json!({"roots": []}),
            json!("Ann"),
        ] {
            let refused = again(&mut client, TOOL, json!({}), json!({"user_name": wrong}), &state);
            assert_eq!(refused["error"]["code"], -32602, "{wrong}: {refused}");
            assert!(refused["error"]["message"].as_str().unwrap().contains("user_name"), "{refused}");
        }
        let right = json!({"user_name": accepted(json!({"name": "Ann"})), "nobody_asked": {"roots": []}});
        let end = again(&mut client, TOOL, json!({}), right, &state);
        assert_eq!(text(&end["result"]), "Hello, Ann!", "{end}");
    }
}

#[test]
fn answers_may_come_before_they_are_asked_for() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        let tool = "test_input_required_result_elicitation";
        let answers = json!({"user_name": accepted(json!({"name": "Ann"}))});
        let end = client.ask("tools/call", json!({"name": tool, "inputResponses": answers}));
        assert_eq!(text(&end), "Hello, Ann!", "{end}");
        let answers = json!({"user_name": accepted(json!({"name": 5}))});
        let asked = client.ask("tools/call", json!({"name": tool, "inputResponses": answers}));
        assert_eq!(asked["resultType"], "input_required", "{asked}");
    }
}

#[test]
fn what_the_client_cannot_answer_is_not_asked() {
    let host = conformance("");
    let server = host.serve();
    for (can, tool, missing) in [
        (json!({}), "elicitation", "elicitation"),
        (json!({"elicitation": {"url": {}}}), "elicitation", "elicitation"),
        (json!({"elicitation": {}, "roots": {}}), "sampling", "sampling"),
        (json!({"elicitation": {}, "sampling": {}}), "list_roots", "roots"),
        (json!({"elicitation": {}, "sampling": {}}), "multiple_inputs", "roots"),
    ] {
        for mut client in [host.modern().can(can.clone()), Modern::http(&server).can(can.clone())] {
            let tool = format!("test_input_required_result_{tool}");
            let error = client.refused("tools/call", json!({"name": tool}));
            assert_eq!(error["code"], -32021, "{tool} {can}: {error}");
            assert!(error["data"]["requiredCapabilities"][missing].is_object(), "{error}");
        }
    }
    // It asks what can be answered, and no more.
    let mut client = host.modern().can(json!({"roots": {}}));
    let (asked, _) = asks(&mut client, "test_input_required_result_capabilities", json!({}));
    assert_eq!(asked.as_object().unwrap().keys().collect::<Vec<_>>(), ["client_roots"]);
    let mut client = host.modern();
    let end = client.tool("test_input_required_result_capabilities", json!({}));
    assert_eq!(text(&end), "Questions answered: 0");
}

#[test]
fn a_tool_that_a_tool_calls_cannot_ask() {
    let host = conformance(
        "[skills.faulty.grants]\ntools = [\"test_input_required_result_elicitation\", \"greet\"]",
    );
    host.put("faulty.wasm", &component("faulty.wasm"));
    let (_server, all) = both(&host);
    for mut client in all {
        let nested = |tool: &str, arguments: &str| json!({"name": tool, "arguments": arguments});
        let greeted = client.tool("faulty_call_tool", nested("greet", r#"{"name":"Ann"}"#));
        assert!(text(&greeted).contains("Hello, Ann!"), "{greeted}");
        let refused = client.tool("faulty_call_tool", nested("test_input_required_result_elicitation", "{}"));
        assert_ne!(refused["resultType"], "input_required", "{refused}");
        assert!(text(&refused).contains("MissingCapability"), "{refused}");
    }
}
