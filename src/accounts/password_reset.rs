//! Forgotten passwords: an admin makes a token, and with it the account's owner sets a new one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::administration::unknown_user;
use super::{store, user};
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::http::{
    AccessFailures, Admin, ApiError, BodyFailures, JsonBody, NotFound, Nothing, PathId, Problem, ReadFailures, StrictQuery, TooMany,
};
use crate::input::Faults;
use crate::keys;
use crate::state::AppState;

/// Life of a token for a new password in seconds.
const RESET_LIFE_S: u32 = 3600;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(offer)).routes(routes!(reset))
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
#[utoipa::path(post, path = "/users/{id}/password-reset", operation_id = "offer_password_reset", tag = "accounts", security(("bearer" = ["admin"])),
    params(("id" = Uuid, Path, description = "The account.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 201, description = "The token.", body = PasswordReset), AccessFailures, ReadFailures, NotFound)
)]
async fn offer(
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
#[utoipa::path(post, path = "/auth/password-reset", operation_id = "reset_password", tag = "accounts", security(()), extensions(("x-rate-class" = json!("auth"))), request_body = NewPassword, responses(
    (status = 204, description = "The password is set."),
    (status = 401, description = "Not a live token (`invalid_reset_token`).", body = Problem, content_type = "application/problem+json"),
    ReadFailures, BodyFailures, TooMany,
))]
async fn reset(State(state): State<AppState>, body: JsonBody) -> Result<StatusCode, ApiError> {
    let read = body.read(|reader| {
        let token = reader.required_text("reset_token", 255);
        let password = user::new_password(reader, "new_password", true);
        Some((token?, password?))
    });
    let (token, password) = read.map_err(user::weak_password)?;
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
