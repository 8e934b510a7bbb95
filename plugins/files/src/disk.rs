//! The changes that are made to files. Between any two of them a call or an undo may be killed, and what it leaves then
//! must still be one that undo can tell apart; the tests stop at every one.
use std::fs::{self, OpenOptions};
use std::io::{self, Error, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    step();
    fs::create_dir(path)
}

pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    step();
    fs::remove_dir(path)
}

/// Removes a file or a link.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    step();
    fs::remove_file(path)
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step();
    fs::rename(from, to)
}

/// Makes a file of `len` bytes, or replaces the file that is there: nobody sees half of it.
pub(crate) fn put_file(path: &Path, contents: &mut dyn Read, len: u64, call: &str) -> io::Result<()> {
    by_renaming(path, call, |new| {
        step();
        let mut file = OpenOptions::new().write(true).create_new(true).open(new)?;
        step();
        if io::copy(contents, &mut file)? != len {
            return Err(Error::new(ErrorKind::UnexpectedEof, "what was kept is not whole"));
        }
        file.sync_all()
    })
}

/// Makes a link, or replaces the file that is there.
pub(crate) fn put_link(path: &Path, target: &str, call: &str) -> io::Result<()> {
    by_renaming(path, call, |new| {
        step();
        link(target, new)
    })
}

/// Writes after the end of a file, which is made when it is not there.
pub(crate) fn append(path: &Path, text: &str) -> io::Result<()> {
    step();
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    step();
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Cuts a file to its first `len` bytes.
pub(crate) fn cut(path: &Path, len: u64) -> io::Result<()> {
    step();
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(len)?;
    file.sync_all()
}

/// Removes what a call that was killed left beside `path`.
pub(crate) fn sweep(path: &Path, call: &str) -> io::Result<()> {
    let new = beside(path, call);
    // Looked for first: in a folder that was granted for reading only, nothing can be removed, be it there or not.
    if new.symlink_metadata().is_err() { Ok(()) } else { fs::remove_file(new) }
}

fn by_renaming(path: &Path, call: &str, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let new = beside(path, call);
    sweep(path, call)?;
    let made = make(&new).and_then(|()| rename(&new, path));
    if made.is_err() {
        // There may be none, and what failed first is what counts.
        let _ = fs::remove_file(&new);
    }
    made
}

/// A name that no other call has, in the same folder, so that renaming is one step. Without the file's own name, which
/// may be as long as names can be.
fn beside(path: &Path, call: &str) -> PathBuf {
    path.with_file_name(format!(".{call}.new"))
}

#[cfg(not(target_family = "wasm"))]
fn link(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// By WASI itself: the standard library makes no links there.
#[cfg(target_family = "wasm")]
fn link(target: &str, path: &Path) -> io::Result<()> {
    for (folder, name) in wasip2::filesystem::preopens::get_directories() {
        let below = path.strip_prefix(&name).ok().and_then(Path::to_str);
        if let Some(below) = below {
            return folder.symlink_at(target, below).map_err(Error::other);
        }
    }
    Err(ErrorKind::PermissionDenied.into())
}

/// Where a test may stop the call, as a kill would.
fn step() {
    #[cfg(test)]
    tests::step();
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    struct Killed;

    pub(super) fn step() {
        match LEFT.get() {
            Some(0) => resume_unwind(Box::new(Killed)),
            left => LEFT.set(left.map(|left| left - 1)),
        }
    }

    /// Runs `work` and kills it before its step number `after`, counted from 0. None when it was killed.
    pub(crate) fn kill<T>(after: usize, work: impl FnOnce() -> T) -> Option<T> {
        LEFT.set(Some(after));
        let result = catch_unwind(AssertUnwindSafe(work));
        LEFT.set(None);
        match result {
            Ok(done) => Some(done),
            Err(reason) if reason.is::<Killed>() => None,
            Err(reason) => resume_unwind(reason),
        }
    }
}
