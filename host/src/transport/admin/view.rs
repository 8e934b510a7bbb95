//! What the admin API takes and gives, as JSON. `--json` of the command line prints the same.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use skillhost_core::CallId;
use skillhost_journal::{Delivery, Event, Filter, PageOf, Priority, Record, State, Timestamp};

/// Which letters are meant. Everything that is said must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Which {
    /// In one of these states, with commas: waiting, leased, parked, rolling-back, recovered, failed, unknown, discarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// Of this skill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skill: Option<String>,
    /// Of this tool, by its full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool: Option<String>,
    /// Whose last failure is of this kind, such as timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// Of this caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) caller: Option<String>,
    /// With this priority: low, normal, high, urgent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<String>,
    /// Whose last failure's message holds this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// That have been letters for longer than this, such as 7d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) older_than: Option<String>,
    /// That have been letters for less than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) newer_than: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Part {
    /// After this id: the `next` of the part before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
    /// At most this many, 1 to 1,000. By default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u32>,
}

/// Something to do with many letters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Many {
    /// These, at most 1,000; none at all when the list is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ids: Option<Vec<String>>,
    /// All that it can be done with, in the place of `ids`.
    pub(crate) all: bool,
    /// Which of them.
    pub(crate) filter: Which,
    /// Which part of them.
    pub(crate) part: Part,
    /// Only say which.
    pub(crate) dry_run: bool,
    /// Replay: only with the version of the skill that failed.
    pub(crate) pin: bool,
    /// Replay: at most this many a second, 0.001 to 1,000. By default all at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<f64>,
    /// Replay, with `rate`: letters that were replayed before these.
    pub(crate) offset: u64,
}

/// What became of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Done {
    /// Letters that were looked at.
    pub(crate) matched: Vec<String>,
    /// Those that were changed; with `dry_run`, that would be.
    pub(crate) changed: u64,
    /// Those that were not, and why.
    pub(crate) refused: Vec<Refused>,
    /// Ask with this as `after` for the next part; none at the end.
    pub(crate) next: Option<String>,
    /// The file of an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
}

/// A letter that was left as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Refused {
    /// Which.
    pub(crate) id: String,
    /// Why.
    pub(crate) why: String,
}

/// What somebody changes of a letter.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EditBody {
    /// Other arguments. Where they hold `[secret]` in the place of a secret, it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) arguments: Option<Map<String, Value>>,
    /// Another priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<String>,
}

/// How one letter is replayed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReplayBody {
    /// Only with the version of the skill that failed.
    pub(crate) pin: bool,
}

/// Letters.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListView {
    /// Oldest call first.
    pub(crate) letters: Vec<LetterView>,
    /// Ask with this as `after` for the next part; none at the end.
    pub(crate) next: Option<String>,
    /// Letters that cannot be read back.
    pub(crate) damaged: Vec<String>,
}

/// A letter. Times are RFC 3339 in UTC.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LetterView {
    /// The call's id.
    pub(crate) id: String,
    /// waiting, leased, parked, rolling-back, recovered, failed, unknown or discarded.
    pub(crate) state: &'static str,
    /// The tool's full name.
    pub(crate) tool: String,
    /// Its skill.
    pub(crate) skill: String,
    /// The version of the skill that it was called with.
    pub(crate) digest: String,
    /// Whether it is run with just that version.
    pub(crate) pinned: bool,
    /// Who called.
    pub(crate) caller: String,
    /// Stands in each log line of the call.
    pub(crate) correlation_id: String,
    /// The client's idempotency key.
    pub(crate) key: Option<String>,
    /// plain or durable.
    pub(crate) delivery: &'static str,
    /// Whether running it twice does no harm.
    pub(crate) safe: bool,
    /// low, normal, high or urgent.
    pub(crate) priority: &'static str,
    /// Runs so far.
    pub(crate) attempts: u32,
    /// Runs since it was last replayed by hand, of `max_tries`.
    pub(crate) tries: u32,
    /// Runs until it is parked.
    pub(crate) max_tries: u32,
    /// When the call began.
    pub(crate) begun: String,
    /// When it became a letter.
    pub(crate) enqueued: Option<String>,
    /// When it was parked last.
    pub(crate) dead: Option<String>,
    /// When it is run next.
    pub(crate) due: Option<String>,
    /// When it ended.
    pub(crate) ended: Option<String>,
    /// From when on it is parked instead of run again.
    pub(crate) gives_up: String,
    /// Why the last run did not succeed.
    pub(crate) problem: Option<ProblemView>,
}

/// Why a run did not succeed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProblemView {
    /// The kind of failure.
    pub(crate) kind: String,
    /// What happened.
    pub(crate) message: String,
    /// none or unknown.
    pub(crate) effect: &'static str,
}

/// A letter with all there is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WholeView {
    /// The letter.
    #[serde(flatten)]
    pub(crate) letter: LetterView,
    /// Its arguments, with `[secret]` in the place of secrets.
    #[schemars(with = "Value")]
    pub(crate) arguments: Option<Box<RawValue>>,
    /// Whether some of them are secret.
    pub(crate) has_secrets: bool,
    /// The client's `_meta`.
    #[schemars(with = "Value")]
    pub(crate) meta: Option<Box<RawValue>>,
    /// The reply, once it has recovered.
    #[schemars(with = "Value")]
    pub(crate) outcome: Option<Box<RawValue>>,
    /// Its life so far, oldest step first.
    pub(crate) history: Vec<EventView>,
}

/// A step in the life of a letter.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EventView {
    /// When.
    pub(crate) at: String,
    /// failed, refused, scheduled, retried, taken-over, parked, recovered, edited, replayed, discarded or restored.
    pub(crate) step: &'static str,
    /// Runs by then.
    pub(crate) attempt: u32,
    /// What there is to say.
    pub(crate) detail: Option<String>,
}

impl LetterView {
    pub(super) fn of(letter: &Record) -> Self {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        Self {
            id: letter.id.to_string(),
            state: letter.status(),
            tool: letter.tool.clone(),
            skill: letter.skill.clone(),
            digest: letter.digest.to_string(),
            pinned: letter.pinned,
            caller: letter.caller.as_str().to_owned(),
            correlation_id: letter.correlation_id.clone(),
            key: letter.key.clone(),
            delivery: match letter.delivery {
                Delivery::Plain => "plain",
                Delivery::Durable => "durable",
            },
            safe: letter.safe,
            priority: letter.priority.as_str(),
            attempts: letter.attempts,
            tries: letter.tries,
            max_tries: letter.max_tries,
            begun: letter.begun.to_string(),
            enqueued: text(letter.enqueued),
            dead: text(letter.dead),
            due: text(letter.due),
            ended: text(letter.ended),
            gives_up: letter.gives_up.to_string(),
            problem: letter.problem.as_ref().map(|problem| ProblemView {
                kind: problem.kind.clone(),
                message: problem.message.clone(),
                effect: if problem.unknown_effect { "unknown" } else { "none" },
            }),
        }
    }
}

impl WholeView {
    pub(super) fn of(letter: &Record, history: Vec<Event>) -> Self {
        let raw = |text: &Option<String>| text.clone().and_then(|text| RawValue::from_string(text).ok());
        let events = history.into_iter().map(|event| EventView {
            at: event.at.to_string(),
            step: event.step.as_str(),
            attempt: event.attempt,
            detail: event.detail,
        });
        Self {
            letter: LetterView::of(letter),
            arguments: raw(&letter.arguments.shown),
            has_secrets: letter.arguments.sealed.is_some(),
            meta: raw(&letter.meta),
            outcome: raw(&letter.outcome),
            history: events.collect(),
        }
    }
}

impl Which {
    /// As the journal understands it.
    pub(super) fn filter(&self, ids: &[String], now: Timestamp) -> Result<Filter, String> {
        let states = self.state.as_deref().map(|words| {
            let word = |word: &str| {
                State::from_word(word.trim()).ok_or_else(|| {
                    format!("there is no state `{word}`; there are waiting, leased, parked, rolling-back, recovered, failed, unknown, discarded")
                })
            };
            words.split(',').map(word).collect::<Result<Vec<_>, _>>()
        });
        let span = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => match humantime::parse_duration(text) {
                Ok(span) => Ok(Some(now.minus(span))),
                Err(error) => Err(format!("`{text}` is no time: {error}; write it like 90s, 12h or 7d")),
            },
        };
        Ok(Filter {
            ids: ids.iter().map(|id| parse_id(id)).collect::<Result<_, _>>()?,
            states: states.transpose()?.unwrap_or_default(),
            skill: self.skill.clone(),
            tool: self.tool.clone(),
            kind: self.kind.clone(),
            caller: self.caller.clone(),
            priority: self.priority.as_deref().map(parse_priority).transpose()?,
            text: self.text.clone(),
            before: span(&self.older_than)?,
            since: span(&self.newer_than)?,
        })
    }
}

impl Part {
    pub(super) fn page(&self) -> Result<PageOf, String> {
        let limit = self.limit.unwrap_or(100);
        if !(1..=1_000).contains(&limit) {
            return Err(format!("`limit` is {limit}; it must be from 1 to 1000"));
        }
        Ok(PageOf { after: self.after.as_deref().map(parse_id).transpose()?, limit })
    }
}

/// A query, whose values are all texts.
pub(super) fn query(mut said: BTreeMap<String, String>) -> Result<(Which, Part), String> {
    let limit = said.remove("limit");
    let limit =
        limit.map(|text| text.parse().map_err(|_| format!("`limit` is `{text}`, which is no number")));
    let part = Part { after: said.remove("after"), limit: limit.transpose()? };
    let which = said.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
    let which = serde_json::from_value(Value::Object(which)).map_err(|error| error.to_string())?;
    Ok((which, part))
}

pub(super) fn parse_id(text: &str) -> Result<CallId, String> {
    text.parse().map_err(|expected| format!("`{text}` is no id of a call: {expected}"))
}

pub(super) fn parse_priority(word: &str) -> Result<Priority, String> {
    Priority::from_word(word)
        .ok_or_else(|| format!("there is no priority `{word}`; there are low, normal, high, urgent"))
}

/// The delay of the nth of letters that are replayed at a rate.
pub(super) fn spread(rate: Option<f64>, n: u64) -> Result<Duration, String> {
    match rate {
        None => Ok(Duration::ZERO),
        Some(_) if n > 10_000_000 => Err(format!("`offset` is {n}; it must be at most 10000000")),
        Some(rate) if (0.001..=1_000.0).contains(&rate) => Ok(Duration::from_secs_f64(n as f64 / rate)),
        Some(rate) => Err(format!("`rate` is {rate}; it must be from 0.001 to 1000 a second")),
    }
}
