use skillhost_sdk::prelude::*;

#[derive(Deserialize)]
struct Name {
    name: String,
}

/// Greets.
#[tool]
fn greet(ctx: &Context) -> Result<String, Pause> {
    let name: Name = ask::form(ctx, "name", "Who are you?")?.or_stop()?;
    Ok(name.name)
}

skillhost_sdk::skill!(greet);

fn main() {}
