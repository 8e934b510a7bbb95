//! The tool `delete`.
use std::path::Path;

use skillhost_sdk::Undo;
use skillhost_sdk::prelude::*;

use crate::disk;
use crate::keep::{Keeper, Kept};
use crate::place::{Place, all_or_nothing, changed, parent_is_there};
use crate::print::Print;
use crate::roots::{failed, is_root, real, resolve};
use crate::walk::entries;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delete {
    /// The file or folder.
    path: String,
    /// Delete a folder with all that is in it.
    #[serde(default)]
    recursive: bool,
}

/// What is deleted: a folder before what is in it.
#[derive(Serialize, Deserialize)]
struct Plan(Vec<Place>);

/// Deletes a file, or a folder: an empty one, unless told to delete all that is in it. It can be brought back by undoing
/// the call.
#[tool(destructive, open_world = false, title = "Delete a file or folder", undo = undelete)]
pub(crate) fn delete(ctx: &Context, args: Delete) -> Result<String, Failure> {
    let path = real(&resolve(&args.path)?)?;
    if is_root(&path) {
        return Err(Failure::invalid_input("a granted folder itself cannot be deleted"));
    }
    // A link is deleted, not what it leads to.
    path.symlink_metadata().map_err(|error| failed(&path, &error))?;
    let mut keeper = Keeper::new(ctx);
    let plan = Plan(all_in(&path, args.recursive, &mut keeper)?);
    let kept = keeper.prepare(&plan)?;
    all_or_nothing(remove(&plan), || take_back(&plan, &kept, &ctx.call_id, false))?;
    Ok(format!("deleted {}", path.display()))
}

fn all_in(path: &Path, recursive: bool, keeper: &mut Keeper<'_>) -> Result<Vec<Place>, Failure> {
    let (mut places, mut paths) = (vec![], vec![path.to_owned()]);
    // A loop, since folders may be nested deeper than the stack is.
    while let Some(path) = paths.pop() {
        let place = Place::keep(&path, keeper)?;
        if place.was == Print::Folder && recursive {
            paths.extend(entries(&path).map_err(|error| failed(&path, &error))?);
        }
        places.push(place);
    }
    Ok(places)
}

/// Only what is kept goes: a folder into which something was put meanwhile is not empty, and stays.
fn remove(plan: &Plan) -> Result<(), Failure> {
    for place in plan.0.iter().rev() {
        let path = place.path()?;
        let removed = match place.was {
            Print::Folder => disk::remove_folder(&path),
            _ => disk::remove_file(&path),
        };
        removed.map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

fn undelete(_: Delete, undo: Undo<'_>) -> Result<(), Failure> {
    let Some((plan, kept)) = Kept::of::<Plan>(&undo)? else { return Ok(()) };
    take_back(&plan, &kept, &undo.ctx.call_id, undo.force)
}

fn take_back(plan: &Plan, kept: &Kept, call: &str, force: bool) -> Result<(), Failure> {
    let mut missing = false;
    for place in &plan.0 {
        let path = place.path()?;
        let now = Print::of(&path)?;
        missing |= now == Print::Nothing;
        if now != place.was && now != Print::Nothing && !force {
            return Err(changed(&path, &now, &Print::Nothing, &place.was));
        }
    }
    if let (true, Some(first)) = (missing, plan.0.first()) {
        parent_is_there(&first.path()?, force)?;
    }
    plan.0.iter().try_for_each(|place| place.restore(kept, call))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;
    use crate::tests::World;

    #[test]
    fn a_full_folder_needs_a_word_more() {
        let world = World::new();
        fs::create_dir_all(world.path("a/b")).unwrap();
        let run = |path: &str, recursive| {
            world.call("delete", json!({"path": path, "recursive": recursive})).result
        };
        assert!(matches!(run("a", false), Err(Failure::Conflict(_))));
        assert!(run("a", true).is_ok());
        assert!(matches!(run(".", true), Err(Failure::InvalidInput(_))));
        assert!(matches!(run("a", true), Err(Failure::Permanent(_))));
        assert!(world.path(".").is_dir());
    }

    /// A folder with everything that can be in one.
    fn full() -> World {
        let world = World::new();
        fs::create_dir_all(world.path("d/empty/inner")).unwrap();
        fs::create_dir_all(world.path("d/sub")).unwrap();
        fs::write(world.path("d/a"), "text").unwrap();
        fs::write(world.path("d/sub/b"), [0, 255, 254]).unwrap();
        fs::write(world.path("d/sub/none"), "").unwrap();
        fs::write(world.path("d").join("n".repeat(255)), "a long name").unwrap();
        symlink("a", world.path("d/link")).unwrap();
        symlink("nowhere", world.path("d/sub/dangling")).unwrap();
        symlink("sub", world.path("d/to_folder")).unwrap();
        world
    }

    #[test]
    fn everything_comes_back() {
        for (path, recursive) in [("d", true), ("d/a", false), ("d/empty/inner", false), ("d/link", false)] {
            full().there_and_back("delete", &json!({"path": path, "recursive": recursive}));
        }
    }

    #[test]
    fn a_folder_is_deleted_with_the_link_that_the_path_leads_through() {
        let world = full();
        symlink("../..", world.path("d/sub/up")).unwrap();
        world.there_and_back("delete", &json!({"path": "d/sub/up/d", "recursive": true}));
    }

    #[test]
    fn what_stands_in_the_way_is_not_overwritten() {
        let world = full();
        let before = world.tree();
        let call = world.call("delete", json!({"path": "d", "recursive": true}));
        fs::create_dir_all(world.path("d/sub")).unwrap();
        fs::write(world.path("d/sub/b"), "another").unwrap();
        let changed = world.tree();
        let Err(Failure::Conflict(message)) = world.undo(&call, false) else { panic!("no conflict") };
        assert!(message.contains("d/sub/b` has changed since"), "{message}");
        assert_eq!(world.tree(), changed, "untouched");
        world.undo(&call, true).unwrap();
        assert_eq!(world.tree(), before);
    }

    #[test]
    fn what_others_put_into_the_folder_stays() {
        let world = full();
        let call = world.call("delete", json!({"path": "d", "recursive": true}));
        fs::create_dir(world.path("d")).unwrap();
        fs::write(world.path("d/new"), "new").unwrap();
        world.undo(&call, false).unwrap();
        assert_eq!(fs::read_to_string(world.path("d/new")).unwrap(), "new");
        assert_eq!(fs::read_to_string(world.path("d/a")).unwrap(), "text");
    }

    #[test]
    fn without_its_folder_nothing_can_come_back() {
        let world = full();
        let before = world.tree();
        let call = world.call("delete", json!({"path": "d/sub/b"}));
        fs::remove_dir_all(world.path("d/sub")).unwrap();
        let Err(Failure::Conflict(message)) = world.undo(&call, false) else { panic!("no conflict") };
        assert!(message.contains("d/sub` is gone"), "{message}");
        world.undo(&call, true).unwrap();
        assert_eq!(world.tree()["d/sub/b"], before["d/sub/b"]);
    }

    #[test]
    fn what_could_not_be_brought_back_is_not_deleted() {
        let world = full();
        std::os::unix::net::UnixListener::bind(world.path("d/sub/socket")).unwrap();
        let before = world.tree();
        let call = world.call("delete", json!({"path": "d", "recursive": true}));
        let Err(Failure::Permanent(message)) = &call.result else { panic!("deleted") };
        assert!(message.contains("socket` is neither file"), "{message}");
        assert_eq!((world.tree(), call.tokens.len()), (before, 0));
    }

    #[test]
    fn a_large_folder_is_kept_in_the_bucket() {
        let world = full();
        for n in 0..3 {
            fs::write(world.path("d").join(format!("large {n}")), vec![n; 300_000]).unwrap();
        }
        assert_eq!(world.there_and_back("delete", &json!({"path": "d", "recursive": true})), 2);
    }
}
