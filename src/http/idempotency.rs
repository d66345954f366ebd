//! `Idempotency-Key`: a request that may have been done already is not done again, and gets its first answer.
//! The key is kept in the transaction of the work itself, so there is no key without its work.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use sqlx::PgConnection;
use std::convert::Infallible;
use uuid::Uuid;

use super::ApiError;
use crate::input::Faults;
use crate::keys;

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key.
const MAX_KEY_CHARS: usize = 255;

/// Extractor: the key, read when its turn comes.
pub(crate) struct IdempotencyKey(Result<Option<String>, ()>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let is_key = |text: &str| (1..=MAX_KEY_CHARS).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        Ok(Self(match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().ok().filter(|text| is_key(text)).map(|text| Some(text.to_owned())).ok_or(()),
            _ => Err(()),
        }))
    }
}

impl IdempotencyKey {
    /// The key, if there is one.
    ///
    /// # Errors
    /// 400 when it is not one to 255 visible characters, or comes twice.
    pub(crate) fn read(self) -> Result<Option<String>, ApiError> {
        self.0.map_err(|()| {
            let mut faults = Faults::default();
            faults.unreadable(IDEMPOTENCY_KEY, "bad_key", "is not one text of 1 to 255 visible ASCII characters");
            faults.into()
        })
    }
}

/// What a key says of a request.
pub(crate) enum Claim {
    /// It is the first: do it, and keep its answer.
    First,
    /// It was done: these were the answer's status and body.
    Done(StatusCode, String),
    /// Another one was done under this key.
    Other,
}

/// 422: the key was used for another body.
pub(crate) fn key_reused() -> ApiError {
    let detail = "another body was sent under this Idempotency-Key; take a new key for a new request";
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
}

/// Claims a key for a request; whoever claims the same one at the same time waits for the outcome.
pub(crate) async fn claim(connection: &mut PgConnection, user_id: Uuid, key: &str, body: &[u8]) -> Result<Claim, sqlx::Error> {
    let hash = keys::sha256(body);
    // An expired row is as good as none.
    let claimed = sqlx::query!(
        "INSERT INTO ar.idempotency_keys AS k (user_id, key, body_hash, expires_at) VALUES ($1, $2, $3, now() + interval '24 h')
         ON CONFLICT (user_id, key) DO UPDATE SET body_hash = excluded.body_hash, expires_at = excluded.expires_at,
             response_status = NULL, response_body = NULL
         WHERE k.expires_at <= now()",
        user_id,
        key,
        &hash
    );
    if claimed.execute(&mut *connection).await?.rows_affected() == 1 {
        return Ok(Claim::First);
    }
    let kept = sqlx::query!(
        "SELECT body_hash, response_status, response_body::text FROM ar.idempotency_keys WHERE user_id = $1 AND key = $2",
        user_id,
        key
    );
    let kept = kept.fetch_one(connection).await?;
    let status = kept.response_status.and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
    Ok(match status.zip(kept.response_body) {
        Some((status, body)) if kept.body_hash == hash => Claim::Done(status, body),
        _ => Claim::Other,
    })
}

/// Keeps the answer under a key claimed in the same transaction.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    user_id: Uuid,
    key: &str,
    status: StatusCode,
    body: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE ar.idempotency_keys SET response_status = $3, response_body = $4::text::json WHERE user_id = $1 AND key = $2",
        user_id,
        key,
        i16::try_from(status.as_u16()).unwrap_or_default(),
        body
    )
    .execute(connection)
    .await
    .map(|_| ())
}
