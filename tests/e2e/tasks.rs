//! Calls that run as tasks: a handle at once, and the rest with it.

use serde_json::{Value, json};
use skillhost_e2e::{Host, Modern, Server, Session, Speaks, component, eventually};

use crate::{
    asking::{accepted, again, asks, text},
    features::conformance,
};

/// A client that follows tasks, and can be asked.
pub(crate) fn following() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {}})
}

/// Over stdio, in a process of its own, which has loaded its skills.
pub(crate) fn follower(host: &Host) -> Modern {
    let mut client = host.modern().can(following());
    client.ask("tools/list", json!({}));
    client
}

/// Over HTTP, the same.
pub(crate) fn over_http(server: &Server) -> Modern {
    let mut client = Modern::http(server).can(following());
    client.ask("tools/list", json!({}));
    client
}

fn both(host: &Host) -> (Server, [Modern; 2]) {
    let server = host.serve();
    let http = over_http(&server);
    (server, [follower(host), http])
}

/// The handle that a call must be answered with.
pub(crate) fn handle(result: &Value) -> String {
    assert_eq!((&result["resultType"], &result["status"]), (&json!("task"), &json!("working")), "{result}");
    let id = result["taskId"].as_str().unwrap_or_else(|| panic!("no handle: {result}"));
    assert_eq!(id.len(), 32, "{result}");
    id.to_owned()
}

/// Begin a task.
pub(crate) fn begin(client: &mut dyn Speaks, tool: &str, arguments: Value) -> String {
    handle(&client.tool(tool, arguments))
}

pub(crate) fn get(client: &mut dyn Speaks, id: &str) -> Value {
    client.ask("tasks/get", json!({"taskId": id}))
}

/// Ask for a task until it is so, or over.
pub(crate) fn until(client: &mut dyn Speaks, id: &str, status: &str) -> Value {
    let task = eventually(|| Some(get(client, id)).filter(|task| task["status"] == status || is_over(task)));
    assert_eq!(task["status"], status, "{task}");
    task
}

fn is_over(task: &Value) -> bool {
    ["completed", "failed", "cancelled"].iter().any(|end| task["status"] == *end)
}

/// Answer what a task asks.
pub(crate) fn update(client: &mut dyn Speaks, id: &str, answers: Value) {
    let done = client.ask("tasks/update", json!({"taskId": id, "inputResponses": answers}));
    assert_eq!(done["resultType"], "complete", "{done}");
}

pub(crate) fn cancel(client: &mut dyn Speaks, id: &str) {
    let done = client.ask("tasks/cancel", json!({"taskId": id}));
    assert_eq!(done["resultType"], "complete", "{done}");
}

fn seconds(seconds: u32) -> Value {
    json!({"seconds": seconds, "label": "it"})
}

#[test]
fn a_call_has_its_handle_at_once_and_its_result_later() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        let created = client.tool("slow_compute", seconds(1));
        let id = handle(&created);
        assert_eq!(created["ttlMs"], 24 * 60 * 60 * 1_000, "{created}");
        assert!(created["pollIntervalMs"].as_u64().is_some_and(|poll| poll > 0), "{created}");
        assert!(created["createdAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{created}");
        let done = until(&mut client, &id, "completed");
        assert_eq!((&done["resultType"], &done["taskId"]), (&json!("complete"), &json!(id)), "{done}");
        assert_eq!(text(&done["result"]), "it took 1 s", "{done}");
        assert!(done["result"]["_meta"]["skillhost/call_id"].is_string(), "{done}");
        assert_eq!(done["createdAt"], created["createdAt"]);
        assert_eq!(get(&mut client, &id), done, "however often");
    }
}

#[test]
fn one_that_is_called_before_its_skill_is_loaded_is_a_task_as_well() {
    let host = conformance("");
    let server = host.serve();
    let (mut http, mut stdio) = (Modern::http(&server).can(following()), host.modern().can(following()));
    let clients: [&mut dyn Speaks; 2] = [&mut http, &mut stdio];
    for client in clients {
        let id = begin(client, "slow_compute", seconds(0));
        assert_eq!(text(&until(client, &id, "completed")["result"]), "it took 0 s");
    }
    // And one that must be a task is none for who cannot follow it.
    let error = host.modern().refused("tools/call", json!({"name": "failing_job"}));
    assert_eq!(error["code"], -32021, "{error}");
}

#[test]
fn a_handle_comes_while_the_call_runs_and_gives_it_up() {
    let host = conformance("");
    let (server, all) = both(&host);
    for (n, mut client) in all.into_iter().enumerate() {
        let id = begin(&mut client, "slow_compute", seconds(100));
        assert_eq!(get(&mut client, &id)["status"], "working");
        cancel(&mut client, &id);
        let task = get(&mut client, &id);
        assert_eq!(task["status"], "cancelled", "{task}");
        assert!(task.get("result").is_none() && task.get("error").is_none(), "{task}");
        let ended = |line: &Value| line["outcome"] == "cancelled";
        match n {
            0 => client.client().wait_log("the end of the guest", ended),
            _ => server.wait_log("the end of the guest", ended),
        };
        cancel(&mut client, &id);
        assert_eq!(get(&mut client, &id)["status"], "cancelled");
        // What has ended cannot be given up.
        let id = begin(&mut client, "slow_compute", seconds(0));
        until(&mut client, &id, "completed");
        cancel(&mut client, &id);
        assert_eq!(get(&mut client, &id)["status"], "completed");
    }
}

#[test]
fn a_result_that_says_no_is_a_result_and_an_error_is_a_failure() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        let id = begin(&mut client, "failing_job", json!({}));
        let done = until(&mut client, &id, "completed");
        assert_eq!(done["result"]["isError"], true, "{done}");
        assert_eq!(text(&done["result"]), "This job intentionally fails");
        let id = begin(&mut client, "protocol_error_job", json!({}));
        let failed = until(&mut client, &id, "failed");
        assert_eq!(failed["error"]["code"], -32021, "{failed}");
        assert!(failed.get("result").is_none(), "{failed}");
        // Wrong arguments, as in any other call.
        let plain = host.modern().tool("slow_compute", json!({"seconds": "many"}));
        let told = client.tool("slow_compute", json!({"seconds": "many"}));
        let told = match told["taskId"].as_str() {
            Some(id) => until(&mut client, id, "completed")["result"].take(),
            None => told,
        };
        assert_eq!((&told["isError"], text(&told)), (&json!(true), text(&plain)));
        assert_eq!(client.refused("tools/call", json!({"name": "nothing"}))["code"], -32602);
    }
}

#[test]
fn a_task_asks_and_is_answered() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        let id = begin(&mut client, "confirm_delete", json!({"filename": "a.txt"}));
        let asking = until(&mut client, &id, "input_required");
        let form = &asking["inputRequests"]["confirm"];
        assert_eq!(form["method"], "elicitation/create", "{asking}");
        assert_eq!(form["params"]["message"], "Delete a.txt?", "{asking}");
        update(&mut client, &id, json!({"confirm": accepted(json!({"confirm": true}))}));
        assert_eq!(text(&until(&mut client, &id, "completed")["result"]), "would delete a.txt");
        // Too late, and not wrong.
        update(&mut client, &id, json!({"confirm": accepted(json!({"confirm": false}))}));
        assert_eq!(text(&get(&mut client, &id)["result"]), "would delete a.txt");
    }
}

#[test]
fn it_is_answered_bit_by_bit() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        let id = begin(&mut client, "multi_input", json!({}));
        let asked = |task: &Value| -> Vec<String> {
            task["inputRequests"].as_object().unwrap_or_else(|| panic!("{task}")).keys().cloned().collect()
        };
        assert_eq!(asked(&until(&mut client, &id, "input_required")), ["first", "second"]);
        let part = |name: &str| accepted(json!({"name": name, "confirm": true}));
        // What nobody asked, and what does not fit.
        for nothing in
            [json!({}), json!({"third": part("c")}), json!({"first": accepted(json!({"name": 5}))})]
        {
            update(&mut client, &id, nothing);
            assert_eq!(asked(&get(&mut client, &id)), ["first", "second"]);
        }
        update(&mut client, &id, json!({"second": part("b"), "first": {"action": "perhaps"}}));
        assert_eq!(asked(&get(&mut client, &id)), ["first"]);
        // The first answer counts.
        update(&mut client, &id, json!({"second": part("z")}));
        update(&mut client, &id, json!({"first": part("a")}));
        assert_eq!(text(&until(&mut client, &id, "completed")["result"]), "a: true, b: true");
    }
}

#[test]
fn one_that_asks_can_be_given_up() {
    let host = conformance("");
    let mut client = follower(&host);
    let id = begin(&mut client, "confirm_delete", json!({"filename": "a.txt"}));
    until(&mut client, &id, "input_required");
    cancel(&mut client, &id);
    update(&mut client, &id, json!({"confirm": accepted(json!({"confirm": true}))}));
    assert_eq!(get(&mut client, &id)["status"], "cancelled");
}

#[test]
fn one_that_must_ask_first_is_a_task_once_it_has_its_answers() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        let (asked, state) = asks(&mut client, "test_tool_with_task", json!({}));
        assert!(asked["user_name"].is_object(), "{asked}");
        let answers = json!({"user_name": accepted(json!({"name": "Ann"}))});
        let id = handle(&again(&mut client, "test_tool_with_task", json!({}), answers, &state)["result"]);
        assert_eq!(text(&until(&mut client, &id, "completed")["result"]), "Hello, Ann!");
    }
}

#[test]
fn a_handle_is_of_this_host_or_of_none() {
    let host = conformance("");
    let other = conformance("").own_data();
    let foreign = {
        let mut client = follower(&other);
        let id = begin(&mut client, "slow_compute", seconds(0));
        until(&mut client, &id, "completed");
        id
    };
    let (_server, all) = both(&host);
    for mut client in all {
        let id = begin(&mut client, "slow_compute", seconds(0));
        let near = format!("{}{}", &id[..31], if id.ends_with('0') { "1" } else { "0" });
        let wrong =
            [&foreign, &near, &id.to_uppercase(), &id[1..], "nonsense", "00000000000000000000000000000000"];
        for wrong in wrong.into_iter().filter(|wrong| *wrong != id) {
            for (method, more) in [
                ("tasks/get", json!({})),
                ("tasks/update", json!({"inputResponses": {}})),
                ("tasks/cancel", json!({})),
            ] {
                let mut params = more;
                params["taskId"] = wrong.into();
                let error = client.refused(method, params);
                assert_eq!(error["code"], -32602, "{method} {wrong}: {error}");
            }
        }
    }
}

#[test]
fn who_cannot_follow_tasks_gets_none() {
    let host = conformance("");
    let server = host.serve();
    for client in [host.modern(), Modern::http(&server)] {
        let mut client = client.can(json!({"elicitation": {}}));
        client.ask("tools/list", json!({}));
        assert_eq!(text(&client.tool("slow_compute", seconds(0))), "it took 0 s");
        for tool in ["failing_job", "test_tool_with_task"] {
            let error = client.refused("tools/call", json!({"name": tool}));
            assert_eq!(error["code"], -32021, "{error}");
            let needs = &error["data"]["requiredCapabilities"]["extensions"];
            assert!(needs["io.modelcontextprotocol/tasks"].is_object(), "{error}");
        }
        let mut params = json!({"name": "confirm_delete", "arguments": {"filename": "a"}});
        let mut asked = client.ask("tools/call", params.clone());
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        params["requestState"] = asked["requestState"].take();
        params["inputResponses"] = json!({"confirm": accepted(json!({"confirm": false}))});
        assert_eq!(text(&client.ask("tools/call", params)), "keeps a");
    }
}

#[test]
fn the_older_eras_get_none_whatever_they_declare() {
    let host = conformance("");
    let server = host.serve();
    let mut capabilities = following();
    capabilities["tasks"] = json!({"requests": {"tools": {"call": {}}}, "list": {}, "cancel": {}});
    let mut stdio = host.stdio_with(capabilities.clone());
    let mut session = Session::open(server.url(), capabilities);
    let all: [&mut dyn Speaks; 2] = [&mut stdio, &mut session];
    for client in all {
        client.ask("tools/list", json!({}));
        let call = |tool: &str, arguments: Value| json!({"name": tool, "arguments": arguments, "task": {"ttl": 60_000}});
        let done = client.ask("tools/call", call("slow_compute", seconds(0)));
        assert_eq!(text(&done), "it took 0 s", "{done}");
        assert!(done.get("taskId").is_none() && done.get("task").is_none(), "{done}");
        for tool in ["failing_job", "test_tool_with_task"] {
            let error = client.refused("tools/call", call(tool, json!({})));
            assert_eq!(error["code"], -32021, "{error}");
        }
    }
}

#[test]
fn an_operator_says_which_calls_are_tasks_and_how_many() {
    let host = conformance(
        "[skills.conformance.tools.greet]\ntask = \"optional\"\n[skills.conformance.tools.slow_compute]\ntask = \"no\"\n\
         [skills.conformance.tools.confirm_delete]\ntask = \"required\"\n[tasks]\nmax_open = 1\nttl = \"2m\"",
    );
    host.put("text.wasm", &component("text.wasm"));
    let mut client = follower(&host);
    assert_eq!(text(&client.tool("slow_compute", seconds(0))), "it took 0 s");
    let created = client.tool("greet", json!({"name": "Ann"}));
    assert_eq!(created["ttlMs"], 120_000, "{created}");
    let id = handle(&created);
    assert_eq!(text(&until(&mut client, &id, "completed")["result"]), "Hello, Ann!");
    let id = begin(&mut client, "confirm_delete", json!({"filename": "a"}));
    until(&mut client, &id, "input_required");
    let refused = client.tool("greet", json!({"name": "Ann"}));
    assert_eq!(refused["isError"], true, "{refused}");
    assert_eq!(refused["_meta"]["skillhost/failure"]["kind"], "overloaded", "{refused}");
    cancel(&mut client, &id);
    begin(&mut client, "greet", json!({"name": "Ann"}));
    let mut client = client.can(json!({"elicitation": {}}));
    let params = json!({"name": "confirm_delete", "arguments": {"filename": "a"}});
    let error = client.refused("tools/call", params);
    assert_eq!(error["code"], -32021, "{error}");
}
