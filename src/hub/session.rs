//! Sessions of edges in the database: who holds an edge's socket, by a lease on the database's clock. A session's
//! generation fences what older ones still say.
//!
//! **Order of locks**: rows of `edge_servers` in the order of their ids, then rows of `edge_sessions` likewise; rows of
//! `edge_load` come last of all.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::registry::EdgeHandle;
use crate::edges;

/// How long a session counts as live after it was last renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// A session that was just claimed.
pub(super) struct Claimed {
    pub(super) generation: i64,
    pub(super) epoch: String,
    pub(super) server_time: DateTime<Utc>,
    /// When the edge may go, if it drains.
    pub(super) drain_deadline: Option<DateTime<Utc>>,
}

/// Makes a socket the one of its edge, and tells all instances; none when the key is void meanwhile, or the edge gone.
/// The edge reads the list of its devices anew, so what it was to be told before is dropped.
pub(super) async fn claim(
    connection: &mut PgConnection,
    edge_id: Uuid,
    key_id: Uuid,
    session_id: Uuid,
    instance_id: Uuid,
) -> Result<Option<Claimed>, sqlx::Error> {
    let claimed = sqlx::query_as!(
        Claimed,
        r#"WITH edge AS (
               UPDATE ar.edge_servers e SET socket_lost = false FROM ar.edge_keys k
               WHERE e.id = $1 AND e.deleted_at IS NULL AND k.id = $2 AND (k.expires_at IS NULL OR k.expires_at > now())
               RETURNING e.id, e.drain_deadline
           ), session AS (
               INSERT INTO ar.edge_sessions AS s (edge_server_id, key_id, session_id, instance_id, generation, lease_until)
               SELECT id, $2, $3, $4, nextval('ar.edge_session_generation_seq'), now() + make_interval(secs => $5) FROM edge
               ON CONFLICT (edge_server_id) DO UPDATE SET key_id = excluded.key_id, session_id = excluded.session_id,
                   instance_id = excluded.instance_id, generation = excluded.generation, connected_at = now(), lease_until = excluded.lease_until
               RETURNING s.edge_server_id, s.generation
           ), stale AS (
               DELETE FROM ar.edge_device_notices n USING edge WHERE n.edge_server_id = edge.id
           )
           SELECT session.generation, (SELECT value FROM ar.meta WHERE key = 'epoch') AS "epoch!", now() AS "server_time!", edge.drain_deadline
           FROM session CROSS JOIN edge"#,
        edge_id,
        key_id,
        session_id,
        instance_id,
        LEASE.as_secs_f64()
    );
    let claimed = claimed.fetch_optional(&mut *connection).await?;
    if claimed.is_some() {
        edges::announce(connection, edge_id).await?;
    }
    Ok(claimed)
}

/// Renews the leases of sockets that are open; the sessions that are to live. One whose row is gone, because a lease ran
/// out while the database was away, is put in again. The others were taken over, or their key is void, or their edge is
/// gone.
pub(super) async fn renew(connection: &mut PgConnection, instance_id: Uuid, handles: &[Arc<EdgeHandle>]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "INSERT INTO ar.edge_sessions AS s (edge_server_id, key_id, session_id, instance_id, generation, lease_until)
         SELECT h.edge_id, h.key_id, h.session_id, $5, h.generation, now() + make_interval(secs => $6)
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[]) AS h(edge_id, key_id, session_id, generation)
         JOIN ar.edge_keys k ON k.id = h.key_id AND (k.expires_at IS NULL OR k.expires_at > now())
         JOIN ar.edge_servers e ON e.id = h.edge_id AND e.deleted_at IS NULL
         ORDER BY h.edge_id
         ON CONFLICT (edge_server_id) DO UPDATE SET lease_until = excluded.lease_until WHERE s.session_id = excluded.session_id
         RETURNING s.session_id",
        &handles.iter().map(|handle| handle.edge_id).collect::<Vec<_>>(),
        &handles.iter().map(|handle| handle.key_id).collect::<Vec<_>>(),
        &handles.iter().map(|handle| handle.session_id).collect::<Vec<_>>(),
        &handles.iter().map(|handle| handle.generation).collect::<Vec<_>>(),
        instance_id,
        LEASE.as_secs_f64()
    )
    .fetch_all(connection)
    .await
}

/// What there is to know of an edge's session.
pub(super) struct Standing {
    pub(super) edge_server_id: Uuid,
    /// Who holds the edge's socket; none: nobody.
    pub(super) session_id: Option<Uuid>,
    /// When the edge may go, if it drains.
    pub(super) drain_deadline: Option<DateTime<Utc>>,
}

/// The sessions of edges whose sockets these are. An edge that is gone, or whose key is void, is left out.
pub(super) async fn standings(connection: &mut PgConnection, handles: &[Arc<EdgeHandle>]) -> Result<Vec<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"SELECT e.id AS edge_server_id, s.session_id AS "session_id?", e.drain_deadline
           FROM unnest($1::uuid[], $2::uuid[]) AS h(edge_id, key_id)
           JOIN ar.edge_servers e ON e.id = h.edge_id AND e.deleted_at IS NULL
           JOIN ar.edge_keys k ON k.id = h.key_id AND (k.expires_at IS NULL OR k.expires_at > now())
           LEFT JOIN ar.edge_sessions s ON s.edge_server_id = e.id"#,
        &handles.iter().map(|handle| handle.edge_id).collect::<Vec<_>>(),
        &handles.iter().map(|handle| handle.key_id).collect::<Vec<_>>()
    )
    .fetch_all(connection)
    .await
}

/// Ends a session. An edge that went, and was not sent away by us, is degraded at once.
pub(super) async fn end(connection: &mut PgConnection, edge_id: Uuid, session_id: Uuid, went: bool) -> Result<(), sqlx::Error> {
    sqlx::query!(
        // The edge's row first, as everywhere.
        r#"WITH edge AS MATERIALIZED (
               SELECT id FROM ar.edge_servers WHERE id = $1 FOR NO KEY UPDATE
           ), ended AS (
               DELETE FROM ar.edge_sessions s USING edge WHERE s.edge_server_id = edge.id AND s.session_id = $2 RETURNING s.edge_server_id
           ), lost AS (
               UPDATE ar.edge_servers e SET socket_lost = true,
                   health_status = CASE WHEN health_status = 'healthy' THEN 'degraded' ELSE health_status END,
                   health_reason = CASE WHEN health_status = 'healthy' THEN 'socket_lost' ELSE health_reason END, good_beats = 0
               FROM ended WHERE e.id = ended.edge_server_id AND $3
           )
           SELECT pg_notify('ar', 'edge:' || edge_server_id) FROM ended"#,
        edge_id,
        session_id,
        went
    )
    .fetch_all(connection)
    .await
    .map(|_| ())
}

/// What an edge is to be told of a device.
pub(super) struct DeviceNotice {
    pub(super) number: i64,
    pub(super) edge_server_id: Uuid,
    pub(super) device_id: String,
    pub(super) assigned: bool,
}

/// Notices that an edge gets at once: fewer than its outbox holds.
pub(super) const NOTICES_OF_AN_EDGE: i64 = 100;
/// Notices of a round.
const NOTICES_OF_A_ROUND: i64 = 5_000;

/// What the edges of this instance are to be told, in order: a little for each, and nothing for those that are behind
/// with what they were told before.
pub(super) async fn device_notices(
    connection: &mut PgConnection,
    instance_id: Uuid,
    behind: &[Uuid],
) -> Result<Vec<DeviceNotice>, sqlx::Error> {
    sqlx::query_as!(
        DeviceNotice,
        // By edge, so that what one of them has waiting is not read to find the first of it.
        r#"SELECT n.number AS "number!", n.edge_server_id AS "edge_server_id!", n.device_id AS "device_id!", n.assigned AS "assigned!"
           FROM ar.edge_sessions s CROSS JOIN LATERAL (
               SELECT w.number, w.edge_server_id, w.device_id, w.assigned FROM ar.edge_device_notices w
               WHERE w.edge_server_id = s.edge_server_id ORDER BY w.number LIMIT $3
           ) AS n
           WHERE s.instance_id = $1 AND s.edge_server_id <> ALL ($2)
           ORDER BY n.number LIMIT $4"#,
        instance_id,
        behind,
        NOTICES_OF_AN_EDGE,
        NOTICES_OF_A_ROUND
    )
    .fetch_all(connection)
    .await
}

/// Throws away what was told. Should this fail, edges are told again, which changes nothing.
pub(super) async fn forget_device_notices(connection: &mut PgConnection, numbers: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM ar.edge_device_notices WHERE number = ANY ($1)", numbers).execute(connection).await.map(|_| ())
}
