//! The seam between the engine and what keeps skills' values over calls and restarts.

/// Values by key, in one bucket a skill. Blocks: call it where that is allowed.
pub trait KeyValue: Send + Sync {
    /// Whether it can be used.
    ///
    /// # Errors
    /// [`KeyValueError::Unavailable`].
    fn check(&self) -> Result<(), KeyValueError>;

    /// The value of `key`.
    ///
    /// # Errors
    /// [`KeyValueError::Unavailable`].
    fn get(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, KeyValueError>;

    /// Set the value of `key`. It is on disk when this returns.
    ///
    /// # Errors
    /// [`KeyValueError::Full`] when the bucket would be over `bounds`; it is then as before.
    fn set(
        &self,
        bucket: &str,
        key: &str,
        value: &[u8],
        bounds: &KeyValueBounds,
    ) -> Result<(), KeyValueError>;

    /// Remove `key`, if it is there.
    ///
    /// # Errors
    /// [`KeyValueError::Unavailable`].
    fn delete(&self, bucket: &str, key: &str) -> Result<(), KeyValueError>;

    /// Remove every key that begins with `prefix`.
    ///
    /// # Errors
    /// [`KeyValueError::Unavailable`].
    fn remove(&self, bucket: &str, prefix: &str) -> Result<(), KeyValueError>;

    /// Whether there is a value for `key`.
    ///
    /// # Errors
    /// [`KeyValueError::Unavailable`].
    fn exists(&self, bucket: &str, key: &str) -> Result<bool, KeyValueError>;

    /// A page of keys, and what to pass as `cursor` for the next one. `None` begins; `None` in the answer
    /// is the end.
    ///
    /// # Errors
    /// [`KeyValueError::Unavailable`].
    fn keys(&self, bucket: &str, cursor: Option<u64>) -> Result<(Vec<String>, Option<u64>), KeyValueError>;
}

/// What one bucket may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyValueBounds {
    /// Bytes of all keys and values together. Default 16 MiB.
    pub total: u64,
    /// Bytes of one value. Default 1 MiB.
    pub value: u64,
    /// Keys. Default 10,000.
    pub keys: u64,
}

impl KeyValueBounds {
    /// Bytes of a key; not configurable.
    pub const KEY: usize = 512;
}

impl Default for KeyValueBounds {
    fn default() -> Self {
        Self { total: 16 << 20, value: 1 << 20, keys: 10_000 }
    }
}

/// Why a key-value operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyValueError {
    /// Over a bound; which, and how large it is.
    #[error("{0}")]
    Full(String),
    /// The store cannot be used now. For the operator's log: may hold a path.
    #[error("the key-value store cannot be used: {0}")]
    Unavailable(String),
}
