//! An undo that does what an undo may not do.
use serde_json::value::RawValue;
use skillhost_sdk::Undo;
use skillhost_sdk::prelude::*;

use crate::world;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndoCalls {
    /// The full name of the tool that the undo tries to call.
    tool: String,
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    arguments: Option<Box<RawValue>>,
}

/// Does nothing; its undo tries to call a tool and to prepare an undo, and tells what was answered.
#[tool(destructive, open_world = false, undo = tries)]
pub(crate) fn undo_calls(_args: UndoCalls) -> Result<(), Failure> {
    Ok(host::prepare_undo("{}")?)
}

fn tries(args: UndoCalls, undo: Undo<'_>) -> Result<(), Failure> {
    let call = &undo.ctx.call_id;
    let answer = host::call_tool(&args.tool, args.arguments.as_ref().map(|json| json.get()));
    world::effect(&format!("call_tool {call} {answer:?}"))?;
    world::effect(&format!("prepare_undo {call} {:?}", host::prepare_undo("{}")))
}
