//! The admin API: how policies stand, and what is done with dead letters and sagas. On a socket in the data folder that only its
//! user can open; over TCP only with a token. `GET /admin/openapi.json` describes it.

mod answer;
mod client;
mod health;
mod letters;
mod levels;
mod openapi;
mod saga_view;
mod sagas;
mod socket;
mod token;
pub(crate) mod view;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{StatusCode, header::CONTENT_TYPE},
    middleware,
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Serialize;
use skillhost_pipeline::{Dispatcher, Letters, Recovery, Sagas};

use crate::{app::App, health::Health};
pub(crate) use client::{Ask, Client, Running, ask_each, is_running, running};
pub(crate) use health::{ALL, LIVENESS, METRICS, READINESS, open, probes};
pub(crate) use levels::PATH as LEVELS;
pub(crate) use socket::Socket;
pub(crate) use token::Token;

/// How every policy stands.
const POLICIES: &str = "/admin/policies";
/// Bytes of a request: lines of an archive, or arguments.
const MAX_BODY: usize = 128 << 20;

/// What the API is about.
#[derive(Clone)]
pub(crate) struct Admin {
    /// None where no host runs: the command line looks after letters by itself.
    dispatcher: Option<Arc<Dispatcher>>,
    letters: Letters,
    sagas: Sagas,
    /// None where no host runs.
    health: Option<Arc<Health>>,
    /// Who goes into the history of letters.
    by: &'static str,
}

impl Admin {
    /// Of a host that runs.
    pub(crate) fn of(app: &App) -> Self {
        Self {
            dispatcher: Some(Arc::clone(&app.dispatcher)),
            letters: app.letters(),
            sagas: app.sagas(),
            health: Some(Arc::clone(&app.health)),
            by: "the command line",
        }
    }

    /// Of a data folder where none runs.
    pub(crate) fn alone(recovery: &Arc<Recovery>) -> Self {
        Self {
            dispatcher: None,
            letters: Letters::new(Arc::clone(recovery), None),
            sagas: Sagas::new(Arc::clone(recovery)),
            health: None,
            by: "the command line",
        }
    }

    /// For who can open the socket.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route(POLICIES, get(policies))
            .route("/admin/openapi.json", get(async || json(&openapi::document())))
            .merge(health::router())
            .merge(levels::router())
            .merge(letters::router())
            .merge(sagas::router())
            .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY))
            .with_state(self)
    }

    /// For who shows the token.
    pub(crate) fn guarded(self, token: &Token) -> Router {
        let admin = Self { by: "the admin API", ..self };
        admin.router().layer(middleware::from_fn_with_state(Arc::new(token.clone()), token::require))
    }
}

async fn policies(axum::extract::State(admin): axum::extract::State<Admin>) -> Response {
    match &admin.dispatcher {
        Some(dispatcher) => json(&dispatcher.report()),
        None => refusal(StatusCode::SERVICE_UNAVAILABLE, "no-host", "no host runs here"),
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], Body::from(text)).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string()),
    }
}

/// `code` is stable, `message` is for people.
fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let told = serde_json::json!({"error": {"code": code, "message": message}});
    (status, [(CONTENT_TYPE, "application/json")], told.to_string()).into_response()
}
