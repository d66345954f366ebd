//! What is kept as long as metrics are but has no partitions, because there is little of it: it is deleted in pieces.

use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgPool};

use crate::config::SupervisionConfig;
use crate::db::{DbError, within_deadline};

/// Rows that are deleted at once.
const PIECE: i64 = 5_000;

/// Deletes published usage and changes of edges' health that are past their time; how many rows. The last change of an
/// edge stays however old it is: the edge is so still.
///
/// # Errors
/// When the database fails.
pub async fn forget_old(pool: &PgPool, config: &SupervisionConfig) -> Result<u64, DbError> {
    let keep = PgInterval { months: 0, days: 0, microseconds: i64::try_from(config.metrics_retention.as_micros()).unwrap_or(i64::MAX) };
    let mut deleted = 0;
    loop {
        let piece = within_deadline(pool, "deleting old usage and changes of health", async |connection| forget(connection, &keep).await);
        let piece = piece.await?;
        deleted += piece;
        if piece == 0 {
            return Ok(deleted);
        }
    }
}

async fn forget(connection: &mut PgConnection, keep: &PgInterval) -> Result<u64, sqlx::Error> {
    let usage = sqlx::query!(
        "DELETE FROM ar.published_usage WHERE gid IN (SELECT gid FROM ar.published_usage WHERE hour < now() - $1::interval ORDER BY hour LIMIT $2)",
        keep,
        PIECE
    );
    let usage = usage.execute(&mut *connection).await?.rows_affected();
    let changes = sqlx::query!(
        "DELETE FROM ar.edge_health_changes WHERE gid IN (
             SELECT h.gid FROM ar.edge_health_changes h
             WHERE h.changed_at < now() - $1::interval AND EXISTS (
                 SELECT FROM ar.edge_health_changes later
                 WHERE later.edge_server_id = h.edge_server_id AND (later.changed_at, later.gid) > (h.changed_at, h.gid))
             ORDER BY h.changed_at LIMIT $2)",
        keep,
        PIECE
    );
    Ok(usage + changes.execute(connection).await?.rows_affected())
}
