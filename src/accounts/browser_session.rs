//! Signing in for the admin page. What outlives a reload, the refresh token, is a cookie that no script can read and
//! that the browser sends to these routes alone, from our own pages alone; the access token is told to the page, which
//! keeps it in memory. The session behind it is one like all others.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::refresh::RefreshToken;
use super::sign_in::{Login, Tokens, exchange, sign_in};
use super::store;
use super::user::User;
use crate::db::DbError;
use crate::http::{
    ApiError, BodyFailures, ClientAddress, ClientConnection, JsonBody, Nothing, Problem, ReadFailures, StrictQuery, TooMany,
};
use crate::state::AppState;

/// Where the cookie is sent.
const PATH: &str = "/dashboard/session";
const COOKIE: &str = "ar_dashboard";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(begin_browser_session, renew_browser_session, end_browser_session))
}

/// An access token, and whose it is.
#[derive(Serialize, ToSchema)]
struct BrowserSession {
    /// A JWT, for `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Life of the access token in seconds.
    expires_in: u64,
    /// Who is signed in.
    user: User,
}

/// Sign in, for the admin page
///
/// As `POST /api/v1/auth/login`, but the refresh token comes as a cookie (`HttpOnly`, `SameSite=Strict`, this path
/// alone) and not in the body.
#[utoipa::path(post, path = PATH, tag = "accounts", security(()), extensions(("x-rate-class" = json!("auth"))), request_body = Login, responses(
    (status = 200, description = "An access token, and whose it is.", body = BrowserSession),
    (status = 401, description = "Not with this e-mail and password (`invalid_credentials`).", body = Problem, content_type = "application/problem+json"),
    ReadFailures, BodyFailures, TooMany,
))]
async fn begin_browser_session(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    connection: ClientConnection,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let signed_in = sign_in(&state, address, body).await?;
    Ok(answer(&state, connection, signed_in.tokens, signed_in.user))
}

/// Go on, for the admin page
///
/// Spends the refresh token of the cookie, as `POST /api/v1/auth/refresh` does that of a body.
#[utoipa::path(put, path = PATH, tag = "accounts", security(()), responses(
    (status = 200, description = "An access token, and whose it is; the cookie is renewed.", body = BrowserSession),
    (status = 204, description = "Nobody is signed in, or no longer; the cookie is gone."),
    ReadFailures, TooMany,
))]
async fn renew_browser_session(
    State(state): State<AppState>,
    Kept(text): Kept,
    connection: ClientConnection,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Response, ApiError> {
    let Some(token) = text.and_then(|text| state.accounts.refresh.read(&text)) else { return Ok(nobody(connection)) };
    let work = state.clone();
    let renewing = async move {
        let (tokens, user_id) = exchange(&work, token).await?;
        let user = store::user(work.db.write(), user_id).await.map_err(|error| DbError::new("reading an account", error))?;
        Ok(user.map(|user| (tokens, user)))
    };
    match state.finish(renewing).await {
        Ok(Some((tokens, user))) => Ok(answer(&state, connection, tokens, user)),
        Ok(None) => Ok(nobody(connection)),
        Err(error) if error.status() == StatusCode::UNAUTHORIZED => Ok(nobody(connection)),
        Err(error) => Err(error),
    }
}

/// Sign out, for the admin page
///
/// Ends the session of the cookie, and the cookie.
#[utoipa::path(delete, path = PATH, tag = "accounts", security(()), responses(
    (status = 204, description = "Nobody is signed in any more."),
    ReadFailures, TooMany,
))]
async fn end_browser_session(
    State(state): State<AppState>,
    Kept(text): Kept,
    connection: ClientConnection,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Response, ApiError> {
    if let Some(RefreshToken { session_id, .. }) = text.and_then(|text| state.accounts.refresh.read(&text)) {
        super::sessions::end_any(&state, session_id).await?;
    }
    Ok(nobody(connection))
}

fn answer(state: &AppState, connection: ClientConnection, tokens: Tokens, user: User) -> Response {
    let Tokens { access_token, refresh_token, token_type, expires_in } = tokens;
    let cookie = cookie(&refresh_token, state.accounts.refresh_ttl.as_secs(), connection);
    let session = BrowserSession { access_token, token_type, expires_in, user };
    ([(header::SET_COOKIE, cookie), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(session)).into_response()
}

fn nobody(connection: ClientConnection) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie("", 0, connection))]).into_response()
}

/// `SameSite=Strict` keeps the cookie from what other sites start; a method other than GET, which these routes have, or a
/// JSON body keeps other origins of the same site out, because browsers ask first (CORS) and we answer no.
fn cookie(value: &str, max_age_s: u64, ClientConnection { secure }: ClientConnection) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path={PATH}; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(text).expect("tokens are letters, digits and signs that a header may have")
}

/// Extractor: the cookie's value, when there is one.
struct Kept(Option<String>);

impl<S: Sync> FromRequestParts<S> for Kept {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(kept(&parts.headers)))
    }
}

fn kept(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == COOKIE && !value.is_empty()).map(|(_, value)| value.to_owned())
}
