//! What the service tells of itself while it runs. Never tokens, e-mails or positions.
//!
//! `log` writes one event a line, as JSON for machines or pretty for people; `level` says which, for all instances at
//! once and at run time. `statements` takes what the database driver tells of each statement, under the name of the
//! function that runs it: for the times of all, and a line for the slow ones. `spans` has the spans that this hangs on:
//! one a request, a socket, a piece of work in the background. What is counted is in `prometheus`. With the feature `otel`, `opentelemetry` exports them.

mod level;
mod log;
#[cfg(feature = "otel")]
mod opentelemetry;
pub mod prometheus;
mod spans;
mod statements;
mod trace_parent;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use level::{BadLogFilter, LogFilter};
pub(crate) use level::{LogLevel, heed, keep, routes, set_by_command_line};
pub(crate) use prometheus::meters;
pub(crate) use spans::{Request, admin_socket, edge_socket, work};
pub(crate) use statements::told_of;

use crate::config::LogConfig;

/// Logging that was started; ends when this is dropped, with what is still to be exported.
#[must_use]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    _exporting: Option<opentelemetry::Exporting>,
}

/// Starts logging to standard error, and the export of spans where one is configured. Once a process.
///
/// # Errors
/// When logging was started before, or the exporter's configuration cannot be used.
pub fn start(config: &LogConfig) -> Result<Telemetry, Box<dyn std::error::Error + Send + Sync>> {
    level::begin(&config.filter);
    // What is nearest to the registry comes first, and the log last: it tells of slow statements while it is told of a
    // statement, and nobody behind it may mistake the one for the other.
    let registry = tracing_subscriber::registry();
    #[cfg(feature = "otel")]
    let (exporting, registry) = {
        let exporting = opentelemetry::start(&config.traces)?;
        let layer = exporting.as_ref().map(opentelemetry::Exporting::layer);
        (exporting, registry.with(layer))
    };
    registry.with(log::Log::new(config)).try_init()?;
    #[cfg(not(feature = "otel"))]
    if config.traces.is_wanted {
        tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT is set, but this program was built without the feature `otel`: no span is exported");
    }
    Ok(Telemetry {
        #[cfg(feature = "otel")]
        _exporting: exporting,
    })
}
