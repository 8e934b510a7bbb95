//! What was answered so far. A client sends the answers to its last questions only, so those before travel in the state.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::types::{Action, AnswerValue, Context, Failure, Root};

/// What a state may hold by the contract.
const MOST: usize = 16 << 10;

/// An answer, in the form in which the state carries it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    Accept(Option<Box<RawValue>>),
    Decline,
    Cancel,
    Sampled(Box<RawValue>),
    Roots(Vec<Folder>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Folder {
    uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// Answers by the keys of their questions.
pub(super) type Known = BTreeMap<String, Answer>;

#[derive(Default, Serialize, Deserialize)]
struct State {
    answers: Known,
}

impl Answer {
    /// None when the answer has JSON that does not parse; the question is then asked again.
    fn read(value: &AnswerValue) -> Option<Self> {
        let json = |text: &String| RawValue::from_string(text.clone()).ok();
        Some(match value {
            AnswerValue::Elicited(elicited) => match (elicited.action, &elicited.content) {
                (Action::Accept, Some(content)) => Self::Accept(Some(json(content)?)),
                (Action::Accept, None) => Self::Accept(None),
                (Action::Decline, _) => Self::Decline,
                (Action::Cancel, _) => Self::Cancel,
            },
            AnswerValue::Sampled(result) => Self::Sampled(json(result)?),
            AnswerValue::Roots(roots) => {
                let folder = |root: &Root| Folder { uri: root.uri.clone(), name: root.name.clone() };
                Self::Roots(roots.iter().map(folder).collect())
            }
        })
    }
}

impl From<Folder> for Root {
    fn from(folder: Folder) -> Self {
        Self { uri: folder.uri, name: folder.name }
    }
}

/// The answers of all rounds. The newest counts.
pub(super) fn known(ctx: &Context) -> Known {
    let Some(round) = &ctx.round else { return Known::new() };
    let state = round.state.as_deref().and_then(|state| serde_json::from_slice::<State>(state).ok());
    let mut known = state.unwrap_or_default().answers;
    for answer in &round.answers {
        if let Some(value) = Answer::read(&answer.value) {
            known.insert(answer.key.clone(), value);
        }
    }
    known
}

/// The state that carries these answers to the next round.
pub(super) fn state(known: &Known) -> Result<Vec<u8>, Failure> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        answers: &'a Known,
    }
    let state = serde_json::to_vec(&Borrowed { answers: known }).map_err(Failure::permanent)?;
    if state.len() > MOST {
        return Err(Failure::permanent(format_args!(
            "the answers so far have {} bytes; at most {MOST} can be kept while more is asked",
            state.len()
        )));
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{self, Elicited, Round};

    fn round(state: Option<Vec<u8>>, answers: Vec<(&str, AnswerValue)>) -> Context {
        let answer = |(key, value): (&str, _)| types::Answer { key: key.into(), value };
        let answers = answers.into_iter().map(answer).collect();
        Context { round: Some(Round { number: 2, state, answers }), ..Context::for_tests() }
    }

    fn elicited(action: Action, content: Option<&str>) -> AnswerValue {
        AnswerValue::Elicited(Elicited { action, content: content.map(Into::into) })
    }

    #[test]
    fn every_answer_travels_in_the_state() {
        let root = |name: Option<&str>| Root { uri: "file:///a".into(), name: name.map(Into::into) };
        let answers = vec![
            ("a", elicited(Action::Accept, Some(r#"{"x": 1.50}"#))),
            ("b", elicited(Action::Accept, None)),
            ("c", elicited(Action::Decline, None)),
            ("d", elicited(Action::Cancel, Some("{}"))),
            ("e", AnswerValue::Sampled(r#"{"model":"m"}"#.into())),
            ("f", AnswerValue::Roots(vec![root(None), root(Some("A"))])),
        ];
        let first = state(&known(&round(None, answers))).unwrap();
        let text = concat!(
            r#"{"answers":{"a":{"accept":{"x": 1.50}},"b":{"accept":null},"c":"decline","d":"cancel","#,
            r#""e":{"sampled":{"model":"m"}},"f":{"roots":[{"uri":"file:///a"},{"uri":"file:///a","name":"A"}]}}}"#
        );
        assert_eq!(String::from_utf8(first.clone()).unwrap(), text);
        assert_eq!(state(&known(&round(Some(first.clone()), vec![]))), Ok(first));
    }

    #[test]
    fn the_newest_answer_counts() {
        let old = br#"{"answers":{"a":"decline"}}"#.to_vec();
        let known = known(&round(Some(old), vec![("a", elicited(Action::Cancel, None))]));
        assert!(matches!(known["a"], Answer::Cancel));
    }

    #[test]
    fn what_cannot_be_read_was_not_answered() {
        for state in ["", "null", "[]", r#"{"answers":{"a":"maybe"}}"#, "\u{0}"] {
            assert!(known(&round(Some(state.into()), vec![])).is_empty(), "{state}");
        }
        let broken =
            vec![("a", elicited(Action::Accept, Some("{"))), ("b", AnswerValue::Sampled(String::new()))];
        assert!(known(&round(None, broken)).is_empty());
        assert!(known(&Context::for_tests()).is_empty());
    }

    #[test]
    fn a_state_has_a_bound() {
        let long = format!("\"{}\"", "x".repeat(MOST));
        let known = known(&round(None, vec![("a", AnswerValue::Sampled(long))]));
        let Err(Failure::Permanent(message)) = state(&known) else { panic!("kept") };
        assert!(message.contains("at most 16384"), "{message}");
    }
}
