use skillhost_sdk::prelude::*;

/// Shouts.
#[tool(task = "always")]
fn shout() -> &'static str {
    "AH"
}

fn main() {}
