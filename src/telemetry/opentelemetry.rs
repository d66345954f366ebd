//! Spans for OpenTelemetry, by OTLP over HTTP. Who takes them, and which, is said by the standard's own variables, which
//! its library reads: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and so on.
//!
//! Spans wait in a bounded queue for a thread of their own. When that is behind, or nobody takes them, they are dropped:
//! no request waits for its export. Names and attributes are those of the semantic conventions for HTTP servers and for
//! PostgreSQL; the text of a statement is not among them, its name finds it.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, Method};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::trace_parent::TraceParent;
use crate::config::TracesConfig;

/// How long a stop waits for the last spans: the rest of its half a minute.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The export; ends when this is dropped, after the last spans.
pub(super) struct Exporting(SdkTracerProvider);

/// Starts the export, where it is wanted.
///
/// # Errors
/// When one of the variables cannot be used.
pub(super) fn start(config: &TracesConfig) -> Result<Option<Exporting>, Box<dyn std::error::Error + Send + Sync>> {
    if !config.is_wanted {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().build()?;
    let mut resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !config.names_service {
        resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
    }
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    TRACER.get_or_init(|| provider.tracer(env!("CARGO_PKG_NAME")));
    Ok(Some(Exporting(provider)))
}

impl Exporting {
    /// What makes spans of ours ones of OpenTelemetry, and lines of ours their events.
    pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        // What the exporter says of itself is not exported, nor is what the driver says: that becomes a span.
        let is_ours = filter_fn(|metadata| metadata.target().starts_with("ar_supervisor") && *metadata.level() <= Level::INFO)
            .with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(is_ours)
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::warn!(%error, "the last spans are lost");
        }
    }
}

/// A request goes on with the trace of its caller; a new one is named in the log.
pub(super) fn request_begins(span: &Span, parent: Option<TraceParent<'_>>, headers: &HeaderMap) {
    if TRACER.get().is_none() {
        return;
    }
    let remote = parent.and_then(|parent| {
        let (trace_id, span_id) = (TraceId::from_hex(parent.trace_id).ok()?, SpanId::from_hex(parent.parent_id).ok()?);
        let flags = TraceFlags::default().with_sampled(parent.is_sampled);
        // One that cannot be read is left out, and the trace goes on.
        let state = headers.get("tracestate").and_then(|state| state.to_str().ok()?.parse::<TraceState>().ok()).unwrap_or_default();
        Some(SpanContext::new(trace_id, span_id, flags, true, state))
    });
    if let Some(remote) = remote
        && let Err(error) = span.set_parent(Context::new().with_remote_span_context(remote))
    {
        tracing::debug!(%error, "a trace is not gone on with");
    }
    if parent.is_none() {
        span.record("trace_id", tracing::field::display(span.context().span().span_context().trace_id()));
    }
}

/// A request was answered.
pub(super) fn request_ends(span: &Span, method: &Method, route: &str, status: u16) {
    if TRACER.get().is_none() {
        return;
    }
    let context = span.context();
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    span.update_name(format!("{method} {route}"));
    span.set_attributes([
        KeyValue::new("http.request.method", method.to_string()),
        KeyValue::new("http.route", route.to_owned()),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ]);
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// Names a span.
pub(super) fn rename(span: &Span, name: &'static str) {
    if TRACER.get().is_some() {
        span.context().span().update_name(name);
    }
}

/// A statement has ended: a span below the one that runs it. One that nobody asked for has none.
pub(super) fn statement(name: &'static str, text: Option<&'static str>, elapsed_s: f64, rows: u64) {
    let Some(tracer) = TRACER.get() else { return };
    let parent = Span::current().context();
    if !parent.span().span_context().is_sampled() {
        return;
    }
    let end = SystemTime::now();
    let mut attributes = vec![
        KeyValue::new("db.system.name", "postgresql"),
        KeyValue::new("db.query.summary", name),
        KeyValue::new("db.response.returned_rows", i64::try_from(rows).unwrap_or(i64::MAX)),
    ];
    attributes.extend(operation(text.unwrap_or_default()).map(|word| KeyValue::new("db.operation.name", word)));
    let builder = tracer.span_builder(name).with_kind(SpanKind::Client).with_attributes(attributes);
    let begin = end.checked_sub(Duration::from_secs_f64(elapsed_s)).unwrap_or(end);
    builder.with_start_time(begin).start_with_context(tracer, &parent).end_with_timestamp(end);
}

/// The one thing that a statement does. One that begins with WITH may do several.
fn operation(text: &'static str) -> Option<&'static str> {
    text.split_whitespace().next().filter(|word| *word != "WITH")
}
