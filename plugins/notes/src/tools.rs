//! The tools.
use skillhost_sdk::Undo;
use skillhost_sdk::prelude::*;

use crate::note::{Note, now};
use crate::undo;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Put {
    /// What the note is found by.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// What it says.
    #[schemars(length(max = 100_000))]
    text: String,
    /// Words to group notes by.
    #[serde(default)]
    #[schemars(length(max = 20))]
    tags: Vec<String>,
}

/// Keeps a note, in the place of one of the same name. It stays until it is deleted. Undoing the call brings back what
/// there was before.
#[tool(destructive, idempotent, open_world = false, title = "Keep a note", undo = unput)]
pub(crate) fn put(ctx: &Context, args: Put) -> Result<Note, Failure> {
    let was = Note::stored(&args.name)?;
    let created = Note::load(&args.name)?.map(|old| old.created);
    let now = now();
    let note = Note {
        name: args.name,
        text: args.text,
        tags: args.tags,
        created: created.unwrap_or(now),
        updated: now,
    };
    let text = serde_json::to_string(&note).map_err(Failure::permanent)?;
    undo::prepare(ctx, was, Some(&text))?;
    Note::store(&note.name, Some(&text))?;
    Ok(note)
}

fn unput(args: Put, undo: Undo<'_>) -> Result<(), Failure> {
    undo::take_back(&args.name, undo)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Name {
    /// The note's name.
    name: String,
}

/// Reads a note.
#[tool(read_only, idempotent, open_world = false, title = "Read a note")]
pub(crate) fn get(args: Name) -> Result<Note, Failure> {
    Note::load(&args.name)?.ok_or_else(|| missing(&args.name))
}

fn missing(name: &str) -> Failure {
    Failure::permanent(format_args!("there is no note `{name}`; `list` shows those there are"))
}

/// Deletes a note. It can be brought back by undoing the call.
#[tool(destructive, idempotent, open_world = false, title = "Delete a note", undo = undelete)]
pub(crate) fn delete(ctx: &Context, args: Name) -> Result<String, Failure> {
    let Some(was) = Note::stored(&args.name)? else {
        return Ok(format!("there was no note `{}`", args.name));
    };
    undo::prepare(ctx, Some(was), None)?;
    Note::store(&args.name, None)?;
    Ok(format!("deleted `{}`", args.name))
}

fn undelete(args: Name, undo: Undo<'_>) -> Result<(), Failure> {
    undo::take_back(&args.name, undo)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// Only notes whose names begin with this.
    #[serde(default)]
    beginning: String,
    /// Only notes with names after this one; the last of a listing leads to the next.
    #[serde(default)]
    after: String,
    /// How many names to give at most.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000))]
    max: usize,
}

fn hundred() -> usize {
    100
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Names {
    /// In alphabetical order.
    names: Vec<String>,
    /// Whether there are more.
    more: bool,
}

/// Lists the names of notes.
#[tool(read_only, idempotent, open_world = false, title = "List notes")]
pub(crate) fn list(args: List) -> Result<Names, Failure> {
    let mut names = Note::names(&args.beginning)?;
    names.retain(|name| args.after.is_empty() || *name > args.after);
    let more = names.len() > args.max;
    names.truncate(args.max);
    Ok(Names { names, more })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// Words that the note must hold, in its name, text or tags; upper and lower case are the same.
    #[schemars(length(min = 1))]
    words: String,
    /// How many notes to give at most.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 100))]
    max: usize,
}

fn twenty() -> usize {
    20
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Found {
    /// The latest first.
    notes: Vec<Note>,
    /// Whether there are more.
    more: bool,
}

/// Finds notes that hold all of some words.
#[tool(read_only, idempotent, open_world = false, title = "Search notes")]
pub(crate) fn search(args: Search) -> Result<Found, Failure> {
    let words: Vec<_> = args.words.split_whitespace().map(str::to_lowercase).collect();
    let mut notes = vec![];
    for name in Note::names("")? {
        if host::cancelled() {
            break;
        }
        // One that was deleted since is not found.
        let Some(note) = Note::load(&name)? else { continue };
        let text = format!("{}\n{}\n{}", note.name, note.text, note.tags.join(" ")).to_lowercase();
        if words.iter().all(|word| text.contains(word)) {
            notes.push(note);
        }
    }
    notes.sort_by(|a, b| b.updated.cmp(&a.updated).then_with(|| a.name.cmp(&b.name)));
    let more = notes.len() > args.max;
    notes.truncate(args.max);
    Ok(Found { notes, more })
}

#[cfg(test)]
mod tests;
