//! What a client may expect of a message, from its bytes alone.

use serde::de::IgnoredAny;
use serde_json::Value;

/// How often a message is answered, by one of these ids. `Null` stands for an answer without one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expect {
    pub(super) keys: Vec<Value>,
    pub(super) min: usize,
    pub(super) max: usize,
}

fn expect(keys: &[Value], min: usize, max: usize) -> Expect {
    Expect { keys: keys.to_vec(), min, max }
}

/// What is to come of this message.
pub(super) fn of(bytes: &[u8]) -> Expect {
    const NOBODY: &[Value] = &[Value::Null];
    let Ok(text) = str::from_utf8(bytes) else { return expect(NOBODY, 1, 1) };
    if text.trim().is_empty() {
        return expect(&[], 0, 0);
    }
    if serde_json::from_str::<IgnoredAny>(text).is_err() || !text.trim_start().starts_with('{') {
        return expect(NOBODY, 1, 1);
    }
    let fields = fields(text);
    let has = |wanted: &str| fields.iter().any(|(key, _)| key.as_deref() == Some(wanted));
    let ids: Vec<_> =
        fields.iter().filter(|(key, _)| key.as_deref() == Some("id")).map(|(_, id)| id).collect();
    let (method, answer) = (has("method"), has("result") || has("error"));
    match ids[..] {
        // A response without an id: nobody can say to what.
        [] if answer => expect(NOBODY, 0, 1),
        // Whether it would be a notification cannot be read of a name that is no text.
        [] if fields.iter().any(|(key, _)| key.is_none()) => expect(NOBODY, 0, 1),
        [] if method => expect(&[], 0, 0),
        [] => expect(NOBODY, 1, 1),
        // A response is not answered; one that is wrong may be, but not as if it were a request.
        [_, ..] if answer && !method => expect(NOBODY, 0, 1),
        [id] => {
            let listens = fields.iter().any(|(key, value)| {
                key.as_deref() == Some("method") && value.contains("subscriptions/listen")
            });
            let (keys, sound) = keys(id);
            // What is a request and a response at once is neither.
            let least = usize::from(!listens && !answer);
            match sound && !answer {
                true => expect(&keys, least, 1),
                false => expect(&[&keys[..], NOBODY].concat(), least, 1),
            }
        }
        [..] => {
            let all: Vec<Value> = ids.iter().flat_map(|id| keys(id).0).chain([Value::Null]).collect();
            expect(&all, usize::from(!answer), 1)
        }
    }
}

/// By which ids this one may be answered, and whether it is sound.
fn keys(id: &str) -> (Vec<Value>, bool) {
    let Ok(value) = serde_json::from_str::<Value>(id) else { return (vec![], false) };
    match &value {
        Value::String(_) => (vec![value], true),
        Value::Number(number) if number.is_i64() => (vec![value], true),
        // Such as 2.0, -0 and 2^63: some take them for integers, and some do not.
        Value::Number(number) => {
            let whole = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e15).map(|n| n as i64);
            (whole.map(Value::from).into_iter().chain([value]).collect(), false)
        }
        _ => (vec![], false),
    }
}

/// Names and values of a sound object. No name for one that is no text.
fn fields(text: &str) -> Vec<(Option<String>, &str)> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    // Where a name, or a value, begins.
    let (mut from, mut name, mut found) = (0, None, vec![]);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                depth += 1;
                if depth == 1 {
                    from = at + 1;
                }
            }
            b':' if depth == 1 => {
                name = Some(serde_json::from_str(text[from..at].trim()).ok());
                from = at + 1;
            }
            b',' | b'}' | b']' => {
                if depth == 1
                    && let Some(name) = name.take()
                {
                    found.push((name, text[from..at].trim()));
                    from = at + 1;
                }
                if byte != b',' {
                    depth -= 1;
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether a message gives up the request of this id.
pub(super) fn cancels(bytes: &[u8], id: &Value) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains("notifications/cancelled") && !id.is_null() && text.contains(&format!("\"requestId\":{id}"))
}

#[test]
fn what_a_message_may_expect() {
    let null = Value::Null;
    for (text, keys, min, max) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, vec![Value::from(1)], 1, 1),
        (r#"{"id":"a","params":{"id":2,"x":"}\"{"}, "method":"x"} "#, vec!["a".into()], 1, 1),
        (r#"{"id":1,"method":"subscriptions/listen"}"#, vec![1.into()], 0, 1),
        (r#"{"method":"ping"}"#, vec![], 0, 0),
        (r#"{"id":1,"result":{}}"#, vec![null.clone()], 0, 1),
        (r#"{"id":1,"result":{},"method":"x"}"#, vec![1.into(), null.clone()], 0, 1),
        (r#"{"i\u0064":1.5,"method":"x"}"#, vec![1.5.into(), null.clone()], 1, 1),
        (r#"{"id":1,"id":2}"#, vec![1.into(), 2.into(), null.clone()], 1, 1),
        ("{}", vec![null.clone()], 1, 1),
        ("[]", vec![null.clone()], 1, 1),
        (r#"{"id":1"#, vec![null], 1, 1),
        (r#"{"\ud800":1,"method":"x"}"#, vec![Value::Null], 0, 1),
        (" \t", vec![], 0, 0),
    ] {
        assert_eq!(of(text.as_bytes()), Expect { keys, min, max }, "{text}");
    }
}
