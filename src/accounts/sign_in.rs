//! Registering, signing in, fresh tokens, signing out.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use serde::Serialize;
use std::net::IpAddr;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::identity::{Identity, Role};
use super::refresh::RefreshToken;
use super::store::{self, Credentials, NewSession, Refreshing};
use super::token::Minted;
use super::user::{self, MAX_CHARS, User};
use crate::db::DbError;
use crate::http::{
    AccessFailures, ApiError, BodyFailures, Caller, ClientAddress, JsonBody, Nothing, Problem, ReadFailures, StrictQuery, TooMany,
    network_of,
};
use crate::state::AppState;
use crate::telemetry::meters;

/// Most characters that a client may say about itself.
const MAX_DEVICE_INFO_CHARS: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(login)).routes(routes!(refresh)).routes(routes!(logout))
}

/// Fresh tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    /// A JWT, for `Authorization: Bearer`.
    pub(super) access_token: String,
    /// For the next `POST /auth/refresh`, once.
    pub(super) refresh_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub(super) token_type: &'static str,
    /// Life of the access token in seconds.
    pub(super) expires_in: u64,
}

/// Fresh tokens, and whose they are.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    #[serde(flatten)]
    pub(super) tokens: Tokens,
    /// Who signed in.
    pub(super) user: User,
}

/// A new account.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents a body")]
struct Registration {
    /// Sign-in name; unique without regard to the case of ASCII letters.
    #[schema(max_length = 255, example = "ada@example.org")]
    email: String,
    /// 12 to 128 characters, not easy to guess.
    #[schema(min_length = 12, max_length = 128, example = "brass engine 1843 Notes")]
    password: String,
    /// Name as the person writes it.
    #[schema(min_length = 1, max_length = 255, example = "Ada Lovelace")]
    full_name: String,
}

/// Register
///
/// Makes an account with role `user`.
#[utoipa::path(post, path = "/auth/register", tag = "accounts", security(()), extensions(("x-rate-class" = json!("auth"))), request_body = Registration, responses(
    (status = 201, description = "The account.", body = User),
    (status = 409, description = "The e-mail is taken (`email_taken`).", body = Problem, content_type = "application/problem+json"),
    ReadFailures, BodyFailures, TooMany,
))]
async fn register(State(state): State<AppState>, body: JsonBody) -> Result<Response, ApiError> {
    let ((email, full_name, password), mut faults) = body.read_all(|reader| {
        let (email, full_name) = (user::email(reader, "email", true), reader.required_text("full_name", MAX_CHARS));
        (email, full_name, user::new_password(reader, "password", true))
    });
    let hasher = &state.accounts.hasher;
    user::judge(hasher, &mut faults, "password", password.as_ref(), &[email.as_deref(), full_name.as_deref()]).await?;
    let read = email.zip(full_name).zip(password);
    let ((email, full_name), password) = faults.or(read).map_err(user::weak_password)?;
    let password_hash = hasher.hash(password).await?;
    let db = state.db.clone();
    let made = state.finish(async move {
        let added = store::add_user(db.write(), &email, &full_name, &password_hash, Role::User).await;
        added.map_err(|error| email_taken_or("adding an account", error))
    });
    Ok((StatusCode::CREATED, Json(made.await?)).into_response())
}

/// 409 when an e-mail is taken.
pub(super) fn email_taken_or(doing: &'static str, error: sqlx::Error) -> ApiError {
    if store::is_email_taken(&error) {
        return ApiError::new(StatusCode::CONFLICT, "email_taken", "another account has this e-mail address");
    }
    DbError::new(doing, error).into()
}

/// A sign-in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents a body")]
pub(super) struct Login {
    /// Sign-in name.
    #[schema(min_length = 1, max_length = 255, example = "ada@example.org")]
    email: String,
    /// Its password.
    #[schema(min_length = 1, max_length = 128, example = "brass engine 1843 Notes")]
    password: String,
    /// What the client says about itself, to be shown in the list of sessions.
    #[schema(max_length = 1000, example = "Pixel 9, app 2.4")]
    device_info: Option<String>,
}

/// Sign in
///
/// An unknown account, a disabled one and a wrong password are answered alike. An account has ten sessions at
/// the most; the one used least lately gives way.
#[utoipa::path(post, path = "/auth/login", tag = "accounts", security(()), extensions(("x-rate-class" = json!("auth"))), request_body = Login, responses(
    (status = 200, description = "Tokens, and whose they are.", body = SignedIn),
    (status = 401, description = "Not with this e-mail and password (`invalid_credentials`).", body = Problem, content_type = "application/problem+json"),
    ReadFailures, BodyFailures, TooMany,
))]
async fn login(State(state): State<AppState>, ClientAddress(address): ClientAddress, body: JsonBody) -> Result<Json<SignedIn>, ApiError> {
    sign_in(&state, address, body).await.map(Json)
}

/// Compares the password, and begins a session.
pub(super) async fn sign_in(state: &AppState, address: IpAddr, body: JsonBody) -> Result<SignedIn, ApiError> {
    let outcome = try_sign_in(state, address, body).await;
    meters().accounts.logins.ended(outcome.as_ref().map_or_else(ApiError::status, |_| StatusCode::OK));
    outcome
}

async fn try_sign_in(state: &AppState, address: IpAddr, body: JsonBody) -> Result<SignedIn, ApiError> {
    let (email, password, device_info) = body.read(|reader| {
        let email = reader.required_text("email", MAX_CHARS);
        let password = user::old_password(reader, "password", true);
        let device_info = reader.text("device_info", MAX_DEVICE_INFO_CHARS, false);
        Some((email?, password?, device_info))
    })?;
    let failed = |error| DbError::new("looking for an account", error);
    let found = store::credentials(state.db.write(), &email, around(address)).await.map_err(failed)?;
    let known = found.as_ref().is_some_and(|found| found.known_network);
    state.throttle.take_guess(&email, address, known)?;
    let hasher = &state.accounts.hasher;
    let verdict = hasher.verify(password.clone(), found.as_ref().map(|found| found.password_hash.as_str())).await?;
    let found = found.filter(|found| verdict.matches && found.is_active).ok_or_else(invalid_credentials)?;
    let better_hash = if verdict.outdated { Some(hasher.hash(password).await?) } else { None };
    state.finish(begin_session(state.clone(), found, better_hash, device_info, address)).await
}

fn invalid_credentials() -> ApiError {
    ApiError::unauthorized("invalid_credentials", "not with this e-mail and password")
}

/// The network by which an account's owner is known again.
fn around(address: IpAddr) -> IpNet {
    match network_of(address) {
        IpAddr::V4(address) => ipnet::Ipv4Net::new(address, 24).map_or_else(|_| IpNet::from(IpAddr::V4(address)), IpNet::V4),
        IpAddr::V6(address) => ipnet::Ipv6Net::new(address, 64).map_or_else(|_| IpNet::from(IpAddr::V6(address)), IpNet::V6),
    }
}

async fn begin_session(
    state: AppState,
    found: Credentials,
    better_hash: Option<String>,
    device_info: Option<String>,
    address: IpAddr,
) -> Result<SignedIn, ApiError> {
    let accounts = &state.accounts;
    let failed = |error| DbError::new("beginning a session", error);
    let session_id = Uuid::now_v7();
    let refresh_token = accounts.refresh.first(session_id);
    let mut transaction = state.db.write().begin().await.map_err(failed)?;
    let noted = store::note_login(&mut transaction, found.user_id, &found.password_hash, better_hash.as_deref()).await;
    // Disabled, or given another password, since it was compared.
    let user = noted.map_err(failed)?.ok_or_else(invalid_credentials)?;
    let identity = Identity { user_id: user.id, session_id, role: user.role };
    // The login itself says what time it is in the database.
    let now_s = user.last_login.map_or_else(|| accounts.clock.now_s(), |now| now.timestamp());
    let Minted { token, jti } = accounts.tokens.mint(&identity, now_s);
    let session = NewSession {
        id: session_id,
        user_id: user.id,
        jti,
        refresh_token_hash: refresh_token.hash(),
        life: accounts.refresh_life(),
        device_info: device_info.as_deref(),
        address,
    };
    let ended = store::add_session(&mut transaction, &session).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    for id in ended {
        accounts.live.forget_session(id);
    }
    Ok(SignedIn { tokens: tokens(&state, token, &refresh_token), user })
}

fn tokens(state: &AppState, access_token: String, refresh_token: &RefreshToken) -> Tokens {
    Tokens { access_token, refresh_token: refresh_token.text(), token_type: "Bearer", expires_in: state.accounts.tokens.ttl_s() }
}

/// A refresh token to be spent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents a body")]
struct Refresh {
    /// The newest refresh token of the session.
    #[schema(min_length = 1, max_length = 512, example = "rt_…")]
    refresh_token: String,
}

/// Fresh tokens
///
/// Spends the refresh token. Whoever asks again with it within 30 s, because the answer was lost or because two
/// asked at once, gets the same successor. A token that comes back later, or after its successor was used, was
/// copied: the session ends.
#[utoipa::path(post, path = "/auth/refresh", tag = "accounts", security(()), request_body = Refresh, responses(
    (status = 200, description = "Tokens.", body = Tokens),
    (status = 401, description = "Not a live refresh token (`invalid_refresh_token`).", body = Problem, content_type = "application/problem+json"),
    ReadFailures, BodyFailures, TooMany,
))]
async fn refresh(State(state): State<AppState>, body: JsonBody) -> Result<Response, ApiError> {
    let text = body.read(|reader| reader.required_text("refresh_token", 512))?;
    // A forged one costs no more than this.
    let token = state.accounts.refresh.read(&text).ok_or_else(invalid_refresh_token)?;
    let work = state.clone();
    let (tokens, _) = state.finish(async move { exchange(&work, token).await }).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(tokens)).into_response())
}

fn invalid_refresh_token() -> ApiError {
    ApiError::unauthorized("invalid_refresh_token", "the refresh token is not good, or no longer; sign in again")
}

/// What a refresh token of ours is in its session.
enum Place {
    /// The live one: its successor takes its place.
    Live,
    /// The one before, and its successor has just been made: the answer may have been lost.
    JustSpent(RefreshToken),
    /// Spent: somebody has a copy.
    Spent,
}

fn place(state: &AppState, token: &RefreshToken, session: &Refreshing) -> Place {
    let hash = token.hash();
    if session.live_hash == hash {
        return Place::Live;
    }
    let is_previous = session.previous_hash.as_deref() == Some(&hash);
    if is_previous
        && session.just_rotated
        && let Some(successor) = state.accounts.refresh.stored_successor(token, &session.live_hash)
    {
        return Place::JustSpent(successor);
    }
    Place::Spent
}

/// Spends a refresh token: fresh tokens, and whose they are.
pub(super) async fn exchange(state: &AppState, token: RefreshToken) -> Result<(Tokens, Uuid), ApiError> {
    let outcome = try_exchange(state, token).await;
    meters().accounts.refreshes.ended(outcome.as_ref().map_or_else(ApiError::status, |_| StatusCode::OK));
    outcome
}

async fn try_exchange(state: &AppState, token: RefreshToken) -> Result<(Tokens, Uuid), ApiError> {
    let accounts = &state.accounts;
    let session_id = token.session_id;
    let failed = |error| DbError::new("refreshing a session", error);
    let mut transaction = state.db.write().begin().await.map_err(failed)?;
    let session = store::lock_session(&mut transaction, session_id).await.map_err(failed)?.ok_or_else(invalid_refresh_token)?;
    let identity = Identity { user_id: session.user_id, session_id, role: session.role };
    let Minted { token: access_token, jti } = accounts.tokens.mint(&identity, session.now.timestamp());
    let successor = match place(state, &token, &session) {
        Place::Live => {
            let successor = accounts.refresh.successor(&token);
            store::rotate(&mut transaction, session_id, &successor.hash(), jti, accounts.refresh_life()).await.map_err(failed)?;
            successor
        }
        Place::JustSpent(successor) => {
            store::note_token(&mut transaction, session_id, jti).await.map_err(failed)?;
            successor
        }
        Place::Spent => {
            store::end_session(&mut transaction, session_id, session.user_id).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            accounts.live.forget_session(session_id);
            tracing::warn!(%session_id, "a spent refresh token came back; session {session_id} was ended");
            return Err(invalid_refresh_token());
        }
    };
    transaction.commit().await.map_err(failed)?;
    Ok((tokens(state, access_token, &successor), identity.user_id))
}

/// Sign out
///
/// Ends the session: here at once, on other instances within 5 s.
#[utoipa::path(post, path = "/auth/logout", tag = "accounts", security(("bearer" = [])), responses(
    (status = 204, description = "The session has ended."),
    AccessFailures, ReadFailures,
))]
async fn logout(State(state): State<AppState>, caller: Caller, StrictQuery(Nothing): StrictQuery<Nothing>) -> Result<StatusCode, ApiError> {
    super::sessions::end(&state, caller.user_id(), caller.identity.session_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
