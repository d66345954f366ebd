//! One's own sessions: seen, and ended one by one.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::store;
use crate::db::DbError;
use crate::http::{AccessFailures, ApiError, Caller, NotFound, Nothing, Page, PathId, ReadFailures, StrictQuery};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(remove))
}

/// A signed-in session.
#[derive(Serialize, ToSchema)]
struct Session {
    /// Identity.
    id: Uuid,
    /// Whether it is the one that asks.
    current: bool,
    /// When it began.
    created_at: DateTime<Utc>,
    /// Last request seen, some seconds late.
    last_used: DateTime<Utc>,
    /// When it ends unless it is used.
    expires_at: DateTime<Utc>,
    /// What the client said about itself.
    #[schema(required)]
    device_info: Option<String>,
    /// Address at sign-in.
    #[schema(required, value_type = Option<String>, example = "192.0.2.7")]
    ip_address: Option<IpAddr>,
}

/// My sessions
///
/// The live sessions of the account, the one used last first.
#[utoipa::path(get, path = "/auth/sessions", operation_id = "list_sessions", tag = "accounts", security(("bearer" = [])), responses(
    (status = 200, description = "All of them, ten at the most; `next_cursor` is always null.", body = Page<Session>),
    AccessFailures, ReadFailures,
))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Json<Page<Session>>, ApiError> {
    let rows = sqlx::query!(
        r#"SELECT id, created_at, last_used, expires_at, device_info, ip_address AS "ip_address: IpNet"
           FROM ar.user_sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now() ORDER BY last_used DESC, id DESC"#,
        caller.user_id()
    );
    let rows = rows.fetch_all(state.db.write()).await.map_err(|error| DbError::new("listing sessions", error))?;
    let items = rows.into_iter().map(|row| Session {
        id: row.id,
        current: row.id == caller.identity.session_id,
        created_at: row.created_at,
        last_used: row.last_used,
        expires_at: row.expires_at,
        device_info: row.device_info,
        ip_address: row.ip_address.map(|network| network.addr()),
    });
    Ok(Json(Page { items: items.collect(), next_cursor: None }))
}

/// End a session of mine
///
/// Its tokens are good no longer: here at once, on other instances within 5 s.
#[utoipa::path(delete, path = "/auth/sessions/{id}", operation_id = "end_session", tag = "accounts", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The session.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 204, description = "It has ended."), AccessFailures, ReadFailures, NotFound)
)]
async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    id: PathId,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<StatusCode, ApiError> {
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "unknown_session", "no live session of yours has that id");
    let id = id.read().ok_or_else(unknown)?;
    if end(&state, caller.user_id(), id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

/// Ends a session; whether it was a live one of that account.
pub(super) async fn end(state: &AppState, user_id: Uuid, session_id: Uuid) -> Result<bool, ApiError> {
    let failed = |error| DbError::new("ending a session", error);
    let work = state.clone();
    let ending = state.finish(async move {
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        let ended = store::end_session(&mut transaction, session_id, user_id).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        work.accounts.live.forget_session(session_id);
        Ok(ended)
    });
    ending.await
}

/// Ends a session whose token somebody has; nothing when it has ended.
pub(super) async fn end_any(state: &AppState, session_id: Uuid) -> Result<(), ApiError> {
    let failed = |error| DbError::new("ending a session", error);
    let found = store::session_owner(state.db.write(), session_id).await.map_err(failed)?;
    if let Some(user_id) = found {
        end(state, user_id, session_id).await?;
    }
    Ok(())
}
