//! Proofs for others: tickets with which a browser opens a WebSocket (it cannot send a header there), and the
//! public keys with which an edge checks a phone's token by itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::identity::{Identity, Role};
use super::token::Jwks;
use crate::db::DbError;
use crate::http::{AccessFailures, ApiError, BodyFailures, Caller, JsonBody, Nothing, ReadFailures, StrictQuery, TooMany};
use crate::keys;
use crate::state::AppState;

/// Life of a ticket in seconds.
const TICKET_LIFE_S: u32 = 30;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(ticket))
}

pub(super) fn key_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(jwks))
}

/// What a ticket is for.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents a body")]
struct TicketRequest {
    /// The WebSocket's path.
    #[schema(min_length = 1, max_length = 255, pattern = "^/ws/", example = "/ws/admin")]
    path: String,
}

/// A ticket.
#[derive(Serialize, ToSchema)]
struct Ticket {
    /// To be sent as `Sec-WebSocket-Protocol: arsup.v1, ticket.<ticket>`, once.
    ticket: String,
    /// Its life in seconds.
    expires_in: u32,
}

/// A ticket for a WebSocket
///
/// Good for one connection to that path, within 30 s, as long as the session lives.
#[utoipa::path(post, path = "/auth/ws-ticket", operation_id = "create_ws_ticket", tag = "accounts", security(("bearer" = [])), request_body = TicketRequest, responses(
    (status = 201, description = "The ticket.", body = Ticket), AccessFailures, ReadFailures, BodyFailures,
))]
async fn ticket(State(state): State<AppState>, caller: Caller, body: JsonBody) -> Result<Response, ApiError> {
    let path = body.read(|reader| {
        let path = reader.required_text("path", 255)?;
        if !path.starts_with("/ws/") {
            reader.faults.out_of_domain("path", "not_a_websocket", "is not the path of a WebSocket, such as /ws/admin");
        }
        Some(path)
    })?;
    let ticket = URL_SAFE_NO_PAD.encode(keys::random::<32>());
    let (db, hash, session_id) = (state.db.clone(), keys::sha256(ticket.as_bytes()), caller.identity.session_id);
    let stored = state.finish(async move {
        let insert = sqlx::query!(
            "INSERT INTO ar.ws_tickets (ticket_hash, session_id, path, expires_at) VALUES ($1, $2, $3, now() + make_interval(secs => $4))",
            &hash,
            session_id,
            path,
            f64::from(TICKET_LIFE_S)
        );
        insert.execute(db.write()).await.map(|_| ()).map_err(|error| DbError::new("making a ticket", error).into())
    });
    stored.await?;
    Ok((StatusCode::CREATED, Json(Ticket { ticket, expires_in: TICKET_LIFE_S })).into_response())
}

/// Spends a ticket for a path; who it lets in, if it is good still and its session lives.
pub(super) async fn redeem(pool: &PgPool, ticket: &str, path: &str) -> Result<Option<Identity>, sqlx::Error> {
    let hash = keys::sha256(ticket.as_bytes());
    sqlx::query_as!(
        Identity,
        r#"WITH spent AS (
               DELETE FROM ar.ws_tickets WHERE ticket_hash = $1 AND path = $2 AND expires_at > now() RETURNING session_id
           )
           SELECT u.id AS user_id, s.id AS session_id, u.role AS "role: Role"
           FROM spent JOIN ar.user_sessions s ON s.id = spent.session_id JOIN ar.users u ON u.id = s.user_id
           WHERE s.revoked_at IS NULL AND s.expires_at > now() AND u.is_active"#,
        &hash,
        path
    )
    .fetch_optional(pool)
    .await
}

/// The public keys
///
/// A JWK set (RFC 7517) with the Ed25519 keys that access tokens are signed with: whoever has them can check a
/// token without asking, until it expires.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "accounts", security(()), responses(
    (status = 200, description = "The keys, the current one first.", body = Jwks), ReadFailures, TooMany,
))]
async fn jwks(State(state): State<AppState>, StrictQuery(Nothing): StrictQuery<Nothing>) -> Response {
    ([("cache-control", "public, max-age=300")], Json(state.accounts.tokens.jwks())).into_response()
}
