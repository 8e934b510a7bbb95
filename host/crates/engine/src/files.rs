//! Granted folders, as guests see them.

use std::{io, path::Path};

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::grants::{Access, open::Folder};

/// Give the guest these folders. One that cannot be opened now is left out, and the log says so.
pub(crate) fn give(folders: &[Folder], wasi: &mut WasiCtxBuilder) {
    for folder in folders {
        let perms = match folder.access {
            Access::ReadOnly => FsPerms::ReadOnly,
            Access::ReadWrite => FsPerms::ReadWrite,
        };
        if let Err(error) =
            open(&folder.host, |path| wasi.preopened_dir(path, &folder.guest, perms).map(drop))
        {
            tracing::warn!(folder = %folder.host.display(), %error, "a granted folder cannot be opened; the call goes on without it");
        }
    }
}

/// Open the folder without following a link anywhere on its path: it was looked up when the skill was loaded, and
/// what has become a link since was made by somebody else.
#[cfg(target_os = "linux")]
fn open(path: &Path, preopen: impl FnOnce(&Path) -> wasmtime::Result<()>) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    use rustix::{
        fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2},
        io::Errno,
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Kernels before 5.6, and some sandboxes: at least the folder itself must not be a link.
        Err(Errno::NOSYS) => openat(CWD, path, flags | OFlags::NOFOLLOW, Mode::empty()),
        opened => opened,
    }?;
    // wasmtime-wasi 48 opens folders by their path only; this one leads to what is open here.
    let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
    preopen(Path::new(&path)).map_err(io::Error::other)
}

/// Other systems have no such call: whoever may write beside the folder can swap it between two calls.
#[cfg(not(target_os = "linux"))]
fn open(path: &Path, preopen: impl FnOnce(&Path) -> wasmtime::Result<()>) -> io::Result<()> {
    preopen(path).map_err(io::Error::other)
}
