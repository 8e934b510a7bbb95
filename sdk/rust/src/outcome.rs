//! From what a tool's function returns to what the host gets.
use schemars::JsonSchema;
use serde::Serialize;

use crate::ask::Pause;
use crate::reply::to_json;
use crate::text;
use crate::types::{ContentBlock, Failure, InputRequired, Outcome, Reply};

/// What a tool's function may return, bare, in a `Result<_, Failure>`, or in a `Result<_, Pause>` when it asks.
///
/// | type | content | structured | output schema |
/// |---|---|---|---|
/// | [`Reply`], [`InputRequired`], [`Outcome`] | as given | as given | none |
/// | `()` | none | none | none |
/// | `String`, `&str` | the text | none | none |
/// | a serialisable type whose schema is an object | none; the host mirrors it as text | the object | its schema |
/// | [`WithText`] around such a type | the text | the object | its schema |
/// | any other serialisable type | its JSON text; an object as above | none | none |
///
/// Only objects have an output schema since MCP wants an object at its root. Wrap a list in a struct to have
/// one: a named field also tells a model more than a bare list.
#[diagnostic::on_unimplemented(
    message = "a tool cannot return `{Self}`",
    note = "return `()`, `String`, `Reply`, or a type that derives `Serialize` and `JsonSchema`"
)]
pub trait IntoOutcome {
    /// The outcome of the call.
    fn into_outcome(self) -> Outcome;

    /// The JSON Schema of the structured result, when there always is one.
    fn output_schema() -> Option<String> {
        None
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl IntoOutcome for Reply {
    fn into_outcome(self) -> Outcome {
        self.into()
    }
}

impl IntoOutcome for InputRequired {
    fn into_outcome(self) -> Outcome {
        self.into()
    }
}

impl<T: Serialize + JsonSchema> IntoOutcome for T {
    fn into_outcome(self) -> Outcome {
        if let Some(text) = text::of(&self) {
            return Reply::text(text).into();
        }
        let json = to_json(&self);
        // The value decides, not its schema: making the schema anew at each call would cost more than the
        // call of a small tool. The two agree, as only objects have an output schema.
        match json.as_bytes().first() {
            Some(b'{') => Reply { structured: Some(json), ..Reply::default() },
            Some(b'n') => Reply::default(),
            _ => Reply::text(json),
        }
        .into()
    }

    fn output_schema() -> Option<String> {
        crate::schema::output_schema::<T>()
    }
}

/// A structured result with a text of its own, for results that read badly as JSON.
///
/// ```
/// use skillhost_sdk::prelude::*;
///
/// #[derive(Serialize, JsonSchema)]
/// struct Sum {
///     sum: i64,
/// }
///
/// /// Adds.
/// #[tool(read_only)]
/// fn add() -> WithText<Sum> {
///     WithText { text: "1 + 2 = 3".into(), value: Sum { sum: 3 } }
/// }
/// # fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct WithText<T> {
    /// What people and models read.
    pub text: String,
    /// What programs read.
    pub value: T,
}

impl<T: Serialize + JsonSchema> IntoOutcome for WithText<T> {
    fn into_outcome(self) -> Outcome {
        let mut outcome = self.value.into_outcome();
        if let Outcome::Reply(reply) = &mut outcome {
            reply.content = vec![ContentBlock::text(self.text)];
        }
        outcome
    }

    fn output_schema() -> Option<String> {
        crate::schema::output_schema::<T>()
    }
}

/// Lets the attribute name the good half of a result type that it sees only as tokens.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a tool that can fail returns `Result<_, Failure>`, or `Result<_, Pause>` when it asks; not `{Self}`",
    note = "convert the error: `.map_err(Failure::permanent)?`"
)]
pub trait Fallible {
    type Value: IntoOutcome;

    fn finish(self) -> Result<Outcome, Failure>;
}

impl<T: IntoOutcome> Fallible for Result<T, Failure> {
    type Value = T;

    fn finish(self) -> Result<Outcome, Failure> {
        self.map(T::into_outcome)
    }
}

impl<T: IntoOutcome> Fallible for Result<T, Pause> {
    type Value = T;

    fn finish(self) -> Result<Outcome, Failure> {
        ended(self.map(T::into_outcome), Outcome::InputRequired)
    }
}

/// The end of every call.
#[doc(hidden)]
pub fn finish<R: Fallible>(result: R) -> Result<Outcome, Failure> {
    result.finish()
}

/// A pause in the terms of the contract, where a question is an outcome.
pub(crate) fn ended<O>(
    result: Result<O, Pause>,
    asked: impl FnOnce(InputRequired) -> O,
) -> Result<O, Failure> {
    match result {
        Ok(outcome) => Ok(outcome),
        Err(Pause::Asked(questions)) => Ok(asked(questions)),
        Err(Pause::Failed(failure)) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(value: impl IntoOutcome) -> Reply {
        match value.into_outcome() {
            Outcome::Reply(reply) => reply,
            Outcome::InputRequired(_) => panic!("not a reply"),
        }
    }

    #[derive(Serialize, JsonSchema)]
    struct Point {
        x: u8,
    }

    #[test]
    fn an_object_is_structured() {
        let reply = reply(Point { x: 1 });
        assert_eq!(reply.structured.as_deref(), Some(r#"{"x":1}"#));
        assert!(reply.content.is_empty(), "the host mirrors it");
        assert!(Point::output_schema().is_some());
    }

    #[test]
    fn a_string_is_text_without_quotes() {
        assert_eq!(reply("a \"b\"\n"), Reply::text("a \"b\"\n"));
        assert_eq!(String::output_schema(), None);
    }

    #[test]
    fn unit_is_an_empty_reply() {
        assert_eq!(reply(()), Reply::default());
        assert_eq!(<()>::output_schema(), None);
    }

    #[test]
    fn other_values_are_json_text() {
        assert_eq!(reply(vec![1, 2]), Reply::text("[1,2]"));
        assert_eq!(reply(true), Reply::text("true"));
        assert_eq!(Vec::<u8>::output_schema(), None);
    }

    #[test]
    fn an_optional_object_promises_no_schema() {
        assert_eq!(Option::<Point>::output_schema(), None);
        assert_eq!(reply(None::<Point>), Reply::default());
        assert_eq!(reply(Some(Point { x: 2 })).structured.as_deref(), Some(r#"{"x":2}"#));
    }

    #[test]
    fn text_goes_beside_the_structure() {
        let reply = reply(WithText { text: "one".into(), value: Point { x: 1 } });
        assert_eq!(reply.content, [ContentBlock::text("one")]);
        assert_eq!(reply.structured.as_deref(), Some(r#"{"x":1}"#));
        assert_eq!(WithText::<Point>::output_schema(), Point::output_schema());
    }
}
