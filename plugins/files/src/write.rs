//! The tool `write`.
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use skillhost_sdk::Undo;
use skillhost_sdk::prelude::*;

use crate::disk;
use crate::keep::{Keeper, Kept};
use crate::place::{Place, all_or_nothing, changed, parent_is_there, text};
use crate::print::Print;
use crate::roots::{failed, is_absent, is_not_empty, real, resolve};

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

#[derive(Default, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
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

#[derive(Serialize, Deserialize)]
struct Plan {
    /// Those that are made, the outermost first.
    folders: Vec<String>,
    file: Place,
    /// None when the text is appended; then it is in the arguments, and the length of the file before is all that counts.
    left: Option<Print>,
}

/// Writes a text into a file. A file that is replaced is replaced as a whole: nobody sees half of it, even if the call
/// is ended halfway. Undoing the call brings back what was there before.
#[tool(destructive, open_world = false, title = "Write a file", undo = unwrite)]
pub(crate) fn write(ctx: &Context, args: Args) -> Result<Written, Failure> {
    let path = real(&resolve(&args.path)?)?;
    if path.is_dir() {
        return Err(Failure::invalid_input(format_args!("`{}` is a folder", path.display())));
    }
    if args.mode == Mode::Create && path.symlink_metadata().is_ok() {
        return Err(Failure::conflict(format_args!(
            "`{}` is there already; say mode \"overwrite\" to replace it",
            path.display()
        )));
    }
    let folders = if args.create_folders { missing(&path)? } else { vec![] };
    let mut keeper = Keeper::new(ctx);
    let plan = match args.mode {
        Mode::Append => Plan { folders, file: Place::bare(&path, appendable(&path)?)?, left: None },
        Mode::Create | Mode::Overwrite => {
            Plan { folders, file: Place::keep(&path, &mut keeper)?, left: Some(Print::of_text(&args.text)) }
        }
    };
    let kept = keeper.prepare(&plan)?;
    all_or_nothing(perform(&plan, &path, &args.text, &ctx.call_id), || {
        take_back(&plan, &kept, &args.text, &ctx.call_id, false)
    })
}

/// The folders on the way to `path` that are not there, the outermost first.
fn missing(path: &Path) -> Result<Vec<String>, Failure> {
    let missing = path.ancestors().skip(1).take_while(|folder| folder.symlink_metadata().is_err());
    let mut missing = missing.map(text).collect::<Result<Vec<_>, _>>()?;
    missing.reverse();
    Ok(missing)
}

/// What there is to append to, by its length alone: it may be large, and is not touched.
fn appendable(path: &Path) -> Result<Print, Failure> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(Print::File { len: meta.len(), hash: 0 }),
        Ok(_) => Err(Failure::invalid_input(format_args!("`{}` is no file", path.display()))),
        Err(error) if !is_absent(&error) => Err(failed(path, &error)),
        // What is made behind a link, undo would not find again.
        Err(_) if path.symlink_metadata().is_ok() => {
            Err(Failure::permanent(format_args!("`{}` is a link that leads nowhere", path.display())))
        }
        Err(_) => Ok(Print::Nothing),
    }
}

fn perform(plan: &Plan, path: &Path, text: &str, call: &str) -> Result<Written, Failure> {
    for folder in plan.folders.iter().map(Path::new) {
        match disk::make_folder(folder) {
            // Another call was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            made => made.map_err(|error| failed(folder, &error))?,
        }
    }
    let fail = |error| failed(path, &error);
    match plan.left {
        None => disk::append(path, text),
        Some(_) => disk::put_file(path, &mut text.as_bytes(), text.len() as u64, call),
    }
    .map_err(fail)?;
    Ok(Written { size: fs::metadata(path).map_err(fail)?.len() })
}

fn unwrite(args: Args, undo: Undo<'_>) -> Result<(), Failure> {
    let Some((plan, kept)) = Kept::of::<Plan>(&undo)? else { return Ok(()) };
    take_back(&plan, &kept, &args.text, &undo.ctx.call_id, undo.force)
}

fn take_back(plan: &Plan, kept: &Kept, text: &str, call: &str, force: bool) -> Result<(), Failure> {
    let (path, was) = (plan.file.path()?, &plan.file.was);
    let folders = plan.folders.iter().map(|folder| resolve(folder)).collect::<Result<Vec<PathBuf>, _>>()?;
    match &plan.left {
        None => cut(&path, was, text, force)?,
        Some(left) => {
            let now = Print::of(&path)?;
            if now != *was && now != *left && !force {
                return Err(changed(&path, &now, left, was));
            }
            disk::sweep(&path, call).map_err(|error| failed(&path, &error))?;
            if now != *was && *was != Print::Nothing {
                parent_is_there(&path, force)?;
            }
            plan.file.restore(kept, call)?;
        }
    }
    // Not those that were not made, or are gone.
    for folder in folders.iter().rev().filter(|folder| Print::of(folder) == Ok(Print::Folder)) {
        match disk::remove_folder(folder) {
            // What others put into it since stays, and the folder with it.
            Err(error) if !is_not_empty(&error) => return Err(failed(folder, &error)),
            _ => {}
        }
    }
    Ok(())
}

/// Takes away what was appended. The call may have been killed within its text.
fn cut(path: &Path, was: &Print, text: &str, force: bool) -> Result<(), Failure> {
    let len = if let Print::File { len, .. } = was { Some(*len) } else { None };
    let fail = |error| failed(path, &error);
    let from = len.unwrap_or(0);
    let now = match fs::metadata(path) {
        Ok(meta) => Some(meta.len()),
        Err(error) if is_absent(&error) => None,
        Err(error) => return Err(fail(error)),
    };
    if now == len {
        return Ok(());
    }
    let Some(size) = now.filter(|now| *now >= from) else {
        return Err(Failure::conflict(format_args!(
            "`{}` is shorter than it was before the call; what the call appended is not there to take away",
            path.display()
        )));
    };
    if !force {
        let mut file = File::open(path).map_err(fail)?;
        file.seek(SeekFrom::Start(from)).map_err(fail)?;
        let mut end = vec![];
        file.take(text.len() as u64 + 1).read_to_end(&mut end).map_err(fail)?;
        if !text.as_bytes().starts_with(&end) {
            return Err(Failure::conflict(format_args!(
                "`{}` has changed since: of its {size} bytes, what follows byte {from} is not what the call appended",
                path.display()
            )));
        }
    }
    match len {
        Some(len) => disk::cut(path, len),
        None => disk::remove_file(path),
    }
    .map_err(fail)
}

#[cfg(test)]
mod tests;
