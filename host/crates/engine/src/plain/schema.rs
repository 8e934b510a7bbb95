//! WIT types as JSON Schema 2020-12, as exact as their values are told.

use serde_json::{Map, Value, json};

use super::shape::{Int, Shape};

/// The largest f32 in the fewest digits.
const LARGEST: f64 = 3.402_823_5e38;

/// The schema of one value.
pub(crate) fn schema(shape: &Shape) -> Value {
    match shape {
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Int(int) => integer(*int),
        // What is beyond it would be infinite. The largest as it is told: in its shortest form, which is a little more.
        Shape::F32 => json!({"type": "number", "minimum": -LARGEST, "maximum": LARGEST}),
        Shape::F64 => json!({"type": "number"}),
        Shape::Char => json!({"type": "string", "minLength": 1, "maxLength": 1}),
        Shape::Text => json!({"type": "string"}),
        Shape::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Shape::List(item) => json!({"type": "array", "items": schema(item)}),
        Shape::Tuple(items) => json!({
            "type": "array",
            "prefixItems": items.iter().map(schema).collect::<Vec<_>>(),
            "items": false,
            "minItems": items.len(),
            "maxItems": items.len(),
        }),
        Shape::Record(fields) => object(fields.iter().map(|(name, shape)| (&**name, shape))),
        Shape::Variant(cases) => one_of(cases.iter().map(|(name, value)| tagged(name, value.as_ref()))),
        Shape::Enum(names) => json!({"type": "string", "enum": names}),
        Shape::Flags(names) => json!({
            "type": "array", "items": {"type": "string", "enum": names}, "uniqueItems": true,
        }),
        Shape::Option(inner) => json!({"anyOf": [some(inner), {"type": "null"}]}),
        Shape::Result(ok, error) => one_of([("ok", ok), ("error", error)].into_iter().map(|(name, value)| {
            let value = value.as_ref().map_or_else(|| json!({"type": "null"}), |value| schema(value));
            json!({"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": false})
        })),
    }
}

/// An object with these members. What is optional may be left out.
pub(crate) fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a Shape)>) -> Value {
    let (mut properties, mut required) = (Map::new(), vec![]);
    for (name, shape) in fields {
        if !matches!(shape, Shape::Option(_)) {
            required.push(name);
        }
        properties.insert(name.to_owned(), schema(shape));
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// What is there, of an option. Where that may be `null` itself, it is wrapped.
fn some(inner: &Shape) -> Value {
    if !inner.is_nullable() {
        return schema(inner);
    }
    json!({"type": "object", "properties": {"some": schema(inner)}, "required": ["some"], "additionalProperties": false})
}

fn integer(int: Int) -> Value {
    let (least, most) = int.bounds();
    // Both fit what serde_json holds.
    let number =
        |n: i128| i64::try_from(n).map_or_else(|_| json!(u64::try_from(n).unwrap_or(u64::MAX)), |n| json!(n));
    let bounded = json!({"type": "integer", "minimum": number(least), "maximum": number(most)});
    if !int.is_wide() {
        return bounded;
    }
    let digits = if least < 0 { "^(0|-?[1-9][0-9]{0,18})$" } else { "^(0|[1-9][0-9]{0,19})$" };
    json!({
        "anyOf": [bounded, {"type": "string", "pattern": digits}],
        "description": "a 64-bit integer; beyond 2^53 as a string of digits, which no program rounds",
    })
}

fn tagged(name: &str, value: Option<&Shape>) -> Value {
    let mut properties = Map::from_iter([("tag".to_owned(), json!({"const": name}))]);
    let mut required = vec!["tag"];
    if let Some(shape) = value {
        if !matches!(shape, Shape::Option(_)) {
            required.push("val");
        }
        properties.insert("val".to_owned(), schema(shape));
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn one_of(cases: impl Iterator<Item = Value>) -> Value {
    json!({"oneOf": cases.collect::<Vec<_>>()})
}
