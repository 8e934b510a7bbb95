//! Questions a guest asks, and their answers.

use serde_json::Value;
use skillhost_core::{
    Action, Answer, AnswerValue, Ask, Failure, FailureKind, InputRequired, Question, Round,
};

use super::typed;
use crate::bindings::skillhost::skill::types;

/// Questions that may be asked at once, and bytes of the skill's state.
const MAX_QUESTIONS: usize = 16;
const MAX_STATE: usize = 16 << 10;
/// Bytes of a question's key.
const MAX_KEY: usize = 128;

/// What the guest asks; `touched`: it did something before that it cannot know to be undone.
pub(crate) fn asked(asked: types::InputRequired, touched: bool) -> Result<InputRequired, Failure> {
    let wrong = |text: String| Err(Failure::new(FailureKind::InvalidOutput, text));
    if touched {
        let text = "the skill asks a question after it has changed something; it must ask before it acts";
        return wrong(text.into());
    }
    if asked.questions.is_empty() || asked.questions.len() > MAX_QUESTIONS {
        return wrong(format!(
            "the skill asks {} questions at once; 1 to {MAX_QUESTIONS} are allowed",
            asked.questions.len()
        ));
    }
    if asked.state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
        return wrong(format!("the skill's state beside its questions is over {MAX_STATE} bytes"));
    }
    let mut questions: Vec<Question> = Vec::with_capacity(asked.questions.len());
    for types::Question { key, ask } in asked.questions {
        if key.is_empty() || key.len() > MAX_KEY {
            return wrong(format!("a question's key has 1 to {MAX_KEY} bytes"));
        }
        if questions.iter().any(|question| question.key == key) {
            return wrong(format!("the skill asks two questions under the key `{key}`"));
        }
        questions.push(Question { key, ask: self::ask(ask)? });
    }
    Ok(InputRequired { questions, state: asked.state })
}

fn ask(ask: types::Ask) -> Result<Ask, Failure> {
    Ok(match ask {
        types::Ask::Form(form) => {
            Ask::Form { message: form.message, schema: typed("schema", &form.schema, "a JSON object")? }
        }
        types::Ask::Url(url) => Ask::Url { message: url.message, url: url.url, id: url.id },
        types::Ask::Sample(params) => Ask::Sample(typed("sample", &params, "a JSON object")?),
        types::Ask::Roots => Ask::Roots,
    })
}

/// A later round, for the guest.
pub(crate) fn round(round: &Round) -> types::Round {
    types::Round {
        number: round.number,
        state: round.state.clone(),
        answers: round.answers.iter().cloned().map(answer).collect(),
    }
}

fn answer(Answer { key, value }: Answer) -> types::Answer {
    let value = match value {
        AnswerValue::Elicited { action, content } => types::AnswerValue::Elicited(types::Elicited {
            action: match action {
                Action::Accept => types::Action::Accept,
                Action::Decline => types::Action::Decline,
                Action::Cancel => types::Action::Cancel,
            },
            content: content.map(|content| Value::Object(content).to_string()),
        }),
        AnswerValue::Sampled(result) => types::AnswerValue::Sampled(Value::Object(result).to_string()),
        AnswerValue::Roots(roots) => types::AnswerValue::Roots(
            roots.into_iter().map(|root| types::Root { uri: root.uri, name: root.name }).collect(),
        ),
    };
    types::Answer { key, value }
}
