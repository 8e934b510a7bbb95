//! Calls that run as tasks: their client has a handle, and asks for the result with it.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// A handle that nobody can guess: 128 random bits. Not the id of its call, which stands in logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId([u8; 16]);

impl TaskId {
    /// A new handle.
    #[must_use]
    pub fn random() -> Self {
        // Two bytes of an id of this kind tell what kind it is.
        let (mut bytes, more) = (Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes());
        (bytes[6], bytes[8]) = (more[0], more[1]);
        Self(bytes)
    }

    /// The 16 bytes of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The handle with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// As [`Display`](fmt::Display) writes it: 32 digits.
impl FromStr for TaskId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(|number| Self(number.to_be_bytes())).ok_or("a task has a handle of 32 hexadecimal digits")
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// How a tool runs that may take long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TaskSupport {
    /// As an ordinary call.
    #[default]
    No,
    /// As a task where the client has them.
    Optional,
    /// As a task only.
    Required,
    /// As a task only, once what it asks is answered.
    Answered,
}

impl TaskSupport {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 4] = [Self::No, Self::Optional, Self::Required, Self::Answered];

    /// One word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Optional => "optional",
            Self::Required => "required",
            Self::Answered => "answered",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_random_and_read_back() {
        let (one, other) = (TaskId::random(), TaskId::random());
        assert_ne!(one, other);
        assert_eq!(one.to_string().parse(), Ok(one));
        let zero = TaskId::from_bytes([0; 16]);
        assert_eq!(zero.to_string().parse(), Ok(zero));
        for wrong in ["", "0", &"g".repeat(32), &"A".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
            assert!(wrong.parse::<TaskId>().is_err(), "{wrong}");
        }
    }
}
