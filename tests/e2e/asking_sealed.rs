//! The state that travels with the client between two rounds: good for the call that asked, and for nothing else.

use serde_json::{Value, json};
use skillhost_e2e::{Host, Modern, Speaks, patched};

use crate::{
    asking::{accepted, again, asks, both, everything, text},
    features::conformance,
};

const TOOL: &str = "test_elicitation";
/// Without these words of its operator it would be one that may be repeated.
const UNSAFE: &str = "[skills.conformance.tools.test_elicitation]\nread_only = false\nidempotent = false";

fn ann() -> Value {
    json!({"contact": accepted(json!({"username": "Ann", "email": "ann@example.com"}))})
}

fn message(message: &str) -> Value {
    json!({"message": message})
}

/// It must be refused for what is wrong with its state.
fn refused(response: &Value, word: &str) {
    assert_eq!(response["error"]["code"], -32602, "{response}");
    assert!(response["error"]["message"].as_str().unwrap().contains(word), "{word}: {response}");
}

fn good(response: &Value) {
    assert!(text(&response["result"]).contains("Ann"), "{response}");
}

#[test]
fn a_state_that_was_tampered_with_is_refused() {
    let host = conformance(UNSAFE);
    let other = conformance("").own_data();
    let (_, foreign) = asks(&mut other.modern().can(everything()), TOOL, message("a"));
    let (_server, all) = both(&host);
    for mut client in all {
        let (_, state) = asks(&mut client, TOOL, message("a"));
        let whole = state.as_str().unwrap();
        let flipped = |at: usize| {
            let mut bytes = whole.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        };
        let wrong = [
            String::new(),
            "nonsense".into(),
            "%%%".into(),
            "A".repeat(whole.len()),
            flipped(0),
            flipped(whole.len() / 2),
            whole[..whole.len() - 4].to_owned(),
            whole[4..].to_owned(),
            format!("{whole}AAAA"),
            format!("{whole}{whole}"),
            "x".repeat(100_000),
            foreign.as_str().unwrap().to_owned(),
        ];
        for wrong in wrong {
            let wrong = Value::String(wrong);
            refused(&again(&mut client, TOOL, message("a"), ann(), &wrong), "`requestState` is not one");
        }
        good(&again(&mut client, TOOL, message("a"), ann(), &state));
    }
}

#[test]
fn it_is_good_for_the_call_that_asked_only() {
    let host = conformance("");
    let (_server, all) = both(&host);
    for mut client in all {
        let (_, state) = asks(&mut client, TOOL, message("a"));
        for other in [message("b"), json!({"message": "a "})] {
            refused(&again(&mut client, TOOL, other, ann(), &state), "the arguments differ");
        }
        for other in ["test_input_required_result_elicitation", "greet"] {
            let arguments = if other == "greet" { json!({"name": "a"}) } else { json!({}) };
            refused(&again(&mut client, other, arguments, ann(), &state), "`requestState` is not one");
        }
        let resource = json!({"uri": "test://static-text", "requestState": state, "inputResponses": ann()});
        assert_eq!(client.refused("resources/read", resource)["code"], -32602);
        good(&again(&mut client, TOOL, message("a"), ann(), &state));
    }
}

#[test]
fn a_tool_that_must_not_be_repeated_takes_answers_once() {
    let host = conformance(UNSAFE);
    let (_server, all) = both(&host);
    for mut client in all {
        let (_, state) = asks(&mut client, TOOL, message("a"));
        good(&again(&mut client, TOOL, message("a"), ann(), &state));
        for _ in 0..2 {
            refused(&again(&mut client, TOOL, message("a"), ann(), &state), "used before");
        }
    }
}

#[test]
fn one_that_is_safe_takes_them_again() {
    let host = conformance("");
    let mut client = host.modern().can(everything());
    let (_, state) = asks(&mut client, TOOL, message("a"));
    let ends = [(); 2].map(|()| {
        let end = again(&mut client, TOOL, message("a"), ann(), &state);
        good(&end);
        end["result"]["_meta"]["skillhost/call_id"].clone()
    });
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn of_many_at_once_one_is_taken() {
    let host = conformance(UNSAFE);
    let server = host.serve();
    let url = server.url();
    let client = || Modern::at(url).can(everything());
    let (_, state) = asks(&mut client(), TOOL, message("a"));
    let ends: Vec<Value> = std::thread::scope(|scope| {
        let start = |_| scope.spawn(|| again(&mut client(), TOOL, message("a"), ann(), &state));
        let all: Vec<_> = (0..8).map(start).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (taken, others): (Vec<_>, Vec<_>) = ends.iter().partition(|end| end["result"].is_object());
    assert_eq!(taken.len(), 1, "{ends:?}");
    good(taken[0]);
    others.iter().for_each(|other| refused(other, "used before"));
}

#[test]
fn another_process_on_the_same_folder_takes_it_as_well_and_once_over_all() {
    let host = conformance(UNSAFE);
    let (_server, [mut one, mut other]) = both(&host);
    let (_, state) = asks(&mut one, TOOL, message("a"));
    good(&again(&mut other, TOOL, message("a"), ann(), &state));
    refused(&again(&mut one, TOOL, message("a"), ann(), &state), "used before");
}

#[test]
fn it_outlives_the_host_that_asked() {
    let host = conformance(UNSAFE);
    let mut client = host.modern().can(everything());
    let (_, state) = asks(&mut client, TOOL, message("a"));
    client.client().kill();
    let mut client = host.modern().can(everything());
    good(&again(&mut client, TOOL, message("a"), ann(), &state));
    client.client().kill();
    // That it was used up does as well.
    let mut client = host.modern().can(everything());
    refused(&again(&mut client, TOOL, message("a"), ann(), &state), "used before");
    // The same of a server.
    let server = host.serve();
    let (_, state) = asks(&mut Modern::http(&server).can(everything()), TOOL, message("a"));
    server.kill();
    let server = host.serve();
    good(&again(&mut Modern::http(&server).can(everything()), TOOL, message("a"), ann(), &state));
}

/// Wait until the host serves what was put in its place.
fn replaced(host: &Host, client: &mut Modern) {
    let other = patched("fixtures/conformance.wasm", "User response: ", "User answered: ");
    host.put("conformance.wasm", &other);
    client.client().wait_log("the new version", |line| line["message"] == "skill ready");
}

#[test]
fn a_skill_that_was_replaced_since_does_not_take_it() {
    let host = conformance("");
    let mut client = host.modern().can(everything());
    let (_, state) = asks(&mut client, TOOL, message("a"));
    client.client().wait_log("the first version", |line| line["message"] == "skill ready");
    replaced(&host, &mut client);
    let answer = again(&mut client, TOOL, message("a"), ann(), &state);
    refused(&answer, "the skill was replaced");
    let (_, state) = asks(&mut client, TOOL, message("a"));
    good(&again(&mut client, TOOL, message("a"), ann(), &state));
}

#[test]
fn what_is_too_late_is_refused() {
    // The shortest that may be said.
    let host = conformance("[tasks]\nanswer_within = \"1s\"");
    let mut client = host.modern().can(everything());
    let (_, state) = asks(&mut client, TOOL, message("a"));
    let answer = skillhost_e2e::eventually(|| {
        let answer = again(&mut client, TOOL, message("a"), ann(), &state);
        answer["error"].is_object().then_some(answer)
    });
    refused(&answer, "`requestState` is not one");
}

#[test]
fn a_client_without_the_capability_cannot_use_it_up() {
    let host = conformance(UNSAFE);
    let server = host.serve();
    let (_, state) = asks(&mut Modern::http(&server).can(everything()), TOOL, message("a"));
    // It needs no more: what was asked is answered.
    good(&again(&mut Modern::http(&server), TOOL, message("a"), ann(), &state));
    // Without answers, and without the means to be asked again.
    let (_, state) = asks(&mut Modern::http(&server).can(everything()), TOOL, message("b"));
    let none = again(&mut Modern::http(&server), TOOL, message("b"), json!({}), &state);
    assert_eq!(none["error"]["code"], -32021, "{none}");
    good(&again(&mut Modern::http(&server).can(everything()), TOOL, message("b"), ann(), &state));
}
