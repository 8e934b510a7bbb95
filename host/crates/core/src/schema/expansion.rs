//! How many subschemas a schema comes to when every reference is replaced by what it refers to.
//!
//! Twenty definitions that each refer twice to the next come to a million. The validator would visit them all
//! for a value as small as `{}`, so such schemas are refused when a skill is loaded. References back into a
//! definition that is being expanded are counted once: the validator remembers what it found for them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::SchemaError;

/// Subschemas after expansion. Large tools seen in practice have a few hundred.
const MAX_SUBSCHEMAS: u64 = 10_000;
/// Deepest path through objects, arrays and references.
const MAX_PATH: usize = 512;

/// What a schema comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expansion {
    /// Subschemas; at least 1.
    pub(super) subschemas: u64,
    /// How many ways lead back into a definition that is being expanded: 0 without recursion, 1 for a list,
    /// 2 for a binary tree. So many times the work can grow with each level of a value.
    pub(super) returns: u64,
}

impl Expansion {
    const RETURN: Self = Self { subschemas: 1, returns: 1 };

    fn add(&mut self, other: Self) {
        self.subschemas = self.subschemas.saturating_add(other.subschemas);
        self.returns = self.returns.saturating_add(other.returns);
    }
}

/// Expand `root`.
pub(super) fn expand(root: &Value) -> Result<Expansion, SchemaError> {
    let mut walk = Walk { root, anchors: HashMap::new(), done: HashMap::new() };
    collect_anchors(root, &mut walk.anchors);
    walk.count(root, 0)
}

struct Walk<'a> {
    root: &'a Value,
    anchors: HashMap<&'a str, &'a Value>,
    /// By address: what it comes to, or nothing while it is being counted.
    done: HashMap<*const Value, Option<Expansion>>,
}

impl<'a> Walk<'a> {
    fn count(&mut self, node: &'a Value, path: usize) -> Result<Expansion, SchemaError> {
        if path > MAX_PATH {
            return Err(SchemaError::TooDeep);
        }
        match self.done.get(&std::ptr::from_ref(node)) {
            Some(Some(count)) => return Ok(*count),
            Some(None) => return Ok(Expansion::RETURN),
            None => {}
        }
        self.done.insert(node, None);
        let mut total = Expansion { subschemas: 0, returns: 0 };
        match node {
            Value::Object(map) => {
                total.subschemas = 1;
                for child in children(map) {
                    total.add(self.count(child, path + 1)?);
                }
                for reference in references(map) {
                    let target = self.resolve(reference)?;
                    total.add(self.count(target, path + 1)?);
                }
            }
            Value::Array(items) => {
                for item in items {
                    total.add(self.count(item, path + 1)?);
                }
            }
            _ => {}
        }
        if total.subschemas > MAX_SUBSCHEMAS {
            return Err(SchemaError::TooLarge(MAX_SUBSCHEMAS));
        }
        self.done.insert(node, Some(total));
        Ok(total)
    }

    fn resolve(&self, reference: &str) -> Result<&'a Value, SchemaError> {
        let nowhere = || SchemaError::Dangling(reference.to_owned());
        let fragment = reference.strip_prefix('#').ok_or_else(nowhere)?;
        match fragment {
            "" => Ok(self.root),
            pointer if pointer.starts_with('/') => self.root.pointer(pointer).ok_or_else(nowhere),
            anchor => self.anchors.get(anchor).copied().ok_or_else(nowhere),
        }
    }
}

/// Everything below an object but its definitions, which count where they are referred to.
fn children(map: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    map.iter().filter(|(key, _)| !matches!(key.as_str(), "$defs" | "definitions")).map(|(_, value)| value)
}

fn references(map: &Map<String, Value>) -> impl Iterator<Item = &str> {
    ["$ref", "$dynamicRef"].into_iter().filter_map(|key| map.get(key)?.as_str())
}

fn collect_anchors<'a>(node: &'a Value, anchors: &mut HashMap<&'a str, &'a Value>) {
    match node {
        Value::Object(map) => {
            for key in ["$anchor", "$dynamicAnchor"] {
                if let Some(Value::String(name)) = map.get(key) {
                    anchors.insert(name, node);
                }
            }
            map.values().for_each(|value| collect_anchors(value, anchors));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_anchors(item, anchors)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain(length: usize, step: impl Fn(Value) -> Value) -> Value {
        let mut defs = Map::new();
        for n in 0..length {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            defs.insert(format!("d{n}"), step(next));
        }
        defs.insert(format!("d{length}"), json!({"type": "object"}));
        json!({"type": "object", "$defs": defs, "$ref": "#/$defs/d0"})
    }

    #[test]
    fn ordinary_schemas_are_small() {
        let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/t"}, "b": {"$ref": "#/$defs/t"}},
            "$defs": {"t": {"type": "string"}}});
        assert_eq!(expand(&schema).unwrap(), Expansion { subschemas: 6, returns: 0 });
    }

    #[test]
    fn recursion_is_counted_once_and_known() {
        let tree = json!({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}});
        let expansion = expand(&tree).unwrap();
        assert!(expansion.returns == 2 && expansion.subschemas < 10, "{expansion:?}");
        let anchored = json!({"type": "object", "$anchor": "n", "properties": {"next": {"$ref": "#n"}}});
        assert_eq!(expand(&anchored).unwrap().returns, 1);
        let doubled = json!({"type": "object", "$defs": {"both": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}},
            "properties": {"a": {"anyOf": [{"$ref": "#/$defs/both"}, {"$ref": "#/$defs/both"}]}}});
        assert_eq!(expand(&doubled).unwrap().returns, 4);
    }

    #[test]
    fn doubling_definitions_are_refused() {
        assert!(expand(&chain(8, |next| json!({"allOf": [next, next]}))).is_ok());
        let laughs = expand(&chain(30, |next| json!({"allOf": [next, next]})));
        assert_eq!(laughs, Err(SchemaError::TooLarge(MAX_SUBSCHEMAS)));
    }

    #[test]
    fn long_chains_are_refused_before_they_exhaust_a_stack() {
        assert!(expand(&chain(100, |next| next)).is_ok());
        assert_eq!(expand(&chain(100_000, |next| next)), Err(SchemaError::TooDeep));
    }

    #[test]
    fn references_must_lead_somewhere() {
        let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}});
        assert_eq!(expand(&schema), Err(SchemaError::Dangling("#/$defs/none".into())));
    }
}
