//! What is wrong with text that is no message of the protocol, on any transport.

use rmcp::{ErrorData, RoleServer, model::RequestId, service::RxJsonRpcMessage};
use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use skillhost_core::text::bounded;

/// Bytes of an explanation: some quote what was sent.
const MAX_TEXT: usize = 500;

/// What JSON-RPC wants to know of a message. Skipping the rest does not recurse: this finds the id beside arguments that are
/// nested too deep, beside keys that are there twice, and beside what is no text.
#[derive(Default)]
struct Envelope {
    /// Also when it is `null`. Of several the last, as most parsers have it.
    id: Option<Value>,
    has_method: bool,
    /// It answers a request of ours.
    is_response: bool,
}

/// A key, whatever is in it.
struct Key(Vec<u8>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Key, E> {
                Ok(Key(bytes.to_owned()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                Ok(Key(text.as_bytes().to_owned()))
            }
        }
        // Texts must be Unicode, bytes need not.
        deserializer.deserialize_bytes(Bytes)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Envelope;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(Key(key)) = map.next_key()? {
                    match &key[..] {
                        b"id" => envelope.id = Some(map.next_value::<Id>()?.0),
                        b"method" => {
                            map.next_value::<IgnoredAny>()?;
                            envelope.has_method = true;
                        }
                        b"result" | b"error" => {
                            map.next_value::<IgnoredAny>()?;
                            envelope.is_response = true;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// An id as it stands there; what cannot be one at all, such as a text that is no Unicode, is as good as an object.
struct Id(Value);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).unwrap_or_else(|_| Value::Object(serde_json::Map::new()))))
    }
}

/// Whether `text` has both a method and an id, whatever that is: its sender waits for an answer.
pub(super) fn asks(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Envelope { id: Some(_), has_method: true, .. }))
}

/// The id of a request, if it has a sound one. That of a response is the host's own.
pub(super) fn id(text: &str) -> Option<RequestId> {
    let Envelope { id, is_response, .. } = serde_json::from_str(text).ok()?;
    serde_json::from_value(id.filter(|_| !is_response)?).ok()
}

/// The answer to `text`, with its id where it has a sound one. None to a notification or a response, which are not answered.
pub(super) fn of(text: &str) -> Option<(Option<RequestId>, ErrorData)> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Some((None, ErrorData::parse_error(bounded(format!("not JSON: {error}"), MAX_TEXT), None)));
    }
    let invalid = |id, why: &str| {
        Some((
            id,
            ErrorData::invalid_request(
                bounded(format!("not a request of this protocol: {why}"), MAX_TEXT),
                None,
            ),
        ))
    };
    match text.trim_start().as_bytes().first() {
        Some(b'{') => {}
        Some(b'[') => return invalid(None, "messages come one by one, not in batches"),
        _ => return invalid(None, "a message is a JSON object"),
    }
    let Envelope { id, has_method, is_response } = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) => return invalid(None, &error.to_string()),
    };
    if is_response && !has_method {
        return None;
    }
    let id = match id {
        None if has_method => return None,
        None => None,
        Some(id) => match serde_json::from_value(id) {
            Ok(id) => Some(id),
            Err(_) => return invalid(None, "`id` must be a string or an integer"),
        },
    };
    let why = match serde_json::from_str::<RxJsonRpcMessage<RoleServer>>(text) {
        Err(error) => error.to_string(),
        Ok(_) => "it is malformed".into(),
    };
    invalid(id, &why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Option<(Option<RequestId>, i32)> {
        of(text).map(|(id, error)| (id, error.code.0))
    }

    #[test]
    fn what_has_an_id_is_answered_by_it() {
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"x","arguments":{{"a":{}{}}}}}}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        assert_eq!(answer(&deep), Some((Some(RequestId::Number(7)), -32600)));
        assert_eq!(answer(r#"{"id":"a","foo":1}"#), Some((Some(RequestId::String("a".into())), -32600)));
        assert_eq!(
            answer(r#"{"jsonrpc":"2.0","id":9,"method":5}"#),
            Some((Some(RequestId::Number(9)), -32600))
        );
    }

    #[test]
    fn the_rest_is_answered_without_one() {
        assert_eq!(answer("{nonsense"), Some((None, -32700)));
        assert_eq!(answer(""), Some((None, -32700)));
        for text in ["[]", "5", "\"x\"", "null", r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "{}"] {
            assert_eq!(answer(text), Some((None, -32600)), "{text}");
        }
        for id in ["1.5", "null", "{}", "[1]", "true"] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            assert!(asks(&text), "{text}");
            assert_eq!(answer(&text), Some((None, -32600)), "{text}");
        }
    }

    #[test]
    fn an_id_is_found_beside_whatever_else_is_wrong() {
        for text in [
            r#"{"jsonrpc":"2.0","id":3,"method":"ping","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"ping","\ud800":1}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"\ud800"}"#,
            r#"{"id":1,"jsonrpc":"2.0","id":3,"method":5}"#,
        ] {
            assert_eq!(answer(text), Some((Some(RequestId::Number(3)), -32600)), "{text}");
        }
        assert_eq!(answer(r#"{"jsonrpc":"2.0","id":"\ud800","method":"ping"}"#), Some((None, -32600)));
    }

    #[test]
    fn a_response_is_not_answered_however_malformed() {
        for text in [
            r#"{"jsonrpc":"1.0","id":5,"result":{}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":5,"error":{"code":"x","message":"\ud800"}}"#.to_owned(),
            format!(r#"{{"jsonrpc":"2.0","id":5,"error":{}{}}}"#, "[".repeat(1_000), "]".repeat(1_000)),
        ] {
            assert_eq!(answer(&text), None, "{text}");
            assert!(!asks(&text));
        }
    }

    #[test]
    fn only_requests_are_answered_by_their_id() {
        assert_eq!(id(r#"{"id":7,"method":"ping","params":{},"params":{}}"#), Some(RequestId::Number(7)));
        for text in
            [r#"{"id":7,"result":{}}"#, r#"{"id":7,"method":"x","error":{}}"#, r#"{"id":1.5}"#, "{}", "x"]
        {
            assert_eq!(id(text), None, "{text}");
        }
    }

    #[test]
    fn a_notification_is_not_answered() {
        let text = r#"{"jsonrpc":"1.0","method":"notifications/x"}"#;
        assert!(!asks(text));
        assert_eq!(answer(text), None);
    }

    #[test]
    fn explanations_are_short() {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"{}":1,"method":"{}"}}"#,
            "k".repeat(9_999),
            "m".repeat(9_999)
        );
        assert!(of(&text).unwrap().1.message.len() < 600);
    }
}
