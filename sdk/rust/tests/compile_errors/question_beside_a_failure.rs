use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

/// Greets.
#[tool]
fn greet(ctx: &Context) -> Result<String, Failure> {
    let name = ask::form::<Name>(ctx, "name", "Who are you?")?.or_stop()?;
    Ok(name.name)
}

skillhost_sdk::skill!(greet);

fn main() {}
