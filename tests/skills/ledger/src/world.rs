//! What the skill changes, and the lines that tell about it.
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};

use skillhost_sdk::Failure;

/// Stands in the component exactly once. Tests make another version of the skill by patching the digit at its end.
#[used]
static VERSION: [u8; 16] = *b"LEDGER-VERSION:1";

/// The marker, as the component holds it when it runs.
pub(crate) fn marker() -> String {
    // Through an index that the compiler cannot know: what it folds, a patch does not reach.
    let version = core::hint::black_box(&VERSION);
    version.iter().map(|byte| char::from(core::hint::black_box(*byte))).collect()
}

/// Such as `v1`.
pub(crate) fn version() -> String {
    marker().chars().last().map(|digit| format!("v{digit}")).unwrap_or_default()
}

/// The value of a key.
pub(crate) fn get(key: &str) -> Result<Option<String>, Failure> {
    match fs::read_to_string(file(key)) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::permanent(format_args!("`{key}` cannot be read: {error}"))),
    }
}

/// Brings a key to a value, or removes it: in one step, so that a kill leaves the old value or the new one.
pub(crate) fn set(key: &str, value: Option<&str>) -> Result<(), Failure> {
    let set = || match value {
        Some(value) => {
            let new = format!("/data/.{key}.new");
            fs::write(&new, value)?;
            fs::rename(new, file(key))
        }
        None => match fs::remove_file(file(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    };
    set().map_err(|error| Failure::permanent(format_args!("`{key}` cannot be set: {error}")))
}

fn file(key: &str) -> String {
    format!("/data/{key}")
}

/// Tells of an effect: a line in `/log/effects`.
pub(crate) fn effect(line: &str) -> Result<(), Failure> {
    append("/log/effects", line).map_err(Failure::permanent)
}

/// Tells of something that a test may wait for: a line in `/log/events`.
pub(crate) fn event(line: &str) {
    // It is for tests alone; the call goes on without.
    let _ = append("/log/events", line);
}

/// Counts how often this was asked for this call, over all instances, from 1.
pub(crate) fn count(call: &str) -> Result<u64, Failure> {
    let path = format!("/log/flaky-{call}");
    append(&path, "").map_err(Failure::permanent)?;
    Ok(fs::metadata(path).map_err(Failure::permanent)?.len())
}

fn append(path: &str, line: &str) -> io::Result<()> {
    // In one write, which lines of other calls cannot come between.
    OpenOptions::new().append(true).create(true).open(path)?.write_all(format!("{line}\n").as_bytes())
}
