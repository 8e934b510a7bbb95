//! Arguments with places for what is known of a letter.

use serde_json::{Map, Value};

/// What may stand between braces.
pub const PLACEHOLDERS: [&str; 10] =
    ["id", "tool", "skill", "kind", "message", "attempts", "caller", "effect", "state", "rule"];

/// Arguments of a call. In texts, `{message}` and the like stand for what is known of the letter; a text that is nothing but
/// one of them has its type, so `"{attempts}"` is a number. `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Map<String, Value>);

impl Default for Template {
    /// The letter's `id`, `tool`, `kind`, `message` and `attempts`, each under its name.
    fn default() -> Self {
        let names = ["id", "tool", "kind", "message", "attempts"];
        Self(names.map(|name| (name.to_owned(), format!("{{{name}}}").into())).into_iter().collect())
    }
}

impl Template {
    /// With these arguments.
    ///
    /// # Errors
    /// The first place that stands for nothing.
    pub fn new(arguments: Map<String, Value>) -> Result<Self, String> {
        let template = Self(arguments);
        template.filled(&|_| Value::Null).map(|_| template)
    }

    /// The arguments about a letter. `known` answers what a placeholder stands for.
    ///
    /// # Errors
    /// Never for one that was made by [`Template::new`].
    pub fn filled(&self, known: &dyn Fn(&str) -> Value) -> Result<Map<String, Value>, String> {
        match fill(&Value::Object(self.0.clone()), known)? {
            Value::Object(map) => Ok(map),
            _ => Ok(Map::new()),
        }
    }
}

fn fill(value: &Value, known: &dyn Fn(&str) -> Value) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => fill_text(text, known)?,
        Value::Array(all) => all.iter().map(|value| fill(value, known)).collect::<Result<_, _>>()?,
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| Ok((key.clone(), fill(value, known)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other.clone(),
    })
}

fn fill_text(text: &str, known: &dyn Fn(&str) -> Value) -> Result<Value, String> {
    let stands_for = |name: &str| {
        if PLACEHOLDERS.contains(&name) {
            return Ok(known(name));
        }
        Err(format!(
            "holds `{{{name}}}`, which stands for nothing; there are {}, and {{{{ for a brace",
            PLACEHOLDERS.join(", ")
        ))
    };
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            filled.push_str(brace);
            rest = after;
            continue;
        }
        let named = (brace == "{").then(|| after.split_once('}')).flatten();
        let Some((name, after)) = named else {
            return Err(format!("holds a single `{brace}`; write `{brace}{brace}` for one"));
        };
        let value = stands_for(name)?;
        if at == 0 && rest.len() == text.len() && after.is_empty() {
            return Ok(value);
        }
        match value {
            Value::String(text) => filled.push_str(&text),
            other => filled.push_str(&other.to_string()),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(Value::String(filled))
}
