//! The tool `move`.
use std::path::Path;

use skillhost_sdk::Undo;
use skillhost_sdk::prelude::*;

use crate::disk;
use crate::keep::{Keeper, Kept};
use crate::place::{Place, changed, parent_is_there, text};
use crate::print::{Print, Tree};
use crate::roots::{failed, is_root, real, resolve};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    /// The file or folder.
    from: String,
    /// Its new path, with its new name.
    to: String,
    /// Replace the file that is there already.
    #[serde(default)]
    overwrite: bool,
}

#[derive(Serialize, Deserialize)]
struct Plan {
    from: String,
    /// What is moved, and what is in it.
    moved: Print,
    below: u64,
    /// Where to, and what is replaced there.
    to: Place,
}

impl Plan {
    fn is_moved(&self, found: &Tree) -> bool {
        found.top == self.moved && found.below == self.below
    }
}

/// Moves or renames a file or folder. Undoing the call moves it back, and brings back the file that it replaced.
#[tool(destructive, open_world = false, title = "Move a file or folder", undo = move_back)]
pub(crate) fn r#move(ctx: &Context, args: Move) -> Result<String, Failure> {
    let (from, to) = (real(&resolve(&args.from)?)?, real(&resolve(&args.to)?)?);
    if is_root(&from) {
        return Err(Failure::invalid_input("a granted folder itself cannot be moved"));
    }
    from.symlink_metadata().map_err(|error| failed(&from, &error))?;
    if to != from && to.starts_with(&from) {
        return Err(Failure::invalid_input("a folder cannot be moved into itself"));
    }
    if !args.overwrite && to.symlink_metadata().is_ok() {
        return Err(Failure::conflict(format_args!(
            "`{}` is there already; say overwrite to replace it",
            to.display()
        )));
    }
    if to.is_dir() {
        return Err(Failure::conflict(format_args!(
            "`{}` is a folder; name the new path in full",
            to.display()
        )));
    }
    let mut keeper = Keeper::new(ctx);
    let Tree { top: moved, below } = Tree::of(&from)?;
    let plan = Plan { from: text(&from)?, moved, below, to: Place::keep(&to, &mut keeper)? };
    keeper.prepare(&plan)?;
    disk::rename(&from, &to).map_err(|error| failed(&to, &error))?;
    Ok(format!("moved to {}", to.display()))
}

fn move_back(_: Move, undo: Undo<'_>) -> Result<(), Failure> {
    let Some((plan, kept)) = Kept::of::<Plan>(&undo)? else { return Ok(()) };
    let (from, to) = (resolve(&plan.from)?, plan.to.path()?);
    let (at_from, at_to) = (Tree::of(&from)?, Tree::of(&to)?);
    if plan.is_moved(&at_from) {
        // It never went, or is back already. The undo that brought it may have been ended before it was done.
        if at_to.top != plan.to.was && at_to.top != Print::Nothing && !undo.force {
            return Err(changed(&to, &at_to.top, &Print::Nothing, &plan.to.was));
        }
    } else {
        check(&plan, &from, &at_from, &at_to, undo.force)?;
        parent_is_there(&from, undo.force)?;
        disk::rename(&to, &from).map_err(|error| failed(&from, &error))?;
    }
    plan.to.restore(&kept, &undo.ctx.call_id)
}

/// Whether what was moved can go back from `to`.
fn check(plan: &Plan, from: &Path, at_from: &Tree, at_to: &Tree, force: bool) -> Result<(), Failure> {
    let to = plan.to.path()?;
    if at_to.top == Print::Nothing {
        return Err(Failure::conflict(format_args!(
            "what was moved to `{}` is no longer there, so it cannot be moved back",
            to.display()
        )));
    }
    if force {
        return Ok(());
    }
    if at_from.top != Print::Nothing {
        return Err(changed(from, &at_from.top, &Print::Nothing, &plan.moved));
    }
    if !plan.is_moved(at_to) {
        return Err(match &at_to.top {
            Print::Folder if plan.moved == Print::Folder => Failure::conflict(format_args!(
                "what is in the folder `{}` has changed since it was moved",
                to.display()
            )),
            now => changed(&to, now, &plan.moved, &plan.to.was),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;
    use crate::tests::World;

    fn world() -> World {
        let world = World::new();
        fs::write(world.path("a"), "a").unwrap();
        fs::write(world.path("b"), "b").unwrap();
        fs::create_dir_all(world.path("d/e")).unwrap();
        fs::write(world.path("d/e/f"), "f").unwrap();
        symlink("a", world.path("link")).unwrap();
        world
    }

    #[test]
    fn a_file_is_moved_and_nothing_is_lost() {
        let world = world();
        let run =
            |overwrite| world.call("move", json!({"from": "a", "to": "b", "overwrite": overwrite})).result;
        assert!(matches!(run(false), Err(Failure::Conflict(_))));
        assert!(run(true).is_ok());
        assert_eq!(fs::read_to_string(world.path("b")).unwrap(), "a");
        assert!(matches!(run(true), Err(Failure::Permanent(_))), "it is not there any more");
    }

    #[test]
    fn everything_goes_back() {
        for (from, to) in [
            ("a", "new"),
            ("a", "b"),
            ("a", "d/e/f"),
            ("a", "link"),
            ("link", "b"),
            ("link", "d/link"),
            ("d", "elsewhere"),
            ("d/e", "e"),
            ("a", "a"),
        ] {
            world().there_and_back("move", &json!({"from": from, "to": to, "overwrite": true}));
        }
    }

    #[test]
    fn a_large_file_that_is_replaced_comes_back() {
        let world = world();
        fs::write(world.path("b"), vec![b'b'; 700_000]).unwrap();
        let kept = world.there_and_back("move", &json!({"from": "a", "to": "b", "overwrite": true}));
        assert_eq!(kept, 2, "two chunks");
    }

    #[test]
    fn a_link_can_be_moved_along_the_way_that_it_leads() {
        let world = world();
        symlink("d", world.path("to_d")).unwrap();
        world.there_and_back("move", &json!({"from": "to_d", "to": "to_d/e/link"}));
        let into_itself = world.call("move", json!({"from": "d", "to": "to_d/e/d"})).result;
        assert!(matches!(into_itself, Err(Failure::InvalidInput(_))));
    }

    /// A change after the call that is a conflict, and what its message says.
    type Case<'a> = (&'a str, &'a str, &'a dyn Fn(&World), &'a str);

    #[test]
    fn what_has_changed_since_is_not_moved() {
        let cases: [Case<'_>; 5] = [
            ("a", "b", &|world| fs::write(world.path("b"), "other").unwrap(), "b` has changed since"),
            ("a", "b", &|world| fs::write(world.path("a"), "new").unwrap(), "a` has changed since"),
            ("a", "b", &|world| fs::remove_file(world.path("b")).unwrap(), "is no longer there"),
            ("d", "g", &|world| fs::write(world.path("g/e/f"), "x").unwrap(), "what is in the folder"),
            ("d/e", "g", &|world| fs::remove_dir(world.path("d")).unwrap(), "d` is gone"),
        ];
        for (from, to, change, expected) in cases {
            let world = world();
            let call = world.call("move", json!({"from": from, "to": to, "overwrite": true}));
            change(&world);
            let changed = world.tree();
            let Err(Failure::Conflict(message)) = world.undo(&call, false) else { panic!("{expected}") };
            assert!(message.contains(expected), "{message}");
            assert_eq!(world.tree(), changed, "untouched");
        }
    }

    #[test]
    fn by_force_it_goes_back_all_the_same() {
        let world = world();
        let before = world.tree();
        let call = world.call("move", json!({"from": "a", "to": "b", "overwrite": true}));
        fs::write(world.path("b"), "edited").unwrap();
        fs::write(world.path("a"), "in the way").unwrap();
        world.undo(&call, true).unwrap();
        assert_eq!(fs::read_to_string(world.path("a")).unwrap(), "edited", "what there is of it");
        assert_eq!(world.tree()["b"], before["b"]);
    }
}
