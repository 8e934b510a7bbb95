//! How a call fails.
use std::fmt::Display;
use std::time::Duration;

use crate::types::{Failure, Transient};

/// Every constructor takes anything that can be displayed, so that foreign errors convert on the way:
/// `parse(text).map_err(Failure::invalid_input)?`. A failure promises that nothing took effect; when that
/// cannot be promised, panic: the host then treats the effect as unknown.
impl Failure {
    /// The arguments make no sense, beyond what the schema can say. Tell what was expected.
    ///
    /// ```
    /// # use skillhost_sdk::Failure;
    /// fn port(text: &str) -> Result<u16, Failure> {
    ///     text.parse().map_err(Failure::invalid_input)
    /// }
    /// assert!(port("x").is_err());
    /// ```
    pub fn invalid_input(message: impl Display) -> Self {
        Self::InvalidInput(message.to_string())
    }

    /// Nothing took effect, and trying again may help.
    ///
    /// ```
    /// # use skillhost_sdk::Failure;
    /// let failure = Failure::transient("the service is being restarted");
    /// ```
    pub fn transient(message: impl Display) -> Self {
        Self::Transient(Transient { message: message.to_string(), retry_after_ms: None })
    }

    /// As [`transient`](Self::transient), when the time of recovery is known.
    ///
    /// ```
    /// # use skillhost_sdk::Failure;
    /// # use std::time::Duration;
    /// let failure = Failure::transient_for("too many requests", Duration::from_secs(30));
    /// ```
    pub fn transient_for(message: impl Display, retry_after: Duration) -> Self {
        let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        Self::Transient(Transient { message: message.to_string(), retry_after_ms: Some(retry_after_ms) })
    }

    /// Nothing took effect, and trying again will not help.
    ///
    /// ```
    /// # use skillhost_sdk::Failure;
    /// let read = std::fs::read_to_string("/nowhere").map_err(Failure::permanent);
    /// assert!(read.is_err());
    /// ```
    pub fn permanent(message: impl Display) -> Self {
        Self::Permanent(message.to_string())
    }

    /// The world is not as the call expected it. Nothing was touched.
    ///
    /// ```
    /// # use skillhost_sdk::Failure;
    /// let failure = Failure::conflict("the file has changed since it was read");
    /// ```
    pub fn conflict(message: impl Display) -> Self {
        Self::Conflict(message.to_string())
    }

    /// The client lacks these features: `elicitation`, `elicitation.url`, `sampling`, `roots`, …
    ///
    /// ```
    /// # use skillhost_sdk::{Context, Failure, types::ClientFeatures};
    /// fn ask(ctx: &Context) -> Result<(), Failure> {
    ///     if !ctx.client.contains(ClientFeatures::SAMPLING) {
    ///         return Err(Failure::missing_capability(["sampling"]));
    ///     }
    ///     // … ask the client's model
    ///     Ok(())
    /// }
    /// assert!(ask(&Context::for_tests()).is_err());
    /// ```
    pub fn missing_capability<S: Into<String>>(features: impl IntoIterator<Item = S>) -> Self {
        Self::MissingCapability(features.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_errors_convert() {
        let error = "x".parse::<u8>().map_err(Failure::permanent).unwrap_err();
        assert_eq!(error, Failure::Permanent("invalid digit found in string".into()));
    }

    #[test]
    fn the_retry_delay_is_in_milliseconds() {
        let Failure::Transient(transient) = Failure::transient_for("busy", Duration::from_secs(2)) else {
            panic!("not transient");
        };
        assert_eq!(transient.retry_after_ms, Some(2000));
    }
}
