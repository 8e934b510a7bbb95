//! What is wrong with text that is no message of the protocol, on any transport.

use rmcp::{ErrorData, RoleServer, model::RequestId, service::RxJsonRpcMessage};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::Value;
use skillhost_core::text::bounded;

/// Bytes of an explanation: some quote what was sent.
const MAX_TEXT: usize = 500;

/// What JSON-RPC wants to know of a message. Skipping the rest does not recurse: this finds the id beside
/// arguments that are nested too deep.
#[derive(Deserialize)]
struct Envelope {
    /// Also when it is `null`.
    #[serde(default, deserialize_with = "given")]
    id: Option<Value>,
    method: Option<IgnoredAny>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Whether `text` has both a method and an id, whatever that is: its sender waits for an answer.
pub(super) fn asks(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Envelope { id: Some(_), method: Some(_) }))
}

/// The answer to `text`, with its id where it has a sound one. None to a notification, which is not answered.
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
    let Envelope { id, method } = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) => return invalid(None, &error.to_string()),
    };
    let id = match id {
        None if method.is_some() => return None,
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
