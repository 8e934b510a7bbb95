//! What a running host tells the commands beside it: HTTP on a socket in the data folder that only its user can open.

mod client;
mod socket;

use std::sync::Arc;

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use skillhost_pipeline::Dispatcher;

pub(crate) use client::{Running, running};
pub(crate) use socket::Socket;

/// How every policy stands.
const POLICIES: &str = "/admin/policies";

fn router(dispatcher: Arc<Dispatcher>) -> Router {
    Router::new().route(
        POLICIES,
        get(async move || {
            let text = serde_json::to_string(&dispatcher.report()).unwrap_or_default();
            ([(CONTENT_TYPE, "application/json")], text).into_response()
        }),
    )
}
