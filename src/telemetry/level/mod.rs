//! The log level at run time. What is in force in this process stands here: each instance's own `LOG_LEVEL`, or what an
//! admin asked for all of them, for a while. That is a row of `ar.log_level` (`store`), which `keeping` takes over from
//! the database, by its clock; `routes` is how it gets there.

mod filter;
mod keeping;
mod routes;
mod store;

use std::sync::{OnceLock, PoisonError, RwLock};

use tracing::Metadata;
use tracing::level_filters::LevelFilter;

pub use filter::{BadLogFilter, LogFilter};
pub(crate) use keeping::{LogLevel, heed, keep};
pub(crate) use routes::{routes, set_by_command_line};

/// Of a process, as its log is.
struct InForce {
    default: LogFilter,
    now: RwLock<LogFilter>,
}

static IN_FORCE: OnceLock<InForce> = OnceLock::new();

/// Begins with a process's own filter.
pub(super) fn begin(default: &LogFilter) {
    IN_FORCE.get_or_init(|| InForce { default: default.clone(), now: RwLock::new(default.clone()) });
}

/// Whether an event is written. Asked once for each place in the source, until the filter changes.
pub(super) fn lets_through(metadata: &Metadata<'_>) -> bool {
    IN_FORCE.get().is_some_and(|level| level.now.read().unwrap_or_else(PoisonError::into_inner).lets_through(metadata))
}

/// No event beyond this level is written.
pub(super) fn most_verbose() -> LevelFilter {
    IN_FORCE.get().map_or(LevelFilter::OFF, |level| level.now.read().unwrap_or_else(PoisonError::into_inner).most_verbose())
}

/// This process's own filter; `info` where there is no log, as in tests.
fn default_filter() -> &'static str {
    IN_FORCE.get().map_or("info", |level| level.default.as_str())
}

/// Puts a filter into force, or this process's own.
fn switch(to: Option<LogFilter>) {
    let Some(level) = IN_FORCE.get() else { return };
    let to = to.unwrap_or_else(|| level.default.clone());
    let before = {
        let mut now = level.now.write().unwrap_or_else(PoisonError::into_inner);
        if now.as_str() == to.as_str() {
            return;
        }
        std::mem::replace(&mut *now, to.clone())
    };
    // Each place in the source asks anew whether it is let through.
    tracing::callsite::rebuild_interest_cache();
    tracing::info!(filter = to.as_str(), before = before.as_str(), "log lines are filtered by {} from now on", to.as_str());
}
