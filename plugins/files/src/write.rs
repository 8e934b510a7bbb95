//! The tool `write`.
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use skillhost_sdk::prelude::*;

use crate::roots::{failed, resolve};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The file: absolute, or relative to the only granted folder.
    path: String,
    /// What to write.
    text: String,
    /// What to do when the file is there already.
    #[serde(default)]
    mode: Mode,
    /// Make the folders on the way that are missing.
    #[serde(default)]
    create_folders: bool,
}

#[derive(Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Fail: only a new file is written.
    #[default]
    Create,
    /// Replace it.
    Overwrite,
    /// Write after its end.
    Append,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Written {
    /// Bytes of the file now.
    size: u64,
}

/// Writes a text into a file. A file that is replaced is replaced as a whole: nobody sees half of it, even if the call
/// is ended halfway.
#[tool(destructive, open_world = false, title = "Write a file")]
pub(crate) fn write(ctx: &Context, args: Args) -> Result<Written, Failure> {
    let path = resolve(&args.path)?;
    let fail = |error: io::Error| failed(&path, &error);
    if path.is_dir() {
        return Err(Failure::invalid_input(format_args!("`{}` is a folder", path.display())));
    }
    if matches!(args.mode, Mode::Create) && path.symlink_metadata().is_ok() {
        return Err(Failure::conflict(format_args!(
            "`{}` is there already; say mode \"overwrite\" to replace it",
            path.display()
        )));
    }
    if let (true, Some(folder)) = (args.create_folders, path.parent()) {
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    }
    match args.mode {
        Mode::Append => append(&path, &args.text),
        Mode::Create | Mode::Overwrite => replace(&path, &args.text, &ctx.call_id),
    }
    .map_err(fail)?;
    Ok(Written { size: fs::metadata(&path).map_err(fail)?.len() })
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn replace(path: &Path, text: &str, call: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Beside it, so that renaming is one step; of a name that no other call has.
    let new = path.with_file_name(format!(".{name}.{call}.new"));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    if written.is_err() {
        // There may be none, and what failed first is what counts.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::tests::granted;

    fn run(path: &str, text: &str, mode: Mode) -> Result<u64, Failure> {
        let args = Args { path: path.into(), text: text.into(), mode, create_folders: true };
        write(&Context::for_tests(), args).map(|written| written.size)
    }

    #[test]
    fn a_file_is_made_replaced_and_added_to() {
        let root = granted();
        assert_eq!(run("a/b", "one", Mode::Create), Ok(3));
        assert!(matches!(run("a/b", "two", Mode::Create), Err(Failure::Conflict(_))));
        assert_eq!(run("a/b", "three", Mode::Overwrite), Ok(5));
        assert_eq!(run("a/b", "!", Mode::Append), Ok(6));
        assert_eq!(fs::read_to_string(root.path().join("a/b")).unwrap(), "three!");
        assert_eq!(fs::read_dir(root.path().join("a")).unwrap().count(), 1, "nothing is left beside it");
        assert!(matches!(run("a", "x", Mode::Overwrite), Err(Failure::InvalidInput(_))));
    }
}
