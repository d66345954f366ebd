//! What the service tells of itself, read off real processes: their log, and what they export.

mod level;
mod lines;
#[cfg(feature = "otel")]
mod opentelemetry;
mod process;
mod secrets;

use process::Process;
