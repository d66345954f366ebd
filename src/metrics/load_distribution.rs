//! How evenly devices are spread over the edge servers.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::DbError;
use crate::http::{AccessFailures, Admin, ApiError, Nothing, ReadFailures, StrictQuery};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(load_distribution))
}

/// How evenly devices are spread.
#[derive(Serialize, ToSchema)]
struct LoadDistribution {
    /// Active edges, the fullest first.
    items: Vec<LoadItem>,
    /// Mean of their loads; 0 without edges.
    mean_load: f64,
    /// Standard deviation of the loads (of all edges, not of a sample) divided by their mean: 0 when all are equally
    /// full, or empty; 1 when they differ by as much as they are full.
    imbalance: f64,
}

/// An edge and how full it is.
#[derive(Serialize, ToSchema)]
struct LoadItem {
    /// The edge.
    edge_server_id: Uuid,
    /// Its name.
    name: String,
    /// Devices assigned to it.
    current_connections: i32,
    /// Most devices it takes.
    max_connections: i32,
    /// The greater of what is assigned and what it reports, divided by the most it takes; may exceed 1.
    load: f64,
    /// `healthy`, `degraded`, `offline` or `unknown`.
    #[schema(example = "healthy")]
    health_status: String,
}

/// How evenly devices are spread over edge servers
#[utoipa::path(get, path = "/metrics/load-distribution", operation_id = "read_load_distribution", tag = "metrics", security(("bearer" = ["admin"])), responses(
    (status = 200, description = "All active edges.", body = LoadDistribution), AccessFailures, ReadFailures,
))]
async fn load_distribution(
    State(state): State<AppState>,
    _admin: Admin,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Json<LoadDistribution>, ApiError> {
    let items = sqlx::query_as!(
        LoadItem,
        r#"SELECT id AS "edge_server_id!", name AS "name!", current_connections AS "current_connections!", max_connections AS "max_connections!",
               load AS "load!", health_status AS "health_status!"
           FROM gis.edges ORDER BY load DESC, id"#
    );
    let items = items.fetch_all(state.db.write()).await.map_err(|error| DbError::new("reading the loads of edges", error))?;
    let loads: Vec<f64> = items.iter().map(|item| item.load).collect();
    let (mean_load, imbalance) = spread(&loads);
    Ok(Json(LoadDistribution { items, mean_load, imbalance }))
}

/// Mean, and standard deviation divided by it.
fn spread(loads: &[f64]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^53 edges")]
    let count = loads.len().max(1) as f64;
    let mean = loads.iter().sum::<f64>() / count;
    if mean == 0.0 {
        return (0.0, 0.0);
    }
    let variance = loads.iter().map(|load| (load - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt() / mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&[], 0.0, 0.0)]
    #[case(&[0.0, 0.0], 0.0, 0.0)]
    #[case(&[0.5, 0.5, 0.5], 0.5, 0.0)]
    #[case(&[1.0, 0.0], 0.5, 1.0)]
    #[case(&[0.25, 0.75], 0.5, 0.5)]
    fn imbalance_is_the_deviation_by_the_mean(#[case] loads: &[f64], #[case] mean: f64, #[case] imbalance: f64) {
        assert_eq!(spread(loads), (mean, imbalance));
    }
}
