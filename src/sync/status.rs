//! How far an edge server is with what it should hold, and why no further.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Digest;
use super::model::{ContentSum, EdgeSync, PairCounts, SyncItem, SyncStatus, Wanted};
use super::routes::unknown_edge;
use crate::db::DbError;
use crate::http::{
    AccessFailures, Admin, ApiError, Cursor, CursorParam, FromQuery, NotFound, PathId, QueryReader, ReadFailures, StrictQuery,
};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(status))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct StatusParams {
    /// Only items that are so far; the counts are of all.
    #[param(inline)]
    status: Option<SyncStatus>,
    /// Most items of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
}

struct StatusQuery {
    status: Option<SyncStatus>,
    limit: i64,
    cursor: Option<Cursor>,
}

impl FromQuery for StatusQuery {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let status = reader.optional_word("status", SyncStatus::WORDS, SyncStatus::from_word);
        let (limit, cursor) = (reader.limit(100, 1000), reader.cursor());
        Some(Self { status: status.ok()?, limit: limit?, cursor: cursor.ok()? })
    }
}

/// How far an edge server is
///
/// Counts, and digests of what it holds and of what it should hold, are of one moment; then its decorations, one by
/// one, with what it said of those that it refused.
#[utoipa::path(get, path = "/sync/status/{edge_server_id}", operation_id = "read_sync_status", tag = "sync", security(("bearer" = ["admin"])),
    params(("edge_server_id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000"), StatusParams, CursorParam),
    responses((status = 200, description = "One page of its decorations, in the order of their ids.", body = EdgeSync), AccessFailures, ReadFailures, NotFound)
)]
async fn status(
    State(state): State<AppState>,
    _admin: Admin,
    id: PathId,
    StrictQuery(query): StrictQuery<StatusQuery>,
) -> Result<Json<EdgeSync>, ApiError> {
    let StatusQuery { status, limit, cursor } = query;
    let scope = format!("sync of {:?} {status:?}", id.read());
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), |position| Uuid::from_slice(position).ok())?;
    let id = id.read().ok_or_else(unknown_edge)?;
    let failed = |error| DbError::new("reading how far an edge server is", error);
    let summary = summary(state.db.write(), id).await.map_err(failed)?.ok_or_else(unknown_edge)?;
    let mut items = items(state.db.write(), id, status, after, limit + 1).await.map_err(failed)?;
    let next_cursor = state.cursor_key.cut_page(&scope, &mut items, limit, |last| last.decoration_id.as_bytes().to_vec());
    let Summary { counts, held, wanted, last_sync_at, resending } = summary;
    Ok(Json(EdgeSync { edge_server_id: id, counts, held, wanted, last_sync_at, resending, items, next_cursor }))
}

/// What is told of an edge server as a whole.
struct Summary {
    counts: PairCounts,
    held: ContentSum,
    wanted: ContentSum,
    last_sync_at: Option<DateTime<Utc>>,
    resending: bool,
}

/// None: there is no such edge server.
async fn summary(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Summary>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT s.pending AS "pending!", s.synced AS "synced!", s.failed AS "failed!", s.outdated AS "outdated!",
               s.held AS "held!", s.held_digest AS "held_digest!", s.wanted AS "wanted!", s.wanted_digest AS "wanted_digest!", s.last_sync_at,
               EXISTS (SELECT FROM ar.sync_resends r WHERE r.edge_server_id = e.id) AS "resending!"
           FROM ar.edge_servers e
           CROSS JOIN LATERAL (
               SELECT count(*) FILTER (WHERE sync_status = 'pending') AS pending, count(*) FILTER (WHERE sync_status = 'synced') AS synced,
                   count(*) FILTER (WHERE sync_status = 'failed') AS failed, count(*) FILTER (WHERE sync_status = 'outdated') AS outdated,
                   count(synced_version) AS held, coalesce(bit_xor(held_digest), 0) AS held_digest,
                   count(*) FILTER (WHERE wanted = 'put') AS wanted,
                   -- What is held as it should be has its part of the digest stored: that spares most of the hashes.
                   coalesce(bit_xor(CASE WHEN synced_version = sync_version THEN held_digest ELSE ar.sync_digest(decoration_id, sync_version) END)
                       FILTER (WHERE wanted = 'put'), 0) AS wanted_digest,
                   max(last_sync_at) AS last_sync_at
               FROM ar.decoration_sync WHERE edge_server_id = $1
           ) AS s
           WHERE e.id = $1 AND e.deleted_at IS NULL"#,
        id
    );
    let row = row.fetch_optional(executor).await?;
    Ok(row.map(|row| Summary {
        counts: PairCounts { pending: row.pending, synced: row.synced, failed: row.failed, outdated: row.outdated },
        held: ContentSum::of(row.held, Digest::from_db(row.held_digest)),
        wanted: ContentSum::of(row.wanted, Digest::from_db(row.wanted_digest)),
        last_sync_at: row.last_sync_at,
        resending: row.resending,
    }))
}

/// An edge server's decorations, in the order of their ids.
async fn items(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    status: Option<SyncStatus>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<SyncItem>, sqlx::Error> {
    sqlx::query_as!(
        SyncItem,
        r#"SELECT decoration_id, wanted AS "wanted: Wanted", sync_status AS "sync_status: SyncStatus", sync_version, synced_version,
               attempts, next_attempt_at, last_sync_at, error_message
           FROM ar.decoration_sync
           WHERE edge_server_id = $1 AND ($2::text IS NULL OR sync_status = $2) AND ($3::uuid IS NULL OR decoration_id > $3)
           ORDER BY decoration_id LIMIT $4"#,
        id,
        status.map(SyncStatus::as_str),
        after,
        limit
    )
    .fetch_all(executor)
    .await
}
