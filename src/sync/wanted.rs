//! What edges should hold: marked in the transaction that changes a decoration.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::edges::SYNC_MARGIN;

/// Decorations of one transaction that instances are told of one by one.
const MAX_TOLD: usize = 100;

/// Marks what edges must learn of decorations that were written: who should hold one gets it, in its state as of
/// now, and who holds one and should not is to remove it. The decorations must be locked, so that numbers rise
/// with their states. Gives the edges concerned.
pub(crate) async fn mark_for_edges(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut edges = sqlx::query_scalar!(
        r#"WITH held AS MATERIALIZED (
               SELECT edge_server_id, decoration_id FROM gis.edges_holding($1, $2)
           ), put AS (
               INSERT INTO ar.decoration_sync AS s (edge_server_id, decoration_id, sync_status)
               SELECT edge_server_id, decoration_id, 'pending' FROM held ORDER BY decoration_id, edge_server_id
               ON CONFLICT (edge_server_id, decoration_id) DO UPDATE SET wanted = 'put', sync_version = nextval('ar.sync_version_seq'),
                   sync_status = CASE WHEN s.synced_version IS NULL THEN 'pending' ELSE 'outdated' END,
                   attempts = 0, next_attempt_at = NULL, error_message = NULL, wanted_at = now()
               RETURNING s.edge_server_id
           ), removed AS (
               UPDATE ar.decoration_sync s SET wanted = 'remove', sync_version = nextval('ar.sync_version_seq'),
                   sync_status = CASE WHEN s.synced_version IS NULL THEN 'pending' ELSE 'outdated' END,
                   attempts = 0, next_attempt_at = NULL, error_message = NULL, wanted_at = now()
               FROM unnest($1) AS asked(id)
               WHERE s.decoration_id = asked.id AND (s.wanted = 'put' OR s.sync_status <> 'synced')
                 AND NOT EXISTS (SELECT FROM held h WHERE h.edge_server_id = s.edge_server_id AND h.decoration_id = s.decoration_id)
                 AND EXISTS (SELECT FROM ar.edge_servers e WHERE e.id = s.edge_server_id AND e.deleted_at IS NULL)
               RETURNING s.edge_server_id
           )
           SELECT edge_server_id AS "edge_server_id!" FROM put UNION SELECT edge_server_id FROM removed"#,
        ids,
        SYNC_MARGIN.0
    )
    .fetch_all(&mut *connection)
    .await?;
    edges.sort_unstable();
    // One by one as long as they are few; then only that there were many.
    let told: &[Uuid] = if ids.len() <= MAX_TOLD { ids } else { &[Uuid::nil()] };
    sqlx::query!("SELECT pg_notify('ar', 'decoration:' || id) FROM unnest($1::uuid[]) AS id", told).fetch_all(connection).await?;
    Ok(edges)
}
