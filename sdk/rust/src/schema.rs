//! JSON Schemas (2020-12) of Rust types, as MCP wants them.
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The input schema of a tool that takes `T`.
///
/// ```
/// use skillhost_sdk::{input_schema, prelude::*};
///
/// #[derive(JsonSchema)]
/// struct Args {
///     path: String,
/// }
///
/// assert!(input_schema::<Args>().contains(r#""required":["path"]"#));
/// ```
///
/// # Panics
///
/// When `T` is not an object in JSON: arguments have names.
pub fn input_schema<T: JsonSchema>() -> String {
    let schema = root::<T>(SchemaSettings::draft2020_12().for_deserialize());
    match object(schema) {
        Some(schema) => schema.as_value().to_string(),
        None => {
            panic!("the arguments must be a struct with named fields, not `{}`", std::any::type_name::<T>())
        }
    }
}

/// The output schema of a tool that returns `T`; none when `T` is not an object in JSON.
///
/// ```
/// assert_eq!(skillhost_sdk::output_schema::<Vec<u8>>(), None);
/// ```
pub fn output_schema<T: JsonSchema>() -> Option<String> {
    let schema = root::<T>(SchemaSettings::draft2020_12().for_serialize());
    object(schema).map(|schema| schema.as_value().to_string())
}

/// The schema of `T` as an argument, in one piece: without references where that is possible.
pub(crate) fn inlined<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    root::<T>(settings.with(|settings| settings.inline_subschemas = true)).to_value()
}

fn root<T: JsonSchema>(settings: SchemaSettings) -> Schema {
    // 2020-12 is what MCP assumes anyway, and the title is only the name of the Rust type: neither is worth
    // a model's attention.
    let settings = settings.with(|settings| settings.meta_schema = None).with_transform(FormatsToBounds);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema
}

/// Formats such as `uint32` are schemars' own: validators warn about them or refuse them. Bounds say the same
/// to everyone.
#[derive(Debug, Clone)]
struct FormatsToBounds;

impl Transform for FormatsToBounds {
    fn transform(&mut self, schema: &mut Schema) {
        let format = schema.get("format").and_then(Value::as_str).map(str::to_owned);
        let format = format.as_deref();
        let bounds = match format {
            Some("int32") => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
            Some("uint32") => Some((0, i64::from(u32::MAX))),
            _ => None,
        };
        if let Some((minimum, maximum)) = bounds {
            // The author's own range stays.
            let bounds = schema.ensure_object();
            bounds.entry("minimum").or_insert(minimum.into());
            bounds.entry("maximum").or_insert(maximum.into());
        }
        if format.is_some_and(|format| format.trim_start_matches('u').starts_with("int"))
            || matches!(format, Some("float" | "double"))
        {
            schema.remove("format");
        }
        transform_subschemas(self, schema);
    }
}

/// The schema with `"type": "object"` at its root, if it describes objects only. An enum of structs says so in
/// each of its branches, not at the root.
fn object(mut schema: Schema) -> Option<Schema> {
    if !describes_objects(schema.as_value()) {
        return None;
    }
    schema.insert("type".into(), "object".into());
    Some(schema)
}

fn describes_objects(schema: &Value) -> bool {
    if let Some(kind) = schema.get("type") {
        return kind == "object";
    }
    ["oneOf", "anyOf"].iter().any(|key| {
        let branches = schema.get(key).and_then(Value::as_array);
        branches.is_some_and(|branches| branches.iter().all(describes_objects))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    fn parsed(schema: &str) -> Value {
        serde_json::from_str(schema).unwrap()
    }

    /// What to look for.
    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Search {
        /// The words.
        words: String,
        limit: Option<u32>,
    }

    #[test]
    fn a_struct_becomes_a_closed_object() {
        let expected = json!({
            "type": "object",
            "description": "What to look for.",
            "properties": {
                "words": { "type": "string", "description": "The words." },
                "limit": { "type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX },
            },
            "required": ["words"],
            "additionalProperties": false,
        });
        assert_eq!(parsed(&input_schema::<Search>()), expected);
    }

    #[test]
    fn an_enum_of_structs_is_an_object() {
        #[derive(Deserialize, Serialize, JsonSchema)]
        #[serde(tag = "shape", rename_all = "lowercase")]
        enum Shape {
            Circle { radius: f64 },
            Point,
        }
        let schema = parsed(&input_schema::<Shape>());
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["oneOf"].as_array().unwrap().len(), 2);
    }

    #[test]
    #[should_panic(expected = "must be a struct with named fields, not `alloc::string::String`")]
    fn arguments_that_are_no_object_are_refused() {
        input_schema::<String>();
    }

    #[test]
    fn only_objects_have_an_output_schema() {
        assert!(output_schema::<Search>().is_some());
        assert_eq!(output_schema::<Vec<Search>>(), None);
        assert_eq!(output_schema::<Value>(), None);
    }
}
