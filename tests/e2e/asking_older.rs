//! Tools and prompts that ask, and clients of the eras before 2026-07-28: the host asks them while they wait.

use serde_json::{Value, json};
use skillhost_e2e::{Client, Exchange, Session, component};

use crate::{
    asking::{accepted, everything, sampled, text},
    features::{conformance, said},
};

/// A client that can be asked, over one transport or the other, and a request of it that waits.
enum Older {
    Stdio(Client, u64),
    Http(Session, Exchange),
}

impl Older {
    fn asked(&mut self, method: &str) -> Value {
        let fits = |message: &Value| message["method"] == method;
        match self {
            Self::Stdio(client, _) => client.wait_for(method, fits),
            Self::Http(_, exchange) => exchange.wait_for(method, fits),
        }
    }

    fn answer(&mut self, asked: &Value, answer: Value) {
        match self {
            Self::Stdio(client, _) => client.answer(asked, answer),
            Self::Http(session, _) => session.answer(asked, answer),
        }
    }

    fn refuse(&mut self, asked: &Value) {
        match self {
            Self::Stdio(client, _) => client.refuse(asked, -1, "the person said no"),
            Self::Http(session, _) => {
                let error = json!({"code": -1, "message": "the person said no"});
                session.post(&json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}));
            }
        }
    }

    fn response(&mut self) -> Value {
        match self {
            Self::Stdio(client, id) => client.wait(*id),
            Self::Http(_, exchange) => exchange.response(),
        }
    }

    fn begin(&mut self, method: &str, params: Value) {
        match self {
            Self::Stdio(client, id) => *id = client.begin(method, params),
            Self::Http(session, exchange) => *exchange = session.begin(method, params),
        }
    }

    fn call(&mut self, tool: &str, arguments: Value) {
        self.begin("tools/call", json!({"name": tool, "arguments": arguments}));
    }

    /// It must still be served.
    fn is_served(&mut self) {
        self.call("greet", json!({"name": "Ann"}));
        assert_eq!(text(&self.response()["result"]), "Hello, Ann!");
    }
}

fn both(host: &skillhost_e2e::Host) -> (skillhost_e2e::Server, [Older; 2]) {
    let server = host.serve();
    let mut session = Session::open(server.url(), everything());
    let ping = session.begin("ping", json!({}));
    (server, [Older::Stdio(host.stdio_with(everything()), 0), Older::Http(session, ping)])
}

#[test]
fn the_host_asks_and_the_call_goes_on() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        client.call("test_input_required_result_elicitation", json!({}));
        let asked = client.asked("elicitation/create");
        assert_eq!(asked["params"]["message"], "What is your name?", "{asked}");
        assert_eq!(asked["params"]["requestedSchema"]["required"], json!(["name"]), "{asked}");
        client.answer(&asked, accepted(json!({"name": "Ann"})));
        let end = client.response();
        assert_eq!(text(&end["result"]), "Hello, Ann!", "{end}");
        assert!(end["result"]["_meta"]["skillhost/call_id"].is_string(), "{end}");

        client.call("test_input_required_result_sampling", json!({}));
        let asked = client.asked("sampling/createMessage");
        assert_eq!(asked["params"]["maxTokens"], 100, "{asked}");
        client.answer(&asked, sampled("Paris"));
        assert_eq!(text(&client.response()["result"]), "Paris");

        client.call("test_input_required_result_list_roots", json!({}));
        let asked = client.asked("roots/list");
        client.answer(&asked, json!({"roots": [{"uri": "file:///a"}]}));
        assert_eq!(text(&client.response()["result"]), "Roots: file:///a");

        client.begin("prompts/get", json!({"name": "test_input_required_result_prompt"}));
        let asked = client.asked("elicitation/create");
        client.answer(&asked, accepted(json!({"context": "tests"})));
        assert_eq!(said(&client.response()["result"]), "Use this context: tests");
    }
}

#[test]
fn it_asks_all_at_once_and_again_in_the_next_round() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        client.call("test_input_required_result_multiple_inputs", json!({}));
        let roots = client.asked("roots/list");
        let name = client.asked("elicitation/create");
        let greeting = client.asked("sampling/createMessage");
        client.answer(&greeting, sampled("Moin"));
        client.answer(&name, accepted(json!({"name": "Ann"})));
        client.answer(&roots, json!({"roots": []}));
        assert_eq!(text(&client.response()["result"]), "Moin Ann, roots: 0");

        client.call("test_input_required_result_multi_round", json!({}));
        let first = client.asked("elicitation/create");
        client.answer(&first, accepted(json!({"name": "Ann"})));
        let second = client.asked("elicitation/create");
        assert!(second["params"]["message"].as_str().unwrap().starts_with("Step 2"), "{second}");
        client.answer(&second, accepted(json!({"color": "blue"})));
        assert_eq!(text(&client.response()["result"]), "Ann likes blue");
    }
}

#[test]
fn a_person_may_say_no_and_a_client_may_refuse() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        client.call("test_elicitation", json!({"message": "Who?"}));
        let asked = client.asked("elicitation/create");
        client.answer(&asked, json!({"action": "decline"}));
        assert_eq!(text(&client.response()["result"]), "User response: action=decline, content={}");

        for wrong in [accepted(json!({"name": 5})), accepted(json!({}))] {
            client.call("test_input_required_result_elicitation", json!({}));
            let asked = client.asked("elicitation/create");
            client.answer(&asked, wrong);
            let end = client.response();
            assert_eq!(end["error"]["code"], -32602, "{end}");
        }

        client.call("test_input_required_result_elicitation", json!({}));
        let asked = client.asked("elicitation/create");
        client.refuse(&asked);
        let end = client.response();
        let message = end["error"]["message"].as_str().unwrap_or_else(|| panic!("{end}"));
        assert!(message.contains("the person said no"), "{end}");
        assert!(message.contains("nothing took effect"), "{end}");
        client.is_served();
    }
}

#[test]
fn an_answer_that_is_none_ends_the_call() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        for nonsense in [json!({}), json!({"action": "perhaps"}), json!({"roots": 5}), json!({"x": [1]})] {
            client.call("test_input_required_result_elicitation", json!({}));
            let asked = client.asked("elicitation/create");
            client.answer(&asked, nonsense.clone());
            let end = client.response();
            assert!(end["error"].is_object(), "{nonsense}: {end}");
        }
        client.is_served();
    }
}

#[test]
fn one_of_many_questions_that_is_refused_ends_the_call() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        client.call("test_input_required_result_multiple_inputs", json!({}));
        let (roots, name) = (client.asked("roots/list"), client.asked("elicitation/create"));
        client.answer(&roots, json!({"roots": []}));
        client.refuse(&name);
        assert!(client.response()["error"].is_object());
        client.is_served();
    }
}

#[test]
fn what_the_client_cannot_answer_is_not_asked() {
    let host = conformance("");
    let server = host.serve();
    let mut session = Session::open(server.url(), json!({"roots": {}}));
    let tool = json!({"name": "test_input_required_result_elicitation"});
    let answers = [
        host.stdio().request("tools/call", tool.clone()),
        host.stdio_with(json!({"sampling": {}})).request("tools/call", tool.clone()),
        session.begin("tools/call", tool).response(),
    ];
    for answer in answers {
        assert_eq!(answer["error"]["code"], -32021, "{answer}");
    }
    let mut client = host.stdio_with(json!({"roots": {}}));
    let id = client.begin_call("test_input_required_result_capabilities", json!({}));
    let asked = client.wait_notification("roots/list");
    client.answer(&asked, json!({"roots": []}));
    assert_eq!(text(&client.wait(id)["result"]), "Questions answered: 1");
}

#[test]
fn a_tool_that_a_tool_calls_cannot_ask() {
    let host = conformance("[skills.faulty.grants]\ntools = [\"test_input_required_result_elicitation\"]");
    host.put("faulty.wasm", &component("faulty.wasm"));
    let (_server, all) = both(&host);
    for mut client in all {
        let nested = json!({"name": "test_input_required_result_elicitation", "arguments": "{}"});
        client.call("faulty_call_tool", nested);
        let end = client.response();
        assert!(text(&end["result"]).contains("MissingCapability"), "{end}");
    }
}

#[test]
fn a_client_that_gives_up_while_it_is_asked_gets_no_answer() {
    let host = conformance("");
    let mut client = host.stdio_with(everything());
    let id = client.begin_call("test_input_required_result_elicitation", json!({}));
    let asked = client.wait_notification("elicitation/create");
    client.cancel(id);
    // Too late: nobody waits for it.
    client.answer(&asked, accepted(json!({"name": "Ann"})));
    assert_eq!(text(&client.call("greet", json!({"name": "Ann"}))), "Hello, Ann!");
    assert!(client.take_so_far(|message| message["id"] == id).is_empty());
    assert_eq!(client.close().0, Some(0));
}

#[test]
fn a_client_that_goes_away_while_it_is_asked_leaves_nothing() {
    let host = conformance("");
    let mut client = host.stdio_with(everything());
    client.begin_call("test_input_required_result_elicitation", json!({}));
    client.wait_notification("elicitation/create");
    assert_eq!(client.close().0, Some(0));
    assert_eq!(host.state("conformance").0, "ready");

    let server = host.serve();
    let mut session = Session::open(server.url(), everything());
    let mut exchange =
        session.begin("tools/call", json!({"name": "test_elicitation", "arguments": {"message": "?"}}));
    exchange.wait_for("the question", |message| message["method"] == "elicitation/create");
    drop(exchange);
    let ended = session.end();
    assert!(ended.status < 300, "{}", ended.status);
    assert_eq!(host.state("conformance").0, "ready");
    let mut session = Session::open(server.url(), everything());
    let greeted =
        session.begin("tools/call", json!({"name": "greet", "arguments": {"name": "Ann"}})).response();
    assert_eq!(text(&greeted["result"]), "Hello, Ann!");
    // Nor does it wait for an answer when it is to end.
    let mut exchange =
        session.begin("tools/call", json!({"name": "test_elicitation", "arguments": {"message": "?"}}));
    exchange.wait_for("the question", |message| message["method"] == "elicitation/create");
    let killed = std::process::Command::new("kill").arg(server.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(server.wait(), Some(0));
}
