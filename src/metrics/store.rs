//! What several parts of this feature ask of the database.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

/// Whether this transaction may do what only one in the whole database does at a time; true until it ends. (Waiting
/// for the lock instead could deadlock with an index that is made concurrently.)
pub(super) async fn take_turn(connection: &mut PgConnection, what: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS "taken!""#, what).fetch_one(connection).await
}

/// The database's time.
pub(super) async fn now(executor: impl PgExecutor<'_>) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(executor).await
}
