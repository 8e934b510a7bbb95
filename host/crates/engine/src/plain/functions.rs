//! Which functions of a plain component are tools, and what each is called with.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use wasmtime::component::{
    Component, ComponentExportIndex,
    types::{ComponentFunc, ComponentItem},
};

use super::{
    names::{self, Place},
    schema,
    shape::{Budget, Shape},
};

/// A function that is a tool.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) place: Place,
    pub(crate) index: ComponentExportIndex,
    pub(crate) parameters: Vec<(Box<str>, Shape)>,
    pub(crate) returns: Returns,
}

/// What a function gives back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Returns {
    Nothing,
    Value(Shape),
    /// `result`: its error is a failed call.
    Fallible(Option<Shape>, Option<Shape>),
}

impl Returns {
    /// What a call that did not fail gives.
    pub(crate) fn value(&self) -> Option<&Shape> {
        match self {
            Self::Nothing => None,
            Self::Value(shape) => Some(shape),
            Self::Fallible(ok, _) => ok.as_ref(),
        }
    }
}

impl Function {
    fn of(
        place: Place,
        index: ComponentExportIndex,
        ty: &ComponentFunc,
        budget: &mut Budget,
    ) -> Result<Self, String> {
        if place.function.starts_with('[') {
            return Err("it belongs to a resource, which lives no longer than a call".into());
        }
        if ty.async_() {
            return Err("it is async, which this host does not speak yet".into());
        }
        budget.next();
        let parameters = ty.params().map(|(name, ty)| Ok((name.into(), Shape::of(&ty, budget)?)));
        let parameters = parameters.collect::<Result<_, String>>()?;
        let returns = match ty.results().next().map(|ty| Shape::of(&ty, budget)).transpose()? {
            None => Returns::Nothing,
            Some(Shape::Result(ok, error)) => Returns::Fallible(ok.map(|ok| *ok), error.map(|error| *error)),
            Some(shape) => Returns::Value(shape),
        };
        Ok(Self { place, index, parameters, returns })
    }

    /// What it is called with, and what is said of that.
    pub(crate) fn input(&self, said: Option<&BTreeMap<String, String>>) -> Value {
        let mut input = schema::object(self.parameters.iter().map(|(name, shape)| (&**name, shape)));
        for (name, shape) in &self.parameters {
            if let Some((said, value)) = said.zip(input["properties"].get_mut(&**name)) {
                schema::describe(value, shape, name, said);
            }
        }
        input
    }

    /// What it gives, if anything.
    pub(crate) fn output(&self, said: Option<&BTreeMap<String, String>>) -> Option<Value> {
        let shape = self.returns.value()?;
        let mut output = wrapped_schema(shape);
        if let Some(said) = said {
            let value = match shape {
                Shape::Record(_) => &mut output,
                _ => &mut output["properties"]["result"],
            };
            schema::describe(value, shape, "->", said);
        }
        Some(output)
    }
}

/// Structured results are objects; what is none is a member of one.
fn wrapped_schema(shape: &Shape) -> Value {
    match shape {
        Shape::Record(_) => schema::schema(shape),
        _ => {
            let mut schema = schema::object([("result", shape)].into_iter());
            // It is always there, `null` or not.
            schema["required"] = json!(["result"]);
            schema
        }
    }
}

/// A result as [`Function::output`] says.
pub(crate) fn wrapped(shape: &Shape, value: Value) -> Value {
    match shape {
        Shape::Record(_) => value,
        _ => Map::from_iter([("result".to_owned(), value)]).into(),
    }
}

pub(crate) const COMMAND: &str = "wasi:cli/run";
pub(crate) const HANDLER: &str = "wasi:http/incoming-handler";
/// Interfaces that are called in a way of their own.
const WHOLE: [&str; 2] = [COMMAND, HANDLER];

/// What a component exports.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// By the names of tools.
    pub(crate) functions: BTreeMap<String, Function>,
    /// Functions that cannot be tools, and why.
    pub(crate) refused: Vec<(Place, String)>,
    /// Interfaces that are a tool as a whole, of whatever version.
    pub(crate) whole: Vec<String>,
}

/// All functions that `component` exports by itself or in an interface.
pub(crate) fn find(component: &Component, engine: &wasmtime::Engine) -> Found {
    let mut found = Found::default();
    let (mut functions, mut budget) = (vec![], Budget::default());
    let mut take = |place: Place, index: Option<ComponentExportIndex>, ty: &ComponentFunc| {
        // What a type lists is there.
        let Some(index) = index else { return };
        match Function::of(place.clone(), index, ty, &mut budget) {
            Ok(function) => functions.push(function),
            Err(why) => found.refused.push((place, why)),
        }
    };
    for (name, item) in component.component_type().exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(ty) => {
                let place = Place { interface: None, function: name.into() };
                take(place, component.get_export_index(None, name), &ty);
            }
            ComponentItem::ComponentInstance(_) if WHOLE.contains(&path(name)) => {
                found.whole.push(name.into());
            }
            ComponentItem::ComponentInstance(instance) => {
                let inside = component.get_export_index(None, name);
                for (function, item) in instance.exports(engine) {
                    let ComponentItem::ComponentFunc(ty) = item.ty else { continue };
                    let place = Place { interface: Some(name.into()), function: function.into() };
                    let index =
                        inside.as_ref().and_then(|inside| component.get_export_index(Some(inside), function));
                    take(place, index, &ty);
                }
            }
            _ => {}
        }
    }
    let places: Vec<_> = functions.iter().map(|function| function.place.clone()).collect();
    let names = names::names(&places);
    let mut owners = BTreeMap::<&str, usize>::new();
    for name in &names {
        *owners.entry(name).or_default() += 1;
    }
    for (name, function) in names.iter().zip(functions) {
        // None of them: which would be meant is nobody's to guess.
        if owners[&**name] > 1 {
            let why = format!("another function would be the tool `{name}` as well");
            found.refused.push((function.place, why));
        } else {
            found.functions.insert(name.clone(), function);
        }
    }
    found
}

/// An interface without its version.
pub(crate) fn path(interface: &str) -> &str {
    interface.split('@').next().unwrap_or(interface)
}
