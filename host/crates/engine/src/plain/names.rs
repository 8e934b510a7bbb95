//! What the exports of a plain component are called as tools.

use std::collections::BTreeMap;

/// An exported function, by where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The interface, as in `wasi:cli/run@0.2.6`; none for what is exported by itself.
    pub(crate) interface: Option<Box<str>>,
    /// The function, as in `word-count`.
    pub(crate) function: Box<str>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{interface}#{}", self.function),
            None => f.write_str(&self.function),
        }
    }
}

impl Place {
    /// Names for it, the shortest first: the function; with its interface; with its package; with its version.
    fn names(&self) -> Vec<String> {
        let word = |text: &str| text.replace('-', "_");
        let mut names = vec![word(&self.function)];
        let Some(interface) = &self.interface else { return names };
        let (path, version) =
            interface.split_once('@').map_or((&**interface, None), |(path, v)| (path, Some(v)));
        let (package, name) = path.rsplit_once('/').unwrap_or(("", path));
        names.push(format!("{}_{}", word(name), word(&self.function)));
        let package = word(&package.replace([':', '/'], "_"));
        let whole = [package.as_str(), &word(name), &word(&self.function)].join("_");
        names.push(whole.trim_start_matches('_').to_owned());
        if let Some(version) = version {
            let version = version.replace(['.', '-', '+'], "_");
            names.push(format!("{}_v{version}", names[2]));
        }
        names
    }
}

/// A name for each, of the same order: the shortest that no other has. All that would be called alike get longer ones, so
/// that which of them is meant does not depend on which came first.
pub(crate) fn names(places: &[Place]) -> Vec<String> {
    let all: Vec<Vec<String>> = places.iter().map(Place::names).collect();
    let mut level = vec![0; all.len()];
    loop {
        let name = |n: usize| &all[n][level[n]];
        let mut owners: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for n in 0..all.len() {
            owners.entry(name(n)).or_default().push(n);
        }
        let longer: Vec<usize> = owners
            .values()
            .filter(|owners| owners.len() > 1)
            .flatten()
            .copied()
            .filter(|&n| level[n] + 1 < all[n].len())
            .collect();
        if longer.is_empty() {
            return (0..all.len()).map(|n| name(n).clone()).collect();
        }
        for n in longer {
            level[n] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(places: &[(&str, &str)]) -> Vec<String> {
        let place = |&(interface, function): &(&str, &str)| Place {
            interface: Some(interface).filter(|interface| !interface.is_empty()).map(Into::into),
            function: function.into(),
        };
        names(&places.iter().map(place).collect::<Vec<_>>())
    }

    #[test]
    fn the_shortest_name_that_no_other_has() {
        assert_eq!(named(&[("", "word-count"), ("a:b/c@1.0.0", "other")]), ["word_count", "other"]);
        assert_eq!(named(&[("a:b/c", "run"), ("a:b/d", "run")]), ["c_run", "d_run"]);
        assert_eq!(named(&[("", "run"), ("a:b/d", "run")]), ["run", "d_run"]);
        assert_eq!(
            named(&[("a:b/c", "run"), ("a:e/c", "run"), ("a:b/c", "stop")]),
            ["a_b_c_run", "a_e_c_run", "stop"]
        );
        assert_eq!(
            named(&[("a:b/c@1.0.0", "run"), ("a:b/c@2.0.0-rc.1", "run")]),
            ["a_b_c_run_v1_0_0", "a_b_c_run_v2_0_0_rc_1"]
        );
    }
}
