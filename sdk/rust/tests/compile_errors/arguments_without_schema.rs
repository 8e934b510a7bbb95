use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Args {
    text: String,
}

struct Plain {
    text: String,
}

/// Shouts.
#[tool]
fn shout(args: Plain) -> String {
    args.text
}

skillhost_sdk::skill!(shout);

fn main() {}
