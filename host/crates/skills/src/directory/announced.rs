//! What skills say has changed of them.

use std::{collections::BTreeSet, time::Duration};

use skillhost_core::{Announced, Kind, SkillName};
use skillhost_engine::Notice;
use tokio::time::Instant;

use super::Keeper;
use crate::{
    load::{Unloaded, list_again},
    slot::Version,
};

/// A skill that says it offers something else is asked after this long: what it says meanwhile is asked for at once.
const RELIST_AFTER: Duration = Duration::from_millis(50);

/// The answer of a skill that was asked again what it offers.
pub(super) struct Relisted {
    skill: SkillName,
    kinds: BTreeSet<Kind>,
    result: Result<Version, Unloaded>,
}

impl Keeper {
    /// A skill says that something of it has changed.
    pub(super) fn noticed(&mut self, Notice { skill, change }: Notice) {
        match change {
            Announced::Listing(kind) => {
                self.to_relist.entry(skill).or_default().insert(kind);
                self.relist_at.get_or_insert(Instant::now() + RELIST_AFTER);
            }
            Announced::Resource(uri) => {
                let catalog = self.publish.borrow();
                let exact = catalog.resources.get(&uri).is_some_and(|served| served.entry.skill == skill);
                let families = || catalog.templates.values().filter(|served| served.entry.skill == skill);
                if exact || families().any(|served| served.spec.may_match(&uri)) {
                    // Nobody may listen.
                    let _ = self.updates.send(uri.into());
                } else {
                    tracing::debug!(%skill, "the skill announces a resource that is none of its own");
                }
            }
        }
    }

    pub(super) fn relist(&mut self) {
        self.relist_at = None;
        for (skill, kinds) in std::mem::take(&mut self.to_relist) {
            let Some(version) = self.slots.get(&skill).and_then(|slot| slot.serving.clone()) else {
                continue;
            };
            let engine = self.engine.clone();
            self.relists.spawn(async move {
                let result = list_again(&engine, &skill, version).await;
                Relisted { skill, kinds, result }
            });
        }
    }

    pub(super) fn relisted(&mut self, Relisted { skill, kinds, result }: Relisted) -> bool {
        let Some(serving) = self.slots.get_mut(&skill).and_then(|slot| slot.serving.as_mut()) else {
            return false;
        };
        match result {
            // Another version lists by itself.
            Ok(version) if version.loaded == serving.loaded => *serving = version,
            Ok(_) => return false,
            Err(Unloaded { reason, .. }) => {
                tracing::warn!(%skill, reason, "the skill says that it offers something else, but does not list it");
                return false;
            }
        }
        self.announced.extend(kinds);
        true
    }
}
