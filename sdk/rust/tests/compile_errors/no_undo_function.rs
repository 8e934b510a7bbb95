use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Args {
    text: String,
}

/// Shouts.
#[tool]
fn shout(args: Args) -> String {
    args.text
}

skillhost_sdk::skill!(tools: [], undoable: [shout]);

fn main() {}
