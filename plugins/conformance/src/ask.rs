//! Tools that ask the person, the model, or the client.
use serde_json::{Map, Value};
use skillhost_sdk::InputRequired;
use skillhost_sdk::ask::{Elicited, Question};
use skillhost_sdk::prelude::*;
use skillhost_sdk::types::{self, ClientFeatures};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prompt {
    /// What to ask the model.
    prompt: String,
}

/// Asks the client's model.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_sampling(ctx: &Context, args: Prompt) -> Result<String, Pause> {
    let answer = ask::prompt_model(ctx, "sampling", &args.prompt, 100)?;
    Ok(format!("LLM response: {answer}"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message {
    /// What to tell the person.
    message: String,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Contact {
    /// User's response
    username: String,
    /// User's email address
    email: String,
}

/// Asks the person for a name and an address.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_elicitation(ctx: &Context, args: Message) -> Result<String, Pause> {
    let answer = ask::form::<Contact>(ctx, "contact", args.message)?;
    Ok(format!("User response: {}", shown(answer)))
}

/// A form with something filled in everywhere.
#[derive(Deserialize, Serialize, JsonSchema)]
struct Defaults {
    #[serde(default = "john")]
    name: String,
    #[serde(default = "thirty")]
    age: i64,
    #[serde(default = "good")]
    score: f64,
    #[serde(default)]
    status: Status,
    #[serde(default = "yes")]
    verified: bool,
}

#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    #[default]
    Active,
    Inactive,
    Pending,
}

fn john() -> String {
    "John Doe".into()
}

fn thirty() -> i64 {
    30
}

fn good() -> f64 {
    95.5
}

fn yes() -> bool {
    true
}

/// Shows a form whose fields are filled in beforehand.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_elicitation_sep1034_defaults(ctx: &Context) -> Result<String, Pause> {
    let answer = ask::form::<Defaults>(ctx, "defaults", "Please review and update the form fields")?;
    Ok(format!("Elicitation completed: {}", shown(answer)))
}

/// Every kind of choice. No type says `enumNames`, the older way to name choices.
const ENUMS: &str = r#"{
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {
            "type": "string",
            "oneOf": [
                {"const": "value1", "title": "First Option"},
                {"const": "value2", "title": "Second Option"},
                {"const": "value3", "title": "Third Option"}
            ]
        },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"]
        },
        "untitledMulti": {
            "type": "array",
            "items": {"type": "string", "enum": ["option1", "option2", "option3"]}
        },
        "titledMulti": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"const": "value1", "title": "First Choice"},
                    {"const": "value2", "title": "Second Choice"},
                    {"const": "value3", "title": "Third Choice"}
                ]
            }
        }
    }
}"#;

/// Shows a form with every kind of choice.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_elicitation_sep1330_enums(ctx: &Context) -> Result<String, Pause> {
    let answer = ask::form_raw(ctx, "enums", "Please select options from the enum fields", ENUMS)?;
    Ok(format!("Elicitation completed: {}", shown::<Map<String, Value>>(answer)))
}

/// The answer as the suite's own servers show it.
fn shown<T: Serialize>(answer: Elicited<T>) -> String {
    match answer {
        Elicited::Accepted(content) => {
            let content = serde_json::to_string(&content).unwrap_or_else(|error| error.to_string());
            format!("action=accept, content={content}")
        }
        Elicited::Declined => "action=decline, content={}".into(),
        Elicited::Cancelled => "action=cancel, content={}".into(),
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Name {
    pub(crate) name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Colour {
    color: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    ok: bool,
}

/// Asks the person, on a stream that may hold nothing but what belongs to the call.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_streaming_elicitation(ctx: &Context) -> Result<String, Pause> {
    let name = ask::form::<Name>(ctx, "user_name", "What is your name?")?.or_stop()?.name;
    Ok(format!("Hello, {name}!"))
}

/// Asks for a name.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_input_required_result_elicitation(ctx: &Context) -> Result<String, Pause> {
    let name = ask::form::<Name>(ctx, "user_name", "What is your name?")?.or_stop()?.name;
    Ok(format!("Hello, {name}!"))
}

/// Asks the model for a capital.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_input_required_result_sampling(ctx: &Context) -> Result<String, Pause> {
    ask::prompt_model(ctx, "capital_question", "What is the capital of France?", 100)
}

/// Asks the client for its folders.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_input_required_result_list_roots(ctx: &Context) -> Result<String, Pause> {
    let uris: Vec<_> = ask::roots(ctx, "client_roots")?.into_iter().map(|root| root.uri).collect();
    Ok(format!("Roots: {}", uris.join(", ")))
}

/// Asks with a state of its own, and checks that it comes back.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_input_required_result_request_state(ctx: &Context) -> Result<&'static str, Pause> {
    const STATE: &[u8] = b"asked for a confirmation";
    if let Some(round) = &ctx.round
        && round.answers.iter().any(|answer| answer.key == "confirm")
    {
        return match round.state.as_deref() == Some(STATE) {
            true => Ok("state-ok"),
            false => Err(Failure::permanent("the state is not the one that was given").into()),
        };
    }
    if !ctx.client.contains(ClientFeatures::ELICITATION_FORM) {
        return Err(Failure::missing_capability(["elicitation"]).into());
    }
    let schema = r#"{"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}"#;
    let form = types::Form { message: "Please confirm".into(), schema: schema.into() };
    let question = types::Question { key: "confirm".into(), ask: types::Ask::Form(form) };
    Err(InputRequired { questions: vec![question], state: Some(STATE.to_vec()) }.into())
}

/// Asks the person, the model and the client at once.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_input_required_result_multiple_inputs(ctx: &Context) -> Result<String, Pause> {
    let questions = vec![
        Question::form::<Name>("user_name", "What is your name?"),
        Question::prompt_model("greeting", "Generate a greeting", 50),
        Question::roots("client_roots"),
    ];
    let answers = ask::all(ctx, questions)?;
    let name = answers.form::<Name>("user_name")?.or_stop()?.name;
    let greeting = answers.prompt_model("greeting")?;
    Ok(format!("{greeting} {name}, roots: {}", answers.roots("client_roots")?.len()))
}

/// Asks twice, one after the other.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_input_required_result_multi_round(ctx: &Context) -> Result<String, Pause> {
    let name = ask::form::<Name>(ctx, "step1", "Step 1: What is your name?")?.or_stop()?.name;
    let colour = ask::form::<Colour>(ctx, "step2", "Step 2: What is your favorite color?")?.or_stop()?.color;
    Ok(format!("{name} likes {colour}"))
}

/// Asks for a word whose answer comes with a forged state.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_input_required_result_tampered_state(ctx: &Context) -> Result<String, Pause> {
    let ok = ask::form::<Confirmation>(ctx, "confirm", "Please confirm")?.or_stop()?.ok;
    Ok(format!("Confirmed: {ok}"))
}

/// Asks all that the client can answer, and nothing else.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn test_input_required_result_capabilities(ctx: &Context) -> Result<String, Pause> {
    let mut questions = vec![];
    if ctx.client.contains(ClientFeatures::ELICITATION_FORM) {
        questions.push(Question::form::<Name>("user_name", "What is your name?"));
    }
    if ctx.client.contains(ClientFeatures::SAMPLING) {
        questions.push(Question::prompt_model("greeting", "Generate a greeting", 50));
    }
    if ctx.client.contains(ClientFeatures::ROOTS) {
        questions.push(Question::roots("client_roots"));
    }
    let asked = questions.len();
    ask::all(ctx, questions)?;
    Ok(format!("Questions answered: {asked}"))
}

#[cfg(test)]
mod tests;
