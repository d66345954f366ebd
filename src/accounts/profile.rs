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
use super::store::{self, query_users};
use super::user::{self, MAX_CHARS, User};
use crate::db::DbError;
use crate::http::{AccessFailures, ApiError, BodyFailures, Caller, JsonBody, Nothing, Problem, ReadFailures, StrictQuery};
use crate::input::Faults;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read, change))
}

fn gone() -> ApiError {
    ApiError::invalid_token("the account is gone")
}

fn changed_meanwhile() -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "password_changed", "the password was changed since it was compared; try again with the new one")
}

/// My account
#[utoipa::path(get, path = "/auth/profile", operation_id = "read_profile", tag = "accounts", security(("bearer" = [])), responses(
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
#[utoipa::path(put, path = "/auth/profile", operation_id = "change_profile", tag = "accounts", security(("bearer" = [])), request_body = ProfileChange, responses(
    (status = 200, description = "The account as it is now.", body = User),
    (status = 409, description = "The e-mail is taken (`email_taken`), or the password was changed meanwhile (`password_changed`).", body = Problem, content_type = "application/problem+json"),
    AccessFailures, ReadFailures, BodyFailures,
))]
async fn change(State(state): State<AppState>, caller: Caller, body: JsonBody) -> Result<Json<User>, ApiError> {
    let failed = |error| DbError::new("reading an account", error);
    let user = store::user(state.db.write(), caller.user_id()).await.map_err(failed)?.ok_or_else(gone)?;
    let (change, mut faults) = body.read_all(|reader| {
        reader.ignore(&["id", "role", "is_active", "created_at", "updated_at", "last_login"]);
        let full_name = reader.text("full_name", MAX_CHARS, false);
        // As it is, it is no change: so get, edit, put works.
        let email = user::email(reader, "email", false).filter(|email| *email != user.email);
        let is_new_password_given = reader.is_filled("new_password");
        let new_password = user::new_password(reader, "new_password", false);
        let current_password = user::old_password(reader, "current_password", false);
        if current_password.is_none() && (email.is_some() || is_new_password_given) {
            reader.faults.out_of_domain("current_password", "required_for_change", "is required to change e-mail or password");
        }
        Change { full_name, email, current_password, new_password }
    });
    if change.current_password.is_some() {
        // Whoever found a signed-in phone is not to guess its owner's password with it, from wherever.
        state.throttle.take_owners_guess(user.id)?;
        let own = [change.email.as_deref().or(Some(&user.email)), change.full_name.as_deref().or(Some(&user.full_name))];
        user::judge(&state.accounts.hasher, &mut faults, "new_password", change.new_password.as_ref(), &own).await?;
    }
    let change = faults.or(Some(change)).map_err(user::weak_password)?;
    let hashes = compare_and_hash(&state, &user, &change).await?;
    state.finish(write(state.clone(), caller, change, hashes)).await.map(Json)
}

/// The hash that the current password was compared with, and that of the new one.
#[derive(Default)]
struct Hashes {
    compared: Option<String>,
    new: Option<String>,
}

async fn compare_and_hash(state: &AppState, user: &User, change: &Change) -> Result<Hashes, ApiError> {
    let Some(current) = change.current_password.clone() else { return Ok(Hashes::default()) };
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
    let changed = query_users!(
        "UPDATE ar.users SET full_name = coalesce($2, full_name), email = coalesce($3, email), password_hash = coalesce($4, password_hash),
             updated_at = now()
         WHERE id = $1 AND is_active AND ($5::varchar IS NULL OR password_hash = $5) RETURNING",
        "",
        caller.user_id(),
        change.full_name,
        change.email,
        hashes.new,
        hashes.compared as _
    );
    let Some(user) = changed.fetch_optional(&mut *transaction).await.map_err(failed)? else {
        let there = store::user(&mut *transaction, caller.user_id()).await.map_err(failed)?.is_some_and(|user| user.is_active);
        return Err(if there { changed_meanwhile() } else { gone() });
    };
    if hashes.new.is_some() {
        store::forget_resets(&mut transaction, user.id).await.map_err(failed)?;
        store::end_sessions(&mut transaction, user.id, Some(caller.identity.session_id)).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    if hashes.new.is_some() {
        state.accounts.live.forget_user(user.id);
    }
    Ok(user)
}
