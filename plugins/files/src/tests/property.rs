//! Whatever calls do, in whatever order, killed wherever: taken back in reverse, everything is as before.
use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::World;

/// A few names, so that calls meet each other.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|parts| parts.join("/"))
}

#[derive(Debug, Clone)]
enum Thing {
    Folder,
    File(Vec<u8>),
    Link(String),
}

fn thing() -> impl Strategy<Value = (String, Thing)> {
    let what = prop_oneof![
        Just(Thing::Folder),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Thing::File),
        Just(Thing::File(vec![7; 70_000])),
        path().prop_map(Thing::Link),
    ];
    (path(), what)
}

fn call() -> impl Strategy<Value = (&'static str, Value)> {
    let mode = prop::sample::select(vec!["create", "overwrite", "append"]);
    prop_oneof![
        (path(), "[xy]{0,3}", mode, any::<bool>()).prop_map(|(path, text, mode, create_folders)| (
            "write",
            json!({"path": path, "text": text, "mode": mode, "create_folders": create_folders})
        )),
        (path(), path(), any::<bool>()).prop_map(|(from, to, overwrite)| (
            "move",
            json!({"from": from, "to": to, "overwrite": overwrite})
        )),
        (path(), any::<bool>())
            .prop_map(|(path, recursive)| ("delete", json!({"path": path, "recursive": recursive}))),
    ]
}

/// When a call, or an undo, is killed; often not at all.
fn killed() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..12]
}

proptest! {
    #[test]
    fn taken_back_in_reverse_all_is_as_before(
        things in prop::collection::vec(thing(), 0..8),
        calls in prop::collection::vec((call(), killed(), killed()), 1..10),
    ) {
        let world = World::new();
        for (path, thing) in things {
            let path = world.path(&path);
            // What does not fit together is left out.
            let _ = fs::create_dir_all(path.parent().unwrap()).and_then(|()| match thing {
                Thing::Folder => fs::create_dir(path),
                Thing::File(bytes) => fs::write(path, bytes),
                Thing::Link(target) => std::os::unix::fs::symlink(target, path),
            });
        }
        let before = world.tree();
        let mut made = vec![];
        for ((tool, args), killed_at, undo_killed_at) in calls {
            let untouched = world.tree();
            match world.killed(tool, &args, killed_at) {
                Ok(call) => {
                    if call.result.is_err() {
                        prop_assert_eq!(world.tree(), untouched, "a failure promises that nothing took effect");
                    }
                    made.push((call, undo_killed_at));
                }
                Err(call) => made.push((call, undo_killed_at)),
            }
        }
        for (call, undo_killed_at) in made.iter().rev() {
            if let Some(undone) = world.undo_until(call, false, *undo_killed_at) {
                prop_assert_eq!(undone, Ok(()), "{:?}", call);
            }
            prop_assert_eq!(world.undo(call, false), Ok(()), "again: {:?}", call);
        }
        prop_assert_eq!(world.tree(), before);
    }
}
