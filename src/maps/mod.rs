//! What maps and GIS tools read: vector tiles, and OGC API – Features.

mod ogc;
mod tiles;

pub(crate) use ogc::pages;
pub(crate) use tiles::{Tiles, heed};

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// The routes of this feature, at the root.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    tiles::routes().merge(ogc::routes())
}
