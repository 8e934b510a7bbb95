//! What calls of one version of a skill share.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use skillhost_core::{Features, SkillName, TemplateSpec};

use crate::{Limits, grants::open::Granted};

/// What calls of one version of a skill share: its name, bounds and grants. A tool with bounds of its own has one to
/// itself.
pub(crate) struct Sandbox {
    pub(crate) name: SkillName,
    pub(crate) limits: Limits,
    pub(crate) granted: Arc<Granted>,
    pub(crate) offered: Arc<Offered>,
}

/// The resources that a skill has listed last.
#[derive(Default)]
pub(crate) struct Offered(RwLock<Resources>);

#[derive(Default)]
struct Resources {
    uris: HashSet<String>,
    templates: Vec<TemplateSpec>,
}

impl Offered {
    pub(crate) fn set(&self, features: &Features) {
        let uris = features.resources.iter().map(|resource| resource.uri.clone()).collect();
        let resources = Resources { uris, templates: features.templates.clone() };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = resources;
    }

    pub(crate) fn has(&self, uri: &str) -> bool {
        let offered = self.0.read().unwrap_or_else(PoisonError::into_inner);
        offered.uris.contains(uri) || offered.templates.iter().any(|template| template.may_match(uri))
    }
}
