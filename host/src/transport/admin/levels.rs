//! `/admin/log`: what is logged, which can be changed while the host runs.

use axum::{Json, Router, extract::State, http::StatusCode, response::Response, routing::get};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skillhost_telemetry::LogControl;

use super::{
    Admin,
    answer::{Body, Object, answer},
    json, refusal,
};

pub(crate) const PATH: &str = "/admin/log";

/// What is to be logged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LevelBody {
    /// A level, or `target=level` pairs with commas; null for what the configuration says.
    level: Option<String>,
}

/// What is logged.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LevelView {
    /// Now.
    level: String,
    /// By the configuration.
    configured: String,
}

pub(super) fn router() -> Router<Admin> {
    Router::new().route(PATH, get(show).put(set))
}

fn view(log: &LogControl) -> Response {
    json(&LevelView { level: log.filter(), configured: log.first().to_owned() })
}

fn found(admin: &Admin) -> Option<LogControl> {
    admin.health.as_ref()?.telemetry.log.clone()
}

fn none() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "no-host", "no host runs here")
}

async fn show(State(admin): State<Admin>) -> Response {
    found(&admin).map_or_else(none, |log| view(&log))
}

async fn set(State(admin): State<Admin>, body: Body<LevelBody>) -> Response {
    let Some(log) = found(&admin) else { return none() };
    let set = || {
        let Json(Object(LevelBody { level })) = body?;
        let level = level.unwrap_or_else(|| log.first().to_owned());
        log.set(&level).map_err(|error| error.to_string())?;
        tracing::info!(level, by = admin.by, "what is logged has changed");
        Ok(view(&log))
    };
    answer(set())
}
