//! A skill that exports everything the contract knows: tools, undo, prompts, resources and completions.
#![cfg(target_family = "wasm")]

use skillhost_sdk::{Completion, CompletionRequest, Undo, prelude::*};

#[derive(Deserialize, JsonSchema)]
struct Set {
    key: String,
    value: String,
}

/// Sets a value.
#[tool(undo = unset)]
fn set(args: Set) -> Result<(), Failure> {
    let before = keyvalue::get(&args.key)?;
    host::prepare_undo_json(&before)?;
    keyvalue::set(&args.key, args.value.as_bytes())?;
    // The value is set, whether those who watch it are told or not.
    let _ = host::resource_updated(&format!("value://{}", args.key));
    Ok(())
}

fn unset(args: Set, undo: Undo<'_>) -> Result<(), Failure> {
    match undo.token::<Option<Vec<u8>>>()? {
        Some(Some(before)) => keyvalue::set(&args.key, &before)?,
        Some(None) => keyvalue::delete(&args.key)?,
        None => {}
    }
    Ok(())
}

/// Tells a setting.
#[tool(read_only)]
fn setting() -> Option<String> {
    config::get("units")
}

#[derive(Deserialize, JsonSchema)]
struct Topic {
    /// What it is about.
    topic: String,
}

/// Asks for a text.
#[prompt]
fn essay(args: Topic) -> String {
    format!("Write about {}.", args.topic)
}

#[derive(Deserialize, JsonSchema)]
struct Key {
    key: String,
}

/// A value.
#[resource(template = "value://{key}", mime_type = "text/plain")]
fn value(args: Key) -> Result<Option<Vec<u8>>, Failure> {
    Ok(keyvalue::get(&args.key)?)
}

fn complete(_: &Context, request: &CompletionRequest) -> Result<Completion, Failure> {
    if request.is_prompt("essay") {
        return Ok(Completion::matching(["rain", "rivers", "snow"], &request.value));
    }
    if request.is_template("value://{key}") {
        return Ok(Completion::matching(keyvalue::keys()?, &request.value));
    }
    Ok(Completion::default())
}

skillhost_sdk::skill!(
    tools: [setting],
    undoable: [set],
    prompts: [essay],
    resources: [value],
    completions: complete,
);
