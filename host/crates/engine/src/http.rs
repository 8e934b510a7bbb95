//! Requests that guests make over `wasi:http`.
//!
//! [`rule`] decides by host and method before anything is looked up; [`connect`] resolves a name once, has every
//! address judged, and connects to one of those; [`client`] bounds what crosses. Redirects are not followed
//! here: a guest that follows one makes another request, which is judged like the first.

mod address;
mod body;
mod client;
mod connect;
mod hooks;
mod link;
mod rule;
mod upstream;

pub(crate) use client::Client;
pub use connect::OwnListeners;
pub(crate) use hooks::Hooks;
pub use http::Method;
pub(crate) use link::add_to_linker;
pub use rule::{Hosts, HttpRule};
pub use upstream::Upstream;
