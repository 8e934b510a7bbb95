//! Sizes and times as text.

use bytesize::ByteSize;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

/// A size in the largest unit that loses nothing.
pub(super) fn write_size<S: Serializer>(size: &Option<ByteSize>, serializer: S) -> Result<S::Ok, S::Error> {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some(ByteSize(bytes)) = *size else { return serializer.serialize_none() };
    match UNITS.iter().find(|(unit, _)| bytes > 0 && bytes % unit == 0) {
        Some((unit, name)) => serializer.serialize_str(&format!("{} {name}", bytes / unit)),
        None => serializer.serialize_u64(bytes),
    }
}

/// What editors are told of a size.
pub(super) fn size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "title": "size",
        "type": ["string", "integer"],
        "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kKMGT]i?)?[bB]?\s*$",
        "minimum": 0,
    })
}

/// What editors are told of a time.
pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "title": "time", "type": "string", "pattern": r"^\s*([0-9]+\s*[a-z]+\s*)+$" })
}
