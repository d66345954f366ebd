//! Creating, replacing, deleting and restoring one decoration.
//!
//! Every write holds the areas of edges as they are, locks the row, asks for the version its author has seen, and
//! leaves in one transaction: the row one version higher, its cells, what edges must learn of it, and who did it.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::unknown_decoration;
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::decorations::content::{Content, ContentBody, READ_ONLY};
use crate::decorations::model::AdminDecoration;
use crate::decorations::{store, write};
use crate::geo::ensure_outlines;
use crate::http::{
    AccessFailures, Admin, ApiError, BodyFailures, Claim, IdempotencyKey, IfMatch, IfNoneMatch, JsonBody, NotFound, Nothing, PathId,
    Problem, ReadFailures, StrictQuery, Tags, claim, etag, keep, key_reused, precondition_required, version_mismatch,
};
use crate::state::AppState;
use crate::sync::{hold_areas, mark_for_edges};

/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(read, replace, delete)).routes(routes!(restore)).routes(routes!(resend))
}

/// A decoration with its tag.
fn tagged(status: StatusCode, decoration: &AdminDecoration) -> Response {
    let mut response = (status, Json(decoration)).into_response();
    response.headers_mut().insert(header::ETAG, etag(decoration.decoration.version));
    response
}

/// 409 when an external id is taken.
fn external_id_taken_or(doing: &'static str) -> impl Fn(sqlx::Error) -> ApiError {
    move |error| {
        if error.as_database_error().is_some_and(|error| error.constraint() == Some("decorations_external_id_key")) {
            let detail = "another decoration has this external_id; it may be a deleted one: GET /api/v1/decorations?deleted=true";
            return ApiError::new(StatusCode::CONFLICT, "external_id_taken", detail);
        }
        DbError::new(doing, error).into()
    }
}

/// What every write of one decoration ends with; gives it as it is now.
async fn conclude(
    connection: &mut PgConnection,
    actor: &Actor,
    action: &'static str,
    id: Uuid,
    before: Option<&AdminDecoration>,
) -> Result<AdminDecoration, sqlx::Error> {
    mark_for_edges(connection, &[id]).await?;
    let after = store::for_admins(&mut *connection, id).await?.ok_or(sqlx::Error::RowNotFound)?;
    let mut detail = json!({"version": after.decoration.version});
    if let Some(before) = before {
        detail["changed"] = changed(before, &after).into();
    }
    audit::record(connection, actor, action, Some(&id.to_string()), detail).await?;
    Ok(after)
}

/// Names of the members that a write changed, but for those that every write does.
fn changed(before: &AdminDecoration, after: &AdminDecoration) -> Vec<String> {
    let [before, after] = [before, after].map(|decoration| serde_json::to_value(decoration).unwrap_or_default());
    let members = after.as_object().into_iter().flatten();
    let differ = members.filter(|(name, value)| !["version", "updated_at", "h3"].contains(&name.as_str()) && before[*name] != **value);
    differ.map(|(name, _)| name.clone()).collect()
}

async fn draw(connection: &mut PgConnection, content: &Content) -> Result<(), sqlx::Error> {
    ensure_outlines(connection, &write::drawn_cells(content.position).collect::<HashSet<_>>()).await
}

/// Create a decoration
///
/// With an `Idempotency-Key`, the same request within 24 hours is not done again and gets the first answer, marked
/// `Idempotency-Replayed: true`.
#[utoipa::path(post, path = "/decorations", operation_id = "create_decoration", tag = "decorations", security(("bearer" = ["admin"])), request_body = ContentBody,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, description = "Any text of 1 to 255 characters, new for each new request.")),
    responses(
        (status = 201, description = "The decoration.", body = AdminDecoration, headers(
            ("ETag" = String, description = "The version, in quotes."), ("Location" = String, description = "Its address."),
            ("Idempotency-Replayed" = Option<String>, description = "`true` when it was done before."))),
        (status = 409, description = "Another decoration has this `external_id` (`external_id_taken`).", body = Problem, content_type = "application/problem+json"),
        AccessFailures, ReadFailures, BodyFailures,
    )
)]
async fn create(State(state): State<AppState>, Admin(caller): Admin, key: IdempotencyKey, body: JsonBody) -> Result<Response, ApiError> {
    let key = key.read()?;
    let bytes = body.bytes.clone();
    let content = body.read(|reader| Content::read(reader, state.content.cdn_base_url.as_ref()))?;
    let (work, user_id) = (state.clone(), caller.user_id());
    let created = state.finish(async move {
        let failed = |error| DbError::new("creating a decoration", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        hold_areas(&mut transaction).await.map_err(failed)?;
        if let Some(key) = &key {
            match claim(&mut transaction, user_id, key, &bytes).await.map_err(failed)? {
                Claim::First => {}
                Claim::Done(status, body) => return Ok((status, body, true)),
                Claim::Other => return Err(key_reused()),
            }
        }
        let id = Uuid::now_v7();
        let inserted = write::insert(&mut transaction, &[(id, &content)], Some(user_id)).await;
        inserted.map_err(external_id_taken_or("creating a decoration"))?;
        draw(&mut transaction, &content).await.map_err(failed)?;
        let actor = Actor::from(&caller);
        let decoration = conclude(&mut transaction, &actor, "decoration.create", id, None).await.map_err(failed)?;
        let body = serde_json::to_string(&decoration).map_err(|error| {
            tracing::error!(%error, "a decoration cannot be written as JSON");
            ApiError::internal()
        })?;
        if let Some(key) = &key {
            keep(&mut transaction, user_id, key, StatusCode::CREATED, &body).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok((StatusCode::CREATED, body, false))
    });
    let (status, body, replayed) = created.await?;
    Ok(created_answer(status, body, replayed))
}

/// The answer to a creation, the first time and again: its address is read off its body, and its version is the first.
fn created_answer(status: StatusCode, body: String, replayed: bool) -> Response {
    let id = serde_json::from_str::<Value>(&body).ok().and_then(|body| body["id"].as_str().map(str::to_owned)).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag(1));
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/decorations/{id}")) {
        headers.insert(header::LOCATION, location);
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// One decoration
///
/// As admins see it, with its version as `ETag`. A deleted one is not found.
#[utoipa::path(get, path = "/decorations/{id}", operation_id = "read_decoration", tag = "decorations", security(("bearer" = ["admin"])),
    params(
        ("id" = Uuid, Path, description = "The decoration.", example = "01890000-0000-7000-8000-000000000000"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that the client has."),
    ),
    responses(
        (status = 200, description = "The decoration.", body = AdminDecoration, headers(("ETag" = String, description = "The version, in quotes."))),
        (status = 304, description = "The client has this version.", headers(("ETag" = String, description = "The version, in quotes."))),
        AccessFailures, ReadFailures, NotFound,
    )
)]
async fn read(
    State(state): State<AppState>,
    _admin: Admin,
    id: PathId,
    if_none_match: IfNoneMatch,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Response, ApiError> {
    let id = id.read().ok_or_else(unknown_decoration)?;
    let found = store::for_admins(state.db.write(), id).await.map_err(|error| DbError::new("reading a decoration", error))?;
    let found = found.filter(|found| found.deleted_at.is_none()).ok_or_else(unknown_decoration)?;
    let version = found.decoration.version;
    if if_none_match.matches(version) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag(version))]).into_response());
    }
    Ok(tagged(StatusCode::OK, &found))
}

/// The decoration under a lock, when it is there and is the version that was asked for.
async fn lock(connection: &mut PgConnection, id: Uuid, condition: Option<&Tags>) -> Result<AdminDecoration, ApiError> {
    let found = store::lock_for_admins(connection, id).await.map_err(|error| DbError::new("locking a decoration", error))?;
    let found = found.filter(|found| found.deleted_at.is_none()).ok_or_else(unknown_decoration)?;
    match condition {
        Some(tags) if !tags.allow(found.decoration.version) => Err(version_mismatch(&found)),
        _ => Ok(found),
    }
}

/// Replace a decoration
///
/// The whole of it: what is left out gets its default. Members that the service decides itself (`id`, `version`,
/// `h3`, `created_by`, `created_at`, `updated_at`, `deleted_at`) are accepted and ignored.
#[utoipa::path(put, path = "/decorations/{id}", operation_id = "replace_decoration", tag = "decorations", security(("bearer" = ["admin"])), request_body = ContentBody,
    params(
        ("id" = Uuid, Path, description = "The decoration.", example = "01890000-0000-7000-8000-000000000000"),
        ("If-Match" = String, Header, description = "The `ETag` of the version to be replaced, or `*` for whatever is there.", example = "*"),
    ),
    responses(
        (status = 200, description = "The decoration as it is now, one version higher.", body = AdminDecoration, headers(("ETag" = String, description = "The version, in quotes."))),
        (status = 409, description = "Another decoration has this `external_id` (`external_id_taken`).", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It was changed meanwhile (`version_mismatch`); `current` is what is there now.", body = Problem, content_type = "application/problem+json"),
        (status = 428, description = "`If-Match` is missing (`precondition_required`).", body = Problem, content_type = "application/problem+json"),
        AccessFailures, ReadFailures, BodyFailures, NotFound,
    )
)]
async fn replace(
    State(state): State<AppState>,
    Admin(caller): Admin,
    id: PathId,
    if_match: IfMatch,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let condition = if_match.read()?;
    let content = body.read(|reader| {
        reader.ignore(&["id"]);
        reader.ignore(&READ_ONLY);
        Content::read(reader, state.content.cdn_base_url.as_ref())
    })?;
    let id = id.read().ok_or_else(unknown_decoration)?;
    let work = state.clone();
    let replaced = state.finish(async move {
        let failed = |error| DbError::new("replacing a decoration", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        hold_areas(&mut transaction).await.map_err(failed)?;
        let before = lock(&mut transaction, id, condition.as_ref()).await?;
        if condition.is_none() {
            return Err(precondition_required());
        }
        let updated = write::update(&mut transaction, &[(id, &content)]).await;
        updated.map_err(external_id_taken_or("replacing a decoration"))?;
        draw(&mut transaction, &content).await.map_err(failed)?;
        let after = conclude(&mut transaction, &Actor::from(&caller), "decoration.replace", id, Some(&before)).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(after)
    });
    Ok(tagged(StatusCode::OK, &replaced.await?))
}

/// Delete a decoration
///
/// Edges are told to remove it. It is gone from every read but `GET /decorations?deleted=true`, and can be restored.
#[utoipa::path(delete, path = "/decorations/{id}", operation_id = "delete_decoration", tag = "decorations", security(("bearer" = ["admin"])),
    params(
        ("id" = Uuid, Path, description = "The decoration.", example = "01890000-0000-7000-8000-000000000000"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version to be deleted; without it, whatever is there."),
    ),
    responses(
        (status = 204, description = "It is deleted."),
        (status = 412, description = "It was changed meanwhile (`version_mismatch`); `current` is what is there now.", body = Problem, content_type = "application/problem+json"),
        AccessFailures, ReadFailures, NotFound,
    )
)]
async fn delete(
    State(state): State<AppState>,
    Admin(caller): Admin,
    id: PathId,
    if_match: IfMatch,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<StatusCode, ApiError> {
    let condition = if_match.read()?;
    let id = id.read().ok_or_else(unknown_decoration)?;
    let work = state.clone();
    let deleted = state.finish(async move {
        let failed = |error| DbError::new("deleting a decoration", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        hold_areas(&mut transaction).await.map_err(failed)?;
        lock(&mut transaction, id, condition.as_ref()).await?;
        let delete =
            sqlx::query!("UPDATE ar.decorations SET deleted_at = now(), updated_at = now(), version = version + 1 WHERE id = $1", id);
        delete.execute(&mut *transaction).await.map_err(failed)?;
        conclude(&mut transaction, &Actor::from(&caller), "decoration.delete", id, None).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(())
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restore a deleted decoration
///
/// As it was, one version higher.
#[utoipa::path(post, path = "/decorations/{id}/restore", operation_id = "restore_decoration", tag = "decorations", security(("bearer" = ["admin"])),
    params(("id" = Uuid, Path, description = "The decoration.", example = "01890000-0000-7000-8000-000000000000")),
    responses(
        (status = 200, description = "The decoration as it is now.", body = AdminDecoration, headers(("ETag" = String, description = "The version, in quotes."))),
        (status = 409, description = "It is not deleted (`not_deleted`).", body = Problem, content_type = "application/problem+json"),
        AccessFailures, ReadFailures, NotFound,
    )
)]
async fn restore(
    State(state): State<AppState>,
    Admin(caller): Admin,
    id: PathId,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Response, ApiError> {
    let id = id.read().ok_or_else(unknown_decoration)?;
    let work = state.clone();
    let restored = state.finish(async move {
        let failed = |error| DbError::new("restoring a decoration", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        hold_areas(&mut transaction).await.map_err(failed)?;
        let before = store::lock_for_admins(&mut transaction, id).await.map_err(failed)?.ok_or_else(unknown_decoration)?;
        if before.deleted_at.is_none() {
            return Err(ApiError::new(StatusCode::CONFLICT, "not_deleted", "the decoration is not deleted"));
        }
        let restore =
            sqlx::query!("UPDATE ar.decorations SET deleted_at = NULL, updated_at = now(), version = version + 1 WHERE id = $1", id);
        restore.execute(&mut *transaction).await.map_err(failed)?;
        let after = conclude(&mut transaction, &Actor::from(&caller), "decoration.restore", id, None).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(after)
    });
    Ok(tagged(StatusCode::OK, &restored.await?))
}

/// Who is sent a decoration anew.
#[derive(Serialize, ToSchema)]
struct Resent {
    /// The decoration.
    decoration_id: Uuid,
    /// The edge servers that get it, or are told once more to remove it.
    edge_server_ids: Vec<Uuid>,
}

/// Send a decoration to edges anew
///
/// To all that should hold it, and to those that have not acknowledged its removal yet.
#[utoipa::path(post, path = "/decorations/{id}/sync", operation_id = "resend_decoration", tag = "decorations", security(("bearer" = ["admin"])),
    params(("id" = Uuid, Path, description = "The decoration.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 202, description = "It is on its way.", body = Resent), AccessFailures, ReadFailures, NotFound)
)]
async fn resend(
    State(state): State<AppState>,
    Admin(caller): Admin,
    id: PathId,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Response, ApiError> {
    let id = id.read().ok_or_else(unknown_decoration)?;
    let work = state.clone();
    let resent = state.finish(async move {
        let failed = |error| DbError::new("sending a decoration anew", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        hold_areas(&mut transaction).await.map_err(failed)?;
        lock(&mut transaction, id, None).await?;
        let edge_server_ids = mark_for_edges(&mut transaction, &[id]).await.map_err(failed)?;
        let detail = json!({"edge_servers": edge_server_ids.len()});
        audit::record(&mut transaction, &Actor::from(&caller), "decoration.sync", Some(&id.to_string()), detail).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(edge_server_ids)
    });
    let body = Resent { decoration_id: id, edge_server_ids: resent.await? };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}
