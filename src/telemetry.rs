//! Logs: one event a line, as JSON for machines or pretty for people. Never tokens, e-mails or positions.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{LogConfig, LogFormat};

/// Starts logging to standard error. Once a process.
///
/// # Errors
/// When logging was started before.
pub fn start(config: &LogConfig) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = EnvFilter::try_new(&config.level)?;
    // An event that cannot be written, because the disk of the log is full, is lost. Telling of that on standard error, as is
    // done otherwise, would panic.
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .log_internal_errors(false);
    match config.format {
        LogFormat::Json => subscriber.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        LogFormat::Pretty => subscriber.compact().with_target(false).try_init(),
    }
}
