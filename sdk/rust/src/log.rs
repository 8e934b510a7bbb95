//! Log lines. The host writes them with the call's correlation id, and bounds how many there may be.
//!
//! In unit tests a [`testing::Host`](crate::testing::Host) keeps them; where there is none they go to standard error.
use crate::bindings::wasi::logging::logging;

pub use logging::Level;

/// Writes one line. `context` says which part of the skill speaks; it may be empty.
///
/// ```
/// # use skillhost_sdk::log::{self, Level};
/// log::write(Level::Info, "download", "42 pages");
/// ```
#[cfg(target_family = "wasm")]
pub fn write(level: Level, context: &str, message: &str) {
    logging::log(level, context, message);
}

/// Writes one line. `context` says which part of the skill speaks; it may be empty.
///
/// ```
/// # use skillhost_sdk::log::{self, Level};
/// log::write(Level::Info, "download", "42 pages");
/// ```
#[cfg(not(target_family = "wasm"))]
#[expect(clippy::print_stderr, reason = "the only place for log lines where there is no host")]
pub fn write(level: Level, context: &str, message: &str) {
    if !crate::testing::imports::log(level, context, message) {
        eprintln!("{level:?} {context} {message}");
    }
}

/// The finest detail, for authors of the skill.
///
/// ```
/// skillhost_sdk::log::trace("what happened");
/// ```
pub fn trace(message: impl AsRef<str>) {
    write(Level::Trace, "", message.as_ref());
}

/// Detail for those who look for a fault.
///
/// ```
/// skillhost_sdk::log::debug("what happened");
/// ```
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, "", message.as_ref());
}

/// What an operator may want to know.
///
/// ```
/// skillhost_sdk::log::info("what happened");
/// ```
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, "", message.as_ref());
}

/// Something is odd; the call goes on.
///
/// ```
/// skillhost_sdk::log::warn("what happened");
/// ```
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, "", message.as_ref());
}

/// Something failed.
///
/// ```
/// skillhost_sdk::log::error("what happened");
/// ```
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, "", message.as_ref());
}

/// Something failed that needs a person at once.
///
/// ```
/// skillhost_sdk::log::critical("what happened");
/// ```
pub fn critical(message: impl AsRef<str>) {
    write(Level::Critical, "", message.as_ref());
}
