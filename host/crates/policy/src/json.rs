//! JSON text of values. As serde_json writes it, which looks at each byte of a text by itself: of a large call that was the largest part.

use std::fmt::Write as _;

use serde_json::Value;

/// `value` as compact JSON, with the keys of every object in the order they are in.
///
/// ```
/// use serde_json::json;
/// use skillhost_policy::compact;
///
/// assert_eq!(compact(&json!({"b": [1, null], "a": "x\n"})), r#"{"b":[1,null],"a":"x\n"}"#);
/// ```
#[must_use]
pub fn compact(value: &Value) -> String {
    let mut text = String::with_capacity(bytes(value));
    write(value, &mut text, false);
    text
}

/// `value` as compact JSON with the keys of every object in order. Two values have the same text exactly when they are
/// equal; numbers are equal when they are written alike (`1` is not `1.0`).
///
/// ```
/// use serde_json::json;
/// use skillhost_policy::canonical;
///
/// assert_eq!(canonical(&json!({"b": [1, null], "a": "x"})), r#"{"a":"x","b":[1,null]}"#);
/// ```
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::with_capacity(bytes(value));
    write(value, &mut text, true);
    text
}

/// Bytes of a value as JSON, give or take escapes; without writing it out.
pub(crate) fn bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().fold(2, |sum, item| sum + 1 + bytes(item)),
        Value::Object(map) => map.iter().fold(2, |sum, (key, value)| sum + key.len() + 4 + bytes(value)),
    }
}

fn write(value: &Value, text: &mut String, sorted: bool) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    text.push(',');
                }
                write(item, text, sorted);
            }
            text.push(']');
        }
        Value::Object(map) if sorted => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            object(entries.into_iter(), text, sorted);
        }
        Value::Object(map) => object(map.iter(), text, sorted),
        Value::String(value) => string(value, text),
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => push(text, format_args!("{value}")),
    }
}

fn object<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>, text: &mut String, sorted: bool) {
    text.push('{');
    for (n, (key, value)) in entries.enumerate() {
        if n > 0 {
            text.push(',');
        }
        string(key, text);
        text.push(':');
        write(value, text, sorted);
    }
    text.push('}');
}

fn string(mut value: &str, text: &mut String) {
    text.push('"');
    while let Some(at) = escaped(value.as_bytes()) {
        text.push_str(&value[..at]);
        match value.as_bytes()[at] {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x08 => text.push_str("\\b"),
            0x0c => text.push_str("\\f"),
            control => push(text, format_args!("\\u{control:04x}")),
        }
        value = &value[at + 1..];
    }
    text.push_str(value);
    text.push('"');
}

/// Where the first byte is that JSON must escape; all of them are characters by themselves.
fn escaped(bytes: &[u8]) -> Option<usize> {
    /// Looked at without a branch, so that the compiler takes them together.
    const TOGETHER: usize = 32;
    let is = |byte: &u8| (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
    let plain = bytes
        .chunks_exact(TOGETHER)
        .take_while(|chunk| !chunk.iter().fold(false, |any, byte| any | is(byte)));
    let from = plain.count() * TOGETHER;
    bytes[from..].iter().position(is).map(|at| from + at)
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes all");
}

#[cfg(all(test, not(skillhost_loom)))]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Short and long ones, with what is escaped and what stands beside it.
    const TEXT: &str =
        "(?s:.*)|[\\x00-\\x23\\[\\\\\\]\\x7f\u{e4}\u{1f600}]{0,80}|[a-z]{30,70}[\\x00-\\x23\\\\]?[a-z]{0,40}";

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            TEXT.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((TEXT, inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn compact_is_what_serde_json_writes(value in values()) {
            prop_assert_eq!(compact(&value), serde_json::to_string(&value).unwrap());
        }

        #[test]
        fn canonical_is_the_same_value_and_the_order_of_keys_is_none(value in values()) {
            let text = canonical(&value);
            let mut sorted = value;
            sorted.sort_all_objects();
            prop_assert_eq!(&compact(&sorted), &text);
            prop_assert_eq!(canonical(&sorted), text);
        }
    }

    #[test]
    fn every_byte_is_escaped_as_it_must_be_wherever_it_stands() {
        for char in (0..=0xff_u8).map(char::from) {
            for before in 0..70 {
                let value = Value::from(format!("{}{char}{}", "a".repeat(before), "b".repeat(70 - before)));
                assert_eq!(
                    compact(&value),
                    serde_json::to_string(&value).unwrap(),
                    "{char:?} after {before}"
                );
            }
        }
    }

    #[test]
    fn different_values_have_different_texts() {
        let all = [
            json!({"a": "1"}),
            json!({"a": 1}),
            json!({"a": 1.0}),
            json!({"a": null}),
            json!({}),
            json!(null),
        ];
        for (n, one) in all.iter().enumerate() {
            for other in &all[n + 1..] {
                assert_ne!(canonical(one), canonical(other));
            }
        }
    }
}
