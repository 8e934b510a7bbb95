//! Values as TOML has them, where JSON is meant.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Number, Value};

/// For a value that may be left out.
pub(super) fn json<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    told(toml::Value::deserialize(from)?).map(Some).map_err(Error::custom)
}

/// For a table that may be left out.
pub(super) fn object<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Map<String, Value>>, D::Error> {
    members(toml::Table::deserialize(from)?).map(Some).map_err(Error::custom)
}

fn told(value: toml::Value) -> Result<Value, &'static str> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => {
            Number::from_f64(number).ok_or("`inf` and `nan` cannot be told in JSON")?.into()
        }
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(_) => return Err("dates cannot be told in JSON; write it in quotes, as text"),
        toml::Value::Array(items) => items.into_iter().map(told).collect::<Result<_, _>>()?,
        toml::Value::Table(table) => members(table)?.into(),
    })
}

fn members(table: toml::Table) -> Result<Map<String, Value>, &'static str> {
    table.into_iter().map(|(name, value)| Ok((name, told(value)?))).collect()
}
