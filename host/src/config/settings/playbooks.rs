//! Playbooks, checked.

use std::{sync::Arc, time::Duration};

use skillhost_core::{Effect, FailureKind, ToolName};
use skillhost_policy::{
    RedeliveryPolicy,
    playbook::{Action, Glob, Pattern, Playbook, Template, When, Within},
};

use super::{
    policies::retry_over,
    values::{between, within},
};
use crate::config::{
    ConfigError,
    raw::{self, Named, PlaybookAction},
};

/// Rules that are asked, at most.
const MOST: usize = 200;
/// Longest name of a rule, in bytes.
const MAX_NAME: usize = 64;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Every default written out, for what the rule does.
pub(super) fn filled(rule: &mut raw::Playbook) {
    let standard = RedeliveryPolicy::default();
    match rule.action {
        Some(PlaybookAction::Retry) => {
            rule.strategy.get_or_insert_with(|| Named::Own((&standard.retry).into()));
            rule.max_age.get_or_insert(standard.max_age);
            rule.even_if_unknown.get_or_insert(false);
        }
        Some(PlaybookAction::Undo) => {
            rule.saga.get_or_insert(false);
            rule.limit.get_or_insert(1);
        }
        Some(PlaybookAction::Call) => {
            rule.park.get_or_insert(false);
            rule.limit.get_or_insert(1);
        }
        _ => {}
    }
}

/// All rules, in their order.
pub(super) fn all(rules: &[raw::Playbook]) -> Result<Arc<[Playbook]>, ConfigError> {
    if rules.len() > MOST {
        let problem = format!("are {}; at most {MOST} are taken", rules.len());
        return Err(ConfigError::value("playbooks", problem));
    }
    let mut checked: Vec<Playbook> = vec![];
    for (n, rule) in rules.iter().enumerate() {
        let table = format!("playbooks[{n}]");
        let rule = self::rule(&table, rule)?;
        if let Some(same) = checked.iter().position(|earlier| earlier.name == rule.name) {
            let problem =
                format!("is \"{}\", as that of rule {} before it; names are unique", rule.name, same + 1);
            return Err(ConfigError::value(format!("{table}.name"), problem));
        }
        checked.push(rule);
    }
    Ok(checked.into())
}

/// Rules that are never asked about anything, since one before them is.
pub(super) fn covered(rules: &[Playbook]) -> impl Iterator<Item = String> {
    rules.iter().enumerate().filter_map(|(n, rule)| {
        let earlier = rules[..n].iter().find(|earlier| earlier.covers(rule))?;
        Some(format!(
            "the playbook `{}` never matches: `{}`, which is written before it, matches all that it does",
            rule.name, earlier.name
        ))
    })
}

fn rule(table: &str, rule: &raw::Playbook) -> Result<Playbook, ConfigError> {
    let key = |name: &str| format!("{table}.{name}");
    let wrong = |name: &str, problem: String| ConfigError::value(key(name), problem);
    let name = rule.name.as_deref().unwrap_or_default();
    let of_names = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(of_names) {
        let what = if rule.name.is_none() {
            "says no `name`".to_owned()
        } else {
            format!("has the name \"{name}\"")
        };
        let problem = format!("{what}; write 1 to {MAX_NAME} letters, digits, `.`, `_` and `-`");
        return Err(ConfigError::value(table, problem));
    }
    let Some(action) = rule.action else {
        return Err(ConfigError::value(
            table,
            "says no `action`; there are retry, park, undo, call, discard and archive",
        ));
    };
    let said = [
        ("strategy", rule.strategy.is_some(), &[PlaybookAction::Retry][..]),
        ("max_age", rule.max_age.is_some(), &[PlaybookAction::Retry]),
        ("even_if_unknown", rule.even_if_unknown.is_some(), &[PlaybookAction::Retry]),
        ("saga", rule.saga.is_some(), &[PlaybookAction::Undo]),
        ("tool", rule.tool.is_some(), &[PlaybookAction::Call]),
        ("arguments", rule.arguments.is_some(), &[PlaybookAction::Call]),
        ("park", rule.park.is_some(), &[PlaybookAction::Call]),
        ("limit", rule.limit.is_some(), &[PlaybookAction::Call, PlaybookAction::Undo]),
    ];
    if let Some((name, _, of)) = said.iter().find(|(_, said, of)| *said && !of.contains(&action)) {
        let of: Vec<_> = of.iter().map(|action| format!("`{}`", word(*action))).collect();
        let problem = format!("is for {}; the action of this rule is `{}`", of.join(" and "), word(action));
        return Err(wrong(name, problem));
    }
    let limit = || within(&key("limit"), rule.limit.expect("filled"), 1, 100);
    let action = match action {
        PlaybookAction::Retry => {
            let standard = RedeliveryPolicy::default();
            let retry = retry_over(&key("strategy"), rule.strategy.as_ref(), &standard.retry, 100)?;
            let (least, most) = (Duration::from_secs(1), DAY * 365);
            let max_age = between(&key("max_age"), rule.max_age.expect("filled"), least, most)?;
            Action::Retry {
                policy: RedeliveryPolicy { retry, max_age },
                even_if_unknown: rule.even_if_unknown.expect("filled"),
            }
        }
        PlaybookAction::Park => Action::Park,
        PlaybookAction::Undo => Action::Undo { saga: rule.saga.expect("filled"), limit: limit()? },
        PlaybookAction::Call => {
            let Some(tool) = rule.tool.as_deref() else {
                return Err(wrong(
                    "tool",
                    "is not said; name the tool to call, such as \"notify_send\"".into(),
                ));
            };
            ToolName::bare(tool).map_err(|error| wrong("tool", format!("names no tool: {error}")))?;
            let arguments = match &rule.arguments {
                None => Template::default(),
                Some(said) => Template::new(said.clone()).map_err(|problem| wrong("arguments", problem))?,
            };
            Action::Call { tool: tool.into(), arguments, park: rule.park.expect("filled"), limit: limit()? }
        }
        PlaybookAction::Discard => Action::Discard,
        PlaybookAction::Archive => Action::Archive,
    };
    let when = when(&key("match"), rule.when.as_ref().unwrap_or(&raw::Match::default()))?;
    Ok(Playbook { name: name.into(), when, action })
}

fn when(table: &str, said: &raw::Match) -> Result<When, ConfigError> {
    let key = |name: &str| format!("{table}.{name}");
    let glob = |name: &str, said: &Option<String>| {
        let checked = said.as_deref().map(|text| {
            Glob::new(text)
                .map_err(|problem| ConfigError::value(key(name), format!("is \"{text}\": {problem}")))
        });
        checked.transpose()
    };
    let message = said.message.as_deref().map(|text| {
        Pattern::new(text).map_err(|problem| {
            ConfigError::value(key("message"), format!("is no regular expression: {problem}"))
        })
    });
    let kinds = said.kind.iter().flatten().enumerate().map(|(n, code)| {
        FailureKind::from_code(code).ok_or_else(|| {
            let likeness = |kind: &FailureKind| strsim::jaro_winkler(kind.code(), code);
            let nearest = FailureKind::ALL.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let hint = nearest.map_or("", FailureKind::code);
            ConfigError::value(
                format!("{}[{n}]", key("kind")),
                format!("is \"{code}\", which is no kind of failure; did you mean `{hint}`?"),
            )
        })
    });
    let runs = said.attempts.clone().unwrap_or_default();
    let age = said.age.clone().unwrap_or_default();
    let attempts = bounds(&key("attempts"), runs.min, runs.max)?;
    let age = bounds(&key("age"), age.min, age.max)?;
    for (name, value) in [("min", age.min), ("max", age.max)] {
        if let Some(value) = value {
            between(&format!("{}.{name}", key("age")), value, Duration::ZERO, DAY * 3_650)?;
        }
    }
    Ok(When {
        skill: glob("skill", &said.skill)?,
        tool: glob("tool", &said.tool)?,
        kinds: kinds.collect::<Result<_, _>>()?,
        message: message.transpose()?,
        attempts,
        age,
        parked: said.state.map(|state| state == raw::PlaybookState::Parked),
        effect: said.effect.map(|effect| match effect {
            raw::PlaybookEffect::None => Effect::None,
            raw::PlaybookEffect::Unknown => Effect::Unknown,
        }),
        priorities: said
            .priority
            .iter()
            .flatten()
            .map(|priority| match priority {
                raw::Priority::Low => "low",
                raw::Priority::Normal => "normal",
                raw::Priority::High => "high",
                raw::Priority::Urgent => "urgent",
            })
            .collect(),
    })
}

fn bounds<T: PartialOrd>(key: &str, min: Option<T>, max: Option<T>) -> Result<Within<T>, ConfigError> {
    if let (Some(min), Some(max)) = (&min, &max)
        && max < min
    {
        return Err(ConfigError::value(format!("{key}.max"), "is less than `min`: nothing matches"));
    }
    Ok(Within { min, max })
}

fn word(action: PlaybookAction) -> &'static str {
    match action {
        PlaybookAction::Retry => "retry",
        PlaybookAction::Park => "park",
        PlaybookAction::Undo => "undo",
        PlaybookAction::Call => "call",
        PlaybookAction::Discard => "discard",
        PlaybookAction::Archive => "archive",
    }
}
