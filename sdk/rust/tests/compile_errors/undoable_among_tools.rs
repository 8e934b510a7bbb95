use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Args {
    text: String,
}

/// Shouts.
#[tool(undo = unshout)]
fn shout(args: Args) -> String {
    args.text
}

fn unshout(_: Args, _: skillhost_sdk::Undo<'_>) -> Result<(), Failure> {
    Ok(())
}

skillhost_sdk::skill!(shout);

fn main() {}
