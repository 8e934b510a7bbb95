//! What the WIT of a project says goes into the component, in a custom section of our own: `package-docs`, which others write, tells
//! of one package, and a component is another one than that of its WIT.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use serde::Serialize;
use wasm_encoder::{ComponentSection as _, CustomSection};
use wasmparser::{Parser, Payload};
use wit_parser::{Docs, Function, Resolve, Type, TypeDefKind, TypeId, WorldItem, WorldKey};

use crate::BuildError;

/// The section's name, as the engine knows it.
const SECTION: &str = "skillhost-docs";
/// Bytes of a section that the engine reads.
const MOST: usize = 1 << 20;
/// What a function gives, beside its parameters; no parameter is called so.
const RESULT: &str = "->";
/// What is said of the values of one function, at most.
const VALUES: usize = 500;
/// Types of one function that are looked at; those that name others again and again are many.
const TYPES: usize = 5_000;
/// Types within types that are looked at.
const DEPTH: usize = 16;

/// What is said of a function.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    docs: Option<String>,
    /// Of what it takes and gives, by the way there: `item.price` is the field of a parameter, `->` what it gives. Lists, options
    /// and results are passed through.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<String, String>,
}

/// Put the documentation in `wit/` of the project into its component, unless it has some.
pub(crate) fn keep(component: &mut Vec<u8>, dir: &Path) -> Result<(), BuildError> {
    let path = dir.join("wit");
    if !path.is_dir() || has_some(component) {
        return Ok(());
    }
    let mut resolve = Resolve::default();
    // A skill's WIT may lean on packages that only its own tools find; it was good enough for those.
    let Ok((package, _)) = resolve.push_dir(&path) else { return Ok(()) };
    let worlds = resolve.packages[package].worlds.values().flat_map(|id| &resolve.worlds[*id].exports);
    let mut all = BTreeMap::new();
    for (key, item) in worlds {
        match (key, item) {
            (WorldKey::Name(name), WorldItem::Function(function)) => {
                all.insert(name.clone(), said(&resolve, function));
            }
            (_, WorldItem::Interface { id, .. }) => {
                let interface = resolve.name_world_key(key);
                for (name, function) in &resolve.interfaces[*id].functions {
                    all.insert(format!("{interface}#{name}"), said(&resolve, function));
                }
            }
            _ => {}
        }
    }
    all.retain(|_, said| *said != Said::default());
    if !all.is_empty() {
        let told = |all: &BTreeMap<String, Said>| {
            serde_json::to_vec(all)
                .map_err(|error| BuildError::Wit { path: path.clone(), problem: error.to_string() })
        };
        let mut data = told(&all)?;
        if data.len() > MOST {
            // What is said of functions matters most.
            all.values_mut().for_each(|said| said.values.clear());
            data = told(&all)?;
        }
        CustomSection { name: SECTION.into(), data: Cow::Owned(data) }.append_to_component(component);
    }
    Ok(())
}

fn said(resolve: &Resolve, function: &Function) -> Said {
    let mut values = Values { resolve, found: BTreeMap::new(), left: TYPES };
    for parameter in &function.params {
        values.of(&parameter.name, &parameter.ty, DEPTH);
    }
    if let Some(result) = &function.result {
        values.of(RESULT, result, DEPTH);
    }
    Said { docs: text(&function.docs), values: values.found }
}

fn text(docs: &Docs) -> Option<String> {
    let text = docs.contents.as_deref().unwrap_or_default().trim();
    (!text.is_empty()).then(|| text.to_owned())
}

struct Values<'a> {
    resolve: &'a Resolve,
    found: BTreeMap<String, String>,
    left: usize,
}

impl Values<'_> {
    fn of(&mut self, at: &str, ty: &Type, depth: usize) {
        let (Type::Id(id), Some(depth)) = (ty, depth.checked_sub(1)) else { return };
        self.of_type(at, *id, depth);
    }

    fn of_type(&mut self, at: &str, id: TypeId, depth: usize) {
        let Some(left) = self.left.checked_sub(1) else { return };
        self.left = left;
        let resolve = self.resolve;
        let ty = &resolve.types[id];
        // What is said of a field goes before what is said of its type.
        if !self.found.contains_key(at) {
            self.put(at.to_owned(), &ty.docs);
        }
        match &ty.kind {
            TypeDefKind::Type(inner) | TypeDefKind::List(inner) | TypeDefKind::Option(inner) => {
                self.of(at, inner, depth);
            }
            TypeDefKind::Result(result) => {
                if let Some(ok) = &result.ok {
                    self.of(at, ok, depth);
                }
            }
            TypeDefKind::Record(record) => {
                for field in &record.fields {
                    let at = format!("{at}.{}", field.name);
                    self.put(at.clone(), &field.docs);
                    self.of(&at, &field.ty, depth);
                }
            }
            TypeDefKind::Variant(variant) => {
                for case in &variant.cases {
                    let at = format!("{at}.{}", case.name);
                    self.put(at.clone(), &case.docs);
                    if let Some(ty) = &case.ty {
                        self.of(&at, ty, depth);
                    }
                }
            }
            TypeDefKind::Enum(names) => {
                names.cases.iter().for_each(|case| self.put(format!("{at}.{}", case.name), &case.docs));
            }
            TypeDefKind::Flags(names) => {
                names.flags.iter().for_each(|flag| self.put(format!("{at}.{}", flag.name), &flag.docs));
            }
            _ => {}
        }
    }

    fn put(&mut self, at: String, docs: &Docs) {
        if let Some(text) = text(docs).filter(|_| self.found.len() < VALUES) {
            self.found.insert(at, text);
        }
    }
}

fn has_some(component: &[u8]) -> bool {
    let mut sections = Parser::new(0).parse_all(component);
    sections
        .any(|payload| matches!(payload, Ok(Payload::CustomSection(section)) if section.name() == SECTION))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn documentation_is_put_in_once() {
        let dir = tempfile::tempdir().unwrap();
        let empty = wat::parse_str("(component)").unwrap();
        let kept = |component: &[u8]| {
            let mut component = component.to_vec();
            keep(&mut component, dir.path()).unwrap();
            component
        };
        assert_eq!(kept(&empty), empty, "no WIT");
        fs::create_dir(dir.path().join("wit")).unwrap();
        fs::write(dir.path().join("wit/a.wit"), "package a:b; world w { export f: func(); }").unwrap();
        assert_eq!(kept(&empty), empty, "no documentation");
        fs::write(dir.path().join("wit/a.wit"), "package a:b; world w { /// Does.\n export f: func(); }")
            .unwrap();
        let with = kept(&empty);
        assert!(String::from_utf8_lossy(&with).contains("Does."));
        assert_eq!(kept(&with), with);
        // Whoever else reads components can read this one.
        assert!(wit_component::decode(&with).is_ok());
        fs::write(dir.path().join("wit/a.wit"), "package a:b; world w { include c:d/e; }").unwrap();
        assert_eq!(kept(&empty), empty, "a package that is not there");
    }

    #[test]
    fn what_is_said_of_values_is_kept_by_the_way_there() {
        let mut resolve = Resolve::default();
        let text = "package a:b@1.0.0;
            interface i {
                /// A thing.
                record item {
                    /// In cents.
                    price: u32,
                    kind: kind,
                    other: option<list<kind>>,
                }
                /// Which.
                variant kind {
                    /// By weight.
                    loose(amount),
                    packed,
                }
                /// How much.
                type amount = u32;
                /// Adds one.
                add: func(item: item, times: amount) -> result<list<item>, string>;
            }
            world w { export i; }";
        resolve.push_str("a.wit", text).unwrap();
        let (_, interface) = resolve.interfaces.iter().next().unwrap();
        let said: Value = serde_json::to_value(said(&resolve, &interface.functions["add"])).unwrap();
        let item = |at: &str| {
            [
                ("", "A thing."),
                (".price", "In cents."),
                (".kind", "Which."),
                (".kind.loose", "By weight."),
                (".other", "Which."),
                (".other.loose", "By weight."),
            ]
            .map(|(rest, text)| (format!("{at}{rest}"), Value::from(text)))
        };
        let mut values: serde_json::Map<_, _> = item("item").into_iter().chain(item("->")).collect();
        values.insert("times".into(), "How much.".into());
        assert_eq!(said, json!({"docs": "Adds one.", "values": values}));
    }
}
