//! Letters as lines of JSON, for archives: readable by people and by other programs. Secrets stay sealed.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use skillhost_core::{CallId, Caller, Digest};

use crate::{Arguments, Delivery, Event, Priority, Problem, Record, State, Timestamp};

/// Version of the lines.
const VERSION: u32 = 1;

/// One letter. Every time is RFC 3339 in UTC.
#[derive(Serialize, Deserialize)]
struct Line {
    v: u32,
    id: CallId,
    state: State,
    tool: String,
    skill: String,
    digest: String,
    #[serde(default)]
    pinned: bool,
    caller: String,
    correlation_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    delivery: Delivery,
    safe: bool,
    priority: Priority,
    attempts: u32,
    tries: u32,
    max_tries: u32,
    gives_up: Timestamp,
    begun: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
    enqueued: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arguments: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Box<RawValue>>,
    history: Vec<Event>,
}

/// A letter as one line, without the line's end.
///
/// # Errors
/// When something in it is not JSON that should be.
pub fn write(letter: &Record, history: Vec<Event>) -> Result<String, serde_json::Error> {
    let raw = |text: &Option<String>| text.clone().map(RawValue::from_string).transpose();
    serde_json::to_string(&Line {
        v: VERSION,
        id: letter.id,
        state: letter.state,
        tool: letter.tool.clone(),
        skill: letter.skill.clone(),
        digest: letter.digest.to_string(),
        pinned: letter.pinned,
        caller: letter.caller.as_str().to_owned(),
        correlation_id: letter.correlation_id.clone(),
        key: letter.key.clone(),
        delivery: letter.delivery,
        safe: letter.safe,
        priority: letter.priority,
        attempts: letter.attempts,
        tries: letter.tries,
        max_tries: letter.max_tries,
        gives_up: letter.gives_up,
        begun: letter.begun,
        ended: letter.ended,
        enqueued: letter.enqueued.unwrap_or(letter.begun),
        dead: letter.dead,
        problem: letter.problem.clone(),
        arguments: raw(&letter.arguments.shown)?,
        sealed: letter.arguments.sealed.as_ref().map(|sealed| BASE64_STANDARD.encode(sealed)),
        meta: raw(&letter.meta)?,
        outcome: raw(&letter.outcome)?,
        history,
    })
}

/// The letter of a line.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &str) -> Result<(Record, Vec<Event>), String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if line.v != VERSION {
        return Err(format!("it is of version {}, this skillhost knows {VERSION}", line.v));
    }
    let object = |raw: Option<Box<RawValue>>, what: &str| match raw {
        Some(raw) if !raw.get().trim_start().starts_with('{') => Err(format!("`{what}` is not an object")),
        raw => Ok(raw.map(|raw| raw.get().to_owned())),
    };
    let sealed = line.sealed.map(|text| BASE64_STANDARD.decode(text)).transpose();
    let outcome = object(line.outcome, "outcome")?;
    if (line.state == State::Done) != outcome.is_some() {
        return Err("`outcome` and `state` do not fit together".into());
    }
    if !(1..=1_000).contains(&line.max_tries) || line.tries > line.attempts || line.attempts > 1_000_000 {
        return Err("its counts of runs cannot be".into());
    }
    let record = Record {
        id: line.id,
        tool: line.tool,
        skill: line.skill,
        digest: line.digest.parse::<Digest>()?,
        pinned: line.pinned,
        caller: Caller::named(&line.caller),
        correlation_id: line.correlation_id,
        arguments: Arguments {
            shown: object(line.arguments, "arguments")?,
            sealed: sealed.map_err(|error| format!("`sealed`: {error}"))?,
        },
        meta: object(line.meta, "meta")?,
        key: line.key,
        delivery: line.delivery,
        safe: line.safe,
        priority: line.priority,
        state: line.state,
        epoch: 0,
        attempts: line.attempts,
        tries: line.tries,
        max_tries: line.max_tries,
        gives_up: line.gives_up,
        begun: line.begun,
        ended: line.ended,
        enqueued: Some(line.enqueued),
        dead: line.dead,
        due: None,
        problem: line.problem,
        outcome,
        undo: None,
        rollback: None,
    };
    Ok((record, line.history))
}
