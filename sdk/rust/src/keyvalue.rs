//! Values that stay over calls and restarts, in a bucket of the skill's own: `keyvalue = true` in its grants.
//!
//! A value that was set is on disk when the function returns. Calls run side by side, so do not read a value, change
//! it and set it again where two calls could do so at once: give each thing a key of its own.
use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::Failure;
use crate::reply::to_json;

#[cfg(target_family = "wasm")]
mod imports {
    use crate::bindings::wasi::keyvalue::store::{Bucket, open};

    pub(super) use crate::bindings::wasi::keyvalue::store::Error;

    type Result<T> = std::result::Result<T, Error>;

    fn bucket() -> Result<Bucket> {
        open("default")
    }

    pub(super) fn get(key: &str) -> Result<Option<Vec<u8>>> {
        bucket()?.get(key)
    }

    pub(super) fn set(key: &str, value: &[u8]) -> Result<()> {
        bucket()?.set(key, value)
    }

    pub(super) fn delete(key: &str) -> Result<()> {
        bucket()?.delete(key)
    }

    pub(super) fn exists(key: &str) -> Result<bool> {
        bucket()?.exists(key)
    }

    pub(super) fn keys() -> Result<Vec<String>> {
        let bucket = bucket()?;
        let mut keys = vec![];
        let mut cursor = None;
        loop {
            let page = bucket.list_keys(cursor)?;
            keys.extend(page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(keys);
            }
        }
    }
}
#[cfg(not(target_family = "wasm"))]
use crate::testing::imports::keyvalue as imports;

/// Why an operation failed. `?` makes a [`Failure`] of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The operator has not granted a bucket.
    Denied,
    /// Over a bound, or the store cannot be used; in words.
    Refused(String),
    /// The value is not what [`get_json`] was to read.
    Json(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => {
                f.write_str("this skill may not keep values; the operator grants it with `keyvalue = true`")
            }
            Self::Refused(why) => f.write_str(why),
            Self::Json(why) => write!(f, "a value that was kept cannot be read: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::permanent(error)
    }
}

impl From<imports::Error> for Error {
    fn from(error: imports::Error) -> Self {
        match error {
            imports::Error::AccessDenied => Self::Denied,
            imports::Error::NoSuchStore => Self::Refused("there is no bucket".into()),
            imports::Error::Other(why) => Self::Refused(why),
        }
    }
}

/// The value of `key`; none when there is none.
///
/// ```
/// use skillhost_sdk::{keyvalue, testing::Host};
///
/// Host::new().run(|| {
///     keyvalue::set("colour", b"red")?;
///     assert_eq!(keyvalue::get("colour")?, Some(b"red".to_vec()));
///     assert_eq!(keyvalue::keys()?, ["colour"]);
///     keyvalue::delete("colour")?;
///     assert!(!keyvalue::exists("colour")?);
///     Ok::<(), keyvalue::Error>(())
/// }).unwrap();
/// ```
///
/// # Errors
/// [`Error`].
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    Ok(imports::get(key)?)
}

/// Sets the value of `key`, over the one that is there. A key has at most 512 bytes.
///
/// # Errors
/// [`Error::Refused`], when the bucket would hold more than it may. It is then as before.
pub fn set(key: &str, value: &[u8]) -> Result<(), Error> {
    Ok(imports::set(key, value)?)
}

/// Removes `key`. Succeeds when it is not there.
///
/// # Errors
/// [`Error`].
pub fn delete(key: &str) -> Result<(), Error> {
    Ok(imports::delete(key)?)
}

/// Whether there is a value for `key`.
///
/// # Errors
/// [`Error`].
pub fn exists(key: &str) -> Result<bool, Error> {
    Ok(imports::exists(key)?)
}

/// All keys, in the order in which they were first set.
///
/// # Errors
/// [`Error`].
pub fn keys() -> Result<Vec<String>, Error> {
    Ok(imports::keys()?)
}

/// The value of `key`, read from JSON.
///
/// ```
/// use skillhost_sdk::{keyvalue, testing::Host};
///
/// Host::new().run(|| {
///     keyvalue::set_json("pair", &(1, "a"))?;
///     assert_eq!(keyvalue::get_json("pair")?, Some((1, "a".to_owned())));
///     Ok::<(), keyvalue::Error>(())
/// }).unwrap();
/// ```
///
/// # Errors
/// [`Error::Json`], when the value is no `T`.
pub fn get_json<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    let Some(bytes) = get(key)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Json(error.to_string()))
}

/// Sets the value of `key` to the JSON of `value`.
///
/// # Errors
/// As [`set`].
///
/// # Panics
/// When `value` has no JSON form (a map whose keys are not strings).
pub fn set_json(key: &str, value: &impl Serialize) -> Result<(), Error> {
    set(key, to_json(value).as_bytes())
}
