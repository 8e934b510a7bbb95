//! The tools.
use skillhost_sdk::prelude::*;

use crate::note::{Note, now};

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

/// Keeps a note, in the place of one of the same name. It stays until it is deleted.
#[tool(destructive, idempotent, open_world = false, title = "Keep a note")]
pub(crate) fn put(args: Put) -> Result<Note, Failure> {
    let created = Note::load(&args.name)?.map(|old| old.created);
    let now = now();
    let note = Note {
        name: args.name,
        text: args.text,
        tags: args.tags,
        created: created.unwrap_or(now),
        updated: now,
    };
    note.save()?;
    Ok(note)
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

/// Deletes a note. It cannot be brought back.
#[tool(destructive, idempotent, open_world = false, title = "Delete a note")]
pub(crate) fn delete(args: Name) -> Result<String, Failure> {
    match Note::delete(&args.name)? {
        true => Ok(format!("deleted `{}`", args.name)),
        false => Ok(format!("there was no note `{}`", args.name)),
    }
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
mod tests {
    use skillhost_sdk::testing::Host;

    use super::*;

    fn keep(name: &str, text: &str, tags: &[&str]) -> Note {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        put(Put { name: name.into(), text: text.into(), tags }).unwrap()
    }

    fn named(name: &str) -> Name {
        Name { name: name.into() }
    }

    #[test]
    fn a_note_stays_until_it_is_deleted() {
        Host::new().run(|| {
            let first = keep("a", "one", &[]);
            let second = keep("a", "two", &["t"]);
            assert_eq!(second.created, first.created);
            assert_eq!(get(named("a")).unwrap(), second);
            assert_eq!(delete(named("a")).unwrap(), "deleted `a`");
            assert!(matches!(get(named("a")), Err(Failure::Permanent(_))));
            assert_eq!(delete(named("a")).unwrap(), "there was no note `a`");
        });
    }

    #[test]
    fn listings_come_in_pages() {
        Host::new().value("other", "x").run(|| {
            for name in ["c", "b/1", "b/2", "a"] {
                keep(name, "", &[]);
            }
            let run = |beginning: &str, after: &str, max| {
                let names = list(List { beginning: beginning.into(), after: after.into(), max }).unwrap();
                (names.names, names.more)
            };
            assert_eq!(run("", "", 3), (["a", "b/1", "b/2"].map(str::to_owned).to_vec(), true));
            assert_eq!(run("", "b/2", 3), (vec!["c".to_owned()], false));
            assert_eq!(run("b/", "", 9).0.len(), 2);
        });
    }

    #[test]
    fn all_words_must_be_there() {
        Host::new().run(|| {
            keep("milk", "buy Milk tomorrow", &["shop"]);
            keep("call", "call the shop", &[]);
            let run = |words: &str| {
                let found = search(Search { words: words.into(), max: 9 }).unwrap();
                found.notes.into_iter().map(|note| note.name).collect::<Vec<_>>()
            };
            assert_eq!(run("SHOP"), ["call", "milk"]);
            assert_eq!(run("shop buy"), ["milk"]);
            assert!(run("nothing").is_empty());
        });
    }

    #[test]
    fn without_a_grant_it_says_what_to_write() {
        Host::new().without_keyvalue().run(|| {
            let Err(Failure::Permanent(message)) = get(named("a")) else { panic!("not permanent") };
            assert!(message.contains("keyvalue = true"), "{message}");
        });
    }
}
