//! What `doctor` asks and does: how the books stand as a whole, and a new epoch after a backup was restored.

use sqlx::{Connection, PgConnection};

/// How the books stand.
pub(crate) struct Standing {
    /// The margin in force, in metres.
    pub(crate) margin_m: f64,
    /// Edges that are not covered, or not marked, for it.
    pub(crate) uneven: i64,
    /// Pairs of edge and decoration that should be there.
    pub(crate) pairs: i64,
}

/// How they stand now.
pub(crate) async fn standing(connection: &mut PgConnection) -> Result<Standing, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"SELECT m.margin_m AS "margin_m!",
               (SELECT count(*) FROM ar.edge_servers WHERE deleted_at IS NULL AND (covered_margin_m < m.margin_m OR m.marked_m <> m.margin_m)) AS "uneven!",
               (SELECT count(*) FROM ar.decoration_sync WHERE wanted = 'put') AS "pairs!"
           FROM (SELECT max(value::float8) FILTER (WHERE key = 'sync_margin_m') AS margin_m,
                        max(value::float8) FILTER (WHERE key = 'sync_margin_marked_m') AS marked_m
                 FROM ar.meta WHERE key IN ('sync_margin_m', 'sync_margin_marked_m')) AS m"#
    )
    .fetch_one(connection)
    .await
}

/// Begins a new epoch: all numbers that edges know are void, and no session is to go on. (A running service closes those
/// of the old epoch with its next sweep for what is due.)
pub(crate) async fn begin_epoch(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let epoch = sqlx::query_scalar!("UPDATE ar.meta SET value = gen_random_uuid()::text WHERE key = 'epoch' RETURNING value");
    let epoch = epoch.fetch_one(&mut *transaction).await?;
    sqlx::query!(
        "WITH ended AS (DELETE FROM ar.edge_sessions RETURNING edge_server_id)
         SELECT pg_notify('ar', 'edge:' || edge_server_id) FROM ended"
    )
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(epoch)
}
