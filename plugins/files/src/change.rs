//! The tools `move` and `delete`.
use std::fs;

use skillhost_sdk::prelude::*;

use crate::roots::{failed, is_root, resolve};

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

/// Moves or renames a file or folder.
#[tool(destructive, open_world = false, title = "Move a file or folder")]
pub(crate) fn r#move(args: Move) -> Result<String, Failure> {
    let (from, to) = (resolve(&args.from)?, resolve(&args.to)?);
    if is_root(&from) {
        return Err(Failure::invalid_input("a granted folder itself cannot be moved"));
    }
    from.symlink_metadata().map_err(|error| failed(&from, &error))?;
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
    fs::rename(&from, &to).map_err(|error| failed(&to, &error))?;
    Ok(format!("moved to {}", to.display()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delete {
    /// The file or folder.
    path: String,
    /// Delete a folder with all that is in it.
    #[serde(default)]
    recursive: bool,
}

/// Deletes a file, or a folder: an empty one, unless told to delete all that is in it. It cannot be brought back.
#[tool(destructive, open_world = false, title = "Delete a file or folder")]
pub(crate) fn delete(args: Delete) -> Result<String, Failure> {
    let path = resolve(&args.path)?;
    if is_root(&path) {
        return Err(Failure::invalid_input("a granted folder itself cannot be deleted"));
    }
    let fail = |error| failed(&path, &error);
    // A link is deleted, not what it leads to.
    let kind = path.symlink_metadata().map_err(fail)?.file_type();
    match (kind.is_dir(), args.recursive) {
        (true, true) => fs::remove_dir_all(&path),
        (true, false) => fs::remove_dir(&path),
        (false, _) => fs::remove_file(&path),
    }
    .map_err(fail)?;
    Ok(format!("deleted {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::tests::granted;

    #[test]
    fn a_file_is_moved_and_nothing_is_lost() {
        let root = granted();
        fs::write(root.path().join("a"), "a").unwrap();
        fs::write(root.path().join("b"), "b").unwrap();
        let run = |overwrite| r#move(Move { from: "a".into(), to: "b".into(), overwrite });
        assert!(matches!(run(false), Err(Failure::Conflict(_))));
        assert!(run(true).is_ok());
        assert_eq!(fs::read_to_string(root.path().join("b")).unwrap(), "a");
        assert!(matches!(run(true), Err(Failure::Permanent(_))), "it is not there any more");
    }

    #[test]
    fn a_full_folder_needs_a_word_more() {
        let root = granted();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        let run = |path: &str, recursive| delete(Delete { path: path.into(), recursive });
        assert!(matches!(run("a", false), Err(Failure::Conflict(_))));
        assert!(run("a", true).is_ok());
        assert!(matches!(run(".", true), Err(Failure::InvalidInput(_))));
        assert!(matches!(run("a", true), Err(Failure::Permanent(_))));
        assert!(root.path().is_dir());
    }
}
