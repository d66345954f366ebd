//! Devices over HTTP: phones say where they are; who may, looks at devices and removes them.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::location_writer::LocationUpdate;
use super::model::{ConnectionStatus, Device, Located};
use super::places;
use super::store::{self, Filters};
use crate::accounts::Role;
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::http::{
    AccessFailures, AdminOrEdge, ApiError, BodyFailures, Caller, Cursor, CursorParam, FromQuery, JsonBody, NotFound, Nothing, Page, PathId,
    PathText, Problem, QueryReader, ReadFailures, StrictQuery,
};
use crate::input::{Faults, FieldReader, check_text};
use crate::state::AppState;

/// Longest name of a device, in code points.
const MAX_ID_CHARS: usize = 255;
/// Longest `device_info`, as JSON.
const MAX_INFO_BYTES: usize = 4096;
/// How far ahead of the database's clock a fix may have been recorded.
const MAX_AHEAD_MS: i64 = 30_000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(locate)).routes(routes!(list)).routes(routes!(read, remove)).routes(routes!(list_of_edge))
}

fn unknown_device() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_device", "no device of yours has that id")
}

/// Where a phone is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents a body")]
struct LocationBody {
    /// Latitude in degrees.
    #[schema(minimum = -90, maximum = 90, example = 52.52)]
    lat: f64,
    /// Longitude in degrees.
    #[schema(minimum = -180, maximum = 180, example = 13.405)]
    lng: f64,
    /// Radius of uncertainty in metres.
    #[schema(minimum = 0, maximum = 10_000_000, example = 12.5)]
    accuracy_meters: Option<f64>,
    /// When the fix was taken, by the phone's clock: 30 s ahead of ours at most. Left out: now.
    #[schema(example = "2026-01-01T12:00:00Z")]
    recorded_at: Option<DateTime<Utc>>,
    /// Version of the app. Left out: what is known stays.
    #[schema(min_length = 1, max_length = 50, example = "3.1.4")]
    app_version: Option<String>,
    /// What the phone says about itself, 4 KiB of JSON at most. Left out: what is known stays.
    #[schema(value_type = Option<HashMap<String, Value>>, example = json!({"model": "Pixel 11"}))]
    device_info: Option<Value>,
}

/// The fields of the body; the rest of an update comes from the path and the caller.
fn read_body(reader: &mut FieldReader, now_ms: i64) -> Option<LocationUpdate> {
    let position = reader.position();
    let accuracy_meters = reader.decimal("accuracy_meters", 0.0, 1e7);
    let recorded_at = reader.time("recorded_at");
    if recorded_at.is_some_and(|recorded_at| recorded_at.timestamp_millis() > now_ms + MAX_AHEAD_MS) {
        reader.faults.out_of_domain("recorded_at", "in_the_future", "is more than 30 s ahead of the service's clock");
    }
    let app_version = reader.text("app_version", 50, false);
    let device_info = reader.object("device_info", MAX_INFO_BYTES);
    let (device_id, user_id) = (String::new(), Uuid::nil());
    Some(LocationUpdate { device_id, user_id, position: position?, accuracy_meters, recorded_at, app_version, device_info })
}

/// Say where a device is
///
/// The first time registers it. The answer comes after the commit, with the edge server that is to serve it: the best
/// one by health, load and distance, which it keeps while that one is fit and covers it, unless another is 15 % better.
/// A position recorded before the one that is known is kept out and answered `stale: true`.
#[utoipa::path(put, path = "/devices/{device_id}/location", operation_id = "locate_device", tag = "devices", security(("bearer" = [])), request_body = LocationBody,
    params(("device_id" = String, Path, min_length = 1, max_length = 255, description = "The device's own name: any text without control characters, but not `edge`.", example = "phone-1")),
    responses(
        (status = 200, description = "Where it is and who serves it.", body = Located),
        (status = 409, description = "Another user is connected with this `device_id` (`device_in_use`).", body = Problem, content_type = "application/problem+json"),
        AccessFailures, ReadFailures, BodyFailures,
    )
)]
async fn locate(
    State(state): State<AppState>,
    caller: Caller,
    device_id: Result<Path<String>, PathRejection>,
    body: JsonBody,
) -> Result<Json<Located>, ApiError> {
    let now_ms = state.clock.now_ms();
    let (update, mut faults) = body.read_all(|reader| read_body(reader, now_ms));
    let device_id = read_device_id(&mut faults, device_id);
    let update = faults.or(update.zip(device_id))?;
    let (update, device_id) = update;
    // Nothing is left half done when the phone leaves: the writer goes on by itself.
    state.devices.locate(LocationUpdate { device_id, user_id: caller.user_id(), ..update }).await.map(Json)
}

fn read_device_id(faults: &mut Faults, device_id: Result<Path<String>, PathRejection>) -> Option<String> {
    let Ok(Path(device_id)) = device_id else {
        faults.unreadable("device_id", "not_utf8", "is not percent-encoded UTF-8");
        return None;
    };
    check_text(faults, "device_id", &device_id, MAX_ID_CHARS, false);
    Some(device_id)
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct ListParams {
    /// Only devices that this edge server serves.
    #[param(format = "uuid", example = "01890000-0000-7000-8000-000000000000")]
    edge_server_id: Option<Uuid>,
    /// Only devices with this status.
    #[param(inline)]
    status: Option<ConnectionStatus>,
    /// Only devices around a point: its latitude in degrees; goes with `lng`.
    #[param(minimum = -90, maximum = 90, example = 52.52)]
    lat: Option<f64>,
    /// Its longitude in degrees; goes with `lat`.
    #[param(minimum = -180, maximum = 180, example = 13.405)]
    lng: Option<f64>,
    /// How far around it, in metres, 500 unless given; goes with `lat` and `lng`.
    #[param(minimum = 0, maximum = 50_000, example = 500)]
    radius: Option<f64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct PageParams {
    /// Most items of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
}

struct PageQuery {
    limit: i64,
    cursor: Option<Cursor>,
}

struct List {
    filters: Filters,
    page: PageQuery,
}

impl FromQuery for PageQuery {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let (limit, cursor) = (reader.limit(100, 1000), reader.cursor());
        Some(Self { limit: limit?, cursor: cursor.ok()? })
    }
}

impl FromQuery for List {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let edge_server_id = reader.optional_uuid("edge_server_id");
        let status = reader.optional_word("status", ConnectionStatus::WORDS, ConnectionStatus::from_word);
        let near = reader.optional_circle();
        let page = PageQuery::from_query(reader);
        let near = near.ok()?.map(|(position, radius)| (position, radius.metres()));
        let filters = Filters { user_id: None, edge_server_id: edge_server_id.ok()?, status: status.ok()?, near };
        Some(Self { filters, page: page? })
    }
}

async fn page(state: &AppState, filters: &Filters, PageQuery { limit, cursor }: PageQuery) -> Result<Json<Page<Device>>, ApiError> {
    let scope = format!("devices {filters:?}");
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), |position| String::from_utf8(position.to_vec()).ok())?;
    let rows = store::list(state.db.write(), filters, after.as_deref(), limit + 1).await;
    let mut items: Vec<Device> = rows.map_err(|error| DbError::new("listing devices", error))?.into_iter().map(Device::from).collect();
    let next_cursor = state.cursor_key.cut_page(&scope, &mut items, limit, |last| last.device_id.clone().into_bytes());
    Ok(Json(Page { items, next_cursor }))
}

/// Whose devices a caller may see: his own, or all.
fn visible_to(caller: &Caller) -> Option<Uuid> {
    (caller.identity.role != Role::Admin).then(|| caller.user_id())
}

/// Devices
///
/// Mine; for admins everybody's. In the order of their ids.
#[utoipa::path(get, path = "/devices", operation_id = "list_devices", tag = "devices", security(("bearer" = [])), params(ListParams, PageParams, CursorParam), responses(
    (status = 200, description = "One page, in the order of the ids.", body = Page<Device>), AccessFailures, ReadFailures,
))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    StrictQuery(query): StrictQuery<List>,
) -> Result<Json<Page<Device>>, ApiError> {
    let List { filters, page: asked } = query;
    page(&state, &Filters { user_id: visible_to(&caller), ..filters }, asked).await
}

/// One device
///
/// Of mine; for admins anybody's.
#[utoipa::path(get, path = "/devices/{device_id}", operation_id = "read_device", tag = "devices", security(("bearer" = [])),
    params(("device_id" = String, Path, min_length = 1, max_length = 255, description = "The device's own name.", example = "phone-1")),
    responses((status = 200, description = "The device.", body = Device), AccessFailures, ReadFailures, NotFound)
)]
async fn read(
    State(state): State<AppState>,
    caller: Caller,
    device_id: PathText,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Json<Device>, ApiError> {
    let device_id = device_id.read().ok_or_else(unknown_device)?;
    let found = store::device(state.db.write(), &device_id, visible_to(&caller)).await;
    let found = found.map_err(|error| DbError::new("reading a device", error))?.ok_or_else(unknown_device)?;
    Ok(Json(found.into()))
}

/// Remove a device
///
/// Its place is free, and its edge server is told. It is registered anew when it says again where it is.
#[utoipa::path(delete, path = "/devices/{device_id}", operation_id = "delete_device", tag = "devices", security(("bearer" = [])),
    params(("device_id" = String, Path, min_length = 1, max_length = 255, description = "The device's own name.", example = "phone-1")),
    responses((status = 204, description = "It is removed."), AccessFailures, ReadFailures, NotFound)
)]
async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    device_id: PathText,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<StatusCode, ApiError> {
    let device_id = device_id.read().ok_or_else(unknown_device)?;
    let work = state.clone();
    let removed = state.finish(async move {
        let failed = |error| DbError::new("removing a device", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        let user_id = delete(&mut transaction, &device_id, visible_to(&caller)).await.map_err(failed)?.ok_or_else(unknown_device)?;
        if user_id != Some(caller.user_id()) {
            let (actor, detail) = (Actor::from(&caller), json!({"user_id": user_id}));
            audit::record(&mut transaction, &actor, "device.delete", Some(&device_id), detail).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(StatusCode::NO_CONTENT)
    });
    removed.await
}

/// Deletes a device, if it is `user_id`'s or anybody's; whose it was.
async fn delete(connection: &mut PgConnection, device_id: &str, user_id: Option<Uuid>) -> Result<Option<Option<Uuid>>, sqlx::Error> {
    let Some((owner, leaving)) = store::lock_for_delete(&mut *connection, device_id, user_id).await? else { return Ok(None) };
    places::free(connection, &[leaving]).await?;
    store::delete(connection, device_id).await?;
    Ok(Some(owner))
}

/// Devices of an edge server
///
/// Those that it is to serve, in the order of their ids.
#[utoipa::path(get, path = "/devices/edge/{edge_id}", operation_id = "list_devices_of_edge", tag = "devices", security(("bearer" = ["admin"]), ("edge" = [])),
    params(("edge_id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000"), PageParams, CursorParam),
    responses((status = 200, description = "One page, in the order of the ids.", body = Page<Device>), AccessFailures, ReadFailures, NotFound)
)]
async fn list_of_edge(
    State(state): State<AppState>,
    caller: AdminOrEdge,
    edge_id: PathId,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Result<Json<Page<Device>>, ApiError> {
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "unknown_edge_server", "no edge server has that id");
    let edge_id = edge_id.read().ok_or_else(unknown)?;
    if caller == AdminOrEdge::Admin {
        let exists =
            store::edge_exists(state.db.write(), edge_id).await.map_err(|error| DbError::new("looking for an edge server", error))?;
        if !exists {
            return Err(unknown());
        }
    }
    page(&state, &Filters { edge_server_id: Some(edge_id), ..Filters::default() }, query).await
}
