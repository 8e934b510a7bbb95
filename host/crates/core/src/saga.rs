//! What is taken back as one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::CallId;

/// Names calls that are kept or taken back together: those an agent made in one saga, by a random handle; or a call with all
/// that it made others do, by the call's own id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SagaId(Uuid);

impl SagaId {
    /// A handle that nobody can guess: 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        // Two bytes of an id of this kind tell what kind it is.
        let (mut bytes, more) = (Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes());
        (bytes[6], bytes[8]) = (more[0], more[1]);
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The call that it is named after, unless an agent holds it.
    #[must_use]
    pub fn call(self) -> CallId {
        CallId::from_bytes(*self.as_bytes())
    }
}

/// A call with all that it made others do.
impl From<CallId> for SagaId {
    fn from(id: CallId) -> Self {
        Self::from_bytes(*id.as_bytes())
    }
}

/// As [`Display`](fmt::Display) writes it.
impl FromStr for SagaId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<CallId>().map(Self::from)
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_random_and_read_back() {
        let (one, other) = (SagaId::random(), SagaId::random());
        assert_ne!(one, other);
        assert_eq!(one.to_string().parse(), Ok(one));
        assert!("01990d2e".parse::<SagaId>().is_err());
        let call = CallId::new();
        assert_eq!(SagaId::from(call).call(), call);
    }
}
