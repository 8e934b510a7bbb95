//! What calls of one version of a skill share.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use skillhost_core::{Features, SkillName, TemplateSpec, ToolSpec};

use crate::{Limits, grants::open::Granted, pace::Pace};

/// What calls of one version of a skill share: its name, bounds and grants. A tool with bounds of its own has one to
/// itself.
pub(crate) struct Sandbox {
    pub(crate) name: SkillName,
    pub(crate) limits: Limits,
    pub(crate) granted: Arc<Granted>,
    pub(crate) offered: Arc<Offered>,
    pub(crate) pace: Pace,
    /// The one that its code was made for.
    pub(crate) engine: wasmtime::Engine,
}

/// What a skill has listed last, as far as calls go by it.
#[derive(Default)]
pub(crate) struct Offered(RwLock<Listed>);

#[derive(Default)]
struct Listed {
    uris: HashSet<String>,
    templates: Vec<TemplateSpec>,
    /// Tools that bear it when an instance has served before.
    reusable: HashSet<String>,
}

impl Offered {
    pub(crate) fn set(&self, tools: &[ToolSpec], features: &Features) {
        let uris = features.resources.iter().map(|resource| resource.uri.clone()).collect();
        let reusable =
            tools.iter().filter(|tool| tool.is_reusable()).map(|tool| tool.name.to_string()).collect();
        let listed = Listed { uris, templates: features.templates.clone(), reusable };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = listed;
    }

    /// Whether a call of this tool may have an instance that has served before.
    pub(crate) fn is_reusable(&self, tool: &str) -> bool {
        self.listed().reusable.contains(tool)
    }

    /// Whether any tool says so.
    pub(crate) fn has_reusable(&self) -> bool {
        !self.listed().reusable.is_empty()
    }

    fn listed(&self) -> RwLockReadGuard<'_, Listed> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has(&self, uri: &str) -> bool {
        let offered = self.listed();
        offered.uris.contains(uri) || offered.templates.iter().any(|template| template.may_match(uri))
    }
}
