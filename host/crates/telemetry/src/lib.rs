//! Logs: structured events on stderr. stdout belongs to MCP.
#![deny(missing_docs)]

mod escape;

use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line. The default.
    #[default]
    Json,
    /// For people. Control characters are escaped, so that no text of a guest or client can forge a line
    /// or move the cursor.
    Pretty,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error(
        "the log level `{filter}` is not understood: {error}. Use error, warn, info, debug or trace, or target=level pairs"
    )]
    Filter {
        /// As given.
        filter: String,
        /// Why.
        error: tracing_subscriber::filter::ParseError,
    },
    /// Started twice.
    #[error("logging was started already")]
    Twice,
}

/// Whether [`init`] would take `filter`.
///
/// # Errors
/// When it does not parse.
pub fn check(filter: &str) -> Result<(), LogError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    // Of the protocol library only what is wrong: at `info` it logs whole messages.
    EnvFilter::try_new(format!("rmcp=warn,{filter}"))
        .map_err(|error| LogError::Filter { filter: filter.to_owned(), error })
}

/// Start logging to stderr. `filter` is a level, or `target=level` pairs separated by commas.
///
/// # Errors
/// When the filter does not parse, or logging was started before.
pub fn init(format: Format, filter: &str) -> Result<(), LogError> {
    let registry = tracing_subscriber::registry().with(parse(filter)?);
    match format {
        Format::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        Format::Pretty => registry.with(fmt::layer().with_ansi(false).with_writer(escape::stderr)).try_init(),
    }
    .map_err(|_| LogError::Twice)
}
