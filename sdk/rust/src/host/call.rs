//! Calling another skill's tool with values instead of JSON texts.
use serde::{Serialize, de::DeserializeOwned};

use super::{CallError, call_tool};
use crate::Failure;
use crate::reply::to_json;
use crate::types::{Content, Reply};

/// As [`call_tool`](super::call_tool), with values: `arguments` becomes a JSON object, and the reply is read as an `Out`.
///
/// What is read is the structured result. Where there is none it is the text, as a string; where there is no text
/// either, `null`. So a tool that answers with a text is called for a `String`, and one whose answer does not matter
/// for a [`serde::de::IgnoredAny`].
///
/// ```
/// use skillhost_sdk::{Reply, prelude::*, testing::Host};
///
/// #[derive(Serialize)]
/// struct Text<'a> {
///     text: &'a str,
/// }
///
/// #[derive(Deserialize)]
/// struct Counts {
///     words: usize,
/// }
///
/// fn words(text: &str) -> Result<usize, Failure> {
///     Ok(host::call::<Counts>("text_count", &Text { text })?.words)
/// }
///
/// let mock = Host::new().tool("text_count", |_| Ok(Reply::structured(&serde_json::json!({"words": 2}))));
/// assert_eq!(mock.run(|| words("a b")), Ok(2));
/// ```
///
/// # Errors
/// A failure to hand on with `?`. What the tool itself said stays what it is, for the host takes back what earlier
/// calls of this call did:
///
/// | what happened | failure |
/// |---|---|
/// | the tool fails as transient, permanent, conflict or missing-capability | the same |
/// | it refuses its arguments | permanent: the caller of this tool did not write them |
/// | it answers "no" (`is_error`), or what is no `Out` | permanent |
/// | the host ended it | permanent; what it did is the host's to take back |
/// | the call was not made | transient when that may pass, permanent otherwise |
///
/// # Panics
/// When `arguments` has no JSON form (a map whose keys are not strings).
pub fn call<Out: DeserializeOwned>(name: &str, arguments: &impl Serialize) -> Result<Out, Failure> {
    let reply = call_tool(name, Some(&to_json(arguments))).map_err(|error| named(name, error))?;
    let text = text(&reply);
    if reply.is_error {
        return Err(Failure::permanent(format_args!(
            "`{name}` answers no: {}",
            text.as_deref().or(reply.structured.as_deref()).unwrap_or("it does not say why")
        )));
    }
    let read = match (&reply.structured, &text) {
        (Some(json), _) => serde_json::from_str(json),
        (None, Some(text)) => serde_json::from_str(&to_json(text)),
        (None, None) => serde_json::from_str("null"),
    };
    read.map_err(|error| Failure::permanent(format_args!("`{name}` answered what was not expected: {error}")))
}

/// The text of a reply, when it has any.
fn text(reply: &Reply) -> Option<String> {
    let texts = reply.content.iter().filter_map(|block| match &block.content {
        Content::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let texts: Vec<_> = texts.collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// The failure, with the tool's name where its own message would not tell who speaks.
fn named(name: &str, error: CallError) -> Failure {
    match error {
        CallError::Failed(Failure::InvalidInput(why)) => {
            Failure::permanent(format_args!("`{name}` refused its arguments: {why}"))
        }
        CallError::Ended(why) => Failure::permanent(format_args!("`{name}` was ended: {why}")),
        other => other.into(),
    }
}

/// As [`call`] maps it. What the callee says of itself stays; that it was ended is no word about the caller.
impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(error) => error.into(),
            CallError::Failed(Self::InvalidInput(why)) | CallError::Ended(why) => Self::permanent(why),
            CallError::Failed(failure) => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostError;
    use crate::testing::Host;
    use crate::types::Transient;

    fn answered<Out: DeserializeOwned>(answer: Result<Reply, CallError>) -> Result<Out, Failure> {
        Host::new().tool("a_b", move |_| answer.clone()).run(|| call("a_b", &["x"]))
    }

    #[test]
    fn arguments_and_result_are_values() {
        let mock = Host::new().tool("a_b", |arguments| {
            assert_eq!(arguments, Some(r#"["x"]"#));
            Ok(Reply { structured: Some("7".into()), ..Reply::text("seven") })
        });
        assert_eq!(mock.run(|| call::<u8>("a_b", &["x"])), Ok(7), "the structure counts, not the text");
    }

    #[test]
    fn a_reply_without_structure_is_its_text() {
        assert_eq!(answered::<String>(Ok(Reply::text("say \"hi\""))), Ok("say \"hi\"".into()));
        assert_eq!(answered::<()>(Ok(Reply::default())), Ok(()));
        assert!(answered::<serde::de::IgnoredAny>(Ok(Reply::text("done"))).is_ok());
        let Err(Failure::Permanent(message)) = answered::<u8>(Ok(Reply::text("x"))) else { panic!("read") };
        assert!(message.starts_with("`a_b` answered what was not expected"), "{message}");
    }

    #[test]
    fn what_the_tool_says_of_itself_stays() {
        let transient = Failure::Transient(Transient { message: "busy".into(), retry_after_ms: Some(5) });
        for failure in [
            transient,
            Failure::permanent("never"),
            Failure::conflict("changed"),
            Failure::missing_capability(["roots"]),
        ] {
            assert_eq!(answered::<()>(Err(CallError::Failed(failure.clone()))), Err(failure));
        }
    }

    #[test]
    fn the_rest_is_told_with_the_tools_name() {
        let message = |answer| match answered::<()>(answer) {
            Err(Failure::Permanent(message)) => message,
            other => panic!("{other:?}"),
        };
        let refused = CallError::Failed(Failure::invalid_input("no"));
        assert_eq!(message(Err(refused)), "`a_b` refused its arguments: no");
        assert_eq!(message(Err(CallError::Ended("a timeout".into()))), "`a_b` was ended: a timeout");
        assert_eq!(message(Ok(Reply::error("they differ"))), "`a_b` answers no: they differ");
        let bare = Reply { is_error: true, structured: Some("{}".into()), ..Reply::default() };
        assert_eq!(message(Ok(bare)), "`a_b` answers no: {}");
    }

    #[test]
    fn a_call_that_was_not_made_may_be_made_later() {
        let refused = |error| answered::<()>(Err(CallError::Refused(error)));
        assert_eq!(refused(HostError::Unavailable("full".into())), Err(Failure::transient("full")));
        assert_eq!(refused(HostError::Denied("no".into())), Err(Failure::permanent("no")));
        assert!(matches!(Host::new().run(|| call::<()>("x_y", &())), Err(Failure::Permanent(_))));
    }
}
