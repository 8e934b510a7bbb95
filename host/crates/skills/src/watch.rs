//! Notifications from the file system: no polling.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::mpsc;

/// What a notification means for the folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A file is being written: look when it is quiet.
    Writing(PathBuf),
    /// A file was closed after writing: look now.
    Written(PathBuf),
    /// Names came or went.
    Names,
    /// The folder itself came, went, or notifications were lost: watch it anew and look.
    Folder,
}

/// Watches the folder, and its parent for the folder's own fate.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    dir: PathBuf,
    /// Folders below it that links lead into.
    followed: BTreeSet<PathBuf>,
}

impl Watch {
    pub(crate) fn start(dir: &Path) -> notify::Result<(Self, mpsc::UnboundedReceiver<Change>)> {
        // Unbounded, since the sender is the file system's thread and must not wait; the receiver only
        // notes times and keeps up.
        let (sender, receiver) = mpsc::unbounded_channel();
        let folder = dir.to_owned();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let change = match event {
                Ok(event) => classify(&event, &folder),
                Err(_) => Some(Change::Folder),
            };
            if let Some(change) = change {
                // The directory is being closed when nobody listens.
                let _ = sender.send(change);
            }
        })?;
        let mut watch = Self { watcher, dir: dir.to_owned(), followed: BTreeSet::new() };
        watch.watcher.watch(dir, RecursiveMode::NonRecursive)?;
        if let Some(parent) = dir.parent() {
            // A parent that cannot be watched only costs the return of a deleted folder.
            let _ = watch.watcher.watch(parent, RecursiveMode::NonRecursive);
        }
        Ok((watch, receiver))
    }

    /// Watch the folder anew, after it was deleted and made again, and what is below it with the next
    /// [`Watch::follow`].
    pub(crate) fn renew(&mut self) {
        for gone in std::mem::take(&mut self.followed) {
            let _ = self.watcher.unwatch(&gone);
        }
        let _ = self.watcher.unwatch(&self.dir);
        let _ = self.watcher.watch(&self.dir, RecursiveMode::NonRecursive);
    }

    /// Watch these folders too, and no others. Answers whether any is new.
    pub(crate) fn follow(&mut self, linked: &BTreeSet<PathBuf>) -> bool {
        for gone in self.followed.difference(linked) {
            // Its watch went with it.
            let _ = self.watcher.unwatch(gone);
        }
        let mut news = false;
        for folder in linked.difference(&self.followed) {
            match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => news = true,
                Err(error) => {
                    tracing::warn!(%error, "a folder that a skill's link leads into cannot be watched");
                }
            }
        }
        self.followed.clone_from(linked);
        news
    }
}

fn classify(event: &Event, dir: &Path) -> Option<Change> {
    if event.need_rescan() {
        return Some(Change::Folder);
    }
    if event.paths.iter().any(|path| path == dir) {
        return matches!(
            event.kind,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        )
        .then_some(Change::Folder);
    }
    // Of its parent's other folders we hear too. Within, any name counts: links lead to files, or through
    // other links, that need not be named like skills.
    let path = event.paths.iter().find(|path| path.starts_with(dir))?;
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Change::Written(path.clone())),
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {
            Some(Change::Writing(path.clone()))
        }
        EventKind::Remove(_) | EventKind::Modify(_) => Some(Change::Names),
        EventKind::Access(_) | EventKind::Any | EventKind::Other => None,
    }
}
