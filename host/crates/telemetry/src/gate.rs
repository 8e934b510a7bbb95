//! Keeps spans that are for traces alone from being made in what is not traced. A layer's own filter would not do: where another
//! layer has one too, the registry makes the span for nobody.

use tracing::{
    Metadata, Subscriber,
    span::{Attributes, Id},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer,
    filter::LevelFilter,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use crate::trace::{ROOTS, TARGET};

/// The layer. The last one, so that it is asked first.
pub(crate) struct Gate;

/// Stands with each span of a trace.
struct Traced;

fn is_root(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET && ROOTS.contains(&metadata.name())
}

fn is_traced<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>) -> bool {
    span.extensions().get::<Traced>().is_some()
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Gate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let asks = metadata.target() == TARGET && !is_root(metadata);
        if asks { Interest::sometimes() } else { Interest::always() }
    }

    /// It asks for nothing itself: what counts is the most that others ask for.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        metadata.target() != TARGET
            || is_root(metadata)
            || context.lookup_current().is_some_and(|span| is_traced(&span))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = match attributes.parent() {
            Some(parent) => context.span(parent),
            None if attributes.is_contextual() => context.lookup_current(),
            None => None,
        };
        if (is_root(attributes.metadata()) || parent.is_some_and(|parent| is_traced(&parent)))
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(Traced);
        }
    }
}
