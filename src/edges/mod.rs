//! Edge servers: what admins set, the keys they sign in with, their health, and which one is best for a place.

mod coverage;
mod keys;
mod store;

pub use coverage::circle_cells;
pub(crate) use keys::{EdgeIdentity, is_edge_key, verify as verify_key};
pub(crate) use store::SYNC_MARGIN;
pub use store::{NewEdge, add};

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}

/// Starts what goes on by itself; it ends with the service.
pub(crate) fn keep(_state: &AppState) {}
