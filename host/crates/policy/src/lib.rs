//! The decisions around a call. Each is pure: what it needs, time included, is a parameter.
#![deny(missing_docs)]

pub mod arguments;
pub mod deadline;
pub mod result;

pub use arguments::ArgumentBounds;
pub use deadline::Deadline;
