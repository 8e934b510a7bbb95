//! A skill that misbehaves in every way the host must bear: in calls by the tool that is called, while it is
//! loaded by its mode.
#![cfg(target_family = "wasm")]

mod effects;
mod features;
mod files;
mod keeping;
mod mode;
mod network;
mod tools;

use skillhost_sdk::{Context, Failure, Outcome, Skill, Tool, dispatch};

struct Faulty;

impl Skill for Faulty {
    fn list() -> Vec<Tool> {
        mode::spoil(tools::ALL.iter().map(|tool| tool.describe()).collect())
    }

    fn call(ctx: &Context, name: &str, arguments: Option<&str>) -> Result<Outcome, Failure> {
        dispatch(tools::ALL, ctx, name, arguments)
    }
}

skillhost_sdk::export_skill!(Faulty);
