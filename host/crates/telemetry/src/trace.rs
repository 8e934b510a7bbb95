//! Spans, and the context that crosses processes: W3C's `traceparent`.
//!
//! A span costs nothing while nobody collects, and nothing in a trace that is not sampled: [`Root`] decides at the door, and
//! spans below a root that is not there are not made.

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, Status, TraceContextExt as _, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The target of spans that are for traces alone: no log line shows them.
pub const TARGET: &str = "skillhost::trace";
/// Spans that may be the first of their trace.
pub(crate) const ROOTS: [&str; 2] = ["request", "recovery"];

/// A place in a trace, as `traceparent` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(SpanContext);

impl Place {
    /// What a header or `_meta` holds; none when it is not sound.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
        };
        // Later versions may add parts; the first is the only one whose form is known.
        let known = version != "00" || parts.next().is_none();
        if !(hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2) && known)
        {
            return None;
        }
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
        let state = tracestate.and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let context = SpanContext::new(trace, span, flags, true, state);
        context.is_valid().then_some(Self(context))
    }

    /// Where the current span is; none while nobody collects.
    #[must_use]
    pub fn current() -> Option<Self> {
        Self::of(&Span::current())
    }

    /// Where a span is.
    #[must_use]
    pub fn of(span: &Span) -> Option<Self> {
        let context = span.context();
        let context = context.span().span_context().clone();
        context.is_valid().then_some(Self(context))
    }

    /// What the JSON of a `_meta` holds.
    #[must_use]
    pub fn of_meta(meta: &str) -> Option<Self> {
        // Most have none: they are not worth reading.
        if !meta.contains("traceparent") {
            return None;
        }
        let meta: serde_json::Map<String, serde_json::Value> = serde_json::from_str(meta).ok()?;
        let text = |name| meta.get(name).and_then(serde_json::Value::as_str);
        Self::parse(text("traceparent")?, text("tracestate"))
    }

    /// A `_meta` that holds this, too.
    #[must_use]
    pub fn in_meta(&self, meta: Option<&str>) -> String {
        let mut meta: serde_json::Map<String, serde_json::Value> =
            meta.and_then(|meta| serde_json::from_str(meta).ok()).unwrap_or_default();
        meta.insert("traceparent".to_owned(), self.traceparent().into());
        match self.tracestate() {
            Some(state) => drop(meta.insert("tracestate".to_owned(), state.into())),
            None => drop(meta.remove("tracestate")),
        }
        serde_json::Value::Object(meta).to_string()
    }

    /// As the header has it.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let Self(context) = self;
        format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
    }

    /// The vendors' part, when there is one.
    #[must_use]
    pub fn tracestate(&self) -> Option<String> {
        Some(self.0.trace_state().header()).filter(|state| !state.is_empty())
    }

    /// The trace, as logs name it.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }

    fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }
}

/// Where a trace begins, or is gone on with.
#[derive(Debug, Clone, Default)]
pub struct Root {
    /// The span that asked for this.
    pub parent: Option<Place>,
    /// Others that have to do with it.
    pub links: Vec<Place>,
}

impl Root {
    /// Whether it is traced. What the parent says counts first; then whether anything that it has to do with is; then `chance`,
    /// 0 to 1, against `sample`.
    #[must_use]
    pub fn is_sampled(&self, sample: f64, chance: f64) -> bool {
        let otherwise = || self.links.iter().any(Place::is_sampled) || chance < sample;
        self.parent.as_ref().map_or_else(otherwise, Place::is_sampled)
    }

    /// Put a span, which was just made, there.
    pub fn place(&self, span: &Span) {
        if let Some(Place(parent)) = &self.parent {
            // It was just made, so it has not begun.
            let _ = span.set_parent(Context::new().with_remote_span_context(parent.clone()));
        }
        for Place(link) in &self.links {
            span.add_link(link.clone());
        }
    }
}

/// Mark a span as failed.
pub fn failed(span: &Span, kind: &'static str) {
    span.set_attribute("error.type", kind);
    span.set_status(Status::error(kind));
}

/// Add what is known only later.
pub fn note(span: &Span, name: &'static str, value: impl Into<opentelemetry::Value>) {
    span.set_attribute(name, value);
}

/// A label of [`Metrics::operation`](crate::Metrics::operation).
#[must_use]
pub fn label(name: &'static str, value: impl Into<opentelemetry::Value>) -> KeyValue {
    KeyValue::new(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_place_is_told_as_it_was_read() {
        let place = Place::parse(SOUND, Some("vendor=1")).unwrap();
        assert_eq!((place.traceparent().as_str(), place.tracestate().as_deref()), (SOUND, Some("vendor=1")));
        assert!(place.is_sampled());
    }

    #[test]
    fn what_is_no_place_is_none() {
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
        ] {
            assert_eq!(Place::parse(wrong, None), None, "{wrong}");
        }
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert!(Place::parse(later, None).is_some());
    }

    #[test]
    fn a_meta_holds_it_beside_what_is_there() {
        let place = Place::parse(SOUND, None).unwrap();
        let meta = place.in_meta(Some(r#"{"own":1,"traceparent":"old","tracestate":"old=1"}"#));
        assert_eq!(meta, format!(r#"{{"own":1,"traceparent":"{SOUND}"}}"#));
        assert_eq!(Place::of_meta(&meta), Some(place));
        assert_eq!(Place::of_meta(r#"{"own":"traceparent"}"#), None);
        assert_eq!(Place::of_meta("traceparent"), None);
    }

    #[test]
    fn the_parent_says_what_is_traced() {
        let place = |flags: &str| Place::parse(&format!("{}{flags}", &SOUND[..53]), None);
        let with = |flags| Root { parent: place(flags), links: vec![] };
        assert!(with("01").is_sampled(0.0, 0.5) && !with("00").is_sampled(1.0, 0.5));
        let linked = Root { parent: None, links: vec![place("01").unwrap()] };
        assert!(linked.is_sampled(0.0, 0.5));
        assert!(Root::default().is_sampled(1.0, 0.99) && !Root::default().is_sampled(0.0, 0.0));
    }
}
