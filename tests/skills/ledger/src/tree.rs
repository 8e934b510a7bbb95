//! Calls that make calls.
use serde_json::value::RawValue;
use skillhost_sdk::Undo;
use skillhost_sdk::prelude::*;
use skillhost_sdk::types::{Content, Reply as Answer};

use crate::misdeed::{self, Misdeed};
use crate::put;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tree {
    calls: Vec<Call>,
    /// What to do before everything.
    #[serde(default)]
    before: Misdeed,
    /// What to do after it.
    #[serde(default)]
    end: Misdeed,
    /// How long `sleep` sleeps.
    #[serde(default)]
    ms: u64,
    /// An effect of its own, before the calls.
    #[serde(default)]
    own: Option<Own>,
    /// How the undo behaves: ok, transient, permanent, trap, hang, or flaky:N.
    #[serde(default)]
    undo: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plain {
    calls: Vec<Call>,
    /// What to do before everything.
    #[serde(default)]
    before: Misdeed,
    /// What to do after it.
    #[serde(default)]
    end: Misdeed,
    /// How long `sleep` sleeps.
    #[serde(default)]
    ms: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Call {
    /// The full name.
    tool: String,
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    arguments: Option<Box<RawValue>>,
    /// Go on when it fails.
    #[serde(default)]
    ignore: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Own {
    key: String,
    value: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Answers {
    /// What came of each call: what it answered, or `failed: …`.
    answers: Vec<String>,
}

/// Makes calls. Its own effect can be taken back.
#[tool(destructive, undo = unmake)]
pub(crate) fn tree(ctx: &Context, args: Tree) -> Result<Answers, Failure> {
    args.before.done(ctx, "before", args.ms)?;
    if let Some(own) = args.own {
        put::own(ctx, own.key, own.value)?;
    }
    let answers = made(&args.calls)?;
    args.end.done(ctx, "end", args.ms)?;
    Ok(Answers { answers })
}

fn unmake(args: Tree, undo: Undo<'_>) -> Result<(), Failure> {
    misdeed::undo(&args.undo, undo.ctx)?;
    put::take_back(undo)
}

/// Makes calls. Cannot be taken back.
#[tool(destructive)]
pub(crate) fn plain_tree(ctx: &Context, args: Plain) -> Result<Answers, Failure> {
    args.before.done(ctx, "before", args.ms)?;
    let answers = made(&args.calls)?;
    args.end.done(ctx, "end", args.ms)?;
    Ok(Answers { answers })
}

fn made(calls: &[Call]) -> Result<Vec<String>, Failure> {
    let total = calls.len() as f64;
    let mut answers = vec![];
    for (n, call) in calls.iter().enumerate() {
        host::progress(n as f64, Some(total), Some(&call.tool));
        match host::call_tool(&call.tool, call.arguments.as_ref().map(|json| json.get())) {
            Ok(reply) => answers.push(told(&reply)),
            Err(error) if call.ignore => answers.push(format!("failed: {error:?}")),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answers)
}

fn told(reply: &Answer) -> String {
    let text = reply.content.iter().find_map(|block| match &block.content {
        Content::Text(text) => Some(text.clone()),
        _ => None,
    });
    reply.structured.clone().or(text).unwrap_or_default()
}
