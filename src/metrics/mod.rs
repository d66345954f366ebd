//! Metrics: samples over time (`history`), how often decorations were answered (`usage`), who was where in numbers that
//! tell of nobody (`density`), and usage in such numbers (`usage_publication`).
//!
//! What requests leave is counted in memory and written by the batch; all that goes on by itself is in `background`.
//! What is done by one instance at a time takes its turn by an advisory lock that is tried, never waited for.

mod active_devices;
mod background;
mod density;
mod edge_history;
pub(crate) mod history;
mod load_distribution;
mod memo;
mod partitions;
mod range;
mod retention;
mod sampling;
mod store;
mod system;
mod top_decorations;
mod usage;
mod usage_publication;

use std::time::Instant;

use utoipa_axum::router::OpenApiRouter;

pub(crate) use active_devices::count as count_active_devices;
pub(crate) use background::keep;
pub use density::publish_density;
pub use partitions::keep_partitions;
pub use retention::forget_old;
pub use sampling::sample_system;
pub use usage::Usage;
pub use usage_publication::publish_usage;

use crate::state::AppState;

/// What is counted in memory until it is written, and what was read a moment ago.
pub struct Metrics {
    /// How often decorations were answered.
    pub usage: Usage,
    figures: memo::Memo<system::Figures>,
    active_devices: memo::Memo<active_devices::ActiveDevices>,
    started: Instant,
}

impl Metrics {
    /// Nothing yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { usage: Usage::new(), figures: memo::Memo::new(), active_devices: memo::Memo::new(), started: Instant::now() }
    }
}

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    edge_history::routes()
        .merge(system::routes())
        .merge(active_devices::routes())
        .merge(load_distribution::routes())
        .merge(top_decorations::routes())
}
