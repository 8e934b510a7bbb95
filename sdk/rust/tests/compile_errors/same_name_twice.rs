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

/// Shouts, too.
#[tool(name = "shout")]
fn cry(args: Args) -> String {
    args.text
}

skillhost_sdk::skill!(shout, cry);

fn main() {}
