//! What the service tells of itself: the log of real processes, what they export, and metrics.

mod level;
mod lines;
#[cfg(feature = "otel")]
mod opentelemetry;
mod process;
mod prometheus;
mod secrets;

use process::Process;
