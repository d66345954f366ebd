//! The layer that writes log lines, and the gate of all that is told inside the process.
//!
//! One layer, not several with filters of their own: those would look a span up each time a task is polled. What the
//! database driver tells of statements comes through here, too, and goes to `statements` in place of the log.

use std::fmt;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, FormattedFields};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::{level, statements};
use crate::config::{LogConfig, LogFormat};

/// See the head of this file.
pub(super) struct Log<S> {
    lines: Box<dyn Layer<S> + Send + Sync>,
    slow_statement: Duration,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Log<S> {
    pub(super) fn new(config: &LogConfig) -> Self {
        // An event that cannot be written, because the disk of the log is full, is lost. Telling of that on standard error, as
        // is done otherwise, would panic.
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
        let lines = match config.format {
            LogFormat::Json => {
                lines.json().flatten_event(true).with_current_span(true).with_span_list(false).fmt_fields(SpanMembers).boxed()
            }
            LogFormat::Pretty => lines.compact().with_target(false).boxed(),
        };
        Self { lines, slow_statement: config.slow_statement }
    }
}

/// Whether anybody wants to be told.
fn is_wanted(metadata: &Metadata<'_>) -> bool {
    metadata.target() == statements::TARGET
        || level::lets_through(metadata)
        // Lines of every level hang on our spans, and so does the export.
        || (metadata.is_span() && *metadata.level() <= tracing::Level::INFO && metadata.target().starts_with("ar_supervisor::"))
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log<S> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // For good: when the level changes, all are asked again.
        if is_wanted(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        is_wanted(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Our spans, and what is told of statements.
        Some(level::most_verbose().max(LevelFilter::INFO))
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == statements::TARGET {
            statements::note(event, self.slow_statement);
        } else {
            self.lines.on_event(event, context);
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.lines.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.lines.on_record(id, values, context);
    }
    // Lines hold nothing while a span is entered, left or closed: that is not passed on.
}

/// The fields of a span as a JSON object, written as they come. The formatter that comes with the crate sorts them into
/// a map first, and reads them again for each one that is added: for a request, most of what its span costs.
struct SpanMembers;

impl<'writer> FormatFields<'writer> for SpanMembers {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        writer.write_char('{')?;
        let mut members = Members { writer: &mut writer, is_first: true, outcome: Ok(()) };
        fields.record(&mut members);
        members.outcome?;
        writer.write_char('}')
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        // The closing brace.
        current.fields.pop();
        let is_first = current.fields.len() <= 1;
        let mut writer = current.as_writer();
        let mut members = Members { writer: &mut writer, is_first, outcome: Ok(()) };
        fields.record(&mut members);
        members.outcome?;
        writer.write_char('}')
    }
}

/// Writes members of an object.
struct Members<'a, 'writer> {
    writer: &'a mut Writer<'writer>,
    is_first: bool,
    outcome: fmt::Result,
}

impl Members<'_, '_> {
    fn member(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name().starts_with("otel.") {
            // Said to the export alone.
            return;
        }
        let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
        let written = write!(self.writer, "{comma}\"{}\":{value}", field.name());
        self.outcome = self.outcome.and(written);
    }

    fn text(&mut self, field: &Field, text: &str) {
        // Nearly none has to be escaped.
        if text.bytes().any(|b| b < b' ' || b == b'"' || b == b'\\') {
            let escaped = serde_json::Value::from(text);
            self.member(field, format_args!("{escaped}"));
        } else {
            self.member(field, format_args!("\"{text}\""));
        }
    }
}

impl Visit for Members<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}
