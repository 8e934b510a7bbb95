use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Args {
    text: String,
}

/// Shouts.
#[tool]
fn shout(args: Args, more: Args) -> String {
    args.text + &more.text
}

fn main() {}
