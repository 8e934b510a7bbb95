use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Args {
    text: String,
}

/// Shouts.
#[tool]
fn shout(args: Args) -> Result<String, std::num::ParseIntError> {
    args.text.parse::<u8>().map(|n| n.to_string())
}

skillhost_sdk::skill!(shout);

fn main() {}
