//! Edge servers in the hands of admins: registered, changed, given new keys, drained, removed.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use geo_types::MultiPolygon;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::content::{Content, ContentBody, READ_ONLY};
use super::keys;
use super::model::{Area, EdgeServer, Health};
use super::reach::{Covered, Reach};
use super::store::{self, Filters};
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::geo::Metres;
use crate::http::{
    AccessFailures, Admin, ApiError, BodyFailures, Cursor, CursorParam, FromQuery, IfMatch, IfNoneMatch, JsonBody, NotFound, Nothing, Page,
    PathId, Problem, QueryReader, ReadFailures, StrictQuery, Tags, TimePosition, etag, precondition_required, version_mismatch,
};
use crate::input::Faults;
use crate::state::AppState;
use crate::sync;

/// How long after a drain began devices may still come by: they hear of their new edge with their next position.
const DRAIN_MARGIN_S: f64 = 60.0;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, replace, delete))
        .routes(routes!(rotate_key))
        .routes(routes!(drain, end_drain))
}

pub(super) fn unknown_edge() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_edge_server", "no edge server has that id")
}

fn tagged(status: StatusCode, edge: &EdgeServer) -> Response {
    let mut response = (status, Json(edge)).into_response();
    response.headers_mut().insert(header::ETAG, etag(edge.version));
    response
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct ListParams {
    /// Only those with this label, whatever its case.
    #[param(min_length = 1, max_length = 100, example = "eu-central")]
    region: Option<String>,
    /// Only those that are so.
    #[param(inline)]
    health_status: Option<Health>,
    /// Most items of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
}

struct List {
    filters: Filters,
    limit: i64,
    cursor: Option<Cursor>,
}

impl FromQuery for List {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let region = reader.optional_text("region", 100);
        let health = reader.optional_word("health_status", Health::WORDS, Health::from_word);
        let limit = reader.limit(100, 1000);
        let cursor = reader.cursor();
        Some(Self { filters: Filters { region: region.ok()?, health: health.ok()? }, limit: limit?, cursor: cursor.ok()? })
    }
}

/// All edge servers
#[utoipa::path(get, path = "/edge-servers", operation_id = "list_edge_servers", tag = "edge servers", security(("bearer" = ["admin"])), params(ListParams, CursorParam), responses(
    (status = 200, description = "One page, newest first.", body = Page<EdgeServer>), AccessFailures, ReadFailures,
))]
async fn list(
    State(state): State<AppState>,
    _admin: Admin,
    StrictQuery(query): StrictQuery<List>,
) -> Result<Json<Page<EdgeServer>>, ApiError> {
    let List { filters, limit, cursor } = query;
    let scope = format!("edge servers {filters:?}");
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), TimePosition::read)?;
    let listed = store::list(state.db.write(), &filters, after, limit + 1).await;
    let mut items = listed.map_err(|error| DbError::new("listing edge servers", error))?;
    let next_cursor = state.cursor_key.cut_page(&scope, &mut items, limit, |last| TimePosition::write(last.created_at, last.id));
    Ok(Json(Page { items, next_cursor }))
}

/// A new edge server with the key that it signs in with.
#[derive(Serialize, ToSchema)]
struct Registered {
    #[serde(flatten)]
    edge: EdgeServer,
    /// Shown this once.
    #[schema(example = "ek_01890000-0000-7000-8000-000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    edge_key: String,
}

/// Refuses a drawn area that crosses itself, or is otherwise not a clean one: nothing is repaired in silence.
async fn check_area(state: &AppState, content: &Content) -> Result<(), ApiError> {
    let Some(area) = &content.service_area else { return Ok(()) };
    let fault = store::fault_of(state.db.write(), area).await.map_err(|error| DbError::new("checking a service area", error))?;
    let Some(reason) = fault else { return Ok(()) };
    let mut faults = Faults::default();
    faults.out_of_domain("service_area", "invalid_polygon", format!("is not a valid area: {reason}"));
    Err(faults.into())
}

/// The cells that a reach covers: too much work for the threads that serve sockets.
async fn covered(reach: Reach, margin: Metres) -> Result<Covered, ApiError> {
    let covering = tokio::task::spawn_blocking(move || reach.cover(margin)).await;
    covering.map_err(|error| {
        tracing::error!(%error, "covering a service area broke off");
        ApiError::internal()
    })
}

/// Register an edge server
///
/// The answer has its key, which is not shown again.
#[utoipa::path(post, path = "/edge-servers", operation_id = "create_edge_server", tag = "edge servers", security(("bearer" = ["admin"])), request_body = ContentBody,
    responses(
        (status = 201, description = "The edge server and its key.", body = Registered, headers(
            ("ETag" = String, description = "The version, in quotes."), ("Location" = String, description = "Its address."))),
        AccessFailures, ReadFailures, BodyFailures,
    )
)]
async fn create(State(state): State<AppState>, Admin(caller): Admin, body: JsonBody) -> Result<Response, ApiError> {
    let content = body.read(|reader| Content::read(reader, state.edges.prober.egress()))?;
    let work = state.clone();
    let created = state.finish(async move {
        let failed = |error| DbError::new("registering an edge server", error);
        check_area(&work, &content).await?;
        loop {
            let margin = sync::margin(work.db.write()).await.map_err(failed)?;
            let covered = covered(Reach::of(&content), margin).await?;
            let mut transaction = work.db.write().begin().await.map_err(failed)?;
            if sync::change_areas(&mut transaction).await.map_err(failed)? != margin {
                // Another one came into force meanwhile.
                continue;
            }
            let id = store::insert(&mut transaction, &content, &covered).await.map_err(failed)?;
            let edge_key = keys::rotate(&mut transaction, id, false).await.map_err(failed)?;
            let detail = json!({"name": content.name});
            let edge = conclude(&mut transaction, &Actor::from(&caller), "edge_server.create", id, detail).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            return Ok(Registered { edge, edge_key });
        }
    });
    let created = created.await?;
    let (location, tag) = (format!("/api/v1/edge-servers/{}", created.edge.id), etag(created.edge.version));
    let mut response = (StatusCode::CREATED, Json(created)).into_response();
    response.headers_mut().insert(header::ETAG, tag);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// What every change of one edge server ends with; gives it as it is now.
async fn conclude(
    connection: &mut PgConnection,
    actor: &Actor,
    action: &'static str,
    id: Uuid,
    detail: Value,
) -> Result<EdgeServer, sqlx::Error> {
    audit::record(connection, actor, action, Some(&id.to_string()), detail).await?;
    store::announce(connection, id).await?;
    store::by_id(connection, id).await?.ok_or(sqlx::Error::RowNotFound)
}

/// One edge server
#[utoipa::path(get, path = "/edge-servers/{id}", operation_id = "read_edge_server", tag = "edge servers", security(("bearer" = ["admin"])),
    params(
        ("id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the version the client has."),
    ),
    responses(
        (status = 200, description = "The edge server.", body = EdgeServer, headers(("ETag" = String, description = "The version, in quotes. It does not change with load and health."))),
        (status = 304, description = "No admin changed it."),
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
    let id = id.read().ok_or_else(unknown_edge)?;
    let found = store::by_id(state.db.write(), id).await.map_err(|error| DbError::new("reading an edge server", error))?;
    let edge = found.ok_or_else(unknown_edge)?;
    if if_none_match.matches(edge.version) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag(edge.version))]).into_response());
    }
    Ok(tagged(StatusCode::OK, &edge))
}

/// The edge server under a lock, when it is there and is the version that was asked for.
async fn lock(connection: &mut PgConnection, id: Uuid, condition: Option<&Tags>) -> Result<EdgeServer, ApiError> {
    let found = store::lock(connection, id).await.map_err(|error| DbError::new("locking an edge server", error))?;
    let edge = found.ok_or_else(unknown_edge)?;
    match condition {
        Some(tags) if !tags.allow(edge.version) => Err(version_mismatch(&edge)),
        _ => Ok(edge),
    }
}

/// The cells of an edge server that is to reach elsewhere than it does, or to serve again or no more.
async fn moved(state: &AppState, seen: &EdgeServer, content: &Content) -> Result<Option<Covered>, ApiError> {
    let reach = Reach::of(content);
    if reach.is_that_of(seen) && seen.is_active == content.is_active {
        return Ok(None);
    }
    let margin = sync::margin(state.db.write()).await.map_err(|error| DbError::new("reading the sync margin", error))?;
    covered(reach, margin).await.map(Some)
}

/// Replace an edge server
///
/// The whole of it: what is left out gets its default. Members that the service decides itself are accepted and
/// ignored, and so is the `service_area` that was answered for a circle.
#[utoipa::path(put, path = "/edge-servers/{id}", operation_id = "replace_edge_server", tag = "edge servers", security(("bearer" = ["admin"])), request_body = ContentBody,
    params(
        ("id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000"),
        ("If-Match" = String, Header, description = "The `ETag` of the version to be replaced, or `*` for whatever is there.", example = "*"),
    ),
    responses(
        (status = 200, description = "The edge server as it is now, one version higher.", body = EdgeServer, headers(("ETag" = String, description = "The version, in quotes."))),
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
    let mut content = body.read(|reader| {
        reader.ignore(&READ_ONLY);
        Content::read(reader, state.edges.prober.egress())
    })?;
    let work = state.clone();
    let replaced = state.finish(async move {
        let failed = |error| DbError::new("replacing an edge server", error);
        check_area(&work, &content).await?;
        let id = id.read().ok_or_else(unknown_edge)?;
        loop {
            let seen = store::by_id(work.db.write(), id).await.map_err(failed)?.ok_or_else(unknown_edge)?;
            let is_our_circle = |area: &MultiPolygon<f64>| {
                !seen.service_area.drawn && Area::coordinates(area) == Area::coordinates(&seen.service_area.polygons)
            };
            content.service_area = content.service_area.filter(|area| !is_our_circle(area));
            // Before any lock, for which beats and writers of decorations wait.
            let anew = moved(&work, &seen, &content).await?;
            let mut transaction = work.db.write().begin().await.map_err(failed)?;
            if let Some(covered) = &anew
                && sync::change_areas(&mut transaction).await.map_err(failed)? != covered.margin
            {
                // Another one came into force meanwhile.
                continue;
            }
            let before = lock(&mut transaction, id, condition.as_ref()).await?;
            if condition.is_none() {
                return Err(precondition_required());
            }
            if before.version != seen.version {
                // Somebody else was quicker; whether it moves is to be judged anew.
                continue;
            }
            store::update(&mut transaction, id, &content).await.map_err(failed)?;
            if let Some(covered) = &anew {
                store::reach_anew(&mut transaction, id, covered).await.map_err(failed)?;
            }
            let detail = json!({"version": before.version + 1});
            let edge = conclude(&mut transaction, &Actor::from(&caller), "edge_server.replace", id, detail).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            return Ok(edge);
        }
    });
    Ok(tagged(StatusCode::OK, &replaced.await?))
}

/// Remove an edge server
///
/// Its socket closes, its keys are void, its devices move to other edges; its history stays.
#[utoipa::path(delete, path = "/edge-servers/{id}", operation_id = "delete_edge_server", tag = "edge servers", security(("bearer" = ["admin"])),
    params(
        ("id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version to be removed; without it, whatever is there."),
    ),
    responses(
        (status = 204, description = "It is gone."),
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
    let id = id.read().ok_or_else(unknown_edge)?;
    let work = state.clone();
    let deleted = state.finish(async move {
        let failed = |error| DbError::new("removing an edge server", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        sync::change_areas(&mut transaction).await.map_err(failed)?;
        let edge = lock(&mut transaction, id, condition.as_ref()).await?;
        store::delete(&mut transaction, id).await.map_err(failed)?;
        let detail = json!({"name": edge.name});
        audit::record(&mut transaction, &Actor::from(&caller), "edge_server.delete", Some(&id.to_string()), detail)
            .await
            .map_err(failed)?;
        store::announce(&mut transaction, id).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(())
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What becomes of the key before.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents a body")]
struct Rotation {
    /// True: it does not work any more, from now on; else it works for another 24 hours.
    #[schema(default = false, example = true)]
    revoke_previous: Option<bool>,
}

/// A new key.
#[derive(Serialize, ToSchema)]
struct NewKey {
    /// Shown this once.
    #[schema(example = "ek_01890000-0000-7000-8000-000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    edge_key: String,
}

/// Give an edge server a new key
///
/// Without a body, the key before works for another day, so that the edge can be changed over at leisure.
#[utoipa::path(post, path = "/edge-servers/{id}/keys", operation_id = "rotate_edge_key", tag = "edge servers", security(("bearer" = ["admin"])),
    request_body(content = Option<Rotation>),
    params(("id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 201, description = "The key.", body = NewKey), AccessFailures, ReadFailures, BodyFailures, NotFound)
)]
async fn rotate_key(State(state): State<AppState>, Admin(caller): Admin, id: PathId, body: Option<JsonBody>) -> Result<Response, ApiError> {
    let revoke_previous = match body {
        Some(body) => body.read(|reader| Some(reader.boolean("revoke_previous").unwrap_or(false)))?,
        None => false,
    };
    let id = id.read().ok_or_else(unknown_edge)?;
    let work = state.clone();
    let rotated = state.finish(async move {
        let failed = |error| DbError::new("making an edge's key", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        lock(&mut transaction, id, None).await?;
        let edge_key = keys::rotate(&mut transaction, id, revoke_previous).await.map_err(failed)?;
        let detail = json!({"revoke_previous": revoke_previous});
        conclude(&mut transaction, &Actor::from(&caller), "edge_server.rotate_key", id, detail).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(edge_key)
    });
    let edge_key = rotated.await?;
    Ok((StatusCode::CREATED, Json(NewKey { edge_key })).into_response())
}

/// Drain an edge server
///
/// It gets no new devices, and those it has are handed over to others that have room.
#[utoipa::path(post, path = "/edge-servers/{id}/drain", operation_id = "drain_edge_server", tag = "edge servers", security(("bearer" = ["admin"])),
    params(("id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 202, description = "It drains.", body = EdgeServer), AccessFailures, ReadFailures, NotFound)
)]
async fn drain(
    State(state): State<AppState>,
    Admin(caller): Admin,
    id: PathId,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Response, ApiError> {
    let grace_s = state.supervision.device_ping_timeout.as_secs_f64() + DRAIN_MARGIN_S;
    Ok(tagged(StatusCode::ACCEPTED, &set_draining(state, Actor::from(&caller), id, Some(grace_s)).await?))
}

/// End a drain
#[utoipa::path(delete, path = "/edge-servers/{id}/drain", operation_id = "end_drain", tag = "edge servers", security(("bearer" = ["admin"])),
    params(("id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 204, description = "It takes devices again."), AccessFailures, ReadFailures, NotFound)
)]
async fn end_drain(
    State(state): State<AppState>,
    Admin(caller): Admin,
    id: PathId,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<StatusCode, ApiError> {
    set_draining(state, Actor::from(&caller), id, None).await.map(|_| StatusCode::NO_CONTENT)
}

async fn set_draining(state: AppState, actor: Actor, id: PathId, grace_s: Option<f64>) -> Result<EdgeServer, ApiError> {
    let id = id.read().ok_or_else(unknown_edge)?;
    let work = state.clone();
    let set = state.finish(async move {
        let failed = |error| DbError::new("draining an edge server", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        let edge = lock(&mut transaction, id, None).await?;
        if !store::set_draining(&mut transaction, id, grace_s).await.map_err(failed)? {
            return Ok(edge);
        }
        let action = if grace_s.is_some() { "edge_server.drain" } else { "edge_server.end_drain" };
        let edge = conclude(&mut transaction, &actor, action, id, json!({})).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(edge)
    });
    set.await
}
