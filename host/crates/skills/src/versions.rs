//! Finding versions of skills that need not serve any more.

use std::sync::Arc;

use skillhost_core::{Catalog, Digest, Failure, FailureKind, FoundVersion, Invoke, SkillName, Versions};
use skillhost_engine::Engine;
use tokio::sync::watch;

use crate::{Kept, SkillsSettings};

/// The versions that serve, and those that are kept.
pub(crate) struct AllVersions {
    pub(crate) engine: Engine,
    pub(crate) catalog: watch::Receiver<Arc<Catalog>>,
    /// Those of today.
    pub(crate) settings: watch::Receiver<Arc<SkillsSettings>>,
    pub(crate) kept: Option<Kept>,
}

impl Versions for AllVersions {
    fn version(&self, skill: &SkillName, digest: Digest) -> FoundVersion {
        let serving = {
            let catalog = self.catalog.borrow();
            let mut entries = catalog.tools.values();
            let found = entries.find(|entry| entry.skill == *skill && entry.digest == digest);
            found.map(|entry| Arc::clone(&entry.invoke))
        };
        if let Some(invoke) = serving {
            return Box::pin(async move { Ok(invoke) });
        }
        let (engine, kept, skill) = (self.engine.clone(), self.kept.clone(), skill.clone());
        let settings = Arc::clone(&self.settings.borrow());
        Box::pin(async move {
            let missing = |why: &str| {
                Failure::new(
                    FailureKind::NotReady,
                    format!("the version {digest} of the skill `{skill}` {why}"),
                )
            };
            let kept = kept.ok_or_else(|| missing("does not serve, and none are kept"))?;
            let read = tokio::task::spawn_blocking(move || kept.read(digest)).await;
            let component = match read {
                Ok(Ok(component)) => component.ok_or_else(|| missing("is not kept, or was damaged"))?,
                Ok(Err(error)) => {
                    tracing::error!(%skill, %digest, %error, "a kept component cannot be read");
                    return Err(missing("cannot be read now"));
                }
                Err(_) => return Err(missing("cannot be read now")),
            };
            let allowance = settings.of(&skill).allowance(&settings.protected);
            let loaded = engine.load(&skill, component, allowance, |_| {}).await.map_err(|error| {
                tracing::warn!(%skill, %digest, %error, "an earlier version of a skill cannot be loaded");
                missing(&format!("cannot be loaded: {error}"))
            })?;
            let invoke: Arc<dyn Invoke> = loaded.skill;
            Ok(invoke)
        })
    }

    fn keep_only(&self, needed: &[Digest]) {
        let Some(kept) = &self.kept else { return };
        let serving = self.catalog.borrow().tools.values().map(|entry| entry.digest).collect::<Vec<_>>();
        match kept.retain(&needed.iter().copied().chain(serving).collect()) {
            Ok(0) => {}
            Ok(removed) => {
                tracing::info!(removed, "earlier versions of skills that nobody needs are removed");
            }
            Err(error) => tracing::warn!(%error, "earlier versions of skills cannot be removed"),
        }
    }
}
