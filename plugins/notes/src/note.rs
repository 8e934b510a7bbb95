//! A note, and where it is kept.
use std::time::{SystemTime, UNIX_EPOCH};

use skillhost_sdk::keyvalue;
use skillhost_sdk::prelude::*;

/// What keys of notes begin with, so that the bucket can hold other things one day.
const PREFIX: &str = "note/";

/// A note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Note {
    pub(crate) name: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// In seconds since 1970.
    pub(crate) created: u64,
    /// In seconds since 1970.
    pub(crate) updated: u64,
}

impl Note {
    pub(crate) fn load(name: &str) -> Result<Option<Self>, keyvalue::Error> {
        keyvalue::get_json(&key(name))
    }

    /// The JSON text that is kept of a note.
    pub(crate) fn stored(name: &str) -> Result<Option<String>, keyvalue::Error> {
        let text = keyvalue::get(&key(name))?.map(String::from_utf8).transpose();
        text.map_err(|error| keyvalue::Error::Json(error.to_string()))
    }

    /// Keeps this text as a note, or none.
    pub(crate) fn store(name: &str, text: Option<&str>) -> Result<(), keyvalue::Error> {
        match text {
            Some(text) => keyvalue::set(&key(name), text.as_bytes()),
            None => keyvalue::delete(&key(name)),
        }
    }

    /// Names of all notes that begin with `beginning`, in alphabetical order.
    pub(crate) fn names(beginning: &str) -> Result<Vec<String>, keyvalue::Error> {
        let mut names: Vec<_> = keyvalue::keys()?
            .iter()
            .filter_map(|key| key.strip_prefix(PREFIX).filter(|name| name.starts_with(beginning)))
            .map(str::to_owned)
            .collect();
        names.sort();
        Ok(names)
    }
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

pub(crate) fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a skill has no other clock")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
