//! Taking back what happened to a note.
use std::hash::{DefaultHasher, Hasher as _};

use serde::{Deserialize, Serialize};
use skillhost_sdk::{Context, Failure, Undo, host, keyvalue};

use crate::note::Note;

/// Bytes of a token. A longer note is kept beside the notes, where the host deletes it when the call can no longer be
/// taken back.
const TOKEN: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Token {
    was: Was,
    /// By the standard library's hash, which the undo knows again: it runs in the component that did the call.
    left: Option<u64>,
}

/// What was there before, as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Was {
    Nothing,
    Here(String),
    /// Under this key.
    Kept(String),
}

/// To be called before the note changes from `was` to `left`.
pub(crate) fn prepare(ctx: &Context, was: Option<String>, left: Option<&str>) -> Result<(), Failure> {
    let left = left.map(hash);
    let token = |was| serde_json::to_string(&Token { was, left }).map_err(Failure::permanent);
    let Some(text) = was else { return Ok(host::prepare_undo(&token(Was::Nothing)?)?) };
    let here = token(Was::Here(text.clone()))?;
    if here.len() <= TOKEN {
        return Ok(host::prepare_undo(&here)?);
    }
    let key = format!("{}/{}", ctx.call_id, ctx.attempt);
    keyvalue::set(&key, text.as_bytes())?;
    Ok(host::prepare_undo(&token(Was::Kept(key))?)?)
}

/// Brings the note called `name` back to what it was.
pub(crate) fn take_back(name: &str, undo: Undo<'_>) -> Result<(), Failure> {
    let Some(token) = undo.token::<Token>()? else { return Ok(()) };
    let was = match token.was {
        Was::Nothing => None,
        Was::Here(text) => Some(text),
        Was::Kept(key) => match keyvalue::get(&key)?.map(String::from_utf8) {
            Some(Ok(text)) => Some(text),
            _ => return Err(Failure::permanent("what the note said before is no longer kept")),
        },
    };
    let now = Note::stored(name)?;
    if now == was {
        return Ok(());
    }
    if now.as_deref().map(hash) != token.left && !undo.force {
        return Err(Failure::conflict(match now {
            Some(_) => format!("the note `{name}` has been changed since; nothing was undone"),
            None => format!("the note `{name}` has been deleted since; nothing was undone"),
        }));
    }
    Ok(Note::store(name, was.as_deref())?)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}
