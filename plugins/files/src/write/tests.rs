use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::*;
use crate::tests::World;

fn args(path: &str, text: &str, mode: &str) -> Value {
    json!({"path": path, "text": text, "mode": mode, "create_folders": true})
}

fn world() -> World {
    let world = World::new();
    fs::write(world.path("a"), "before").unwrap();
    fs::write(world.path("empty"), "").unwrap();
    symlink("a", world.path("link")).unwrap();
    symlink("nowhere", world.path("dangling")).unwrap();
    world
}

#[test]
fn a_file_is_made_replaced_and_added_to() {
    let world = World::new();
    let run = |path, text, mode| {
        let reply = world.call("write", args(path, text, mode)).result?;
        let written: Value = serde_json::from_str(&reply.structured.unwrap()).unwrap();
        Ok(written["size"].as_u64())
    };
    assert_eq!(run("a/b", "one", "create"), Ok(Some(3)));
    assert!(matches!(run("a/b", "two", "create"), Err(Failure::Conflict(_))));
    assert_eq!(run("a/b", "three", "overwrite"), Ok(Some(5)));
    assert_eq!(run("a/b", "!", "append"), Ok(Some(6)));
    assert_eq!(fs::read_to_string(world.path("a/b")).unwrap(), "three!");
    assert_eq!(fs::read_dir(world.path("a")).unwrap().count(), 1, "nothing is left beside it");
    assert!(matches!(run("a", "x", "overwrite"), Err(Failure::InvalidInput(_))));
}

#[test]
fn every_mode_is_taken_back() {
    for (path, mode) in [
        ("new", "create"),
        ("x/y/z", "create"),
        ("a", "overwrite"),
        ("empty", "overwrite"),
        ("link", "overwrite"),
        ("dangling", "overwrite"),
        ("x/new", "overwrite"),
        ("a", "append"),
        ("empty", "append"),
        ("link", "append"),
        ("x/y/new", "append"),
    ] {
        for text in ["after", "", "before"] {
            world().there_and_back("write", &args(path, text, mode));
        }
    }
}

#[test]
fn bytes_that_are_no_text_come_back_from_token_and_bucket() {
    for len in [1_000, 40_000, 60_000, 1_500_000] {
        let world = World::new();
        let bytes: Vec<u8> = (0..len).map(|n| (n % 256) as u8).collect();
        fs::write(world.path("a"), bytes).unwrap();
        let kept = world.there_and_back("write", &args("a", "text", "overwrite"));
        assert_eq!(kept > 0, len > 50_000, "{len}");
    }
}

#[test]
fn what_cannot_be_kept_is_not_overwritten() {
    let refusal = |mut world: World, mock| {
        world.mock = mock;
        fs::write(world.path("a"), vec![0; 900_000]).unwrap();
        let before = world.tree();
        let call = world.call("write", args("a", "x", "overwrite"));
        assert_eq!((world.tree(), call.tokens.len()), (before, 0));
        assert!(world.mock.keyvalue().is_empty(), "nothing is kept of what did not happen");
        let Err(Failure::Permanent(message)) = call.result else { panic!("overwritten") };
        // What needs no more than a token goes on.
        assert!(world.call("write", args("b", "x", "create")).result.is_ok());
        message
    };
    let host = skillhost_sdk::testing::Host::new;
    let message = refusal(World::new(), host().without_keyvalue());
    assert!(message.contains("keyvalue = true") && message.contains("[skills.files.grants]"), "{message}");
    let message = refusal(World::new(), host().keyvalue_total(800_000));
    assert!(message.contains("at most 800000 are allowed"), "{message}");
}

/// A change after the call that is a conflict, and what its message says.
type Case<'a> = (&'a str, &'a str, &'a dyn Fn(&World), &'a str);

#[test]
fn what_has_changed_since_is_not_touched() {
    let append = |path: &'static str, text: &'static str| {
        move |world: &World| {
            let old = fs::read_to_string(world.path(path)).unwrap();
            fs::write(world.path(path), old + text).unwrap();
        }
    };
    let cases: [Case<'_>; 7] = [
        ("a", "overwrite", &|world| fs::write(world.path("a"), "other").unwrap(), "a` has changed since"),
        ("a", "overwrite", &|world| fs::remove_file(world.path("a")).unwrap(), "there is nothing"),
        ("new", "create", &append("new", "x"), "in the place of nothing"),
        ("a", "append", &append("a", "and others"), "is not what the call appended"),
        ("a", "append", &|world| fs::write(world.path("a"), "beforeAfter").unwrap(), "what follows byte 6"),
        ("a", "append", &|world| fs::write(world.path("a"), "bef").unwrap(), "is shorter than it was"),
        ("new", "append", &append("new", "x"), "what follows byte 0"),
    ];
    for (path, mode, change, expected) in cases {
        let world = world();
        let call = world.call("write", args(path, "after", mode));
        change(&world);
        let changed = world.tree();
        let Err(Failure::Conflict(message)) = world.undo(&call, false) else { panic!("{expected}") };
        assert!(message.contains(expected), "{message}");
        assert_eq!(world.tree(), changed, "untouched");
    }
}

#[test]
fn by_force_it_comes_back_all_the_same() {
    for (path, mode) in [("x/new", "create"), ("a", "overwrite"), ("a", "append"), ("new", "append")] {
        let world = world();
        let before = world.tree();
        let call = world.call("write", args(path, "after", mode));
        let changed = fs::read_to_string(world.path(path)).unwrap() + "!";
        fs::write(world.path(path), changed).unwrap();
        assert!(world.undo(&call, false).is_err());
        world.undo(&call, true).unwrap();
        assert_eq!(world.tree(), before, "{path} {mode}");
    }
    let world = world();
    fs::create_dir(world.path("d")).unwrap();
    fs::write(world.path("d/a"), "1").unwrap();
    let before = world.tree();
    let call = world.call("write", args("d/a", "2", "overwrite"));
    fs::remove_dir_all(world.path("d")).unwrap();
    world.undo(&call, true).unwrap();
    assert_eq!(world.tree(), before, "its folder as well");
}

#[test]
fn an_append_that_was_killed_within_its_text_is_taken_back() {
    for (path, rest) in [("a", "before"), ("new", "")] {
        for len in 0..=5 {
            let world = world();
            let before = world.tree();
            let call = world.call("write", args(path, "after", "append"));
            fs::write(world.path(path), format!("{rest}{}", &"after"[..len])).unwrap();
            world.undo(&call, false).unwrap();
            assert_eq!(world.tree(), before, "{path} {len}");
        }
    }
}

#[test]
fn a_made_folder_stays_when_others_use_it() {
    let world = World::new();
    let call = world.call("write", args("x/y/a", "1", "create"));
    fs::write(world.path("x/theirs"), "2").unwrap();
    world.undo(&call, false).unwrap();
    assert!(!world.path("x/y").exists() && world.path("x/theirs").exists());
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let world = world();
    let before = world.tree();
    for mode in ["create", "append"] {
        // `a` is a file, and `link` leads to it.
        for path in ["x/../a/b", "a/b/c", "link/b"] {
            let call = world.call("write", args(path, "1", mode));
            assert!(call.result.is_err(), "{path}");
            assert_eq!(world.tree(), before, "{path}");
        }
        let name = format!("x/y/{}", "n".repeat(256));
        assert!(world.call("write", args(&name, "1", mode)).result.is_err());
        assert_eq!(world.tree(), before, "the folders that were made are gone again");
    }
    assert!(matches!(
        world.call("write", args("dangling", "1", "append")).result,
        Err(Failure::Permanent(_))
    ));
}

#[test]
fn an_attempt_that_was_killed_does_not_hinder_the_next() {
    let world = world();
    let before = world.tree();
    let call = args("a", "after", "overwrite");
    let first = world.killed("write", &call, 2).expect_err("it is killed");
    assert!(world.tree().len() > before.len(), "something is left beside it");
    let second = world.again(&first, 2);
    assert!(second.result.is_ok());
    for attempt in [&second, &first] {
        world.undo(attempt, false).unwrap();
    }
    assert_eq!(world.tree(), before);
}
