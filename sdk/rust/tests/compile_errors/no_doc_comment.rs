use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Args {
    text: String,
}

#[tool]
fn shout(args: Args) -> String {
    args.text.to_uppercase()
}

fn main() {}
