//! Questions on their way to the client and back. Nothing is held while a person thinks: what a call needs to go on travels
//! with the client, sealed, and comes back with the answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use skillhost_core::{
    Action, Answer, AnswerValue, Ask, CallId, Caller, ClientFeatures, Digest, Failure, FailureKind,
    InputRequired, Question, Root, Round, Schema,
};
use skillhost_journal::{Sealer, Timestamp};

/// Rounds of questions that one call may have.
const MAX_ROUNDS: u32 = 16;

/// What came back from the client with a call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// The state that went out with the questions, as it came back.
    pub state: Option<String>,
    /// By the questions' keys, as MCP words them.
    pub answers: BTreeMap<String, Value>,
}

impl Given {
    /// Whether answers came before anything was asked.
    pub(crate) fn is_early(&self) -> bool {
        self.state.is_none() && !self.answers.is_empty()
    }

    /// The same for the next round, when it answers all that is asked now.
    pub(crate) fn fits(self, asked: &Asking) -> Option<Self> {
        all_answered(&asked.questions, &self.answers)
            .then(|| Self { state: Some(asked.state.clone()), ..self })
    }
}

/// What the client is asked, and what it must send back with the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    /// What is asked.
    pub questions: Vec<Question>,
    /// Opaque: sealed.
    pub state: String,
    /// How long it is good for.
    pub within: Duration,
}

/// For whom and what a state is good: it can be opened with an equal one only.
pub(crate) struct Purpose<'a> {
    pub(crate) caller: &'a Caller,
    /// `tool`, `prompt` or `resource`.
    pub(crate) kind: &'a str,
    /// Its full name, or its URI.
    pub(crate) name: &'a str,
}

impl Purpose<'_> {
    fn bytes(&self) -> Vec<u8> {
        // As JSON no two purposes have the same text.
        let parts = ("skillhost/round", self.caller.as_str(), self.kind, self.name);
        Digest::of(&serde_json::to_vec(&parts).unwrap_or_default()).as_bytes().to_vec()
    }
}

/// What asks, and with what it was called: both are the same in each round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// The component's.
    digest: String,
    /// That of the arguments; none when there were none.
    arguments: Option<String>,
}

impl About {
    /// `canonical` are the arguments.
    pub(crate) fn new(digest: Digest, canonical: Option<&str>) -> Self {
        let arguments = canonical.map(|text| Digest::of(text.as_bytes()).hex());
        Self { digest: digest.hex(), arguments }
    }

    /// Whether the call that comes with answers is the one that asked.
    pub(crate) fn check(&self, now: &Self) -> Result<(), Failure> {
        let text = match (self.arguments == now.arguments, self.digest == now.digest) {
            (true, true) => return Ok(()),
            (false, _) => "the arguments differ from those that the questions were asked about",
            (true, false) => "the skill was replaced since it asked",
        };
        Err(Failure::new(FailureKind::InvalidAnswers, text))
    }
}

/// What travels.
#[derive(Serialize, Deserialize)]
struct Sealed {
    call: CallId,
    /// That of the answers.
    round: u32,
    about: About,
    state: Option<Vec<u8>>,
    questions: Vec<Question>,
    /// Milliseconds since 1970.
    expires: u64,
}

/// What came back, opened.
pub(crate) struct Opened {
    pub(crate) call: CallId,
    pub(crate) about: About,
    pub(crate) expires: Timestamp,
    pub(crate) round: Arc<Round>,
}

/// What `asked` is sent out with.
pub(crate) fn seal(
    sealer: &Sealer,
    purpose: &Purpose<'_>,
    (call, about, before): (CallId, About, Option<&Round>),
    asked: InputRequired,
    (now, within): (Timestamp, Duration),
) -> Result<Asking, Failure> {
    let round = before.map_or(1, |round| round.number) + 1;
    if round > MAX_ROUNDS {
        let text = format!("the skill has asked {MAX_ROUNDS} times and still does not answer");
        return Err(Failure::new(FailureKind::InvalidOutput, text));
    }
    let InputRequired { questions, state } = asked;
    let expires = now.plus(within).0;
    let sealed = Sealed { call, round, about, state, questions, expires };
    let text = serde_json::to_vec(&sealed).map_err(|error| broken(&error))?;
    let state = sealer.seal_for(&purpose.bytes(), &text).map_err(|error| broken(&error))?;
    Ok(Asking { questions: sealed.questions, state: BASE64_URL_SAFE_NO_PAD.encode(state), within })
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "what a tool asks cannot be sealed");
    Failure::new(FailureKind::Internal, "what the tool asks cannot be sent out now")
}

/// What came back with a call. One text for whatever is wrong with a state: who forges one learns nothing.
pub(crate) fn open(
    sealer: &Sealer,
    purpose: &Purpose<'_>,
    given: &Given,
    now: Timestamp,
) -> Result<Option<Opened>, Failure> {
    let Some(state) = &given.state else { return Ok(None) };
    let refused = || {
        let text = "`requestState` is not one of this host for this caller and this call, or it has expired";
        Failure::new(FailureKind::InvalidAnswers, text)
    };
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(state).map_err(|_| refused())?;
    let text = sealer.open_for(&purpose.bytes(), &sealed).map_err(|_| refused())?;
    let sealed: Sealed = serde_json::from_slice(&text).map_err(|_| refused())?;
    let expires = Timestamp(sealed.expires);
    if expires <= now {
        return Err(refused());
    }
    let answers = answers(&sealed.questions, &given.answers)?;
    let round = Arc::new(Round { number: sealed.round, state: sealed.state, answers });
    Ok(Some(Opened { call: sealed.call, about: sealed.about, expires, round }))
}

/// Whether all of `questions` have sound answers among those that came unasked.
pub(crate) fn all_answered(questions: &[Question], given: &BTreeMap<String, Value>) -> bool {
    questions.iter().all(|question| given.contains_key(&question.key)) && answers(questions, given).is_ok()
}

/// Which of these the client cannot answer.
pub(crate) fn beyond(questions: &[Question], client: &ClientFeatures) -> Vec<String> {
    let mut missing: Vec<String> = questions
        .iter()
        .filter(|question| !client.can_answer(&question.ask))
        .map(|question| question.ask.capability().to_owned())
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

/// The answers to `questions`; what nobody asked is left out.
pub(crate) fn answers(
    questions: &[Question],
    given: &BTreeMap<String, Value>,
) -> Result<Vec<Answer>, Failure> {
    let answer = |question: &Question| {
        let value = given.get(&question.key)?;
        let value = self::value(&question.ask, value.clone());
        Some(value.map(|value| Answer { key: question.key.clone(), value }).map_err(|why| {
            let text = format!("the answer `{}` cannot be used: {why}", question.key);
            Failure::new(FailureKind::InvalidAnswers, text)
        }))
    };
    questions.iter().filter_map(answer).collect()
}

fn value(ask: &Ask, given: Value) -> Result<AnswerValue, String> {
    #[derive(Deserialize)]
    struct Elicited {
        action: Action,
        content: Option<Map<String, Value>>,
    }
    #[derive(Deserialize)]
    struct Roots {
        roots: Vec<Root>,
    }
    fn read<T: DeserializeOwned>(given: Value) -> Result<T, String> {
        serde_json::from_value(given).map_err(|error| error.to_string())
    }
    match ask {
        Ask::Form { schema, .. } => {
            let Elicited { action, content } = read(given)?;
            if action != Action::Accept {
                return Ok(AnswerValue::Elicited { action, content: None });
            }
            let content = content.ok_or("it is accepted without `content`")?;
            fits(schema, &content)?;
            Ok(AnswerValue::Elicited { action, content: Some(content) })
        }
        Ask::Url { .. } => {
            let Elicited { action, .. } = read(given)?;
            Ok(AnswerValue::Elicited { action, content: None })
        }
        Ask::Sample(_) => {
            let result: Map<String, Value> = read(given)?;
            if !result.contains_key("content") {
                return Err("a result of `sampling/createMessage` has `content`".into());
            }
            Ok(AnswerValue::Sampled(result))
        }
        Ask::Roots => {
            let Roots { roots } = read(given)?;
            Ok(AnswerValue::Roots(roots))
        }
    }
}

fn fits(schema: &Map<String, Value>, content: &Map<String, Value>) -> Result<(), String> {
    let schema = Schema::parse(&Value::Object(schema.clone()).to_string())
        .map_err(|error| format!("its schema is no JSON Schema: {error}"))?;
    let content = Value::Object(content.clone());
    let size = content.to_string().len();
    schema
        .validate(&content, size)
        .map_err(|violations| violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests;
