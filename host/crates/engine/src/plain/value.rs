//! JSON as a component's values, and back.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Number, Value, json};
use skillhost_core::{Failure, FailureKind};
use wasmtime::component::Val;

use super::shape::{Int, Shape};

/// The largest integer up to which a double tells each from the next.
const SAFE: u64 = (1 << 53) - 1;

/// Why a value does not fit, and where it is: a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) at: String,
    pub(crate) why: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", if self.at.is_empty() { "/" } else { &self.at }, self.why)
    }
}

impl From<Mismatch> for Failure {
    fn from(mismatch: Mismatch) -> Self {
        let message = mismatch.to_string();
        Self { pointers: vec![mismatch.at], ..Self::new(FailureKind::InvalidInput, message) }
    }
}

fn wrong<T>(why: impl Into<String>) -> Result<T, Mismatch> {
    Err(Mismatch { at: String::new(), why: why.into() })
}

/// Say where it is that something does not fit.
fn at<T>(step: impl std::fmt::Display, result: Result<T, Mismatch>) -> Result<T, Mismatch> {
    result.map_err(|Mismatch { at, why }| {
        let step = step.to_string().replace('~', "~0").replace('/', "~1");
        Mismatch { at: format!("/{step}{at}"), why }
    })
}

/// The component's value that JSON tells.
///
/// # Errors
/// Where it does not fit.
pub(crate) fn lower(shape: &Shape, value: &Value) -> Result<Val, Mismatch> {
    Ok(match (shape, value) {
        (Shape::Bool, Value::Bool(value)) => Val::Bool(*value),
        (Shape::Int(int), value) => integer(*int, value)?,
        (Shape::F32, Value::Number(number)) => match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "rounded to what the type holds")]
            Some(number) if (number as f32).is_finite() => Val::Float32(number as f32),
            _ => return wrong("it is beyond what an f32 holds"),
        },
        (Shape::F64, Value::Number(number)) => match number.as_f64() {
            Some(number) if number.is_finite() => Val::Float64(number),
            _ => return wrong("it is beyond what an f64 holds"),
        },
        (Shape::Char, Value::String(text)) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => Val::Char(char),
                _ => return wrong("it must be a single character"),
            }
        }
        (Shape::Text, Value::String(text)) => Val::String(text.clone()),
        (Shape::Bytes, Value::String(text)) => match BASE64_STANDARD.decode(text) {
            Ok(bytes) => Val::List(bytes.into_iter().map(Val::U8).collect()),
            Err(error) => return wrong(format!("it is no base64: {error}")),
        },
        (Shape::List(item), Value::Array(values)) => {
            let items = values.iter().enumerate().map(|(n, value)| at(n, lower(item, value)));
            Val::List(items.collect::<Result<_, _>>()?)
        }
        (Shape::Tuple(items), Value::Array(values)) if items.len() == values.len() => {
            let items =
                items.iter().zip(values).enumerate().map(|(n, (item, value))| at(n, lower(item, value)));
            Val::Tuple(items.collect::<Result<_, _>>()?)
        }
        (Shape::Tuple(items), Value::Array(_)) => {
            return wrong(format!("it must have {} items", items.len()));
        }
        (Shape::Record(fields), Value::Object(values)) => Val::Record(members(fields, values)?),
        (Shape::Variant(cases), Value::Object(values)) => variant(cases, values)?,
        (Shape::Enum(names), Value::String(name)) => match names.iter().find(|known| ***known == **name) {
            Some(_) => Val::Enum(name.clone()),
            None => return wrong(format!("it must be one of {}", names.join(", "))),
        },
        (Shape::Flags(names), Value::Array(values)) => {
            let given = values.iter().enumerate().map(|(n, value)| match value.as_str() {
                Some(name) if names.iter().any(|known| **known == *name) => Ok(name.to_owned()),
                _ => at(n, wrong(format!("it must be one of {}", names.join(", ")))),
            });
            Val::Flags(given.collect::<Result<_, _>>()?)
        }
        (Shape::Option(_), Value::Null) => Val::Option(None),
        (Shape::Option(inner), value) => {
            let value = match value {
                value if !inner.is_nullable() => lower(inner, value)?,
                Value::Object(wrapped) => at("some", lower(inner, only(wrapped, "some")?))?,
                _ => return wrong("it must be null or {\"some\": …}"),
            };
            Val::Option(Some(Box::new(value)))
        }
        (Shape::Result(ok, error), Value::Object(values)) => {
            let name = if values.contains_key("ok") { "ok" } else { "error" };
            let value = only(values, name)?;
            let side = |shape: &Option<Box<Shape>>| match (shape, value) {
                (Some(shape), value) => at(name, lower(shape, value)).map(|value| Some(Box::new(value))),
                (None, Value::Null) => Ok(None),
                (None, _) => at(name, wrong("it must be null")),
            };
            Val::Result(if name == "ok" { Ok(side(ok)?) } else { Err(side(error)?) })
        }
        (shape, _) => return wrong(format!("it must be {}", told(shape))),
    })
}

/// Members of a record, or parameters of a function, in the order in which they are declared.
pub(crate) fn members(
    fields: &[(Box<str>, Shape)],
    values: &Map<String, Value>,
) -> Result<Vec<(String, Val)>, Mismatch> {
    if let Some(unknown) = values.keys().find(|name| !fields.iter().any(|(known, _)| **known == ***name)) {
        return at(unknown, wrong("there is no such member"));
    }
    let member = |(name, shape): &(Box<str>, Shape)| {
        let value = match (values.get(&**name), shape) {
            (Some(value), shape) => at(name, lower(shape, value))?,
            (None, Shape::Option(_)) => Val::Option(None),
            (None, _) => return at(name, wrong("it is missing")),
        };
        Ok((name.to_string(), value))
    };
    fields.iter().map(member).collect()
}

fn variant(cases: &[(Box<str>, Option<Shape>)], values: &Map<String, Value>) -> Result<Val, Mismatch> {
    if let Some(unknown) = values.keys().find(|name| !["tag", "val"].contains(&name.as_str())) {
        return at(unknown, wrong("there is no such member"));
    }
    let tag = values.get("tag").and_then(Value::as_str);
    let Some((name, shape)) = cases.iter().find(|(name, _)| Some(&**name) == tag) else {
        let names: Vec<_> = cases.iter().map(|(name, _)| &**name).collect();
        return at("tag", wrong(format!("it must be one of {}", names.join(", "))));
    };
    let value = match (shape, values.get("val")) {
        (Some(shape), Some(value)) => Some(Box::new(at("val", lower(shape, value))?)),
        (Some(Shape::Option(_)), None) => Some(Box::new(Val::Option(None))),
        (Some(_), None) => return at("val", wrong("it is missing")),
        (None, Some(_)) => return at("val", wrong(format!("the case `{name}` has none"))),
        (None, None) => None,
    };
    Ok(Val::Variant(name.to_string(), value))
}

fn only<'a>(values: &'a Map<String, Value>, name: &str) -> Result<&'a Value, Mismatch> {
    match values.get(name) {
        Some(value) if values.len() == 1 => Ok(value),
        _ => wrong(format!("it must have one member, `{name}`")),
    }
}

/// An integer, also one that is written as `1.0` or, when it is wide, as digits.
fn integer(int: Int, value: &Value) -> Result<Val, Mismatch> {
    let (least, most) = int.bounds();
    let number = match value {
        Value::Number(number) => {
            let whole =
                || number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= SAFE as f64);
            number.as_i128().or_else(|| whole().map(|number| number as i128))
        }
        Value::String(digits) if int.is_wide() && is_canonical(digits) => digits.parse().ok(),
        _ => None,
    };
    if number.is_none() && int.is_wide() && value.as_f64().is_some_and(|number| number.fract() == 0.0) {
        // `1e18`: whoever wrote it had a double, which may have lost digits before.
        return wrong("it is beyond 2^53; write it as digits alone, or as a string of digits");
    }
    let Some(number) = number.filter(|number| (least..=most).contains(number)) else {
        return wrong(format!("it must be an integer from {least} to {most}"));
    };
    Ok(match int {
        Int::S8 => Val::S8(number as i8),
        Int::U8 => Val::U8(number as u8),
        Int::S16 => Val::S16(number as i16),
        Int::U16 => Val::U16(number as u16),
        Int::S32 => Val::S32(number as i32),
        Int::U32 => Val::U32(number as u32),
        Int::S64 => Val::S64(number as i64),
        Int::U64 => Val::U64(number as u64),
    })
}

/// Digits as they are written out, so that each number has one form.
fn is_canonical(digits: &str) -> bool {
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    let sound = !unsigned.is_empty() && unsigned.len() <= 20 && unsigned.bytes().all(|c| c.is_ascii_digit());
    sound && (digits == "0" || !unsigned.starts_with('0'))
}

/// JSON that tells a component's value.
///
/// # Errors
/// When there is none: JSON has no infinity, and nothing that is no number.
pub(crate) fn lift(shape: &Shape, value: Val) -> Result<Value, Mismatch> {
    Ok(match (shape, value) {
        (_, Val::Bool(value)) => value.into(),
        (_, Val::S8(value)) => value.into(),
        (_, Val::U8(value)) => value.into(),
        (_, Val::S16(value)) => value.into(),
        (_, Val::U16(value)) => value.into(),
        (_, Val::S32(value)) => value.into(),
        (_, Val::U32(value)) => value.into(),
        (_, Val::S64(value)) if value.unsigned_abs() <= SAFE => value.into(),
        (_, Val::S64(value)) => value.to_string().into(),
        (_, Val::U64(value)) if value <= SAFE => value.into(),
        (_, Val::U64(value)) => value.to_string().into(),
        // The shortest that is read as the same f32 again; as a double it would have digits that nobody wrote.
        (_, Val::Float32(value)) => float(value.to_string().parse().unwrap_or(f64::from(value)))?,
        (_, Val::Float64(value)) => float(value)?,
        (_, Val::Char(value)) => value.to_string().into(),
        (_, Val::String(value)) => value.into(),
        (Shape::Bytes, Val::List(items)) => {
            let bytes: Vec<u8> = items
                .into_iter()
                .filter_map(|item| if let Val::U8(byte) = item { Some(byte) } else { None })
                .collect();
            BASE64_STANDARD.encode(bytes).into()
        }
        (Shape::List(item), Val::List(values)) => values
            .into_iter()
            .enumerate()
            .map(|(n, value)| at(n, lift(item, value)))
            .collect::<Result<_, _>>()?,
        (Shape::Tuple(items), Val::Tuple(values)) => {
            let items =
                items.iter().zip(values).enumerate().map(|(n, (item, value))| at(n, lift(item, value)));
            items.collect::<Result<_, _>>()?
        }
        (Shape::Record(fields), Val::Record(values)) => {
            let mut object = Map::new();
            for ((name, shape), (_, value)) in fields.iter().zip(values) {
                if !matches!(value, Val::Option(None)) {
                    object.insert(name.to_string(), at(name, lift(shape, value))?);
                }
            }
            object.into()
        }
        (Shape::Variant(cases), Val::Variant(name, value)) => {
            let shape =
                cases.iter().find(|(known, _)| **known == *name).and_then(|(_, shape)| shape.as_ref());
            let mut object = Map::from_iter([("tag".to_owned(), Value::from(name))]);
            if let (Some(shape), Some(value)) = (shape, value)
                && !matches!(*value, Val::Option(None))
            {
                object.insert("val".to_owned(), at("val", lift(shape, *value))?);
            }
            object.into()
        }
        (_, Val::Enum(name)) => name.into(),
        (_, Val::Flags(names)) => names.into(),
        (_, Val::Option(None)) => Value::Null,
        (Shape::Option(inner), Val::Option(Some(value))) => {
            let value = lift(inner, *value)?;
            if inner.is_nullable() { json!({"some": value}) } else { value }
        }
        (Shape::Result(ok, error), Val::Result(result)) => {
            let (name, shape, value) = match result {
                Ok(value) => ("ok", ok, value),
                Err(value) => ("error", error, value),
            };
            let value = match (shape, value) {
                (Some(shape), Some(value)) => at(name, lift(shape, *value))?,
                _ => Value::Null,
            };
            json!({name: value})
        }
        (shape, _) => return wrong(format!("it is not {}", told(shape))),
    })
}

fn float(value: f64) -> Result<Value, Mismatch> {
    match Number::from_f64(value) {
        Some(number) => Ok(number.into()),
        None => wrong(format!("it is {value}, for which JSON has no number")),
    }
}

/// A type, for people.
fn told(shape: &Shape) -> &'static str {
    match shape {
        Shape::Bool => "true or false",
        Shape::Int(_) => "an integer",
        Shape::F32 | Shape::F64 => "a number",
        Shape::Char => "a single character",
        Shape::Text | Shape::Enum(_) => "a string",
        Shape::Bytes => "a string of base64",
        Shape::List(_) | Shape::Tuple(_) | Shape::Flags(_) => "an array",
        Shape::Record(_) => "an object",
        Shape::Variant(_) => "an object with `tag`",
        Shape::Option(_) => "null, or what it holds",
        Shape::Result(..) => "an object with `ok` or `error`",
    }
}
