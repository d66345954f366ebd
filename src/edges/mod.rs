//! Edge servers: what admins set, the keys they sign in with, their health, and which one is best for a place.

mod admin;
mod background;
mod best;
mod content;
mod coverage;
mod egress;
mod health;
mod health_check;
mod keys;
mod model;
mod probe;
mod reach;
mod status;
mod store;

pub(crate) use background::keep;
pub use coverage::{area_cells, circle_cells};
pub(crate) use health::{Beat, beat, samples};
pub(crate) use keys::{EdgeIdentity, is_edge_key, verify as verify_key};
pub use model::Health;
pub(crate) use reach::{Covered, Uneven, cover_anew, ids, uneven};
pub(crate) use store::announce;
pub use store::{NewEdge, add};

use utoipa_axum::router::OpenApiRouter;

use crate::config::SupervisionConfig;
use crate::state::AppState;

/// Dials edge servers from our side, where policy allows it.
pub struct Edges {
    prober: probe::Prober,
}

impl Edges {
    /// By the rules of the configuration.
    #[must_use]
    pub(crate) fn new(config: &SupervisionConfig) -> Self {
        Self { prober: probe::Prober::new(config) }
    }
}

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    admin::routes().merge(status::routes()).merge(best::routes()).merge(health_check::routes())
}
