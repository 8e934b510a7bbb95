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

fn unshout(args: Args) -> Result<(), Failure> {
    drop(args);
    Ok(())
}

skillhost_sdk::skill!(tools: [], undoable: [shout]);

fn main() {}
