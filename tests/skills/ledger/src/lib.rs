//! A skill whose effects and their undoing can be counted from outside, and that fails where it is told to.
//!
//! A key is a file in `/data`. Every effect leaves a line in `/log/effects`, every misdeed one in `/log/events` just
//! before it is done, so that a test can wait for it.
#![cfg(target_family = "wasm")]

mod misdeed;
mod put;
mod tree;
mod undo_calls;
mod world;

use skillhost_sdk::prelude::tool;

/// Tells the version of this skill.
#[tool(read_only, idempotent, open_world = false)]
fn version() -> String {
    world::marker()
}

skillhost_sdk::skill!(
    tools: [version, put::get, put::mutate, tree::plain_tree],
    undoable: [put::put, tree::tree, undo_calls::undo_calls],
);
