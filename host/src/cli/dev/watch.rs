//! Tells when the source of a project changes.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::CreateKind};
use skillhost_build::Project;
use tokio::{sync::mpsc, time::timeout};

/// Editors save in several steps, and several files at once.
const QUIET: Duration = Duration::from_millis(100);

/// The folders of a project, without those that tools make.
pub(super) struct Sources {
    watcher: RecommendedWatcher,
    changes: mpsc::UnboundedReceiver<Vec<PathBuf>>,
}

impl Sources {
    pub(super) fn watch(dir: &Path) -> notify::Result<Self> {
        // Unbounded, since the sender is the file system's thread and must not wait.
        let (sender, changes) = mpsc::unbounded_channel();
        let root = dir.to_owned();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let changed = match event {
                Ok(event) => source(&event, &root),
                // Something was missed.
                Err(_) => Some(vec![]),
            };
            if let Some(new) = changed {
                // Nobody listens when the command ends.
                let _ = sender.send(new);
            }
        })?;
        let mut sources = Self { watcher, changes };
        sources.add(dir)?;
        // A folder that is made anew, by a checkout perhaps, is seen from there only. Where that may not be read it is not.
        if let Some(above) = dir.parent() {
            let _ = sources.watcher.watch(above, RecursiveMode::NonRecursive);
        }
        Ok(sources)
    }

    /// Watch a folder and those below it. One by one, since what tools make can be thousands.
    fn add(&mut self, dir: &Path) -> notify::Result<()> {
        self.watcher.watch(dir, RecursiveMode::NonRecursive)?;
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if folder && !Project::is_made(&entry.file_name()) {
                self.add(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Resolves after the next change, once it is quiet.
    pub(super) async fn changed(&mut self) {
        let Some(mut new) = self.changes.recv().await else { return std::future::pending().await };
        while let Ok(Some(more)) = timeout(QUIET, self.changes.recv()).await {
            new.extend(more);
        }
        for folder in new {
            // It may be gone already.
            let _ = self.add(&folder);
        }
    }
}

/// New folders among what changed; none when no source did.
fn source(event: &Event, root: &Path) -> Option<Vec<PathBuf>> {
    if event.kind.is_access() {
        return None;
    }
    let ours = |path: &&PathBuf| {
        let Ok(inside) = path.strip_prefix(root) else { return false };
        // Written by the build itself.
        !inside.iter().any(Project::is_made) && inside.file_name() != Some(OsStr::new("Cargo.lock"))
    };
    let paths: Vec<_> = event.paths.iter().filter(ours).collect();
    let folder =
        matches!(event.kind, EventKind::Create(CreateKind::Folder | CreateKind::Any) | EventKind::Modify(_));
    let new = paths.iter().filter(|path| folder && path.is_dir()).map(|path| (*path).clone()).collect();
    (event.need_rescan() || !paths.is_empty()).then_some(new)
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, DataChange, ModifyKind};

    use super::*;

    #[test]
    fn only_sources_count() {
        let root = Path::new("/p");
        let of =
            |kind: EventKind, path: &str| source(&Event::new(kind).add_path(path.into()), root).is_some();
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert!(of(written, "/p/src/lib.rs") && of(written, "/p/main.c") && of(written, "/p/wit/world.wit"));
        for made in [
            "/p/target/x",
            "/p/dist/p.wasm",
            "/p/.git/index",
            "/p/src/.lib.rs.swp",
            "/p/Cargo.lock",
            "/q/lib.rs",
        ] {
            assert!(!of(written, made), "{made}");
        }
        assert!(!of(EventKind::Access(AccessKind::Any), "/p/src/lib.rs"));
    }
}
