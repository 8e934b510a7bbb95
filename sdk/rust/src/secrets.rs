//! Secrets that the operator grants by name: `secrets = { token = { file = "secrets/token" } }`.
//!
//! The host hides them wherever they show in the skill's log lines, failures and replies. A skill should still not
//! show them: what it scrambles by a method of its own gets through.
use std::fmt;

use crate::host::HostError;

#[cfg(target_family = "wasm")]
use crate::bindings::skillhost::skill::secrets as imports;
#[cfg(not(target_family = "wasm"))]
use crate::testing::imports::secrets as imports;

/// A secret. It prints as `[secret]`; [`expose`](Self::expose) gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    ///
    /// ```
    /// # use skillhost_sdk::{secrets, testing::Host};
    /// # let mock = Host::new().secret("token", "abc");
    /// # mock.run(|| {
    /// let token = secrets::get("token")?;
    /// let header = format!("Bearer {}", token.expose());
    /// # assert_eq!(header, "Bearer abc");
    /// # Ok::<(), skillhost_sdk::host::HostError>(())
    /// # }).unwrap();
    /// ```
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The secret called `name`.
///
/// ```
/// use skillhost_sdk::{secrets, testing::Host};
///
/// let mock = Host::new().secret("token", "abc");
/// assert_eq!(format!("{:?}", mock.run(|| secrets::get("token"))), "Ok([secret])");
/// assert!(mock.run(|| secrets::get("password")).is_err());
/// ```
///
/// # Errors
/// [`HostError::Denied`], when the operator has not granted it.
pub fn get(name: &str) -> Result<Secret, HostError> {
    imports::get(name).map(Secret)
}
