//! What operators watch the host by, and how it ends, checked.

use std::time::Duration;

use skillhost_telemetry::{self as telemetry, FloodSettings, Otlp};

use super::values::{at_most, between, within};
use crate::config::{ConfigError, raw};

/// How long each stage of the end may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShutdownSettings {
    pub(crate) drain: Duration,
    pub(crate) cancel: Duration,
    pub(crate) cleanup: Duration,
}

/// What must be left, in bytes; none by a share of what there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HealthSettings {
    pub(crate) disk: Least,
    pub(crate) memory: Least,
}

/// What must be left of something, in bytes; none by a share of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Least {
    pub(crate) warning: Option<u64>,
    pub(crate) critical: Option<u64>,
}

pub(super) fn telemetry(log: &raw::Log, raw: &raw::Telemetry) -> Result<telemetry::Settings, ConfigError> {
    let set = "filled";
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(3_600));
    let interval = between("telemetry.interval", raw.interval.expect(set), least, most)?;
    let sample = within("telemetry.sample", raw.sample.expect(set), 0.0, 1.0)?;
    let otlp = match raw.otlp.as_deref() {
        None => None,
        Some(endpoint) => Some(Otlp { endpoint: collector(endpoint)?, interval, sample }),
    };
    Ok(telemetry::Settings {
        format: log.format.expect(set),
        filter: level(log.level.clone().expect(set))?,
        flood: FloodSettings {
            per_second: within("log.max_per_second", log.max_per_second.expect(set), 0, 1_000_000)?,
            burst: within("log.burst", log.burst.expect(set), 1, 1_000_000)?,
        },
        metrics: raw.metrics.expect(set),
        otlp,
    })
}

fn level(filter: String) -> Result<String, ConfigError> {
    match telemetry::check(&filter) {
        Ok(()) => Ok(filter),
        Err(error) => Err(ConfigError::value("log.level", format!("cannot be used: {error}"))),
    }
}

fn collector(endpoint: &str) -> Result<String, ConfigError> {
    let sound = endpoint.parse::<axum::http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
    });
    if sound {
        return Ok(endpoint.to_owned());
    }
    Err(ConfigError::value(
        "telemetry.otlp",
        "is no address of a collector; write one such as http://127.0.0.1:4318",
    ))
}

pub(super) fn shutdown(raw: &raw::Shutdown) -> Result<ShutdownSettings, ConfigError> {
    const MINUTES: Duration = Duration::from_secs(600);
    Ok(ShutdownSettings {
        drain: at_most("shutdown.drain", raw.drain, Duration::from_secs(3_600))?,
        cancel: at_most("shutdown.cancel", raw.cancel, MINUTES)?,
        cleanup: at_most("shutdown.cleanup", raw.cleanup, MINUTES)?,
    })
}

pub(super) fn health(raw: &raw::Health) -> Result<HealthSettings, ConfigError> {
    let least = |what: &str, warning: Option<bytesize::ByteSize>, critical: Option<bytesize::ByteSize>| {
        let least = Least {
            warning: warning.map(|size| size.as_u64()),
            critical: critical.map(|size| size.as_u64()),
        };
        match (least.warning, least.critical) {
            (Some(warning), Some(critical)) if warning < critical => {
                let key = format!("health.{what}_warning");
                Err(ConfigError::value(&key, format!("must not be less than `health.{what}_critical`")))
            }
            _ => Ok(least),
        }
    };
    Ok(HealthSettings {
        disk: least("disk", raw.disk_warning, raw.disk_critical)?,
        memory: least("memory", raw.memory_warning, raw.memory_critical)?,
    })
}
