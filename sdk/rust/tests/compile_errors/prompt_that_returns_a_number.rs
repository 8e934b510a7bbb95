use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Args {
    text: String,
}

/// Shouts.
#[prompt]
fn shout(args: Args) -> usize {
    args.text.len()
}

skillhost_sdk::skill!(tools: [], prompts: [shout]);

fn main() {}
