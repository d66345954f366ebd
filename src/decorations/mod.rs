//! Decorations: what phones find (`discovery`), and how they come in (`import`).
mod content;
mod counts;
mod discovery;
pub mod import;
mod model;
mod store;

pub use content::Content;
pub use counts::{fold_counts, keep_counts_folded};
pub use model::{AssetType, Decoration, Lod, NearbyDecoration};

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    discovery::routes()
}
