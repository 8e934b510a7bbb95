//! What is logged to stderr, which can be changed while the host runs.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, Layer, Registry, filter::FilterExt as _, fmt, reload};

use crate::{escape, flood::Flood, writer};

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
    /// Nothing at all.
    #[error(
        "the log level is empty. Use error, warn, info, debug or trace, or target=level pairs; `off` logs nothing"
    )]
    Empty,
    /// Started twice.
    #[error("logging was started already")]
    Twice,
}

/// Whether logging would take `filter`.
///
/// # Errors
/// When it does not parse.
pub fn check(filter: &str) -> Result<(), LogError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    // Nothing would silence all, and is what a variable holds that nobody set.
    if filter.trim().is_empty() {
        return Err(LogError::Empty);
    }
    // Of the protocol library only what is wrong: at `info` it logs whole messages. Spans that are for traces alone would
    // hide the call's own from its lines. Each can be asked for by name.
    EnvFilter::try_new(format!("rmcp=warn,opentelemetry=warn,{}=off,{filter}", crate::trace::TARGET))
        .map_err(|error| LogError::Filter { filter: filter.to_owned(), error })
}

/// What is logged, for who wants to change it.
#[derive(Clone)]
pub struct LogControl {
    handle: reload::Handle<EnvFilter, Registry>,
    now: Arc<Mutex<String>>,
    first: Arc<str>,
}

impl LogControl {
    /// What is logged now: a level, or `target=level` pairs separated by commas.
    #[must_use]
    pub fn filter(&self) -> String {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was logged at start.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.first
    }

    /// Log something else from now on.
    ///
    /// # Errors
    /// When the filter does not parse; then nothing changes.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let parsed = parse(filter)?;
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        // The subscriber lives as long as the process.
        let _ = self.handle.reload(parsed);
        filter.clone_into(&mut now);
        Ok(())
    }
}

/// The layer that writes lines.
pub(crate) type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// That layer, and what changes what it writes.
pub(crate) fn layer(format: Format, filter: &str, flood: Flood) -> Result<(Lines, LogControl), LogError> {
    let (level, handle) = reload::Layer::new(parse(filter)?);
    let written = level.and(flood);
    let control = LogControl { handle, now: Arc::new(Mutex::new(filter.to_owned())), first: filter.into() };
    let layer = match format {
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(writer::stderr)
            .with_filter(written)
            .boxed(),
        Format::Pretty => {
            fmt::layer().with_ansi(false).with_writer(escape::stderr).with_filter(written).boxed()
        }
    };
    Ok((layer, control))
}
