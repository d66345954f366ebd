//! Instances in the database.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{InstanceFigures, State};
use crate::hub::LEASE;

/// How long an instance that is gone is told of.
const TOLD_OF_S: f64 = 600.0;

/// What an instance says of itself.
pub(super) struct Beat<'a> {
    pub(super) id: Uuid,
    pub(super) host: &'a str,
    pub(super) address: &'a str,
    pub(super) sql_layer: &'a str,
    pub(super) is_stopping: bool,
    pub(super) edge_sockets: usize,
    pub(super) admin_sockets: usize,
}

/// Renews an instance's lease, or puts it in: also after it was lost.
pub(super) async fn beat(executor: impl PgExecutor<'_>, beat: &Beat<'_>) -> Result<(), sqlx::Error> {
    let count = |sockets: usize| i32::try_from(sockets).unwrap_or(i32::MAX);
    sqlx::query!(
        "INSERT INTO ar.instances AS i (id, host, address, version, sql_layer, state, edge_sockets, admin_sockets, lease_until)
         VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN 'stopping' ELSE 'serving' END, $7, $8, now() + make_interval(secs => $9))
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, edge_sockets = excluded.edge_sockets, admin_sockets = excluded.admin_sockets,
             last_seen = now(), lease_until = excluded.lease_until",
        beat.id,
        beat.host,
        beat.address,
        env!("CARGO_PKG_VERSION"),
        beat.sql_layer,
        beat.is_stopping,
        count(beat.edge_sockets),
        count(beat.admin_sockets),
        LEASE.as_secs_f64()
    )
    .execute(executor)
    .await
    .map(|_| ())
}

/// Takes away those that are gone: long ago, or from where this one listens now, which is in their place.
pub(super) async fn forget_gone(executor: impl PgExecutor<'_>, beat: &Beat<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM ar.instances
         WHERE id <> $1 AND lease_until < now() AND (lease_until < now() - make_interval(secs => $4) OR (host = $2 AND address = $3))",
        beat.id,
        beat.host,
        beat.address,
        TOLD_OF_S
    )
    .execute(executor)
    .await
    .map(|_| ())
}

/// Says goodbye.
pub(super) async fn leave(executor: impl PgExecutor<'_>, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM ar.instances WHERE id = $1", id).execute(executor).await.map(|_| ())
}

/// All instances, the oldest first.
pub(crate) async fn all(executor: impl PgExecutor<'_>) -> Result<Vec<InstanceFigures>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT id, host, address, version, state, started_at, last_seen, edge_sockets, admin_sockets, lease_until <= now() AS "is_lost!",
               sql_layer = (SELECT value FROM ar.meta WHERE key = 'sql_layer') AS "fits_schema!"
           FROM ar.instances ORDER BY started_at, id"#
    );
    let figures = rows.fetch_all(executor).await?.into_iter().map(|row| InstanceFigures {
        id: row.id,
        host: row.host,
        address: row.address,
        version: row.version,
        fits_schema: row.fits_schema,
        state: match row.state.as_str() {
            _ if row.is_lost => State::Lost,
            "stopping" => State::Stopping,
            _ => State::Serving,
        },
        started_at: row.started_at,
        last_seen: row.last_seen,
        edge_sockets: row.edge_sockets,
        admin_sockets: row.admin_sockets,
    });
    Ok(figures.collect())
}

/// Instances that are gone without a word: id, and where they were. After an outage of the database all of them have
/// time to be heard again first.
pub(crate) async fn lost(connection: &mut PgConnection) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT i.id, i.host || ' ' || i.address AS "place!" FROM ar.instances i CROSS JOIN ar.supervision w
           WHERE i.lease_until < now() AND w.watched_from < now() - make_interval(secs => $1) ORDER BY i.id"#,
        LEASE.as_secs_f64()
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.id, row.place)).collect())
}
