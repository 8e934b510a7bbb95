//! Keys and values: an effect that can be taken back, the same one that cannot, and looking.
use skillhost_sdk::prelude::*;
use skillhost_sdk::{Undo, types::Outcome};

use crate::misdeed::{self, Misdeed};
use crate::world;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Put {
    key: String,
    value: String,
    /// What to do before the effect.
    #[serde(default)]
    before: Misdeed,
    /// What to do after it.
    #[serde(default)]
    end: Misdeed,
    /// How long `sleep` sleeps.
    #[serde(default)]
    ms: u64,
    /// How the undo behaves: ok, transient, permanent, trap, hang, or flaky:N.
    #[serde(default)]
    undo: String,
    /// Whether the token is prepared before the effect.
    #[serde(default = "yes")]
    prepare: bool,
    /// Whether the reply has a token of its own.
    #[serde(default)]
    token_in_reply: bool,
}

fn yes() -> bool {
    true
}

/// What an undo needs.
#[derive(Serialize, Deserialize)]
pub(crate) struct Token {
    key: String,
    old: Option<String>,
    new: String,
    /// Whether it came with the reply.
    #[serde(default)]
    reply: bool,
}

#[derive(Serialize, JsonSchema)]
struct Done {
    key: String,
    old: Option<String>,
    new: String,
    call_id: String,
    attempt: u32,
}

/// Sets a key. Can be taken back.
#[tool(destructive, open_world = false, undo = unput)]
pub(crate) fn put(ctx: &Context, args: Put) -> Result<Outcome, Failure> {
    args.before.done(ctx, "before", args.ms)?;
    let token = Token { old: world::get(&args.key)?, key: args.key, new: args.value, reply: false };
    if args.prepare {
        host::prepare_undo_json(&token)?;
    }
    perform(ctx, &token.key, &token.new)?;
    args.end.done(ctx, "end", args.ms)?;
    let reply = done(ctx, &token);
    Ok(match args.token_in_reply {
        true => reply.undo_token(&Token { reply: true, ..token }),
        false => reply,
    }
    .into())
}

fn unput(args: Put, undo: Undo<'_>) -> Result<(), Failure> {
    misdeed::undo(&args.undo, undo.ctx)?;
    take_back(undo)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutate {
    key: String,
    value: String,
    /// What to do before the effect.
    #[serde(default)]
    before: Misdeed,
    /// What to do after it.
    #[serde(default)]
    end: Misdeed,
    /// How long `sleep` sleeps.
    #[serde(default)]
    ms: u64,
}

/// Sets a key. Cannot be taken back.
#[tool(destructive, open_world = false)]
pub(crate) fn mutate(ctx: &Context, args: Mutate) -> Result<Reply, Failure> {
    args.before.done(ctx, "before", args.ms)?;
    let token = Token { old: world::get(&args.key)?, key: args.key, new: args.value, reply: false };
    perform(ctx, &token.key, &token.new)?;
    args.end.done(ctx, "end", args.ms)?;
    Ok(done(ctx, &token))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    key: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Value {
    value: Option<String>,
}

/// Gets a key.
#[tool(read_only, idempotent, open_world = false)]
pub(crate) fn get(args: Key) -> Result<Value, Failure> {
    Ok(Value { value: world::get(&args.key)? })
}

/// Sets a key under a token of its own.
pub(crate) fn own(ctx: &Context, key: String, new: String) -> Result<(), Failure> {
    let token = Token { old: world::get(&key)?, key, new, reply: false };
    host::prepare_undo_json(&token)?;
    perform(ctx, &token.key, &token.new)
}

fn perform(ctx: &Context, key: &str, value: &str) -> Result<(), Failure> {
    world::set(key, Some(value))?;
    world::effect(&format!("do {key} {value} {}", ctx.call_id))
}

fn done(ctx: &Context, token: &Token) -> Reply {
    Reply::structured(&Done {
        key: token.key.clone(),
        old: token.old.clone(),
        new: token.new.clone(),
        call_id: ctx.call_id.clone(),
        attempt: ctx.attempt,
    })
}

/// Brings a key back. Leaves a line `undo` when it did, and `idle` when there was nothing to do.
pub(crate) fn take_back(undo: Undo<'_>) -> Result<(), Failure> {
    let told = |word: &str, key: &str, origin: &str| {
        world::effect(&format!("{word} {key} {} {}{origin}", undo.ctx.call_id, world::version()))
    };
    let Some(token) = undo.token::<Token>()? else { return told("idle", "-", "") };
    let origin = if token.reply { " reply" } else { "" };
    let now = world::get(&token.key)?;
    if now == token.old {
        return told("idle", &token.key, origin);
    }
    if now.as_ref() != Some(&token.new) && !undo.force {
        return Err(Failure::conflict(format_args!(
            "`{}` holds {}, not `{}` as the call left it",
            token.key,
            now.map_or("nothing".into(), |now| format!("`{now}`")),
            token.new
        )));
    }
    world::set(&token.key, token.old.as_deref())?;
    told("undo", &token.key, origin)
}
