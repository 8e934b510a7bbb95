//! `/health`, its probes, and `/metrics`.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;

use super::{Admin, refusal};
use crate::health::{Health, Report};

/// Everything.
pub(crate) const ALL: &str = "/health";
/// Whether the host should be restarted.
pub(crate) const LIVENESS: &str = "/health/liveness";
/// Whether calls should be sent here.
pub(crate) const READINESS: &str = "/health/readiness";
/// What is measured.
pub(crate) const METRICS: &str = "/metrics";

/// For who can open the socket, or shows the token of the admin API.
pub(super) fn router() -> Router<Admin> {
    type Of = State<Admin>;
    let none = || refusal(StatusCode::SERVICE_UNAVAILABLE, "no-host", "no host runs here");
    Router::new()
        .route(
            "/admin/health",
            get(async move |State(admin): Of| whole(admin.health).await.unwrap_or_else(none)),
        )
        .route(
            "/admin/health/liveness",
            get(async move |State(admin): Of| match admin.health {
                Some(health) => alive(&health).await,
                None => none(),
            }),
        )
        .route(
            "/admin/health/readiness",
            get(async move |State(admin): Of| match admin.health {
                Some(health) => ready(&health).await,
                None => none(),
            }),
        )
}

async fn whole(health: Option<Arc<Health>>) -> Option<Response> {
    Some(told(&health?.look().await))
}

/// For everybody, by whatever name the host is asked: they tell nothing that anybody could not find out.
pub(crate) fn probes(health: &Arc<Health>) -> Router {
    Router::new()
        .route(LIVENESS, get(async |State(health): State<Arc<Health>>| alive(&health).await))
        .route(READINESS, get(async |State(health): State<Arc<Health>>| ready(&health).await))
        .with_state(Arc::clone(health))
}

/// What names skills, and is not for everybody.
pub(crate) fn open(health: &Arc<Health>) -> Router {
    Router::new()
        .route(ALL, get(async |State(health): State<Arc<Health>>| told(&health.look().await)))
        .route(METRICS, get(async |State(health): State<Arc<Health>>| metrics(&health).await))
        .with_state(Arc::clone(health))
}

async fn alive(health: &Health) -> Response {
    match health.alive().await {
        Ok(()) => (StatusCode::OK, axum::Json(json!({"status": "alive"}))).into_response(),
        Err(why) => {
            tracing::error!(why, "health: the host does not live");
            let told = json!({"status": "stuck", "reasons": [why]});
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(told)).into_response()
        }
    }
}

async fn ready(health: &Health) -> Response {
    let reasons = health.unready().await;
    let (status, word) = match reasons.is_empty() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not-ready"),
    };
    (status, axum::Json(json!({"status": word, "reasons": reasons}))).into_response()
}

/// 503 when something is critical, for those who look at nothing but the status.
fn told(report: &Report) -> Response {
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(report)).into_response()
}

async fn metrics(health: &Health) -> Response {
    if !health.telemetry.metrics.is_on() {
        return refusal(
            StatusCode::NOT_FOUND,
            "no-metrics",
            "metrics are switched off (`telemetry.metrics`)",
        );
    }
    match health.metrics().await {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string()),
    }
}
