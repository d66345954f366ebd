//! Metrics: samples over time, how often decorations were answered, who was where in numbers that tell of nobody.

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// What is counted in memory until it is written.
pub struct Metrics {}

impl Metrics {
    /// Nothing yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {}
    }
}

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}

/// Starts what goes on by itself; it ends with the service.
pub(crate) fn keep(_state: &AppState) {}
