//! Accounts in the hands of admins: listed, given roles, disabled.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::identity::Role;
use super::store::{self, query_users};
use super::user::{self, User};
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::http::{
    AccessFailures, Admin, ApiError, BodyFailures, Cursor, CursorParam, FromQuery, JsonBody, NotFound, Page, PathId, Problem, QueryReader,
    ReadFailures, StrictQuery, TimePosition,
};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(change))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct ListParams {
    /// Only accounts with this role.
    #[param(inline)]
    role: Option<Role>,
    /// Only accounts that may, or may not, sign in.
    is_active: Option<bool>,
    /// Only accounts with this e-mail, whatever the case of its ASCII letters.
    #[param(min_length = 1, max_length = 255, example = "ada@example.org")]
    email: Option<String>,
    /// Most items of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
}

struct List {
    role: Option<Role>,
    is_active: Option<bool>,
    email: Option<String>,
    limit: i64,
    cursor: Option<Cursor>,
}

impl FromQuery for List {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let role = reader.optional_word("role", Role::WORDS, Role::from_word);
        let is_active = reader.optional_boolean("is_active");
        let email = reader.optional_text("email", user::MAX_CHARS);
        let limit = reader.limit(100, 1000);
        let cursor = reader.cursor();
        Some(Self { role: role.ok()?, is_active: is_active.ok()?, email: email.ok()?, limit: limit?, cursor: cursor.ok()? })
    }
}

/// All accounts
#[utoipa::path(get, path = "/users", operation_id = "list_users", tag = "accounts", security(("bearer" = ["admin"])), params(ListParams, CursorParam), responses(
    (status = 200, description = "One page, newest first.", body = Page<User>), AccessFailures, ReadFailures,
))]
async fn list(State(state): State<AppState>, _admin: Admin, StrictQuery(query): StrictQuery<List>) -> Result<Json<Page<User>>, ApiError> {
    let List { role, is_active, email, limit, cursor } = query;
    let scope = format!("users {role:?} {is_active:?} {email:?}");
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), TimePosition::read)?.unzip();
    let rows = query_users!(
        "SELECT",
        r#"FROM ar.users u WHERE ($1::varchar IS NULL OR role = $1) AND ($2::bool IS NULL OR is_active = $2)
             AND ($3::text IS NULL OR lower(email COLLATE "C") = lower($3 COLLATE "C"))
             AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5))
           ORDER BY created_at DESC, id DESC LIMIT $6"#,
        role.map(Role::as_str) as _,
        is_active,
        email,
        after.0,
        after.1,
        limit + 1
    );
    let mut items = rows.fetch_all(state.db.write()).await.map_err(|error| DbError::new("listing accounts", error))?;
    let next_cursor = state.cursor_key.cut_page(&scope, &mut items, limit, |last| TimePosition::write(last.created_at, last.id));
    Ok(Json(Page { items, next_cursor }))
}

pub(super) fn unknown_user() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_user", "no account has that id")
}

/// What an account may do from now on; what is left out stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents a body")]
struct AccessChange {
    /// Another role.
    #[schema(inline)]
    role: Option<Role>,
    /// Whether it may sign in; false ends its sessions.
    #[schema(example = true)]
    is_active: Option<bool>,
}

/// Change what an account may do
///
/// In force at once here, and within 5 s on other instances. The last active admin stays one.
#[utoipa::path(patch, path = "/users/{id}", operation_id = "change_user", tag = "accounts", security(("bearer" = ["admin"])), request_body = AccessChange,
    params(("id" = Uuid, Path, description = "The account.", example = "01890000-0000-7000-8000-000000000000")),
    responses(
        (status = 200, description = "The account as it is now.", body = User),
        (status = 409, description = "It is the last active admin (`last_admin`).", body = Problem, content_type = "application/problem+json"),
        AccessFailures, ReadFailures, BodyFailures, NotFound,
    )
)]
async fn change(State(state): State<AppState>, Admin(caller): Admin, id: PathId, body: JsonBody) -> Result<Json<User>, ApiError> {
    let (role, is_active) = body.read(|reader| Some((reader.word("role", Role::WORDS, Role::from_word), reader.boolean("is_active"))))?;
    let id = id.read().ok_or_else(unknown_user)?;
    let (work, actor) = (state.clone(), Actor::from(&caller));
    let changed = state.finish(async move {
        let user = change_access(&work, &actor, id, role, is_active).await?;
        work.accounts.live.forget_user(id);
        Ok(user)
    });
    changed.await.map(Json)
}

async fn change_access(state: &AppState, actor: &Actor, id: Uuid, role: Option<Role>, is_active: Option<bool>) -> Result<User, ApiError> {
    let failed = |error| DbError::new("changing an account", error);
    let mut transaction = state.db.write().begin().await.map_err(failed)?;
    // All who count, in one order: of two admins who demote each other, one is the last.
    let admins =
        sqlx::query_scalar!("SELECT id FROM ar.users WHERE (role = 'admin' AND is_active) OR id = $1 ORDER BY id FOR NO KEY UPDATE", id);
    admins.fetch_all(&mut *transaction).await.map_err(failed)?;
    let before = store::user(&mut *transaction, id).await.map_err(failed)?.ok_or_else(unknown_user)?;
    if role.is_none_or(|role| role == before.role) && is_active.is_none_or(|is_active| is_active == before.is_active) {
        return Ok(before);
    }
    let changed = query_users!(
        "UPDATE ar.users SET role = coalesce($2, role), is_active = coalesce($3, is_active), updated_at = now() WHERE id = $1 RETURNING",
        "",
        id,
        role.map(Role::as_str),
        is_active
    );
    let after = changed.fetch_one(&mut *transaction).await.map_err(failed)?;
    let left = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM ar.users WHERE role = 'admin' AND is_active) AS "left!""#);
    if !left.fetch_one(&mut *transaction).await.map_err(failed)? {
        return Err(ApiError::new(StatusCode::CONFLICT, "last_admin", "this is the last active admin; make another one first"));
    }
    if !after.is_active {
        store::end_sessions(&mut transaction, id, None).await.map_err(failed)?;
    } else if after.role != before.role {
        store::note_access_change(&mut transaction, id).await.map_err(failed)?;
    }
    let detail = json!({"role": [before.role, after.role], "is_active": [before.is_active, after.is_active]});
    audit::record(&mut transaction, actor, "user.change", Some(&id.to_string()), detail).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(after)
}
