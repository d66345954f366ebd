//! What the books should say, found without any of the ways in which the service finds it.

use std::collections::BTreeMap;

use sqlx::PgPool;
use uuid::Uuid;

use crate::support::HoldingEdge;

/// `(edge, decoration, should be there)` of every pair that is not as it should be: every decoration measured against
/// every edge.
pub(crate) async fn wrong_pairs(sql: &PgPool) -> Vec<(Uuid, Uuid, bool)> {
    let compare = "WITH held AS (
            SELECT e.id AS edge, d.id AS decoration
            FROM ar.edge_servers e CROSS JOIN ar.decorations d CROSS JOIN (SELECT value::float8 AS m FROM ar.meta WHERE key = 'sync_margin_m') AS margin
            WHERE e.is_active AND e.deleted_at IS NULL AND d.is_active AND d.deleted_at IS NULL
              AND CASE WHEN e.service_area_given THEN ST_Distance(e.service_area, d.location) <= margin.m
                       ELSE ST_Distance(e.location, d.location) <= e.service_radius_km * 1000 + margin.m END
        ), books AS (
            SELECT edge_server_id AS edge, decoration_id AS decoration FROM ar.decoration_sync WHERE wanted = 'put'
        )
        SELECT edge, decoration, true FROM (TABLE held EXCEPT TABLE books) AS missing
        UNION ALL SELECT edge, decoration, false FROM (TABLE books EXCEPT TABLE held) AS excess";
    sqlx::query_as(compare).fetch_all(sql).await.expect("compares")
}

/// Every pair is as it should be, and no number was given twice.
pub(crate) async fn every_pair_is_right(sql: &PgPool) {
    assert_eq!(wrong_pairs(sql).await, []);
    let twice: i64 =
        sqlx::query_scalar("SELECT count(*) - count(DISTINCT sync_version) FROM ar.decoration_sync").fetch_one(sql).await.expect("counts");
    assert_eq!(twice, 0);
}

/// What is wanted of each pair, and its number.
pub(crate) async fn books(sql: &PgPool) -> BTreeMap<(Uuid, Uuid), (String, i64)> {
    let rows: Vec<(Uuid, Uuid, String, i64)> =
        sqlx::query_as("SELECT edge_server_id, decoration_id, wanted, sync_version FROM ar.decoration_sync")
            .fetch_all(sql)
            .await
            .expect("reads");
    rows.into_iter().map(|(edge, decoration, wanted, number)| ((edge, decoration), (wanted, number))).collect()
}

/// How many decorations an edge should hold by the books.
pub(crate) async fn put_count(sql: &PgPool, edge: Uuid) -> i64 {
    let count = "SELECT count(*) FROM ar.decoration_sync WHERE edge_server_id = $1 AND wanted = 'put'";
    sqlx::query_scalar(count).bind(edge).fetch_one(sql).await.expect("counts")
}

/// Whether an edge holds just what the books want it to.
pub(crate) async fn holds_its_books(sql: &PgPool, edge: &HoldingEdge) -> bool {
    let is_here = |(&(at, decoration), (wanted, number)): (&(Uuid, Uuid), &(String, i64))| {
        (at == edge.edge.id && wanted == "put").then_some((decoration, *number))
    };
    let wanted: BTreeMap<Uuid, i64> = books(sql).await.iter().filter_map(is_here).collect();
    wanted == edge.held().items.iter().map(|(id, (number, _))| (*id, *number)).collect()
}
