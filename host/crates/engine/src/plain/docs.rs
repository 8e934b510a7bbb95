//! What WIT says of functions: the custom section that `skillhost build` writes, else `package-docs` of other toolchains.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use skillhost_core::text::bounded;

use super::names::Place;

/// Bytes of what is said of a function that are kept.
const MOST: usize = 4 << 10;
/// Bytes of a section that is read.
const SECTION: usize = 1 << 20;

/// What is said of a component. What is not understood is left out: it is for people.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Docs {
    /// By where they are exported.
    functions: BTreeMap<String, Said>,
    package: Package,
}

/// What is said of a function, and of what it takes and gives, by the way there: `item.price`, and `->` for what it gives.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Said {
    docs: Option<String>,
    values: BTreeMap<String, String>,
}

/// A package's documentation, whichever package that is.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Package {
    worlds: BTreeMap<String, World>,
    interfaces: BTreeMap<String, Interface>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct World {
    interfaces: BTreeMap<String, Interface>,
    interface_exports: BTreeMap<String, Interface>,
    funcs: BTreeMap<String, Function>,
    func_exports: BTreeMap<String, Function>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Interface {
    funcs: BTreeMap<String, Function>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Function {
    docs: Option<String>,
}

impl Docs {
    /// What a component brings along.
    pub(crate) fn of(component: &[u8]) -> Self {
        let section = |name| section(component, name).filter(|section| section.len() <= SECTION);
        Self {
            functions: section(b"skillhost-docs")
                .and_then(|section| serde_json::from_slice(section).ok())
                .unwrap_or_default(),
            package: section(b"package-docs")
                .and_then(|section| serde_json::from_slice(section.get(1..)?).ok())
                .unwrap_or_default(),
        }
    }

    /// The same without what may be about any of several interfaces, whose names differ only in what a package does not say of itself.
    pub(crate) fn among<'a>(mut self, interfaces: impl Iterator<Item = &'a str>) -> Self {
        let interfaces: BTreeSet<_> = interfaces.collect();
        let mut names = BTreeSet::new();
        let doubtful: Vec<_> =
            interfaces.into_iter().filter_map(last).filter(|name| !names.insert(*name)).collect();
        for name in doubtful {
            self.package.interfaces.remove(name);
            for world in self.package.worlds.values_mut() {
                world.interfaces.remove(name);
                world.interface_exports.remove(name);
            }
        }
        self
    }

    /// What is said of what a function takes and gives.
    pub(crate) fn of_values(&self, place: &Place) -> Option<&BTreeMap<String, String>> {
        self.functions.get(&place.to_string()).map(|said| &said.values)
    }

    /// What is said of a function.
    pub(crate) fn of_function(&self, place: &Place) -> Option<String> {
        let docs = self.functions.get(&place.to_string()).and_then(|said| said.docs.as_deref());
        let docs = docs.or_else(|| self.in_package(place))?.trim();
        (!docs.is_empty()).then(|| bounded(docs.to_owned(), MOST))
    }

    fn in_package(&self, place: &Place) -> Option<&str> {
        let worlds = || self.package.worlds.values();
        let docs = match &place.interface {
            None => worlds().find_map(|world| {
                world.func_exports.get(&*place.function).or_else(|| world.funcs.get(&*place.function))
            }),
            Some(interface) => {
                // `package:of/name@1.0.0`, or a name that the world gives.
                let name = last(interface)?;
                let found = self.package.interfaces.get(name).or_else(|| {
                    worlds().find_map(|world| {
                        world.interface_exports.get(name).or_else(|| world.interfaces.get(name))
                    })
                });
                found?.funcs.get(&*place.function)
            }
        };
        docs?.docs.as_deref()
    }
}

/// The name of an interface within its package.
fn last(interface: &str) -> Option<&str> {
    interface.split('@').next()?.rsplit('/').next()
}

/// The content of a component's own custom section of that name.
fn section<'a>(component: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut rest = component.get(8..)?;
    loop {
        let (id, after) = rest.split_first()?;
        let (size, after) = leb(after)?;
        let (section, next) = after.split_at_checked(size)?;
        rest = next;
        if *id == 0 {
            let (length, section) = leb(section)?;
            let (name, content) = section.split_at_checked(length)?;
            if name == wanted {
                return Some(content);
            }
        }
    }
}

/// An unsigned number in LEB128, and what follows it.
fn leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (n, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[n + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(json: &str) -> Vec<u8> {
        named(b"\x0cpackage-docs\0", json)
    }

    fn named(name: &[u8], json: &str) -> Vec<u8> {
        let mut content = name.to_vec();
        content.extend_from_slice(json.as_bytes());
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.extend_from_slice(&[0, 3, 1, b'x', 0]);
        component.push(0);
        component.extend_from_slice(&[(content.len() & 0x7f) as u8 | 0x80, (content.len() >> 7) as u8]);
        component.extend(content);
        component
    }

    #[test]
    fn what_may_be_about_another_interface_is_not_said() {
        let text = r#"{"interfaces":{"i":{"funcs":{"b":{"docs":"Subtracts."}}},"j":{"funcs":{"b":{"docs":"Adds."}}}}}"#;
        let docs = Docs::of(&with(text)).among(["p:q/i@1.0.0", "p:q/i@2.0.0", "p:q/j"].into_iter());
        assert_eq!(docs.of_function(&place(Some("p:q/i@1.0.0"), "b")), None);
        assert_eq!(docs.of_function(&place(Some("p:q/j"), "b")).as_deref(), Some("Adds."));
    }

    #[test]
    fn what_was_built_here_is_known_by_its_whole_place() {
        let text =
            r#"{"p:q/i@1.0.0#b":{"docs":"Adds.","values":{"a.price":"In cents."}},"c":{"docs":"Does."}}"#;
        let component = named(b"\x0eskillhost-docs", text);
        let docs = Docs::of(&component);
        let b = place(Some("p:q/i@1.0.0"), "b");
        assert_eq!(docs.of_function(&b).as_deref(), Some("Adds."));
        assert_eq!(docs.of_values(&b).unwrap()["a.price"], "In cents.");
        assert_eq!(docs.of_function(&place(None, "c")).as_deref(), Some("Does."));
        assert_eq!(docs.of_function(&place(Some("p:q/i@2.0.0"), "b")), None);
    }

    fn place(interface: Option<&str>, function: &str) -> Place {
        Place { interface: interface.map(Into::into), function: function.into() }
    }

    #[test]
    fn functions_are_found_where_they_are_exported() {
        let docs = Docs::of(&with(
            r#"{"worlds":{"w":{"funcs":{"a":{"docs":" Adds. "}},"interface_exports":{"local":{"funcs":{"d":{"docs":"Local."}}}}}},
               "interfaces":{"i":{"docs":"x","funcs":{"b":{"docs":"Subtracts."},"c":{}}}}}"#,
        ));
        assert_eq!(docs.of_function(&place(None, "a")).as_deref(), Some("Adds."));
        assert_eq!(docs.of_function(&place(Some("p:q/i@1.0.0"), "b")).as_deref(), Some("Subtracts."));
        assert_eq!(docs.of_function(&place(Some("local"), "d")).as_deref(), Some("Local."));
        assert_eq!(docs.of_function(&place(Some("p:q/i"), "c")), None);
        assert_eq!(docs.of_function(&place(Some("p:q/other"), "b")), None);
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        for bytes in [&b""[..], b"\0asm\x0d\0\x01\0", &with("no json"), &with("{}")[..20]] {
            assert_eq!(Docs::of(bytes), Docs::default());
        }
    }
}
