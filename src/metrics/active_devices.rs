//! Where connected devices are: by edge server and by H3 cell. A cell tells its number only when enough people are in it.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::within_deadline;
use crate::geo::Cell;
use crate::http::{AccessFailures, Admin, ApiError, Nothing, ReadFailures, StrictQuery};
use crate::state::AppState;

/// Distinct users that a cell must have to be told of.
pub(super) const LEAST_USERS: i64 = 10;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(active_devices))
}

/// Connected devices.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ActiveDevices {
    /// All of them.
    pub(crate) total: i64,
    /// By the edge that serves them, most first. Those that no edge serves are the entry whose id is null.
    pub(crate) by_edge: Vec<DevicesOfEdge>,
    /// By H3 cell at resolution 7, most first; only cells with 10 distinct users or more.
    pub(crate) by_cell: Vec<DevicesOfCell>,
    /// Devices in cells that are left out.
    suppressed: i64,
    /// Devices whose position is not known, not yet or no longer.
    unplaced: i64,
}

/// Devices of an edge.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DevicesOfEdge {
    /// The edge; null: none serves them.
    #[schema(required)]
    pub(crate) edge_server_id: Option<Uuid>,
    /// Its name.
    #[schema(required)]
    name: Option<String>,
    /// Devices.
    pub(crate) count: i64,
}

/// Devices in a cell.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DevicesOfCell {
    /// H3 cell at resolution 7.
    #[schema(value_type = String, example = "872834703ffffff")]
    pub(crate) cell: Cell,
    /// Devices.
    pub(crate) count: i64,
}

/// Where connected devices are
///
/// Counted by edge and by H3 cell; at most two seconds old. Cells with fewer than 10 distinct users are left out, and
/// their devices counted in `suppressed`.
#[utoipa::path(get, path = "/metrics/devices/active", operation_id = "count_active_devices", tag = "metrics", security(("bearer" = ["admin"])), responses(
    (status = 200, description = "As of now.", body = ActiveDevices), AccessFailures, ReadFailures,
))]
async fn active_devices(
    State(state): State<AppState>,
    _admin: Admin,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Json<ActiveDevices>, ApiError> {
    let ask = within_deadline(state.db.write(), "counting active devices", count);
    Ok(Json(state.metrics.active_devices.read(ask).await?))
}

/// Counts connected devices, for the answer and for the feed of admins.
pub(crate) async fn count(connection: &mut PgConnection) -> Result<ActiveDevices, sqlx::Error> {
    let by_edge = sqlx::query_as!(
        DevicesOfEdge,
        r#"SELECT d.edge_server_id, e.name AS "name?", d.count AS "count!"
           FROM (SELECT edge_server_id, count(*) FROM ar.device_connections WHERE connection_status = 'connected' GROUP BY edge_server_id) AS d
           LEFT JOIN ar.edge_servers e ON e.id = d.edge_server_id
           ORDER BY d.count DESC, d.edge_server_id"#
    );
    let by_edge = by_edge.fetch_all(&mut *connection).await?;
    // Those of a user in a cell first: hashing twice is quicker than sorting for count(DISTINCT).
    let by_cell = sqlx::query!(
        r#"SELECT CASE WHEN users >= $1 THEN h3_r7 END AS cell, sum(devices)::bigint AS "devices!", h3_r7 IS NULL AS "unplaced!"
           FROM (
               SELECT h3_r7, sum(devices) AS devices, count(user_id) AS users
               FROM (SELECT h3_r7, user_id, count(*) AS devices FROM ar.device_connections WHERE connection_status = 'connected' GROUP BY 1, 2) AS u
               GROUP BY h3_r7
           ) AS c
           GROUP BY 1, 3 ORDER BY 2 DESC, 1"#,
        LEAST_USERS
    );
    let mut answer = ActiveDevices { total: 0, by_edge, by_cell: Vec::new(), suppressed: 0, unplaced: 0 };
    for row in by_cell.fetch_all(connection).await? {
        answer.total += row.devices;
        match row.cell.and_then(|cell| Cell::from_db(cell).ok()) {
            _ if row.unplaced => answer.unplaced += row.devices,
            Some(cell) => answer.by_cell.push(DevicesOfCell { cell, count: row.devices }),
            None => answer.suppressed += row.devices,
        }
    }
    Ok(answer)
}
