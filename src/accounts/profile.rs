//! One's own account: seen and changed.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use secrecy::SecretString;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::identity::Role;
use super::sign_in::email_taken_or;
use super::store;
use super::user::{self, MAX_CHARS, User};
use crate::db::DbError;
use crate::http::{AccessFailures, ApiError, BodyFailures, Caller, JsonBody, Nothing, Problem, ReadFailures, StrictQuery};
use crate::input::Faults;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read, change))
}

fn gone() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_token", "the account is gone")
        .challenge("Bearer realm=\"ar-supervisor\", error=\"invalid_token\"")
}

/// My account
#[utoipa::path(get, path = "/auth/profile", tag = "accounts", security(("bearer" = [])), responses(
    (status = 200, description = "The account.", body = User), AccessFailures, ReadFailures,
))]
async fn read(State(state): State<AppState>, caller: Caller, StrictQuery(Nothing): StrictQuery<Nothing>) -> Result<Json<User>, ApiError> {
    let user = store::user(state.db.write(), caller.user_id()).await.map_err(|error| DbError::new("reading an account", error))?;
    user.map(Json).ok_or_else(gone)
}

/// What to change of one's account; what is left out stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents a body")]
struct ProfileChange {
    /// Another name.
    #[schema(min_length = 1, max_length = 255, example = "Ada King")]
    full_name: Option<String>,
    /// Another sign-in name; needs `current_password`.
    #[schema(max_length = 255, example = "ada@example.org")]
    email: Option<String>,
    /// The password as it is, where e-mail or password change.
    #[schema(min_length = 1, max_length = 128, example = "brass engine 1843 Notes")]
    current_password: Option<String>,
    /// Another password; ends the other sessions. Needs `current_password`.
    #[schema(min_length = 12, max_length = 128, example = "difference of 31 wheels")]
    new_password: Option<String>,
}

struct Change {
    full_name: Option<String>,
    email: Option<String>,
    current_password: Option<SecretString>,
    new_password: Option<SecretString>,
}

/// Change my account
///
/// A change of e-mail or password needs `current_password`; a new password ends the other sessions.
#[utoipa::path(put, path = "/auth/profile", tag = "accounts", security(("bearer" = [])), request_body = ProfileChange, responses(
    (status = 200, description = "The account as it is now.", body = User),
    (status = 409, description = "The e-mail is taken (`email_taken`).", body = Problem, content_type = "application/problem+json"),
    AccessFailures, ReadFailures, BodyFailures,
))]
async fn change(State(state): State<AppState>, caller: Caller, body: JsonBody) -> Result<Json<User>, ApiError> {
    let failed = |error| DbError::new("reading an account", error);
    let user = store::user(state.db.write(), caller.user_id()).await.map_err(failed)?.ok_or_else(gone)?;
    let read = body.read(|reader| {
        reader.ignore(&["id", "role", "is_active", "created_at", "updated_at", "last_login"]);
        let full_name = reader.text("full_name", MAX_CHARS, false);
        // As it is, it is no change: so get, edit, put works.
        let email = user::email(reader, "email", false).filter(|email| *email != user.email);
        let own = [email.as_deref().unwrap_or(&user.email), full_name.as_deref().unwrap_or(&user.full_name)];
        let new_password = user::new_password(reader, "new_password", false, &own).map(SecretString::from);
        let current_password = user::old_password(reader, "current_password", false).map(SecretString::from);
        if current_password.is_none() && (email.is_some() || new_password.is_some()) {
            reader.faults.out_of_domain("current_password", "required_for_change", "is required to change e-mail or password");
        }
        Some(Change { full_name, email, current_password, new_password })
    });
    let change = read.map_err(user::weak_password)?;
    let hashes = compare_and_hash(&state, &caller, &user, &change).await?;
    state.finish(write(state.clone(), caller, change, hashes)).await.map(Json)
}

/// The hash that the current password was compared with, and that of the new one.
#[derive(Default)]
struct Hashes {
    compared: Option<String>,
    new: Option<String>,
}

async fn compare_and_hash(state: &AppState, caller: &Caller, user: &User, change: &Change) -> Result<Hashes, ApiError> {
    let Some(current) = change.current_password.clone() else { return Ok(Hashes::default()) };
    // Whoever found a signed-in phone is not to guess its owner's password with it.
    state.throttle.take_guess(&user.email, caller.address, true)?;
    let failed = |error| DbError::new("reading an account", error);
    let compared = store::password_hash(state.db.write(), user.id).await.map_err(failed)?.ok_or_else(gone)?;
    if !state.accounts.hasher.verify(current, Some(&compared)).await?.matches {
        let mut faults = Faults::default();
        faults.out_of_domain("current_password", "wrong_password", "is not the account's password");
        return Err(faults.into());
    }
    let new = match change.new_password.clone() {
        Some(password) => Some(state.accounts.hasher.hash(password).await?),
        None => None,
    };
    Ok(Hashes { compared: Some(compared), new })
}

async fn write(state: AppState, caller: Caller, change: Change, hashes: Hashes) -> Result<User, ApiError> {
    let failed = |error| email_taken_or("changing an account", error);
    let mut transaction = state.db.write().begin().await.map_err(failed)?;
    let changed = sqlx::query_as!(
        User,
        r#"UPDATE ar.users SET full_name = coalesce($2, full_name), email = coalesce($3, email), password_hash = coalesce($4, password_hash),
               updated_at = now()
           WHERE id = $1 AND is_active AND ($5::varchar IS NULL OR password_hash = $5)
           RETURNING id, email, full_name, role AS "role: Role", is_active, created_at, updated_at, last_login"#,
        caller.user_id(),
        change.full_name,
        change.email,
        hashes.new,
        hashes.compared as _
    );
    // The password was changed by somebody else since it was compared, or the account was disabled.
    let user = changed.fetch_optional(&mut *transaction).await.map_err(failed)?.ok_or_else(gone)?;
    if hashes.new.is_some() {
        store::end_sessions(&mut transaction, user.id, Some(caller.identity.session_id)).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    if hashes.new.is_some() {
        state.accounts.live.forget_user(user.id);
    }
    Ok(user)
}
