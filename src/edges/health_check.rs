//! A probe that an admin asks for.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::admin::unknown_edge;
use super::model::Health;
use super::probe::Outcome;
use super::{health, store};
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::http::{AccessFailures, Admin, ApiError, NotFound, Nothing, PathId, Problem, ReadFailures, StrictQuery};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health_check))
}

/// How a probe went.
#[derive(Serialize, ToSchema)]
struct HealthCheck {
    /// How the edge server is now.
    health_status: Health,
    /// Why the probe failed, such as `forbidden_address`, `bad_status` or `timeout`; null when it was good.
    #[schema(required)]
    reason: Option<&'static str>,
    /// Status of the answer, if there was one.
    #[schema(required)]
    status_code: Option<u16>,
    /// How long it took.
    latency_ms: f64,
}

/// Probe an edge server now
///
/// One real request to its `health_check_url`. It counts as the periodic ones do.
#[utoipa::path(post, path = "/edge-servers/{id}/health-check", operation_id = "check_edge_health", tag = "edge servers", security(("bearer" = ["admin"])),
    params(("id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000")),
    responses(
        (status = 200, description = "How it went, good or not.", body = HealthCheck),
        (status = 409, description = "It has no `health_check_url` (`no_health_check_url`).", body = Problem, content_type = "application/problem+json"),
        AccessFailures, ReadFailures, NotFound,
    )
)]
async fn health_check(
    State(state): State<AppState>,
    Admin(caller): Admin,
    id: PathId,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Json<HealthCheck>, ApiError> {
    let id = id.read().ok_or_else(unknown_edge)?;
    let failed = |error| DbError::new("probing an edge server", error);
    let edge = store::by_id(state.db.write(), id).await.map_err(failed)?.ok_or_else(unknown_edge)?;
    let no_url = || ApiError::new(StatusCode::CONFLICT, "no_health_check_url", "the edge server has no health_check_url");
    let url = edge.health_check_url.ok_or_else(no_url)?;
    let work = state.clone();
    let checked = state.finish(async move {
        let probe = work.edges.prober.probe_stored(&url).await;
        let interval = work.supervision.health_interval;
        health::probed(work.db.write(), id, probe.outcome == Outcome::Good, interval).await.map_err(failed)?;
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        let detail = json!({"reason": probe.outcome.reason(), "status_code": probe.status_code});
        let (actor, object) = (Actor::from(&caller), id.to_string());
        audit::record(&mut transaction, &actor, "edge_server.health_check", Some(&object), detail).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        let edge = store::by_id(work.db.write(), id).await.map_err(failed)?.ok_or_else(unknown_edge)?;
        let latency_ms = (probe.latency.as_secs_f64() * 1e6).round() / 1e3;
        Ok(HealthCheck { health_status: edge.health_status, reason: probe.outcome.reason(), status_code: probe.status_code, latency_ms })
    });
    checked.await.map(Json)
}
