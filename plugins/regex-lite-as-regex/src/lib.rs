//! The crate `regex-lite` under the name of `regex`.
//!
//! The validator of `json` needs `regex` only for `pattern`, but cannot be built without the tables of Unicode and
//! the four engines of the real one: 700 kB, more than all the rest of it. Patterns with Unicode classes (`\p{…}`)
//! are refused as invalid instead.
pub use regex_lite::*;
