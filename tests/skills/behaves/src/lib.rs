//! What a skill does in every language. `tests/languages` has the same skill in the others, and `tests/e2e/languages.rs` what must
//! come of it.
#![cfg(target_family = "wasm")]

use std::{
    hint::black_box,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::Value;
use skillhost_sdk::{Undo, keyvalue, prelude::*};

#[derive(Deserialize, Serialize, JsonSchema)]
struct Any {
    value: Value,
}

/// Gives back what it is given.
#[tool(read_only)]
fn echo(args: Any) -> Any {
    args
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

/// Says a text.
#[tool(read_only)]
fn say(args: Text) -> String {
    args.text
}

#[derive(Deserialize, JsonSchema)]
struct Kind {
    kind: String,
}

/// Fails as it is told to.
#[tool]
fn fail(args: Kind) -> Result<Reply, Failure> {
    match args.kind.as_str() {
        "invalid-input" => Err(Failure::invalid_input("as told")),
        "transient" => Err(Failure::transient_for("as told", Duration::from_millis(1500))),
        "permanent" => Err(Failure::permanent("as told")),
        "conflict" => Err(Failure::conflict("as told")),
        "missing-capability" => Err(Failure::missing_capability(["roots"])),
        "no" => Ok(Reply::error("as told")),
        _ => panic!("as told"),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Count {
    count: u32,
}

/// Tells how far it is.
#[tool(read_only, reusable)]
fn steps(args: Count) -> String {
    for step in 1..=args.count {
        let message = format!("step {step}");
        host::progress(f64::from(step), Some(f64::from(args.count)), Some(message.as_str()));
    }
    "done".into()
}

#[derive(Deserialize, JsonSchema)]
struct Key {
    key: String,
}

#[derive(Serialize, JsonSchema)]
struct Found {
    value: Option<String>,
}

/// Tells a setting.
#[tool(read_only)]
fn setting(args: Key) -> Found {
    Found { value: config::get(&args.key) }
}

#[derive(Deserialize, JsonSchema)]
struct Put {
    key: String,
    value: String,
}

/// Keeps a value.
#[tool(reusable, undo = unput)]
fn put(args: Put) -> Result<(), Failure> {
    let was = kept(&args.key)?;
    host::prepare_undo_json(&was)?;
    keyvalue::set(&args.key, args.value.as_bytes())?;
    Ok(())
}

fn unput(args: Put, undo: Undo<'_>) -> Result<(), Failure> {
    match undo.token::<Option<String>>()? {
        Some(Some(was)) => keyvalue::set(&args.key, was.as_bytes())?,
        Some(None) => keyvalue::delete(&args.key)?,
        None => {}
    }
    Ok(())
}

fn kept(key: &str) -> Result<Option<String>, Failure> {
    Ok(keyvalue::get(key)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Tells a value.
#[tool(read_only)]
fn get(args: Key) -> Result<Found, Failure> {
    Ok(Found { value: kept(&args.key)? })
}

#[derive(Deserialize, JsonSchema)]
struct Sure {
    sure: bool,
}

/// Asks the person.
#[tool(read_only, reusable)]
fn ask(ctx: &Context) -> Result<String, Pause> {
    let answer = skillhost_sdk::ask::form::<Sure>(ctx, "sure", "Sure?")?.or_stop()?;
    Ok(format!("sure: {}", answer.sure))
}

#[derive(Deserialize, JsonSchema)]
struct Call {
    tool: String,
    args: Value,
}

/// Calls another tool.
#[tool]
fn relay(args: Call) -> Result<Any, Failure> {
    Ok(Any { value: host::call(&args.tool, &args.args)? })
}

/// Writes a line of the log.
#[tool(read_only, reusable)]
fn note(args: Text) {
    log::warn(args.text);
}

static CALLS: AtomicU32 = AtomicU32::new(0);

#[derive(Deserialize, JsonSchema)]
struct Grow {
    /// Bytes to leave behind.
    garbage: usize,
}

/// Counts the calls that this instance has served.
#[tool(read_only, reusable)]
fn served(args: Grow) -> String {
    black_box(vec![1_u8; args.garbage]);
    (CALLS.fetch_add(1, Ordering::Relaxed) + 1).to_string()
}

/// Counts as `served` does, and does not bear it.
#[tool(read_only)]
fn alone() -> String {
    served(Grow { garbage: 0 })
}

skillhost_sdk::skill!(tools: [echo, say, fail, steps, setting, get, ask, relay, note, served, alone], undoable: [put]);
