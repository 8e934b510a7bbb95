//! The order of a call, in one function: [`Dispatcher::call`].
//!
//! Transports hand in a [`Request`] and get a [`Response`]; they know nothing of skills. The dispatcher
//! knows nothing of wasmtime: it starts whatever the catalog's entry says.
#![deny(missing_docs)]

mod admission;
mod attempt;
mod clock;
mod dispatcher;
mod nested;
mod validation;

pub use clock::TokioClock;
pub use dispatcher::{Dispatcher, Parent, Request, Response, Settings};
