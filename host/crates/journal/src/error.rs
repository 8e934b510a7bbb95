//! Why the journal cannot do what it was asked.

/// Why the journal cannot do what it was asked. For the operator's log: may hold a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written now: a full disk, an I/O error, another process that holds it for too long. It may
    /// pass; nothing of the operation was done.
    #[error("the journal cannot be used now: {0}")]
    Unavailable(String),
    /// The file is not one this version can use. It was not touched.
    #[error("{0}")]
    Refused(String),
    /// What was read back is not what was written.
    #[error("the journal holds something that cannot be: {0}")]
    Damaged(String),
}
