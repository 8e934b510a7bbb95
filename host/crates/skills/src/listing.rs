//! From what the directory knows of each skill to the catalog that everybody reads.

use std::{collections::BTreeMap, sync::Arc};

use skillhost_core::{Catalog, Entry, SkillName, ToolName};

use crate::{
    contest::{self, Owners},
    slot::{Offer, Slot},
};

/// The tools and states of `slots`, with the host's own tools, and who owns which name now. `before` is the catalog that is published.
pub(crate) fn catalog(
    slots: &BTreeMap<SkillName, Slot>,
    owners: &Owners,
    builtin: &[(ToolName, Entry)],
    before: &Catalog,
) -> (Catalog, Owners) {
    let offers = slots.iter().flat_map(|(skill, slot)| {
        slot.serving
            .iter()
            .flat_map(move |version| version.tools.iter().map(move |offer| (skill, &offer.name)))
    });
    let owners = contest::assign(owners, offers);
    let mut catalog = Catalog::default();
    // Their names are reserved: no skill has one of them.
    catalog.tools.extend(builtin.iter().cloned());
    for (name, slot) in slots {
        let mut status = slot.status(name);
        for (offer, version) in slot.serving.iter().flat_map(|v| v.tools.iter().map(move |o| (o, v))) {
            let Offer { name: tool, spec, timeout } = offer;
            let owner = &owners[tool];
            if owner != name {
                status.contested.push((tool.clone(), owner.clone()));
                continue;
            }
            status.tools.push(tool.clone());
            catalog.tools.insert(
                tool.clone(),
                Entry {
                    spec: Arc::clone(spec),
                    skill: name.clone(),
                    digest: version.digest,
                    loaded: version.loaded,
                    timeout: *timeout,
                    calls_tools: !version.settings.grants.tools.is_empty(),
                    invoke: Arc::clone(&version.invoke),
                },
            );
        }
        let told = before.skills.get(name).map(|status| &status.contested);
        for (tool, owner) in status.contested.iter().filter(|c| told.is_none_or(|told| !told.contains(c))) {
            tracing::warn!(skill = %name, %tool, %owner, "the tool's name is taken by another skill; it is not served");
        }
        catalog.skills.insert(name.clone(), status);
    }
    catalog.revision = before.revision + u64::from(!offers_the_same(before, &catalog));
    (catalog, owners)
}

/// Whether a client would see the same tools.
fn offers_the_same(before: &Catalog, now: &Catalog) -> bool {
    before.tools.len() == now.tools.len()
        && before
            .tools
            .iter()
            .zip(&now.tools)
            .all(|((a, x), (b, y))| a == b && (Arc::ptr_eq(&x.spec, &y.spec) || x.spec == y.spec))
}
