//! Who has which name, when two skills want the same.

use std::collections::BTreeMap;

use skillhost_core::SkillName;
#[cfg(test)]
use skillhost_core::ToolName;

/// Names with their owners.
pub(crate) type Owners<K> = BTreeMap<K, SkillName>;

/// Give each name in `offers` to one skill: the one that has it already, else the first by name.
pub(crate) fn assign<'a, K: Ord + Clone + 'a>(
    owners: &Owners<K>,
    offers: impl Iterator<Item = (&'a SkillName, &'a K)> + Clone,
) -> Owners<K> {
    let mut next = Owners::new();
    let kept = offers.clone().filter(|(skill, name)| owners.get(*name) == Some(*skill));
    for (skill, name) in kept {
        next.insert(name.clone(), skill.clone());
    }
    for (skill, name) in offers {
        let kept = owners.get(name).is_some_and(|owner| next.get(name) == Some(owner));
        next.entry(name.clone())
            .and_modify(|owner| {
                if !kept && skill < owner {
                    *owner = skill.clone();
                }
            })
            .or_insert_with(|| skill.clone());
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill(name: &str) -> SkillName {
        SkillName::new(name).unwrap()
    }

    fn run(owners: &Owners<ToolName>, offers: &[(&str, &str)]) -> Owners<ToolName> {
        let offers: Vec<_> = offers.iter().map(|(s, t)| (skill(s), ToolName::bare(t).unwrap())).collect();
        assign(owners, offers.iter().map(|(s, t)| (s, t)))
    }

    #[test]
    fn the_incumbent_keeps_its_name() {
        let first = run(&Owners::new(), &[("zeta", "search")]);
        let both = run(&first, &[("alpha", "search"), ("zeta", "search")]);
        assert_eq!(both["search"], skill("zeta"));
        assert_eq!(run(&both, &[("alpha", "search")])["search"], skill("alpha"), "free again");
    }

    #[test]
    fn of_two_newcomers_the_first_by_name() {
        assert_eq!(run(&Owners::new(), &[("b", "t"), ("a", "t")])["t"], skill("a"));
        assert_eq!(run(&Owners::new(), &[("a", "t"), ("b", "t")])["t"], skill("a"));
    }
}
