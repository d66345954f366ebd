//! Devices in the database: how their positions are written, locked and read. Callers own the transaction.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use geo_types::Point;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::location_writer::LocationUpdate;
use super::model::{ConnectionStatus, DeviceRow, EdgeLink};
use super::places::Leaving;
use super::presence::Seen;
use crate::geo::{Cells, Geog, LatLng, Metres};

/// A device after its position was written.
pub(super) struct WrittenRow {
    pub(super) device: DeviceRow,
    recorded_at: Option<DateTime<Utc>>,
    h3_r7: Option<i64>,
    /// The edge that it has, and why it is not the first choice.
    pub(super) edge: Option<EdgeLink>,
    pub(super) edge_reason: Option<String>,
    /// Whether an edge is to be chosen now.
    pub(super) choose: bool,
}

impl WrittenRow {
    /// Whether what is stored was recorded later than what came; what came without a time was recorded when it came.
    pub(super) fn is_newer_than(&self, recorded_at: Option<DateTime<Utc>>) -> bool {
        self.recorded_at > Some(recorded_at.unwrap_or(self.device.last_ping))
    }

    /// Who was seen where.
    pub(super) fn presence(&self) -> Option<Seen> {
        Some(Seen::at(self.device.last_ping, self.h3_r7?, self.device.user_id?))
    }
}

/// Devices by status: one pass over their table.
pub(crate) async fn count_by_status(connection: &mut PgConnection) -> Result<[(&'static str, i64); 3], sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE connection_status = 'connected') AS "connected!",
               count(*) FILTER (WHERE connection_status = 'disconnected') AS "disconnected!",
               count(*) FILTER (WHERE connection_status = 'error') AS "error!"
           FROM ar.device_connections"#
    );
    let row = row.fetch_one(connection).await?;
    let counts = [
        (ConnectionStatus::Connected, row.connected),
        (ConnectionStatus::Disconnected, row.disconnected),
        (ConnectionStatus::Error, row.error),
    ];
    Ok(counts.map(|(status, count)| (status.as_str(), count)))
}

/// Writes positions of different devices, given in the order of their ids; those that another user is connected with
/// are left out of the answer.
///
/// What a device said before stays when it is newer: then this is only a sign of life. A device that comes back, or
/// is another user's now, begins anew. An edge is to be chosen when it has none and none was looked for lately, when
/// its edge is not fit or does not cover it, when it is in another cell than last time or that was long ago, and when
/// it was moved without being told.
pub(super) async fn write_locations(
    connection: &mut PgConnection,
    updates: &[LocationUpdate],
) -> Result<HashMap<String, WrittenRow>, sqlx::Error> {
    let cells: Vec<Cells> = updates.iter().map(|update| Cells::of(update.position)).collect();
    let rows = sqlx::query!(
        r#"WITH written AS (
               INSERT INTO ar.device_connections AS d
                   (device_id, user_id, position, accuracy_meters, recorded_at, cell_centre, h3_r7, h3_r9, app_version, device_info, positioned_at)
               SELECT g.device_id, g.user_id, g.position, g.accuracy_meters, least(coalesce(g.recorded_at, now()), now()),
                   g.cell_centre, g.h3_r7, g.h3_r9, g.app_version, g.device_info, now()
               FROM unnest($1::text[], $2::uuid[], $3::geography[], $4::float8[], $5::timestamptz[], $6::geography[], $7::bigint[], $8::bigint[],
                   $9::text[], $10::jsonb[])
                   AS g(device_id, user_id, position, accuracy_meters, recorded_at, cell_centre, h3_r7, h3_r9, app_version, device_info)
               ON CONFLICT (device_id) DO UPDATE SET
                   id = CASE WHEN d.user_id = excluded.user_id THEN d.id ELSE excluded.id END,
                   user_id = excluded.user_id,
                   position = CASE WHEN d.user_id = excluded.user_id AND d.recorded_at > excluded.recorded_at THEN d.position ELSE excluded.position END,
                   positioned_at = CASE WHEN d.user_id = excluded.user_id AND d.recorded_at > excluded.recorded_at THEN d.positioned_at ELSE now() END,
                   accuracy_meters = CASE WHEN d.user_id = excluded.user_id AND d.recorded_at > excluded.recorded_at THEN d.accuracy_meters ELSE excluded.accuracy_meters END,
                   recorded_at = CASE WHEN d.user_id = excluded.user_id AND d.recorded_at > excluded.recorded_at THEN d.recorded_at ELSE excluded.recorded_at END,
                   cell_centre = CASE WHEN d.user_id = excluded.user_id AND d.recorded_at > excluded.recorded_at THEN d.cell_centre ELSE excluded.cell_centre END,
                   h3_r7 = CASE WHEN d.user_id = excluded.user_id AND d.recorded_at > excluded.recorded_at THEN d.h3_r7 ELSE excluded.h3_r7 END,
                   h3_r9 = CASE WHEN d.user_id = excluded.user_id AND d.recorded_at > excluded.recorded_at THEN d.h3_r9 ELSE excluded.h3_r9 END,
                   app_version = CASE
                       WHEN d.user_id IS DISTINCT FROM excluded.user_id THEN excluded.app_version
                       WHEN d.recorded_at > excluded.recorded_at THEN d.app_version
                       ELSE coalesce(excluded.app_version, d.app_version) END,
                   device_info = CASE
                       WHEN d.user_id IS DISTINCT FROM excluded.user_id THEN excluded.device_info
                       WHEN d.recorded_at > excluded.recorded_at THEN d.device_info
                       ELSE coalesce(excluded.device_info, d.device_info) END,
                   last_ping = now(),
                   connected_at = CASE WHEN d.user_id = excluded.user_id AND d.connection_status <> 'disconnected' THEN d.connected_at ELSE now() END,
                   edge_chosen_at = CASE WHEN d.user_id = excluded.user_id AND d.connection_status <> 'disconnected' THEN d.edge_chosen_at END,
                   connection_status = 'connected'
               WHERE d.user_id = excluded.user_id OR d.user_id IS NULL OR d.connection_status = 'disconnected'
               RETURNING d.*
           )
           SELECT w.device_id AS "device_id!", w.user_id, w.edge_server_id, w.position, w.accuracy_meters, w.h3_r9, w.h3_r7, w.recorded_at,
               w.connection_status AS "connection_status!: ConnectionStatus", w.connected_at AS "connected_at!", w.last_ping AS "last_ping!",
               w.app_version, w.device_info, w.edge_reason,
               e.api_url AS "api_url?", e.websocket_url AS "websocket_url?",
               CASE
                   WHEN w.edge_chosen_at IS NULL OR w.handed_over OR w.edge_chosen_cell IS DISTINCT FROM w.h3_r9 THEN true
                   WHEN w.edge_server_id IS NULL THEN w.edge_chosen_at <= now() - interval '5 s'
                   WHEN w.edge_chosen_at <= now() - interval '30 s' THEN true
                   WHEN NOT e.is_active OR e.deleted_at IS NOT NULL OR e.draining OR e.health_status = 'offline' THEN true
                   WHEN e.service_area_given THEN NOT ST_Covers(e.service_area, w.position)
                   ELSE NOT ST_DWithin(e.location, w.position, e.service_radius_km * 1000)
               END AS "choose!"
           FROM written w LEFT JOIN ar.edge_servers e ON e.id = w.edge_server_id"#,
        &updates.iter().map(|update| update.device_id.clone()).collect::<Vec<_>>(),
        &updates.iter().map(|update| update.user_id).collect::<Vec<_>>(),
        &updates.iter().map(|update| Geog(Point::from(update.position))).collect::<Vec<_>>() as _,
        &updates.iter().map(|update| update.accuracy_meters).collect::<Vec<_>>() as _,
        &updates.iter().map(|update| update.recorded_at).collect::<Vec<_>>() as _,
        &cells.iter().map(|cells| Geog(Point::from(cells.r9.centre()))).collect::<Vec<_>>() as _,
        &cells.iter().map(|cells| cells.r7.to_db()).collect::<Vec<_>>(),
        &cells.iter().map(|cells| cells.r9.to_db()).collect::<Vec<_>>(),
        &updates.iter().map(|update| update.app_version.clone()).collect::<Vec<_>>() as _,
        &updates.iter().map(|update| update.device_info.clone()).collect::<Vec<_>>() as _
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let edge = row.edge_server_id.zip(row.api_url).zip(row.websocket_url);
        let written = WrittenRow {
            recorded_at: row.recorded_at,
            h3_r7: row.h3_r7,
            edge: edge.map(|((id, api_url), websocket_url)| EdgeLink { id, api_url, websocket_url }),
            edge_reason: row.edge_reason,
            choose: row.choose,
            device: DeviceRow {
                device_id: row.device_id,
                user_id: row.user_id,
                edge_server_id: row.edge_server_id,
                position: row.position,
                accuracy_meters: row.accuracy_meters,
                h3_r9: row.h3_r9,
                connection_status: row.connection_status,
                connected_at: row.connected_at,
                last_ping: row.last_ping,
                app_version: row.app_version,
                device_info: row.device_info,
            },
        };
        (written.device.device_id.clone(), written)
    });
    Ok(rows.collect())
}

/// Locks devices in the order of their ids; those that are still there and connected.
pub(super) async fn lock_connected(connection: &mut PgConnection, device_ids: &[String]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT device_id FROM ar.device_connections WHERE device_id = ANY($1) AND connection_status <> 'disconnected'
           ORDER BY device_id COLLATE "C" FOR NO KEY UPDATE"#,
        device_ids
    )
    .fetch_all(connection)
    .await
}

/// Locks a device that is to be deleted, if it is `user_id`'s or anybody's; whose it is.
pub(super) async fn lock_for_delete(
    executor: impl PgExecutor<'_>,
    device_id: &str,
    user_id: Option<Uuid>,
) -> Result<Option<(Option<Uuid>, Leaving)>, sqlx::Error> {
    let found = sqlx::query!(
        "SELECT device_id, user_id, edge_server_id FROM ar.device_connections WHERE device_id = $1 AND ($2::uuid IS NULL OR user_id = $2) FOR UPDATE",
        device_id,
        user_id
    );
    let found = found.fetch_optional(executor).await?;
    Ok(found.map(|found| (found.user_id, Leaving { device_id: found.device_id, edge_server_id: found.edge_server_id })))
}

/// Deletes a device that has left its edge.
pub(super) async fn delete(executor: impl PgExecutor<'_>, device_id: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM ar.device_connections WHERE device_id = $1", device_id).execute(executor).await.map(|_| ())
}

/// Whether there is such an edge server.
pub(super) async fn edge_exists(executor: impl PgExecutor<'_>, edge_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM ar.edge_servers WHERE id = $1 AND deleted_at IS NULL) AS "exists!""#, edge_id)
        .fetch_one(executor)
        .await
}

/// A statement that gives devices, from what stands behind their columns; gives sqlx's query of `DeviceRow`. One text
/// of the columns for all, so that they cannot drift apart.
macro_rules! select_devices {
    ($after:literal, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            DeviceRow,
            r#"SELECT device_id, user_id, edge_server_id, position, accuracy_meters, h3_r9,
                   connection_status AS "connection_status: ConnectionStatus", connected_at, last_ping, app_version, device_info
               FROM ar.device_connections "# + $after,
            $($argument),*
        )
    };
}

/// A device, if it is `user_id`'s or anybody's.
pub(super) async fn device(
    executor: impl PgExecutor<'_>,
    device_id: &str,
    user_id: Option<Uuid>,
) -> Result<Option<DeviceRow>, sqlx::Error> {
    select_devices!("WHERE device_id = $1 AND ($2::uuid IS NULL OR user_id = $2)", device_id, user_id).fetch_optional(executor).await
}

/// What a list of devices is narrowed to.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    pub(super) user_id: Option<Uuid>,
    pub(super) edge_server_id: Option<Uuid>,
    pub(super) status: Option<ConnectionStatus>,
    pub(super) near: Option<(LatLng, Metres)>,
}

/// Distance of a position from the centre of its r9 cell, at most; and then some, because cells are made on a sphere.
const CELL_SLACK_M: f64 = 300.0;

/// A page of devices in the order of their ids.
pub(super) async fn list(
    executor: impl PgExecutor<'_>,
    filters: &Filters,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<DeviceRow>, sqlx::Error> {
    let status = filters.status.map(ConnectionStatus::as_str);
    let Some((place, radius)) = filters.near else {
        return select_devices!(
            "WHERE ($1::uuid IS NULL OR user_id = $1) AND ($2::uuid IS NULL OR edge_server_id = $2)
               AND ($3::text IS NULL OR connection_status = $3) AND ($4::text IS NULL OR device_id > $4)
             ORDER BY device_id LIMIT $5",
            filters.user_id,
            filters.edge_server_id,
            status,
            after,
            limit
        )
        .fetch_all(executor)
        .await;
    };
    // Gathered first: in the order of the ids, the planner would rather read the whole table than sort a few. The
    // position itself has no index, on purpose; the centre of its cell has.
    select_devices!(
        "WHERE device_id IN (
             SELECT near.device_id FROM (
                 SELECT n.device_id FROM ar.device_connections n
                 WHERE ST_DWithin(n.cell_centre, $6, $7 + $8::float8) AND ST_DWithin(n.position, $6, $7)
                   AND ($1::uuid IS NULL OR n.user_id = $1) AND ($2::uuid IS NULL OR n.edge_server_id = $2)
                   AND ($3::text IS NULL OR n.connection_status = $3) AND ($4::text IS NULL OR n.device_id > $4)
                 OFFSET 0
             ) AS near ORDER BY near.device_id LIMIT $5)
         ORDER BY device_id",
        filters.user_id,
        filters.edge_server_id,
        status,
        after,
        limit,
        Geog(Point::from(place)) as _,
        radius.0,
        CELL_SLACK_M
    )
    .fetch_all(executor)
    .await
}
