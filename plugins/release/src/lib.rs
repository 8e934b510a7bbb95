//! A skill that is an orchestration: it makes a release out of a folder, and does nothing but call other skills' tools.
//! The operator grants them: `tools = ["files_*", "json_*", "fetch_*"]`.
//!
//! The pattern, for an orchestration of your own:
//! - Call tools with [`host::call`](skillhost_sdk::host::call) and hand their failures on with `?`. What the earlier
//!   calls did, the host takes back, in reverse; there is nothing to catch.
//! - Look first, and change last. A tool that cannot be taken back (`fetch_post`, a message that is sent) comes after all
//!   that may still fail.
//! - Announce each step before it begins. That is all a person sees of it, and it tells where it stopped.
//! - Declare the tool undoable, with [`undo::nothing`](skillhost_sdk::undo::nothing). It has no effects of its own, and so
//!   the host can take it back as a whole: when it is killed, when an agent asks for it, or as a part of a larger one.
mod run;
mod steps;

skillhost_sdk::skill!(tools: [], undoable: [run::run]);
