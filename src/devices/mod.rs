//! Devices: where phones are, which edge server serves them, and how long they are remembered.

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// Where devices are: what is on its way to the database.
pub struct Devices {}

impl Devices {
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
