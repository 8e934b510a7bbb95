use skillhost_sdk::testing::Host;

use super::*;

fn keep(name: &str, text: &str, tags: &[&str]) -> Note {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    put(&Context::for_tests(), Put { name: name.into(), text: text.into(), tags }).unwrap()
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
        assert_eq!(delete(&Context::for_tests(), named("a")).unwrap(), "deleted `a`");
        assert!(matches!(get(named("a")), Err(Failure::Permanent(_))));
        assert_eq!(delete(&Context::for_tests(), named("a")).unwrap(), "there was no note `a`");
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

/// Makes a change by a call, and gives back what it left for its undo.
fn changed(mock: &Host, tool: skillhost_sdk::Definition, arguments: &str) -> Option<String> {
    let known = mock.undo_tokens().len();
    mock.run(|| tool.call(&Context::for_tests(), Some(arguments))).unwrap();
    mock.undo_tokens().split_off(known).pop()
}

fn undone(
    mock: &Host,
    tool: skillhost_sdk::Definition,
    arguments: &str,
    token: Option<&str>,
    force: bool,
) -> Result<(), Failure> {
    mock.run(|| tool.undo(&Context::for_tests(), Some(arguments), token, force))
}

const PUT: &str = r#"{"name": "a", "text": "new"}"#;
const DELETE: &str = r#"{"name": "a"}"#;

/// The bucket with no note, a short one, and one that no token holds.
fn buckets() -> Vec<Host> {
    let stored = |text: &str| format!(r#"{{"name":"a","text":"{text}","tags":[],"created":1,"updated":2}}"#);
    let large = stored(&"x".repeat(100_000));
    vec![Host::new(), Host::new().value("note/a", stored("old")), Host::new().value("note/a", large)]
}

/// The notes alone.
fn notes(mock: &Host) -> Vec<(String, Vec<u8>)> {
    mock.keyvalue().into_iter().filter(|(key, _)| key.starts_with("note/")).collect()
}

#[test]
fn what_was_there_comes_back_to_the_byte() {
    for (tool, arguments) in [(put::definition(), PUT), (delete::definition(), DELETE)] {
        for mock in buckets() {
            let before = notes(&mock);
            undone(&mock, tool, arguments, None, false).unwrap();
            let token = changed(&mock, tool, arguments);
            assert!(notes(&mock) != before || token.is_none(), "what changes nothing needs no token");
            for _ in 0..2 {
                undone(&mock, tool, arguments, token.as_deref(), false).unwrap();
                assert!(notes(&mock) == before);
            }
            let own = format!("{}/", Context::for_tests().call_id);
            let kept = mock.keyvalue().into_iter().filter(|(key, _)| !key.starts_with("note/"));
            assert!(kept.into_iter().all(|(key, _)| key.starts_with(&own)), "the host knows them by this");
        }
    }
}

#[test]
fn a_call_that_was_killed_before_its_effect_has_nothing_to_take_back() {
    for mock in buckets() {
        let before = mock.keyvalue();
        let token = changed(&mock, put::definition(), PUT);
        mock.run(|| before.iter().for_each(|(key, value)| keyvalue::set(key, value).unwrap()));
        if before.is_empty() {
            mock.run(|| keyvalue::delete("note/a").unwrap());
        }
        undone(&mock, put::definition(), PUT, token.as_deref(), false).unwrap();
        assert!(notes(&mock) == before);
    }
}

#[test]
fn what_has_changed_since_is_not_touched() {
    for (tool, arguments) in [(put::definition(), PUT), (delete::definition(), DELETE)] {
        let mock = buckets().remove(1);
        let before = notes(&mock);
        let token = changed(&mock, tool, arguments);
        mock.run(|| keep("a", "theirs", &[]));
        let theirs = notes(&mock);
        let Err(Failure::Conflict(message)) = undone(&mock, tool, arguments, token.as_deref(), false) else {
            panic!("no conflict");
        };
        assert_eq!(message, "the note `a` has been changed since; nothing was undone");
        assert!(notes(&mock) == theirs);
        undone(&mock, tool, arguments, token.as_deref(), true).unwrap();
        assert!(notes(&mock) == before, "by force");
    }
    let mock = buckets().remove(1);
    let token = changed(&mock, put::definition(), PUT);
    mock.run(|| keyvalue::delete("note/a")).unwrap();
    let Err(Failure::Conflict(message)) = undone(&mock, put::definition(), PUT, token.as_deref(), false)
    else {
        panic!("no conflict");
    };
    assert!(message.contains("has been deleted since"), "{message}");
}

#[test]
fn a_long_note_that_is_no_longer_kept_cannot_come_back() {
    let mock = buckets().remove(2);
    let token = changed(&mock, delete::definition(), DELETE);
    mock.run(|| keyvalue::keys().unwrap().iter().for_each(|key| keyvalue::delete(key).unwrap()));
    let undone = undone(&mock, delete::definition(), DELETE, token.as_deref(), false);
    assert!(matches!(undone, Err(Failure::Permanent(_))), "{undone:?}");
}
