//! Accounts in the hands of admins: listed, given roles, disabled, helped with a forgotten password. The
//! first admin comes from the command line.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::hasher::Hasher;
use super::identity::Role;
use super::password::weakness;
use super::store::{self, query_users};
use super::user::{self, User};
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::http::{
    AccessFailures, Admin, ApiError, BodyFailures, Cursor, FromQuery, JsonBody, NotFound, Nothing, Page, PathId, Problem, QueryReader,
    ReadFailures, StrictQuery, TimePosition, TooMany,
};
use crate::input::{Faults, FieldReader, Fields};
use crate::keys;
use crate::state::AppState;

/// Life of a token for a new password in seconds.
const RESET_LIFE_S: u32 = 3600;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(change)).routes(routes!(offer_reset)).routes(routes!(reset))
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
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
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
#[utoipa::path(get, path = "/users", tag = "accounts", security(("bearer" = ["admin"])), params(ListParams), responses(
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

fn unknown_user() -> ApiError {
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
#[utoipa::path(patch, path = "/users/{id}", tag = "accounts", security(("bearer" = ["admin"])), request_body = AccessChange,
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

/// A token for a new password.
#[derive(Serialize, ToSchema)]
struct PasswordReset {
    /// For `POST /auth/password-reset`, once. Hand it to the account's owner, who alone should use it.
    reset_token: String,
    /// Its life in seconds.
    expires_in: u32,
}

/// Help with a forgotten password
///
/// Makes a token with which the account's owner sets a new password. An earlier one is void.
#[utoipa::path(post, path = "/users/{id}/password-reset", tag = "accounts", security(("bearer" = ["admin"])),
    params(("id" = Uuid, Path, description = "The account.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 201, description = "The token.", body = PasswordReset), AccessFailures, ReadFailures, NotFound)
)]
async fn offer_reset(
    State(state): State<AppState>,
    Admin(caller): Admin,
    id: PathId,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Response, ApiError> {
    let id = id.read().ok_or_else(unknown_user)?;
    let reset_token = format!("pr_{}", URL_SAFE_NO_PAD.encode(keys::random::<32>()));
    let (db, actor, hash) = (state.db.clone(), Actor::from(&caller), keys::sha256(reset_token.as_bytes()));
    let stored = state.finish(async move {
        let failed = |error| DbError::new("making a token for a new password", error);
        let mut transaction = db.write().begin().await.map_err(failed)?;
        if !store::lock_user(&mut transaction, id).await.map_err(failed)? {
            return Err(unknown_user());
        }
        store::forget_resets(&mut transaction, id).await.map_err(failed)?;
        let insert = sqlx::query!(
            "INSERT INTO ar.password_resets (token_hash, user_id, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))",
            &hash,
            id,
            f64::from(RESET_LIFE_S)
        );
        insert.execute(&mut *transaction).await.map_err(failed)?;
        audit::record(&mut transaction, &actor, "user.password_reset", Some(&id.to_string()), json!({})).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(())
    });
    stored.await?;
    Ok((StatusCode::CREATED, Json(PasswordReset { reset_token, expires_in: RESET_LIFE_S })).into_response())
}

/// A new password for one that was forgotten.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents a body")]
struct NewPassword {
    /// From an admin.
    #[schema(min_length = 1, max_length = 255, example = "pr_…")]
    reset_token: String,
    /// 12 to 128 characters, not easy to guess.
    #[schema(min_length = 12, max_length = 128, example = "difference of 31 wheels")]
    new_password: String,
}

/// Set a forgotten password
///
/// Spends the token, and ends all sessions of the account.
#[utoipa::path(post, path = "/auth/password-reset", tag = "accounts", security(()), extensions(("x-rate-class" = json!("auth"))), request_body = NewPassword, responses(
    (status = 204, description = "The password is set."),
    (status = 401, description = "Not a live token (`invalid_reset_token`).", body = Problem, content_type = "application/problem+json"),
    ReadFailures, BodyFailures, TooMany,
))]
async fn reset(State(state): State<AppState>, body: JsonBody) -> Result<StatusCode, ApiError> {
    let (token, password) = body.read(|reader| {
        let token = reader.required_text("reset_token", 255);
        let password = user::new_password(reader, "new_password", true);
        Some((token?, password?))
    })?;
    let refused = || ApiError::unauthorized("invalid_reset_token", "the token is not good, or no longer; ask an admin for another");
    let hash = keys::sha256(token.as_bytes());
    let failed = |error| DbError::new("setting a password", error);
    let find = sqlx::query!(
        "SELECT u.id, u.email, u.full_name FROM ar.password_resets r JOIN ar.users u ON u.id = r.user_id WHERE r.token_hash = $1 AND r.expires_at > now()",
        &hash
    );
    let owner = find.fetch_optional(state.db.write()).await.map_err(failed)?.ok_or_else(refused)?;
    // Only now: a token that is no good is not to cost a hash.
    let (hasher, mut faults) = (&state.accounts.hasher, Faults::default());
    user::judge(hasher, &mut faults, "new_password", Some(&password), &[Some(&owner.email), Some(&owner.full_name)]).await?;
    faults.or(Some(())).map_err(user::weak_password)?;
    let password_hash = hasher.hash(password).await?;
    let (work, user_id) = (state.clone(), owner.id);
    let set = state.finish(async move {
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        // In the order in which a token is offered.
        store::lock_user(&mut transaction, user_id).await.map_err(failed)?;
        let spend = sqlx::query!("DELETE FROM ar.password_resets WHERE token_hash = $1 AND expires_at > now()", &hash);
        if spend.execute(&mut *transaction).await.map_err(failed)?.rows_affected() == 0 {
            return Err(refused());
        }
        store::set_password(&mut transaction, user_id, &password_hash).await.map_err(failed)?;
        store::end_sessions(&mut transaction, user_id, None).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        work.accounts.live.forget_user(user_id);
        Ok(())
    });
    set.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why there is no new admin.
#[derive(Debug, thiserror::Error)]
pub enum CreateAdminError {
    /// E-mail, name or password will not do.
    #[error("{}", .0.join("\n"))]
    Input(Vec<String>),
    /// There is such an account.
    #[error("an account with this e-mail exists already; --existing makes it an active admin with the password given")]
    Exists,
    /// The password could not be hashed.
    #[error("hashing the password")]
    Hash,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Makes an admin from the command line, by the same rules as a registration. With `existing`, an account that
/// is there becomes an active admin with this password, and its sessions end.
///
/// # Errors
/// See [`CreateAdminError`].
pub async fn create_admin(
    connection: &mut PgConnection,
    email: &str,
    full_name: &str,
    password: &SecretString,
    existing: bool,
) -> Result<User, CreateAdminError> {
    let mut fields = serde_json::Map::new();
    for (name, text) in [("email", email), ("full_name", full_name), ("password", password.expose_secret())] {
        fields.insert(name.to_owned(), text.into());
    }
    let mut reader = FieldReader::new(Fields::from(fields));
    let (email, full_name) = (user::email(&mut reader, "email", true), reader.required_text("full_name", user::MAX_CHARS));
    let own = [email.as_deref().unwrap_or_default(), full_name.as_deref().unwrap_or_default()];
    if let Some(weakness) = user::new_password(&mut reader, "password", true).and_then(|new| weakness(new.expose_secret(), &own)) {
        weakness.note(&mut reader.faults, "password");
    }
    let (Some(email), Some(full_name), true) = (email, full_name, reader.faults.is_empty()) else {
        let faults = reader.finish().1.into_vec();
        return Err(CreateAdminError::Input(faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.detail)).collect()));
    };
    let hash = Hasher::start().hash(password.clone()).await.map_err(|_busy| CreateAdminError::Hash)?;
    let failed = |error| DbError::new("making an admin", error);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let there = sqlx::query_scalar!(
        r#"SELECT id FROM ar.users WHERE lower(email COLLATE "C") = lower($1::text COLLATE "C") FOR NO KEY UPDATE"#,
        email
    );
    let user = match there.fetch_optional(&mut *transaction).await.map_err(failed)? {
        Some(_) if !existing => return Err(CreateAdminError::Exists),
        Some(id) => {
            store::set_password(&mut transaction, id, &hash).await.map_err(failed)?;
            store::end_sessions(&mut transaction, id, None).await.map_err(failed)?;
            let promote = sqlx::query!("UPDATE ar.users SET role = 'admin', is_active = true WHERE id = $1", id);
            promote.execute(&mut *transaction).await.map_err(failed)?;
            store::user(&mut *transaction, id).await.map_err(failed)?.ok_or(CreateAdminError::Exists)?
        }
        None => store::add_user(&mut *transaction, &email, &full_name, &hash, Role::Admin)
            .await
            .map_err(|error| if store::is_email_taken(&error) { CreateAdminError::Exists } else { failed(error).into() })?,
    };
    let (actor, id) = (Actor::command_line(), user.id.to_string());
    audit::record(&mut transaction, &actor, "user.create_admin", Some(&id), json!({})).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(user)
}
