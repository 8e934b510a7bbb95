//! From what the directory knows of each skill to the catalog that everybody reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::Arc,
};

use skillhost_core::{
    Catalog, Entry, Kind, OwnTool, Served, SkillName, SkillStatus, ToolName, ToolSpec, name::RESERVED_TOOLS,
};

use crate::{
    contest::{self, Owners},
    offer::Offers,
    slot::{Slot, Version},
};

/// Who owns which name.
#[derive(Default)]
pub(crate) struct AllOwners {
    tools: Owners<ToolName>,
    prompts: Owners<ToolName>,
    resources: Owners<String>,
    templates: Owners<String>,
}

type Slots = BTreeMap<SkillName, Slot>;

/// What `slots` offer, with the host's own tools, and who owns which name now. `before` is the catalog that is published;
/// clients are told that what is `announced` has changed, also when nothing differs.
pub(crate) fn catalog(
    slots: &Slots,
    owners: &AllOwners,
    builtin: &[OwnTool],
    before: &Catalog,
    announced: &BTreeSet<Kind>,
) -> (Catalog, AllOwners) {
    let mut owners = AllOwners {
        tools: contest::assign(&owners.tools, names(slots, |offers| offers.tools.iter().map(|o| &o.name))),
        prompts: contest::assign(&owners.prompts, names(slots, |offers| offers.prompts.iter().map(|o| &o.0))),
        resources: contest::assign(
            &owners.resources,
            names(slots, |offers| offers.resources.iter().map(|o| &o.0)),
        ),
        templates: contest::assign(
            &owners.templates,
            names(slots, |offers| offers.templates.iter().map(|o| &o.0)),
        ),
    };
    // What agents take for the host's is the host's: no skill can step into its place, offered or not.
    for taken in [&mut owners.tools, &mut owners.prompts] {
        for name in RESERVED_TOOLS {
            if let Some(owner) = taken.get_mut(*name) {
                *owner = SkillName::host();
            }
        }
    }
    let mut catalog = Catalog::default();
    for (name, slot) in slots {
        let mut status = slot.status(name);
        if let Some(version) = &slot.serving {
            let offers = &version.offers;
            for offer in &offers.tools {
                if owns(name, &owners.tools, &offer.name, &mut status) {
                    status.tools.push(offer.name.clone());
                    let mut entry = entry(name, version, &offer.spec);
                    entry.timeout = offer.timeout;
                    catalog.tools.insert(offer.name.clone(), entry);
                }
            }
            let feature = entry(name, version, &offers.feature);
            serve(&offers.prompts, &owners.prompts, offers, &feature, &mut status, &mut catalog.prompts);
            serve(
                &offers.resources,
                &owners.resources,
                offers,
                &feature,
                &mut status,
                &mut catalog.resources,
            );
            serve(
                &offers.templates,
                &owners.templates,
                offers,
                &feature,
                &mut status,
                &mut catalog.templates,
            );
        }
        let told = before.skills.get(name).map(|status| &status.contested);
        for (taken, owner) in status.contested.iter().filter(|c| told.is_none_or(|told| !told.contains(c))) {
            tracing::warn!(skill = %name, name = taken, %owner, "a name is taken by another skill; what the skill has under it is not served");
        }
        catalog.skills.insert(name.clone(), status);
    }
    let of_skills = catalog.tools.len();
    let offered = builtin.iter().filter(|own| own.above.is_none_or(|few| of_skills > few));
    catalog.tools.extend(offered.map(|own| (own.name.clone(), own.entry.clone())));
    let grown = |was: u64, same: bool, kind| was + u64::from(!same || announced.contains(&kind));
    let same_tools = same(&before.tools, &catalog.tools, |entry| &entry.spec);
    let same_prompts = same(&before.prompts, &catalog.prompts, |served| &served.spec);
    let same_resources = same(&before.resources, &catalog.resources, |served| &served.spec)
        && same(&before.templates, &catalog.templates, |served| &served.spec);
    catalog.revision = grown(before.revision, same_tools, Kind::Tools);
    catalog.prompts_revision = grown(before.prompts_revision, same_prompts, Kind::Prompts);
    catalog.resources_revision = grown(before.resources_revision, same_resources, Kind::Resources);
    (catalog, owners)
}

/// What all versions that serve offer of a kind.
fn names<'a, K: 'a, I: Iterator<Item = &'a K> + Clone>(
    slots: &'a Slots,
    of: impl Fn(&'a Offers) -> I + Copy,
) -> impl Iterator<Item = (&'a SkillName, &'a K)> + Clone {
    slots.iter().flat_map(move |(skill, slot)| {
        let serving = slot.serving.iter();
        serving.flat_map(move |version| of(&version.offers).map(move |name| (skill, name)))
    })
}

fn entry(skill: &SkillName, version: &Version, spec: &Arc<ToolSpec>) -> Entry {
    Entry {
        spec: Arc::clone(spec),
        skill: skill.clone(),
        digest: version.digest,
        loaded: version.loaded,
        timeout: version.settings.timeout,
        calls_tools: !version.settings.grants.tools.is_empty(),
        invoke: Arc::clone(&version.skill) as _,
    }
}

/// Whether `skill` has the name; told in its status when it has not.
fn owns<K: Ord + Display>(skill: &SkillName, owners: &Owners<K>, name: &K, status: &mut SkillStatus) -> bool {
    let owner = &owners[name];
    if owner != skill {
        status.contested.push((name.to_string(), owner.clone()));
    }
    owner == skill
}

fn serve<K: Ord + Display + Clone, T>(
    offered: &[(K, Arc<T>)],
    owners: &Owners<K>,
    offers: &Offers,
    feature: &Entry,
    status: &mut SkillStatus,
    into: &mut BTreeMap<K, Served<T>>,
) {
    for (name, spec) in offered {
        if owns(&feature.skill, owners, name, status) {
            let served =
                Served { spec: Arc::clone(spec), entry: feature.clone(), completes: offers.completes };
            into.insert(name.clone(), served);
        }
    }
}

/// Whether a client would see the same.
fn same<K: Ord, V, T: PartialEq>(
    before: &BTreeMap<K, V>,
    now: &BTreeMap<K, V>,
    spec: impl Fn(&V) -> &Arc<T>,
) -> bool {
    let alike = |x: &Arc<T>, y: &Arc<T>| Arc::ptr_eq(x, y) || x == y;
    before.len() == now.len()
        && before.iter().zip(now).all(|((a, x), (b, y))| a == b && alike(spec(x), spec(y)))
}
