//! Settings that the operator gives to the skill: `config = { units = "metric" }` in its grants.
//!
//! They are there while tools are listed, too. In unit tests a [`testing::Host`](crate::testing::Host) has them; where
//! there is none, there are no settings.
use std::fmt::Display;
use std::str::FromStr;

use crate::Failure;

#[cfg(target_family = "wasm")]
use crate::bindings::wasi::config::store as imports;
#[cfg(not(target_family = "wasm"))]
use crate::testing::imports::config as imports;

/// The value of `key`, if the operator has set it.
///
/// ```
/// use skillhost_sdk::{config, testing::Host};
///
/// let mock = Host::new().config("units", "metric");
/// assert_eq!(mock.run(|| config::get("units")), Some("metric".into()));
/// assert_eq!(mock.run(|| config::get("language")), None);
/// ```
pub fn get(key: &str) -> Option<String> {
    // A host that cannot read its own settings has not loaded the skill.
    imports::get(key).ok().flatten()
}

/// All settings, by key.
///
/// ```
/// use skillhost_sdk::{config, testing::Host};
///
/// let mock = Host::new().config("units", "metric");
/// assert_eq!(mock.run(config::get_all), [("units".into(), "metric".into())]);
/// ```
pub fn get_all() -> Vec<(String, String)> {
    imports::get_all().unwrap_or_default()
}

/// The value of `key`, read as a `T`.
///
/// ```
/// use skillhost_sdk::{config, testing::Host};
///
/// let mock = Host::new().config("depth", "3");
/// assert_eq!(mock.run(|| config::parse::<u8>("depth")), Ok(Some(3)));
/// assert!(mock.run(|| config::parse::<bool>("depth")).is_err());
/// ```
///
/// # Errors
/// A permanent failure that names the key, when the value is no `T`.
pub fn parse<T: FromStr>(key: &str) -> Result<Option<T>, Failure>
where
    T::Err: Display,
{
    get(key).map(|text| text.parse()).transpose().map_err(|error| {
        Failure::permanent(format_args!("the setting `{key}` of this skill is wrong: {error}"))
    })
}
