//! What operators watch the host by, and how it ends, as they are written.

use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skillhost_telemetry::Format;

use super::units::{self, duration, size};

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// One JSON object a line, or lines for people.
    #[schemars(with = "Option<LogFormat>")]
    pub(crate) format: Option<Format>,
    /// error, warn, info, debug, trace, or `target=level` pairs. `--log` and `SKILLHOST_LOG` win. Lines of skills have
    /// the target `skillhost::guest`. `PUT /admin/log` and `skillhost log` change it while the host runs.
    pub(crate) level: Option<String>,
    /// Lines a second, in the long run, that are written of one kind, up to 1,000,000; 0 for no bound. What is left out is
    /// counted, and told now and then.
    pub(crate) max_per_second: Option<u32>,
    /// Lines of one kind that are written at once, 1 to 1,000,000.
    pub(crate) burst: Option<u32>,
    /// Log the arguments of calls, up to 1 KiB of each. What their schema marks `writeOnly`, and what `secret_arguments`
    /// names, is left out.
    pub(crate) arguments: Option<bool>,
}

/// As `Format`, which knows nothing of schemas.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "its schema is what counts")]
enum LogFormat {
    Json,
    Pretty,
}

/// `[telemetry]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// Keep metrics and offer them at `/metrics`.
    pub(crate) metrics: Option<bool>,
    /// Offer `/metrics` and `/health` to everybody who reaches the address. By default they are open on loopback, and ask
    /// for the admin token beyond.
    pub(crate) open: Option<bool>,
    /// A collector that speaks OTLP over HTTP, `http://` or `https://`: metrics and traces are sent there. Headers of these
    /// requests come from `OTEL_EXPORTER_OTLP_HEADERS`.
    pub(crate) otlp: Option<String>,
    /// How often metrics are sent, 1 s to 1 h.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) interval: Option<Duration>,
    /// Calls that are traced, 0 to 1, where the client does not say by its `traceparent`.
    pub(crate) sample: Option<f64>,
}

/// `[shutdown]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Shutdown {
    /// How long calls in flight may go on after a signal to end, up to 1 h.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) drain: Option<Duration>,
    /// How long those that are then ended may take to be answered and written down, up to 10 min.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) cancel: Option<Duration>,
    /// How long closing everything may take, up to 10 min.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "duration")]
    pub(crate) cleanup: Option<Duration>,
}

/// `[health]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Health {
    /// With less than this free on the data folder's disk there is a warning. By default a fifth of it, at most 50 GiB.
    #[serde(serialize_with = "units::write_size")]
    #[schemars(schema_with = "size")]
    pub(crate) disk_warning: Option<ByteSize>,
    /// With less than this the host is not ready. By default a tenth, at most 10 GiB.
    #[serde(serialize_with = "units::write_size")]
    #[schemars(schema_with = "size")]
    pub(crate) disk_critical: Option<ByteSize>,
    /// With less than this of its memory left, by its control group or the machine, there is a warning. By default a fifth,
    /// at most 10 GiB.
    #[serde(serialize_with = "units::write_size")]
    #[schemars(schema_with = "size")]
    pub(crate) memory_warning: Option<ByteSize>,
    /// With less than this the host is not ready. By default a tenth, at most 5 GiB.
    #[serde(serialize_with = "units::write_size")]
    #[schemars(schema_with = "size")]
    pub(crate) memory_critical: Option<ByteSize>,
}
