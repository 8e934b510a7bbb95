//! WIT types as JSON Schema 2020-12, as exact as their values are told.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use skillhost_core::text::bounded;

use super::shape::{Int, Shape};

/// The largest f32 in the fewest digits.
const LARGEST: f64 = 3.402_823_5e38;

/// Bytes of what is said of a value that are kept.
const MOST: usize = 1 << 10;

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

/// Write into the schema of a value what is said of it, by the way there.
pub(crate) fn describe(schema: &mut Value, shape: &Shape, at: &str, said: &BTreeMap<String, String>) {
    describe_inside(schema, shape, at, said);
    put(schema, said.get(at).cloned());
}

/// The same of what is in it, and not of the value itself.
fn describe_inside(schema: &mut Value, shape: &Shape, at: &str, said: &BTreeMap<String, String>) {
    match shape {
        Shape::Record(fields) => {
            for (name, shape) in fields {
                if let Some(member) = schema.get_mut("properties").and_then(|all| all.get_mut(&**name)) {
                    describe(member, shape, &format!("{at}.{name}"), said);
                }
            }
        }
        Shape::Variant(cases) => {
            let all = schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten();
            for (case, (name, shape)) in all.zip(cases) {
                let at = format!("{at}.{name}");
                if let Some((value, shape)) = case.pointer_mut("/properties/val").zip(shape.as_ref()) {
                    describe_inside(value, shape, &at, said);
                }
                put(case, said.get(&at).cloned());
            }
        }
        Shape::List(item) => {
            if let Some(items) = schema.get_mut("items") {
                describe_inside(items, item, at, said);
            }
        }
        Shape::Option(inner) => {
            let some = if inner.is_nullable() { "/anyOf/0/properties/some" } else { "/anyOf/0" };
            if let Some(some) = schema.pointer_mut(some) {
                describe_inside(some, inner, at, said);
            }
        }
        Shape::Result(Some(ok), _) => {
            if let Some(value) = schema.pointer_mut("/oneOf/0/properties/ok") {
                describe_inside(value, ok, at, said);
            }
        }
        Shape::Enum(names) | Shape::Flags(names) => {
            let each = names.iter().filter_map(|name| Some((name, said.get(&format!("{at}.{name}"))?)));
            let each: Vec<_> = each.map(|(name, text)| format!("{name}: {text}")).collect();
            put(schema, (!each.is_empty()).then(|| each.join("\n")));
        }
        _ => {}
    }
}

fn put(schema: &mut Value, said: Option<String>) {
    let (Some(said), Some(schema)) = (said, schema.as_object_mut()) else { return };
    let said = bounded(said, MOST);
    // What is said of large numbers is no less true.
    let said = match schema.get("description").and_then(Value::as_str) {
        Some(known) if !known.contains(&said) => format!("{said} ({known})"),
        Some(known) => known.to_owned(),
        None => said,
    };
    schema.insert("description".into(), said.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_values_is_in_their_schema() {
        let kinds =
            Shape::Variant(vec![("loose".into(), Some(Shape::Int(Int::U32))), ("packed".into(), None)]);
        let colors = Shape::Enum(vec!["red".into(), "blue".into()]);
        let item = Shape::Record(vec![
            ("price".into(), Shape::Int(Int::U64)),
            ("kind".into(), kinds),
            ("colors".into(), Shape::Option(Box::new(Shape::List(Box::new(colors))))),
        ]);
        let said = [
            ("item", "A thing."),
            ("item.price", "In cents."),
            ("item.kind", "Which."),
            ("item.kind.loose", "By weight."),
            ("item.colors", "All of them."),
            ("item.colors.blue", "Like the sky."),
            ("other", "Nothing of that."),
        ];
        let said = said.map(|(at, text)| (at.to_owned(), text.to_owned())).into();
        let wrapped = Shape::Result(Some(Box::new(item.clone())), None);
        let mut inside = schema(&wrapped);
        describe(&mut inside, &wrapped, "item", &said);
        assert_eq!(inside["oneOf"][0]["properties"]["ok"]["properties"]["kind"]["description"], "Which.");
        let mut schema = schema(&item);
        describe(&mut schema, &item, "item", &said);
        let at = |pointer: &str| schema.pointer(&format!("{pointer}/description")).and_then(Value::as_str);
        assert_eq!(at(""), Some("A thing."));
        let price = at("/properties/price").unwrap();
        assert!(price.starts_with("In cents. (a 64-bit"), "{price}");
        assert_eq!(at("/properties/kind"), Some("Which."));
        assert_eq!(at("/properties/kind/oneOf/0"), Some("By weight."));
        assert_eq!(at("/properties/kind/oneOf/1"), None);
        assert_eq!(at("/properties/colors"), Some("All of them."));
        assert_eq!(at("/properties/colors/anyOf/0/items"), Some("blue: Like the sky."));
        assert!(skillhost_core::Schema::for_arguments(&schema.to_string()).is_ok());
    }
}
