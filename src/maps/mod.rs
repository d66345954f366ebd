//! What maps are drawn from: vector tiles.

mod tiles;

pub(crate) use tiles::{Tiles, heed};

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// The routes of this feature, at the root.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    tiles::routes()
}
