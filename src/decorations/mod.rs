//! Decorations: what phones find (`discovery`), what admins make of them (`admin`), and how they come in and out
//! by the thousand (`import`, `export`).

mod admin;
mod content;
mod counts;
mod discovery;
pub mod export;
pub mod import;
mod model;
mod store;
mod write;

pub use content::Content;
pub use counts::{fold_counts, keep_counts_folded};
pub(crate) use store::shown;

pub use model::{AdminDecoration, AssetType, Decoration, H3, Lod, NearbyDecoration};

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    discovery::routes().merge(admin::routes())
}
