use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Args {
    text: String,
}

/// Shouts.
#[resource(mime_type = "text/plain")]
fn shout() -> String {
    "AH".into()
}

fn main() {}
