//! The instruments.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::{
    KeyValue, StringValue, Value,
    metrics::{Counter, Histogram, Meter, MeterProvider as _},
};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Encoder as _, Registry, TextEncoder};
use skillhost_core::Usage;

use crate::{
    export::{Exporters, TelemetryError},
    metric::{Kind, Metric},
};

/// Sets of labels that one metric may have. Further ones are counted together, with the label `otel_metric_overflow`.
const CARDINALITY: usize = 10_000;

/// What is measured; nothing by default. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics(Option<Arc<Inner>>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Metrics").field(&self.is_on()).finish()
    }
}

struct Inner {
    counters: BTreeMap<Metric, Counter<u64>>,
    /// The hot ones, without a look-up.
    calls: Counter<u64>,
    attempts: Counter<u64>,
    retries: Counter<u64>,
    fuel: Counter<u64>,
    histograms: BTreeMap<Metric, Histogram<f64>>,
    operation: Histogram<f64>,
    duration: Histogram<f64>,
    wait: Histogram<f64>,
    memory: Histogram<f64>,
    samples: Arc<Mutex<Vec<Sample>>>,
    registry: Registry,
}

/// A value that was looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    metric: Metric,
    value: f64,
    labels: Vec<KeyValue>,
}

impl Sample {
    /// Of a metric without labels.
    #[must_use]
    pub fn of(metric: Metric, value: f64) -> Self {
        Self { metric, value, labels: vec![] }
    }

    /// With the labels' values, in the order of [`Facts::labels`](crate::metric::Facts::labels).
    ///
    /// # Panics
    /// When there are not as many: the metrics are our own.
    #[must_use]
    pub fn with<const N: usize>(metric: Metric, value: f64, labels: [&str; N]) -> Self {
        let names = metric.facts().labels;
        assert_eq!(names.len(), N, "{metric:?}");
        let labels = names.iter().zip(labels).map(|(name, label)| KeyValue::new(*name, label.to_owned()));
        Self { metric, value, labels: labels.collect() }
    }
}

/// Labels of the calls of one tool. Texts are shared: a clone allocates nothing.
#[derive(Debug, Clone)]
pub struct ToolLabels {
    skill: KeyValue,
    tool: KeyValue,
}

impl ToolLabels {
    /// Of a tool of a skill.
    #[must_use]
    pub fn new(skill: Arc<str>, tool: Arc<str>) -> Self {
        let shared = |name, text| KeyValue::new(name, Value::String(StringValue::from(text)));
        Self { skill: shared("skill", skill), tool: shared("tool", tool) }
    }
}

impl Metrics {
    /// Everything is counted, and handed to `exporters`.
    pub(crate) fn start(
        exporters: &mut Exporters,
        resource: opentelemetry_sdk::Resource,
    ) -> Result<(Self, SdkMeterProvider), TelemetryError> {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .scope_info_enabled(false)
            .build()
            .map_err(|error| TelemetryError::Metrics(error.to_string()))?;
        let bounded = |instrument: &Instrument| {
            let kind =
                Metric::ALL.iter().map(|metric| metric.facts()).find(|facts| facts.name == instrument.name());
            let stream = Stream::builder().with_cardinality_limit(CARDINALITY);
            let stream = match kind.map(|facts| facts.kind) {
                Some(Kind::Histogram(bounds)) => stream.with_aggregation(
                    opentelemetry_sdk::metrics::Aggregation::ExplicitBucketHistogram {
                        boundaries: bounds.to_vec(),
                        record_min_max: false,
                    },
                ),
                _ => stream,
            };
            stream.build().ok()
        };
        let mut provider =
            SdkMeterProvider::builder().with_resource(resource).with_reader(reader).with_view(bounded);
        if let Some(reader) = exporters.metrics()? {
            provider = provider.with_reader(reader);
        }
        let provider = provider.build();
        let meter = provider.meter("skillhost");
        let samples = Arc::new(Mutex::new(Vec::<Sample>::new()));
        for metric in Metric::ALL.iter().filter(|metric| metric.facts().observed) {
            observe(&meter, *metric, &samples);
        }
        let counted = |wanted: fn(Kind) -> bool| {
            Metric::ALL
                .iter()
                .copied()
                .filter(move |metric| !metric.facts().observed && wanted(metric.facts().kind))
        };
        let counter = |metric: Metric| {
            let facts = metric.facts();
            meter.u64_counter(facts.name).with_unit(facts.unit).with_description(facts.help).build()
        };
        let histogram = |metric: Metric| {
            let facts = metric.facts();
            meter.f64_histogram(facts.name).with_unit(facts.unit).with_description(facts.help).build()
        };
        let counters: BTreeMap<_, _> =
            counted(|kind| kind == Kind::Counter).map(|metric| (metric, counter(metric))).collect();
        let histograms: BTreeMap<_, _> = counted(|kind| matches!(kind, Kind::Histogram(_)))
            .map(|metric| (metric, histogram(metric)))
            .collect();
        // There from the start, so that an alert sees it grow.
        for (metric, counter) in &counters {
            if metric.facts().labels.is_empty() {
                counter.add(0, &[]);
            }
        }
        let inner = Inner {
            calls: counters[&Metric::Calls].clone(),
            attempts: counters[&Metric::Attempts].clone(),
            retries: counters[&Metric::Retries].clone(),
            fuel: counters[&Metric::Fuel].clone(),
            operation: histograms[&Metric::Operation].clone(),
            duration: histograms[&Metric::CallDuration].clone(),
            wait: histograms[&Metric::QueueWait].clone(),
            memory: histograms[&Metric::Memory].clone(),
            counters,
            histograms,
            samples,
            registry,
        };
        Ok((Self(Some(Arc::new(inner))), provider))
    }

    /// Whether anything is measured.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A call has ended: `outcome` is ok, is-error, or the kind of its failure.
    pub fn call(&self, labels: &ToolLabels, outcome: &'static str, took: Duration) {
        let Some(inner) = &self.0 else { return };
        let outcome = KeyValue::new("outcome", outcome);
        inner.calls.add(1, &[labels.skill.clone(), labels.tool.clone(), outcome]);
        inner.duration.record(took.as_secs_f64(), std::slice::from_ref(&labels.skill));
    }

    /// An attempt has ended. `usage` is its own.
    pub fn attempt(&self, labels: &ToolLabels, outcome: &'static str, usage: &Usage) {
        let Some(inner) = &self.0 else { return };
        let skill = std::slice::from_ref(&labels.skill);
        inner.attempts.add(1, &[labels.skill.clone(), KeyValue::new("outcome", outcome)]);
        inner.wait.record(usage.queued.as_secs_f64(), skill);
        inner.fuel.add(usage.fuel, skill);
        if usage.memory > 0 {
            #[expect(clippy::cast_precision_loss, reason = "sizes of memories fit")]
            inner.memory.record(usage.memory as f64, skill);
        }
    }

    /// Another follows.
    pub fn retry(&self, labels: &ToolLabels) {
        if let Some(inner) = &self.0 {
            inner.retries.add(1, std::slice::from_ref(&labels.skill));
        }
    }

    /// A request of a client was answered.
    pub fn operation(&self, labels: &[KeyValue], took: Duration) {
        if let Some(inner) = &self.0 {
            inner.operation.record(took.as_secs_f64(), labels);
        }
    }

    /// Count one of a metric that is not asked for often; labels as in [`Sample::with`].
    pub fn count<const N: usize>(&self, metric: Metric, labels: [&str; N]) {
        let Some(counter) = self.0.as_ref().and_then(|inner| inner.counters.get(&metric)) else { return };
        counter.add(1, &Sample::with(metric, 1.0, labels).labels);
    }

    /// Note a size of a metric without labels that is not asked for often.
    pub fn note(&self, metric: Metric, value: f64) {
        if let Some(histogram) = self.0.as_ref().and_then(|inner| inner.histograms.get(&metric)) {
            histogram.record(value, &[]);
        }
    }

    /// What was looked up: it counts until something newer is published.
    pub fn publish(&self, samples: Vec<Sample>) {
        if let Some(inner) = &self.0 {
            *inner.samples.lock().unwrap_or_else(PoisonError::into_inner) = samples;
        }
    }

    /// Everything, in the text format of Prometheus. What is observed is as it was last published.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn text(&self) -> Result<String, TelemetryError> {
        let Some(inner) = &self.0 else { return Ok(String::new()) };
        let mut text = vec![];
        TextEncoder::new()
            .encode(&inner.registry.gather(), &mut text)
            .map_err(|error| TelemetryError::Metrics(error.to_string()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn observe(meter: &Meter, metric: Metric, samples: &Arc<Mutex<Vec<Sample>>>) {
    let (facts, samples) = (metric.facts(), Arc::clone(samples));
    let look = move |observe: &dyn Fn(f64, &[KeyValue])| {
        let samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
        for sample in samples.iter().filter(|sample| sample.metric == metric) {
            observe(sample.value, &sample.labels);
        }
    };
    // The instruments live as long as their meter.
    match facts.kind {
        Kind::Counter => drop(
            meter
                .f64_observable_counter(facts.name)
                .with_unit(facts.unit)
                .with_description(facts.help)
                .with_callback(move |observer| look(&|value, labels| observer.observe(value, labels)))
                .build(),
        ),
        _ => drop(
            meter
                .f64_observable_gauge(facts.name)
                .with_unit(facts.unit)
                .with_description(facts.help)
                .with_callback(move |observer| look(&|value, labels| observer.observe(value, labels)))
                .build(),
        ),
    }
}
