//! The socket of a running host.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use super::Admin;
use tokio::{net::UnixListener, task::JoinHandle};

/// The folder of the sockets, in the data folder; one a host, by its process id.
pub(super) const FOLDER: &str = "run";

/// A socket that answers as long as it lives.
pub(crate) struct Socket {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Socket {
    /// Answer on `run/PID.sock` in the data folder. Without it everything else works: why it is not there goes to the
    /// log.
    pub(crate) fn open(data: &Path, admin: Admin) -> Option<Self> {
        match bind(&data.join(FOLDER)) {
            Ok((path, listener)) => {
                let served = axum::serve(listener, admin.router()).into_future();
                let task = tokio::spawn(async move {
                    // It ends with the host.
                    let _ = served.await;
                });
                Some(Self { path, task })
            }
            Err(error) => {
                tracing::warn!(%error, "no socket for commands beside this host: they cannot show how it stands");
                None
            }
        }
    }
}

fn bind(folder: &Path) -> io::Result<(PathBuf, UnixListener)> {
    // Closed to others before there is anything in it.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    // In containers that share a folder, process ids are not unique.
    let pid = std::process::id();
    let names = (1..100).map(|n| if n == 1 { format!("{pid}.sock") } else { format!("{pid}-{n}.sock") });
    let free = names.map(|name| folder.join(name)).find(|path| UnixStream::connect(path).is_err());
    let path = free.ok_or(io::ErrorKind::AddrInUse)?;
    // Of an earlier process.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok((path, listener))
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
        // Somebody may have tidied up.
        let _ = fs::remove_file(&self.path);
    }
}
