//! The tools of this skill.

use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Who {
    /// Whom to greet.
    name: String,
}

/// Greets somebody by name.
#[tool(read_only, idempotent, open_world = false)]
fn greet(args: Who) -> Result<String, Failure> {
    if args.name.trim().is_empty() {
        return Err(Failure::invalid_input("the name must not be blank"));
    }
    Ok(format!("Hello, {}!", args.name))
}

skillhost_sdk::skill!(greet);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_greets() {
        assert_eq!(greet(Who { name: "Ada".into() }).unwrap(), "Hello, Ada!");
        assert!(greet(Who { name: " ".into() }).is_err());
    }
}
