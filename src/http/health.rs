//! Whether the process lives and whether it can serve: two questions of an orchestrator.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ApiError, Nothing, Problem, StrictQuery};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

/// State of the service.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `live` or `ready`.
    status: &'static str,
}

/// Whether the process runs
///
/// 200 as long as it does; it asks nothing of the database.
#[utoipa::path(get, path = "/health/live", tag = "health", security(()), responses(
    (status = 200, description = "It runs.", body = Health),
    (status = 400, description = "It takes no parameters.", body = Problem, content_type = "application/problem+json"),
))]
async fn live(StrictQuery(Nothing): StrictQuery<Nothing>) -> Json<Health> {
    Json(Health { status: "live" })
}

/// Whether requests can be served
///
/// 200 when the schema is in place, the database answers within a second and the service is not stopping.
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()), responses(
    (status = 200, description = "It can serve.", body = Health),
    (status = 400, description = "It takes no parameters.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Not now: starting, stopping, or without its database.", body = Problem, content_type = "application/problem+json"),
))]
async fn ready(State(state): State<AppState>, StrictQuery(Nothing): StrictQuery<Nothing>) -> Result<Json<Health>, ApiError> {
    if state.lifecycle.is_leaving() {
        return Err(ApiError::unavailable("stopping", "the service is stopping"));
    }
    if !state.lifecycle.is_started() {
        return Err(ApiError::unavailable("starting", "the database is not there yet, or its schema is being made"));
    }
    state.db.answers().await?;
    Ok(Json(Health { status: "ready" }))
}
