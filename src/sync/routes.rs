//! Sending anew and pushing, in the hands of admins.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgExecutor;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::model::{Resend, Triggered};
use super::{resend, status};
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::http::{AccessFailures, Admin, ApiError, NotFound, Nothing, PathId, ReadFailures, StrictQuery};
use crate::state::AppState;

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(resend_all)).routes(routes!(resend_edge)).routes(routes!(trigger)).merge(status::routes())
}

pub(super) fn unknown_edge() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_edge_server", "no edge server has that id")
}

async fn edge_exists(executor: impl PgExecutor<'_>, id: Uuid) -> Result<bool, sqlx::Error> {
    let exists =
        sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM ar.edge_servers WHERE id = $1 AND deleted_at IS NULL) AS "exists!""#, id);
    exists.fetch_one(executor).await
}

/// Send everything to all edge servers anew
///
/// Every decoration of every edge server gets a new number, so that it is sent again; also those that failed, and
/// removals that are not acknowledged. The answer comes once that is noted for good; it is done in the background,
/// edge by edge in pieces, and goes on after a crash. `resending` of an edge server's sync status says whether it is
/// under way there.
#[utoipa::path(post, path = "/sync/decorations/all", operation_id = "resend_all", tag = "sync", security(("bearer" = ["admin"])),
    responses((status = 202, description = "It is noted.", body = Resend), AccessFailures, ReadFailures)
)]
async fn resend_all(
    State(state): State<AppState>,
    Admin(caller): Admin,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<(StatusCode, Json<Resend>), ApiError> {
    let work = state.clone();
    let noted = state.finish(async move {
        let failed = |error| DbError::new("sending everything anew", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        let noted = resend::note_all(&mut transaction).await.map_err(failed)?;
        let detail = json!({"edge_servers": noted.edge_servers, "decorations": noted.decorations});
        audit::record(&mut transaction, &Actor::from(&caller), "edge_server.sync_all", None, detail).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        work.sync.resends.notify_one();
        Ok(noted)
    });
    Ok((StatusCode::ACCEPTED, Json(noted.await?)))
}

/// Send everything to an edge server anew
///
/// Every decoration of it gets a new number, so that it is sent again; also those that failed, and removals that are
/// not acknowledged. When the answer comes, the first of them are due; for a large edge the others follow in the
/// background (`resending` of its sync status).
#[utoipa::path(post, path = "/sync/decorations/edge/{edge_id}", operation_id = "resend_edge", tag = "sync", security(("bearer" = ["admin"])),
    params(("edge_id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 202, description = "It is on its way.", body = Resend), AccessFailures, ReadFailures, NotFound)
)]
async fn resend_edge(
    State(state): State<AppState>,
    Admin(caller): Admin,
    id: PathId,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<(StatusCode, Json<Resend>), ApiError> {
    let id = id.read().ok_or_else(unknown_edge)?;
    let work = state.clone();
    let noted = state.finish(async move {
        let failed = |error| DbError::new("sending everything to an edge server anew", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        let decorations = resend::note(&mut transaction, id).await.map_err(failed)?.ok_or_else(unknown_edge)?;
        let is_done = resend::renew_piece(&mut transaction, id, Uuid::nil()).await.map_err(failed)?;
        let detail = json!({"decorations": decorations});
        let (actor, subject) = (Actor::from(&caller), id.to_string());
        audit::record(&mut transaction, &actor, "edge_server.sync", Some(&subject), detail).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        if !is_done {
            work.sync.resends.notify_one();
        }
        Ok(Resend { edge_servers: 1, decorations, is_estimate: false })
    });
    Ok((StatusCode::ACCEPTED, Json(noted.await?)))
}

/// Push what is due
///
/// What failed is due again, with as many tries as at first, and what waits after a refusal need not wait. Numbers
/// stay: what the edge server has, it does not get again.
#[utoipa::path(post, path = "/sync/trigger/{edge_server_id}", operation_id = "trigger_sync", tag = "sync", security(("bearer" = ["admin"])),
    params(("edge_server_id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 202, description = "It is on its way, if the edge server is connected.", body = Triggered), AccessFailures, ReadFailures, NotFound)
)]
async fn trigger(
    State(state): State<AppState>,
    Admin(caller): Admin,
    id: PathId,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<(StatusCode, Json<Triggered>), ApiError> {
    let id = id.read().ok_or_else(unknown_edge)?;
    let work = state.clone();
    let pushed = state.finish(async move {
        let failed = |error| DbError::new("pushing what is due", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        if !edge_exists(&mut *transaction, id).await.map_err(failed)? {
            return Err(unknown_edge());
        }
        let mut after = resend::retry_piece(&mut transaction, id, Uuid::nil()).await.map_err(failed)?;
        let (actor, subject) = (Actor::from(&caller), id.to_string());
        audit::record(&mut transaction, &actor, "edge_server.trigger_sync", Some(&subject), json!({})).await.map_err(failed)?;
        // Each piece by itself, so that none holds the rows of many.
        while let Some(last) = after {
            transaction.commit().await.map_err(failed)?;
            transaction = work.db.write().begin().await.map_err(failed)?;
            after = resend::retry_piece(&mut transaction, id, last).await.map_err(failed)?;
        }
        // Counted before the commit: an edge that is quick may have it all right after.
        let pending = resend::due(&mut *transaction, id).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Triggered { pending })
    });
    Ok((StatusCode::ACCEPTED, Json(pushed.await?)))
}
