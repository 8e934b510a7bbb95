//! Log lines. The host writes them with the call's correlation id, and bounds how many there may be.
//!
//! Outside WebAssembly, in unit tests, they go to standard error.
use crate::bindings::wasi::logging::logging;

pub use logging::Level;

/// Writes one line. `context` says which part of the skill speaks; it may be empty.
pub fn write(level: Level, context: &str, message: &str) {
    if cfg!(target_family = "wasm") {
        logging::log(level, context, message);
    } else {
        #[expect(clippy::print_stderr, reason = "the only place for log lines where there is no host")]
        {
            eprintln!("{level:?} {context} {message}");
        }
    }
}

/// The finest detail, for authors of the skill.
pub fn trace(message: impl AsRef<str>) {
    write(Level::Trace, "", message.as_ref());
}

/// Detail for those who look for a fault.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, "", message.as_ref());
}

/// What an operator may want to know.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, "", message.as_ref());
}

/// Something is odd; the call goes on.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, "", message.as_ref());
}

/// Something failed.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, "", message.as_ref());
}

/// Something failed that needs a person at once.
pub fn critical(message: impl AsRef<str>) {
    write(Level::Critical, "", message.as_ref());
}
