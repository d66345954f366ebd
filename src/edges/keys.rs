//! Keys with which edge servers sign in: `ek_<id>_<256 random bits>`. The database keeps their SHA-256.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::db::{Db, DbError};
use crate::http::ApiError;
use crate::keys;

/// What every key begins with.
const PREFIX: &str = "ek_";

/// The edge server that a good key speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EdgeIdentity {
    /// The edge.
    pub(crate) edge_id: Uuid,
    /// The key it showed.
    pub(crate) key_id: Uuid,
}

/// Whether a bearer token is meant as an edge's key.
pub(crate) fn is_edge_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// The key's public half, and the SHA-256 of its secret one.
fn read(key: &str) -> Option<(Uuid, [u8; 32])> {
    let (id, secret) = key.strip_prefix(PREFIX)?.split_once('_')?;
    let id = Uuid::try_parse(id).ok().filter(|_| id.len() == 36)?;
    let secret = URL_SAFE_NO_PAD.decode(secret).ok().filter(|secret| secret.len() == 32)?;
    Some((id, keys::sha256(&secret)))
}

/// Whom a key speaks for.
///
/// # Errors
/// 401 when it is none of ours, or no longer good, or its edge was deleted; 503 without the database.
pub(crate) async fn verify(db: &Db, key: &str) -> Result<EdgeIdentity, ApiError> {
    let refused = || ApiError::invalid_token("the edge key is not good, or no longer; POST /api/v1/edge-servers/{id}/keys gives a new one");
    let (key_id, hash) = read(key).ok_or_else(refused)?;
    let found = sqlx::query!(
        "SELECT k.edge_server_id, k.key_hash FROM ar.edge_keys k JOIN ar.edge_servers e ON e.id = k.edge_server_id
         WHERE k.id = $1 AND (k.expires_at IS NULL OR k.expires_at > now()) AND e.deleted_at IS NULL",
        key_id
    );
    let found = found.fetch_optional(db.write()).await.map_err(|error| DbError::new("looking for an edge's key", error))?;
    let found = found.filter(|found| keys::equal(&found.key_hash, &hash)).ok_or_else(refused)?;
    Ok(EdgeIdentity { edge_id: found.edge_server_id, key_id })
}

/// Makes an edge's key. The one before it works for another day, or not at all with `revoke_previous`; those
/// before that one do not work any more.
pub(super) async fn rotate(connection: &mut PgConnection, edge_id: Uuid, revoke_previous: bool) -> Result<String, sqlx::Error> {
    sqlx::query!(
        "UPDATE ar.edge_keys SET expires_at = CASE WHEN expires_at IS NULL AND NOT $2 THEN now() + interval '24 hours' ELSE now() END
         WHERE edge_server_id = $1 AND (expires_at IS NULL OR expires_at > now())",
        edge_id,
        revoke_previous
    )
    .execute(&mut *connection)
    .await?;
    let (id, secret) = (Uuid::now_v7(), keys::random::<32>());
    let hash = keys::sha256(&secret);
    sqlx::query!("INSERT INTO ar.edge_keys (id, edge_server_id, key_hash) VALUES ($1, $2, $3)", id, edge_id, &hash)
        .execute(connection)
        .await?;
    Ok(format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret)))
}

/// Throws away keys that have not worked for a month.
pub(super) async fn clean(executor: impl PgExecutor<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM ar.edge_keys WHERE expires_at < now() - interval '30 days'").execute(executor).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_key_names_itself_and_has_256_bits() {
        let id = Uuid::now_v7();
        let (read_id, hash) = read(&format!("ek_{id}_{}", URL_SAFE_NO_PAD.encode([7; 32]))).expect("reads");
        assert_eq!((read_id, hash), (id, keys::sha256(&[7; 32])));
    }

    #[rstest]
    #[case("")]
    #[case("ek_")]
    #[case("ek_01890000-0000-7000-8000-000000000000")]
    #[case("ek_01890000-0000-7000-8000-000000000000_short")]
    #[case("ek_01890000000070008000000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    #[case("ak_01890000-0000-7000-8000-000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    fn what_is_no_key_costs_no_query(#[case] text: &str) {
        assert_eq!(read(text), None);
    }
}
