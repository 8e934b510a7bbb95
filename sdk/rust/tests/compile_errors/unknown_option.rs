use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Args {
    text: String,
}

/// Shouts.
#[tool(readonly)]
fn shout(args: Args) -> String {
    args.text.to_uppercase()
}

fn main() {}
