//! The audit log over HTTP.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::DbError;
use crate::http::{
    AccessFailures, Admin, ApiError, Cursor, CursorParam, FromQuery, Page, QueryReader, ReadFailures, StrictQuery, TimePosition,
};
use crate::state::AppState;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// An act of an admin.
#[derive(Serialize, ToSchema)]
struct Act {
    /// Identity.
    id: Uuid,
    /// When, by the database's clock.
    at: DateTime<Utc>,
    /// Who; null when it was the command line, or the account is gone.
    #[schema(required)]
    actor_id: Option<Uuid>,
    /// What was done.
    #[schema(example = "decoration.replace")]
    action: String,
    /// Kind of the thing changed.
    #[schema(example = "decoration")]
    object_kind: String,
    /// Which one.
    #[schema(required)]
    object_id: Option<String>,
    /// What changed, without secrets.
    #[schema(required, value_type = Option<Object>)]
    detail: Option<Value>,
    /// Address it came from.
    #[schema(required, value_type = Option<String>, example = "192.0.2.7")]
    ip_address: Option<IpAddr>,
    /// `X-Request-Id` of the request.
    #[schema(required)]
    request_id: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct ListParams {
    /// Only acts of this account.
    #[param(format = "uuid", example = "01890000-0000-7000-8000-000000000000")]
    actor: Option<Uuid>,
    /// Only this action, or all of a kind by the word before the dot.
    #[param(min_length = 1, max_length = 100, example = "decoration")]
    action: Option<String>,
    /// Not before this time.
    #[param(format = "date-time", example = "2026-01-01T00:00:00Z")]
    from: Option<DateTime<Utc>>,
    /// Before this time.
    #[param(format = "date-time", example = "2027-01-01T00:00:00Z")]
    to: Option<DateTime<Utc>>,
    /// Most items of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
}

#[derive(Debug)]
struct List {
    actor: Option<Uuid>,
    action: Option<String>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    limit: i64,
    cursor: Option<Cursor>,
}

impl FromQuery for List {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let actor = reader.optional_uuid("actor");
        let action = reader.optional_text("action", 100);
        let from = reader.optional_time("from");
        let to = reader.optional_time("to");
        let limit = reader.limit(100, 1000);
        let cursor = reader.cursor();
        Some(Self { actor: actor.ok()?, action: action.ok()?, from: from.ok()?, to: to.ok()?, limit: limit?, cursor: cursor.ok()? })
    }
}

/// Who changed what
///
/// Acts of admins, newest first. Analysts read the same, without addresses, in the view `gis.audit`.
#[utoipa::path(get, path = "/audit", operation_id = "list_acts", tag = "audit", security(("bearer" = ["admin"])), params(ListParams, CursorParam), responses(
    (status = 200, description = "One page, newest first.", body = Page<Act>), AccessFailures, ReadFailures,
))]
async fn list(State(state): State<AppState>, _admin: Admin, StrictQuery(query): StrictQuery<List>) -> Result<Json<Page<Act>>, ApiError> {
    let List { actor, action, from, to, limit, cursor } = query;
    let scope = format!("audit {actor:?} {action:?} {from:?} {to:?}");
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), TimePosition::read)?.unzip();
    let rows = sqlx::query!(
        r#"SELECT id, at, actor_id, action, object_kind, object_id, detail, ip_address AS "ip_address: IpNet", request_id FROM ar.audit_log
           WHERE ($1::uuid IS NULL OR actor_id = $1) AND ($2::varchar IS NULL OR action = $2 OR object_kind = $2)
             AND ($3::timestamptz IS NULL OR at >= $3) AND ($4::timestamptz IS NULL OR at < $4)
             AND ($5::timestamptz IS NULL OR (at, id) < ($5, $6))
           ORDER BY at DESC, id DESC LIMIT $7"#,
        actor,
        action as _,
        from,
        to,
        after.0,
        after.1,
        limit + 1
    );
    let rows = rows.fetch_all(state.db.write()).await.map_err(|error| DbError::new("reading the audit log", error))?;
    let mut items: Vec<Act> = rows
        .into_iter()
        .map(|row| Act {
            id: row.id,
            at: row.at,
            actor_id: row.actor_id,
            action: row.action,
            object_kind: row.object_kind,
            object_id: row.object_id,
            detail: row.detail,
            ip_address: row.ip_address.map(|network| network.addr()),
            request_id: row.request_id,
        })
        .collect();
    let next_cursor = state.cursor_key.cut_page(&scope, &mut items, limit, |last| TimePosition::write(last.at, last.id));
    Ok(Json(Page { items, next_cursor }))
}
