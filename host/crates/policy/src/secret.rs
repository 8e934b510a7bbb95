//! Secrets in arguments: taken out before anything is written down, and put back before the tool is called.

use serde_json::{Map, Value};

/// What stands in the place of a secret.
pub const HIDDEN: &str = "[secret]";

/// The JSON pointers of arguments that a schema marks `writeOnly`, as far as its `properties` say. Arrays and references
/// are not looked into: name those with `secret_arguments`.
#[must_use]
pub fn marked(schema: &Map<String, Value>) -> Vec<String> {
    let mut found = vec![];
    look(schema, "", &mut found);
    found
}

fn look(schema: &Map<String, Value>, at: &str, found: &mut Vec<String>) {
    let Some(Value::Object(properties)) = schema.get("properties") else { return };
    for (name, property) in properties {
        let Value::Object(property) = property else { continue };
        let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        if property.get("writeOnly") == Some(&Value::Bool(true)) {
            found.push(pointer);
        } else {
            look(property, &pointer, found);
        }
    }
}

/// Take what `pointers` point at out of `arguments`; by pointer, or nothing when none is there.
///
/// ```
/// use serde_json::json;
/// use skillhost_policy::secret;
///
/// let mut arguments = json!({"user": "ann", "login": {"password": "hunter2"}});
/// let secrets = secret::take(&mut arguments, ["/login/password"]).unwrap();
/// assert_eq!(arguments, json!({"user": "ann", "login": {"password": "[secret]"}}));
/// secret::put_back(&mut arguments, secrets);
/// assert_eq!(arguments["login"]["password"], "hunter2");
/// ```
pub fn take<'a>(
    arguments: &mut Value,
    pointers: impl IntoIterator<Item = &'a str>,
) -> Option<Map<String, Value>> {
    let mut secrets = Map::new();
    for pointer in pointers {
        if let Some(value) = arguments.pointer_mut(pointer)
            && !secrets.contains_key(pointer)
        {
            secrets.insert(pointer.to_owned(), std::mem::replace(value, Value::from(HIDDEN)));
        }
    }
    (!secrets.is_empty()).then_some(secrets)
}

/// Put secrets back where they were. What was edited away in the meantime stays away, and so does what was written in the
/// place of a secret.
pub fn put_back(arguments: &mut Value, secrets: Map<String, Value>) {
    // A secret within a secret was taken out first.
    for (pointer, secret) in secrets.into_iter().rev() {
        if let Some(value) = arguments.pointer_mut(&pointer).filter(|value| **value == HIDDEN) {
            *value = secret;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_mark_what_is_secret() {
        let schema = json!({"type": "object", "properties": {
            "user": {"type": "string"},
            "a/b~c": {"type": "string", "writeOnly": true},
            "login": {"type": "object", "properties": {"password": {"writeOnly": true}, "x": true}},
        }});
        assert_eq!(marked(schema.as_object().unwrap()), ["/a~1b~0c", "/login/password"]);
    }

    #[test]
    fn secrets_within_secrets_and_absent_ones() {
        let whole = json!({"a": {"b": "inner", "c": 1}, "d": [1, 2]});
        let mut arguments = whole.clone();
        let secrets = take(&mut arguments, ["/a/b", "/a", "/nowhere", "/d/1", "/a"]).unwrap();
        assert_eq!(arguments, json!({"a": "[secret]", "d": [1, "[secret]"]}));
        put_back(&mut arguments, secrets);
        assert_eq!(arguments, whole);
        assert_eq!(take(&mut json!({"x": 1}), ["/y"]), None);
    }

    #[test]
    fn what_somebody_wrote_in_its_place_stays() {
        let mut arguments = json!({"token": "old", "key": "k"});
        let secrets = take(&mut arguments, ["/token", "/key"]).unwrap();
        arguments["token"] = json!("new");
        arguments.as_object_mut().unwrap().remove("key");
        put_back(&mut arguments, secrets);
        assert_eq!(arguments, json!({"token": "new"}));
    }
}
