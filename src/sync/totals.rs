//! How far all edges are, in figures that are cheap to ask for again and again: the whole table is not read once it is
//! large.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

/// Pairs of edge and decoration by status. The first three are counted up to a million each.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SyncFigures {
    /// Never delivered.
    pub(crate) pending: i64,
    /// An older state is held.
    pub(crate) outdated: i64,
    /// Refused too often.
    pub(crate) failed: i64,
    /// Acknowledged.
    pub(crate) synced: i64,
    /// True: there are so many pairs that `synced` is the planner's estimate.
    pub(crate) synced_is_estimate: bool,
}

/// All pairs: what is due and what failed by partial indexes, what is synchronised by the planner's statistics once the
/// table is large.
pub(crate) async fn figures(executor: impl PgExecutor<'_>) -> Result<SyncFigures, sqlx::Error> {
    sqlx::query_as!(
        SyncFigures,
        r#"WITH due AS (
               SELECT count(*) FILTER (WHERE sync_status = 'pending') AS pending, count(*) FILTER (WHERE sync_status = 'outdated') AS outdated
               FROM (SELECT sync_status FROM ar.decoration_sync WHERE sync_status IN ('pending', 'outdated') LIMIT 1000000) AS s
           ), failed AS (
               SELECT count(*) AS failed FROM (SELECT FROM ar.decoration_sync WHERE sync_status = 'failed' LIMIT 1000000) AS s
           ), pairs AS (
               SELECT pg_relation_size(oid) > 128 * 1024 * 1024 AS many, reltuples::bigint AS estimate FROM pg_class WHERE oid = 'ar.decoration_sync'::regclass
           )
           SELECT pending AS "pending!", outdated AS "outdated!", failed AS "failed!",
               CASE WHEN many THEN greatest(0, estimate - pending - outdated - failed)
                    ELSE (SELECT count(*) FROM ar.decoration_sync WHERE sync_status = 'synced') END AS "synced!",
               many AS "synced_is_estimate!"
           FROM due, failed, pairs"#
    )
    .fetch_one(executor)
    .await
}

/// Age of the oldest change that is not delivered, in seconds, of each connected edge that has one.
///
/// One look into the index of what is due for each: numbers rise with time, so the lowest is the oldest, but for the
/// length of a transaction, and for a snapshot, which waits from its beginning and keeps its numbers.
pub(crate) async fn lags(executor: impl PgExecutor<'_>) -> Result<BTreeMap<Uuid, f64>, sqlx::Error> {
    let lags = sqlx::query!(
        r#"SELECT s.edge_server_id, lag.lag_s AS "lag_s!" FROM ar.edge_sessions s
           CROSS JOIN LATERAL (
               SELECT extract(epoch FROM now() - d.wanted_at)::float8 AS lag_s FROM ar.decoration_sync d
               WHERE d.edge_server_id = s.edge_server_id AND d.sync_status IN ('pending', 'outdated') ORDER BY d.sync_version LIMIT 1
           ) AS lag
           WHERE s.lease_until > now()"#
    );
    Ok(lags.fetch_all(executor).await?.into_iter().map(|row| (row.edge_server_id, row.lag_s)).collect())
}

/// What waits for a connected edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) edge_server_id: Uuid,
    /// Decorations that wait to be delivered, up to 100,000.
    pub(crate) due: i64,
    /// Age of the oldest of them; 0 when there is none.
    pub(crate) lag_s: f64,
}

/// What waits, for every edge that is connected.
pub(crate) async fn waiting(executor: impl PgExecutor<'_>) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_as!(
        Waiting,
        r#"SELECT s.edge_server_id, due.count AS "due!", coalesce(extract(epoch FROM now() - oldest.wanted_at)::float8, 0) AS "lag_s!"
           FROM ar.edge_sessions s
           CROSS JOIN LATERAL (
               SELECT count(*) FROM (
                   SELECT FROM ar.decoration_sync d WHERE d.edge_server_id = s.edge_server_id AND d.sync_status IN ('pending', 'outdated') LIMIT 100000
               ) AS d
           ) AS due
           LEFT JOIN LATERAL (
               SELECT d.wanted_at FROM ar.decoration_sync d
               WHERE d.edge_server_id = s.edge_server_id AND d.sync_status IN ('pending', 'outdated') ORDER BY d.sync_version LIMIT 1
           ) AS oldest ON true
           WHERE s.lease_until > now()"#
    )
    .fetch_all(executor)
    .await
}
