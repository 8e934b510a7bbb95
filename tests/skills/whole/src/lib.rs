//! A skill that exports everything the contract knows: tools, undo, prompts and resources.
#![cfg(target_family = "wasm")]

use skillhost_sdk::{Undo, prelude::*};

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

skillhost_sdk::skill!(tools: [setting], undoable: [set], prompts: [essay], resources: [value]);
