use skillhost_sdk::prelude::*;

/// Shouts.
#[prompt]
fn shout() -> Result<String, std::num::ParseIntError> {
    "1".parse::<u8>().map(|n| n.to_string())
}

skillhost_sdk::skill!(tools: [], prompts: [shout]);

fn main() {}
