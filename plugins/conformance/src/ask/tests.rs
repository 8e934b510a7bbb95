use serde_json::json;
use skillhost_sdk::testing::Client;
use skillhost_sdk::types::Ask;

use super::*;

/// The schema of the one form that was asked.
fn asked(client: &Client) -> Value {
    match &client.asked()[0].ask {
        Ask::Form(form) => serde_json::from_str(&form.schema).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_form_has_the_fields_the_suite_looks_for() {
    let client = Client::new().accepts("contact", &json!({"username": "u", "email": "e"}));
    let text = client.run(|ctx| test_elicitation(ctx, Message { message: "Please".into() })).unwrap();
    assert_eq!(text, r#"User response: action=accept, content={"username":"u","email":"e"}"#);
    let schema = json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        },
        "required": ["username", "email"],
    });
    assert_eq!(asked(&client), schema);
    let client = Client::new().declines("contact");
    let text = client.run(|ctx| test_elicitation(ctx, Message { message: "Please".into() })).unwrap();
    assert_eq!(text, "User response: action=decline, content={}");
}

#[test]
fn defaults_reach_the_client() {
    let client = Client::new().accepts("defaults", &json!({"score": 88}));
    let text = client.run(test_elicitation_sep1034_defaults).unwrap();
    assert!(text.contains(r#""name":"John Doe","age":30,"score":88.0,"status":"active""#), "{text}");
    let properties = json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    });
    assert_eq!(asked(&client), json!({"type": "object", "properties": properties}));
}

#[test]
fn choices_reach_the_client_as_they_are_written() {
    let client = Client::new().cancels("enums");
    assert!(client.run(test_elicitation_sep1330_enums).unwrap().ends_with("action=cancel, content={}"));
    assert_eq!(asked(&client), serde_json::from_str::<Value>(ENUMS).unwrap());
}

#[test]
fn each_question_leads_to_an_answer() {
    let alice = json!({"name": "Alice"});
    let client = Client::new()
        .accepts("user_name", &alice)
        .accepts("step1", &alice)
        .accepts("step2", &json!({"color": "blue"}))
        .accepts("confirm", &json!({"ok": true}))
        .says("sampling", "Yes.")
        .says("capital_question", "Paris.")
        .says("greeting", "Hello there!")
        .roots("client_roots", ["file:///test/root"]);
    let prompt = |ctx: &Context| test_sampling(ctx, Prompt { prompt: "Well?".into() });
    assert_eq!(client.run(prompt).unwrap(), "LLM response: Yes.");
    assert_eq!(client.run(test_streaming_elicitation).unwrap(), "Hello, Alice!");
    assert_eq!(client.run(test_input_required_result_elicitation).unwrap(), "Hello, Alice!");
    assert_eq!(client.run(test_input_required_result_sampling).unwrap(), "Paris.");
    assert_eq!(client.run(test_input_required_result_list_roots).unwrap(), "Roots: file:///test/root");
    assert_eq!(client.run(test_input_required_result_request_state).unwrap(), "state-ok");
    let text = client.run(test_input_required_result_multiple_inputs).unwrap();
    assert_eq!(text, "Hello there! Alice, roots: 1");
    assert_eq!(client.run(test_input_required_result_multi_round).unwrap(), "Alice likes blue");
    assert_eq!(client.run(test_input_required_result_tampered_state).unwrap(), "Confirmed: true");
    assert_eq!(client.run(test_input_required_result_capabilities).unwrap(), "Questions answered: 3");
}

#[test]
fn only_what_the_client_can_answer_is_asked() {
    let client = Client::new()
        .without(ClientFeatures::ELICITATION_FORM | ClientFeatures::ROOTS)
        .says("greeting", "Hello there!");
    assert_eq!(client.run(test_input_required_result_capabilities).unwrap(), "Questions answered: 1");
    assert!(matches!(client.asked()[0].ask, Ask::Sample(_)));
}
