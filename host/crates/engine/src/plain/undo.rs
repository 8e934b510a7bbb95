//! Which function takes back what another did: the operator says so, and types must fit.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Tool, functions::Function, shape::Shape};

/// The function that takes something back, and where each of its arguments comes from.
#[derive(Debug, PartialEq)]
pub(crate) struct Takes {
    pub(crate) function: String,
    from: Vec<(Box<str>, From)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// What the call gave, as a whole; whether it is a member of an object for being none.
    Result { wrapped: bool },
    /// An argument of the call, of the same name.
    Argument,
    /// A member of the record that the call gave, of the same name.
    Member,
}

/// What takes back what, of all that `undone_by` says.
///
/// # Errors
/// What does not fit, in words for the operator.
pub(super) fn matched(
    tools: &BTreeMap<String, Tool>,
    undone_by: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Takes>, String> {
    let function = |name: &String| match tools.get(name) {
        Some(Tool::Function(function)) => Ok(function),
        Some(_) => Err(format!("`{name}` is no function, which `undone_by` is about")),
        None => Err(format!("`undone_by` names `{name}`, which it does not export")),
    };
    let each = undone_by.iter().map(|(name, undo)| {
        let from = sources(function(name)?, function(undo)?)
            .map_err(|parameter| format!("`{name}` cannot be undone by `{undo}`: nothing that `{name}` takes or gives is called `{parameter}` and of its type"))?;
        Ok((name.clone(), Takes { function: undo.clone(), from }))
    });
    each.collect()
}

/// Where the arguments of `undo` come from; the first for which there is nothing.
fn sources(done: &Function, undo: &Function) -> Result<Vec<(Box<str>, From)>, Box<str>> {
    let given = done.returns.value();
    let members: &[(Box<str>, Shape)] = match given {
        Some(Shape::Record(fields)) => fields,
        _ => &[],
    };
    let has = |all: &[(Box<str>, Shape)], name: &str, shape: &Shape| {
        all.iter().any(|(known, found)| **known == *name && found == shape)
    };
    let source = |(name, shape): &(Box<str>, Shape)| {
        let from = if &**name == "result" && given == Some(shape) {
            From::Result { wrapped: !matches!(given, Some(Shape::Record(_))) }
        } else if has(&done.parameters, name, shape) {
            From::Argument
        } else if has(members, name, shape) {
            From::Member
        } else {
            return Err(name.clone());
        };
        Ok((name.clone(), from))
    };
    undo.parameters.iter().map(source).collect()
}

impl Takes {
    /// What the function is called with. `result` is the structured result of the call.
    pub(crate) fn arguments(&self, arguments: &Map<String, Value>, result: &Value) -> Map<String, Value> {
        let value = |(name, from): &(Box<str>, From)| {
            let value = match from {
                From::Result { wrapped: true } => result.get("result")?,
                From::Result { wrapped: false } => result,
                From::Argument => arguments.get(&**name)?,
                From::Member => result.get(&**name)?,
            };
            Some((name.to_string(), value.clone()))
        };
        self.from.iter().filter_map(value).collect()
    }
}
