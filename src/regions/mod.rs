//! Regions: countries, their divisions, and areas that admins drew.

mod admin;
mod feature;
mod routes;
mod store;

pub use store::{Kind, NewRegion, put_all};
pub(crate) use store::{Meaning, resolve};

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    routes::routes().merge(admin::routes())
}
