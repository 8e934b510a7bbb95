//! A path, and what was there before a call.
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use skillhost_sdk::Failure;

use crate::disk;
use crate::keep::{Keeper, Kept};
use crate::print::{Digest, Print};
use crate::roots::{failed, resolve};

#[derive(Serialize, Deserialize)]
pub(crate) struct Place {
    path: String,
    pub(crate) was: Print,
    /// Where the contents of a file begin in what was kept.
    at: u64,
}

impl Place {
    /// Keeps what is at `path`. Fails when it could not be brought back.
    pub(crate) fn keep(path: &Path, keeper: &mut Keeper<'_>) -> Result<Self, Failure> {
        let fail = |error| failed(path, &error);
        let at = keeper.at();
        let was = match path.symlink_metadata() {
            Ok(meta) if meta.is_file() => {
                let (mut file, mut digest) = (File::open(path).map_err(fail)?, Digest::new());
                let mut buffer = vec![0; 64 << 10];
                loop {
                    match file.read(&mut buffer).map_err(fail)? {
                        0 => break,
                        n => {
                            digest.update(&buffer[..n]);
                            keeper.push(&buffer[..n])?;
                        }
                    }
                }
                Print::File { len: digest.len(), hash: digest.finish() }
            }
            _ => Print::of(path)?,
        };
        if matches!(was, Print::Link(None) | Print::Other) {
            return Err(Failure::permanent(format_args!(
                "`{}` is {was}; it could not be brought back, so nothing was changed",
                path.display()
            )));
        }
        Ok(Self { path: text(path)?, was, at })
    }

    /// As [`keep`](Self::keep), for what stays where it is.
    pub(crate) fn bare(path: &Path, was: Print) -> Result<Self, Failure> {
        Ok(Self { path: text(path)?, was, at: 0 })
    }

    /// The path, when it is still granted.
    pub(crate) fn path(&self) -> Result<PathBuf, Failure> {
        resolve(&self.path)
    }

    /// Brings back what was there. The caller has checked that what is there now may go; a folder goes only when it is
    /// empty.
    pub(crate) fn restore(&self, kept: &Kept, call: &str) -> Result<(), Failure> {
        let path = self.path()?;
        let now = Print::of(&path)?;
        if now == self.was {
            return Ok(());
        }
        let restore = || {
            match (&now, &self.was) {
                (Print::Folder, _) => disk::remove_folder(&path)?,
                (Print::Nothing, _) => {}
                (_, Print::Nothing | Print::Folder) => disk::remove_file(&path)?,
                // Replaced in one step.
                _ => {}
            }
            match &self.was {
                Print::Folder => disk::make_folder(&path),
                Print::File { len, .. } => {
                    disk::put_file(&path, &mut *kept.reader(self.at, *len), *len, call)
                }
                Print::Link(Some(target)) => disk::put_link(&path, target, call),
                Print::Nothing | Print::Link(None) | Print::Other => Ok(()),
            }
        };
        restore().map_err(|error| failed(&path, &error))
    }
}

/// A path as a token holds it.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::permanent(format_args!("`{}` has a name that is not UTF-8", path.display())))
}

/// That `path` is not as the call left it, nor as it was before. Nothing was touched.
pub(crate) fn changed(path: &Path, now: &Print, left: &Print, was: &Print) -> Failure {
    Failure::conflict(format_args!(
        "`{}` has changed since: there is {now}; the call left {left} in the place of {was}",
        path.display()
    ))
}

/// Checks that the folder of `path` is there, to bring something back into. By force it is made.
pub(crate) fn parent_is_there(path: &Path, force: bool) -> Result<(), Failure> {
    let Some(parent) = path.parent() else { return Ok(()) };
    if parent.is_dir() {
        return Ok(());
    }
    if force {
        return fs::create_dir_all(parent).map_err(|error| failed(parent, &error));
    }
    Err(Failure::conflict(format_args!(
        "the folder `{}` is gone, so `{}` cannot be brought back into it",
        parent.display(),
        path.display()
    )))
}

/// The result of a call's effects. A failure promises that nothing took effect, so what did is taken back; when that
/// cannot be, the call ends without a promise.
pub(crate) fn all_or_nothing<T>(
    result: Result<T, Failure>,
    take_back: impl FnOnce() -> Result<(), Failure>,
) -> Result<T, Failure> {
    result.map_err(|failure| match take_back() {
        Ok(()) => failure,
        Err(why) => panic!("{failure}; what was done before cannot be taken back: {why}"),
    })
}
