//! What the host tells of itself: logs on stderr (stdout belongs to MCP), metrics, traces.
#![deny(missing_docs)]

mod escape;
mod export;
mod flood;
mod gate;
mod log;
pub mod metric;
mod metrics;
pub mod trace;
mod writer;

use std::{sync::Arc, time::Duration};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use skillhost_core::Clock;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{Layer as _, filter, layer::SubscriberExt as _};

use export::Exporters;
pub use export::{Otlp, TelemetryError};
use flood::Flood;
pub use flood::FloodSettings;
pub use log::{Format, LogControl, LogError, check};
pub use metric::Metric;
pub use metrics::{Metrics, Sample, ToolLabels};
pub use opentelemetry::KeyValue as Label;
pub use writer::flush;

/// A span that is for traces alone. It costs a look when nobody collects, or its trace is not sampled.
#[macro_export]
macro_rules! span {
    ($($words:tt)*) => { ::tracing::info_span!(target: $crate::trace::TARGET, $($words)*) };
}

/// Spans that wait to be sent. Further ones are dropped, which the log tells.
const SPANS: usize = 16_384;

/// What is told, and to whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How log lines look.
    pub format: Format,
    /// A level, or `target=level` pairs separated by commas.
    pub filter: String,
    /// How many lines of one kind.
    pub flood: FloodSettings,
    /// Whether metrics are kept.
    pub metrics: bool,
    /// A collector of metrics and traces.
    pub otlp: Option<Otlp>,
}

/// What tells of the host, until it is shut down.
pub struct Telemetry {
    /// What is measured.
    pub metrics: Metrics,
    /// What is logged; none when that was left to somebody else.
    pub log: Option<LogControl>,
    /// Of calls whose client does not say, how many are traced, 0 to 1; 0 without a collector.
    pub sample: f64,
    flood: Option<Flood>,
    meters: Option<SdkMeterProvider>,
    tracers: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Begin. Once a process.
    ///
    /// # Errors
    /// When the filter does not parse, a collector's address is none, or this was done before.
    pub fn start(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, TelemetryError> {
        let flood = Flood::new(settings.flood, Arc::clone(&clock));
        let (lines, log) = log::layer(settings.format, &settings.filter, flood.clone())?;
        let mut exporters = Exporters::new(settings.otlp.as_ref())?;
        let started = clock.wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let instance = format!("{}-{}", std::process::id(), started.as_millis());
        let resource = Resource::builder()
            .with_service_name("skillhost")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            // Hosts that share a data folder, or begin anew, are not each other.
            .with_attribute(KeyValue::new("service.instance.id", instance))
            .build();
        let tracers = exporters.spans()?.map(|exporter| {
            let batches = BatchConfigBuilder::default().with_max_queue_size(SPANS).build();
            SdkTracerProvider::builder()
                // Whether a call is traced is decided where it comes in: what is not is no span at all.
                .with_sampler(Sampler::AlwaysOn)
                .with_resource(resource.clone())
                .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
                .build()
        });
        let subscriber = subscriber(lines, tracers.as_ref());
        tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)?;
        let (metrics, meters) = if settings.metrics {
            let (metrics, meters) = Metrics::start(&mut exporters, resource)?;
            (metrics, Some(meters))
        } else {
            (Metrics::default(), None)
        };
        let sample = settings.otlp.as_ref().map_or(0.0, |otlp| otlp.sample);
        Ok(Self { metrics, log: Some(log), sample, flood: Some(flood), meters, tracers })
    }

    /// One that tells nothing, for a part of a program that has begun another.
    #[must_use]
    pub fn silent() -> Self {
        Self { metrics: Metrics::default(), log: None, sample: 0.0, flood: None, meters: None, tracers: None }
    }

    /// Tell now and then what was left out of the log. For ever.
    pub fn tell_of_floods(&self) -> impl Future<Output = ()> + Send + use<> {
        let flood = self.flood.clone();
        async move {
            if let Some(flood) = flood {
                flood.keep_telling().await;
            }
        }
    }

    /// Log lines that were left out so far.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.flood.as_ref().map_or(0, Flood::left_out) + writer::lost()
    }

    /// Send what was not sent yet, for as long as `patience`. Blocks.
    ///
    /// # Errors
    /// What could not be sent.
    pub fn shut_down(&self, patience: Duration) -> Result<(), String> {
        if let Some(flood) = &self.flood {
            flood.tell();
        }
        let half = patience / 2;
        let spans = self.tracers.as_ref().map_or(Ok(()), |tracers| tracers.shutdown_with_timeout(half));
        let figures = self.meters.as_ref().map_or(Ok(()), |meters| meters.shutdown_with_timeout(half));
        spans.and(figures).map_err(|error| error.to_string())
    }
}

/// Log lines, and spans where there is somebody to send them to.
fn subscriber(lines: log::Lines, tracers: Option<&SdkTracerProvider>) -> Box<dyn Subscriber + Send + Sync> {
    let registry = tracing_subscriber::registry().with(lines);
    // Not as an optional layer: spans that are for traces alone would be made for one that is not there, too.
    let Some(tracers) = tracers else { return Box::new(registry) };
    let ours = |metadata: &Metadata<'_>| {
        let pipeline =
            metadata.target().starts_with("skillhost_pipeline") && *metadata.level() <= Level::INFO;
        metadata.is_span() && (metadata.target() == trace::TARGET || pipeline)
    };
    let spans = filter::dynamic_filter_fn(move |metadata, context| {
        ours(metadata) && (trace::ROOTS.contains(&metadata.name()) || context.lookup_current().is_some())
    });
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracers.tracer("skillhost"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        // Without a hint every `trace!` of every library would be looked at each time.
        .with_filter(spans.with_max_level_hint(Level::INFO));
    Box::new(registry.with(layer).with(gate::Gate))
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    struct Stopped(Instant);

    impl Clock for Stopped {
        fn now(&self) -> Instant {
            self.0
        }
        fn wall(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }
    }

    /// What nobody asks for is switched off where it stands, and not looked at each time.
    #[test]
    fn no_level_is_looked_at_that_nobody_asks_for() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let clock: Arc<dyn Clock> = Arc::new(Stopped(Instant::now()));
        let tracers = SdkTracerProvider::builder().build();
        for (filter, tracers, expected) in [
            ("warn", None, LevelFilter::WARN),
            ("info", None, LevelFilter::INFO),
            // Spans of traces are of this level.
            ("warn", Some(&tracers), LevelFilter::INFO),
            ("info", Some(&tracers), LevelFilter::INFO),
            ("debug", Some(&tracers), LevelFilter::DEBUG),
        ] {
            let flood = Flood::new(FloodSettings::default(), Arc::clone(&clock));
            let (lines, _control) = log::layer(Format::Json, filter, flood).unwrap();
            let hint = subscriber(lines, tracers).max_level_hint();
            assert_eq!(hint, Some(expected), "{filter}, traced: {}", tracers.is_some());
        }
    }
}
