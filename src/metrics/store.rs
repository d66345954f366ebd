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

/// Notes until when something is published, so that it is published once.
pub(super) async fn note_published(connection: &mut PgConnection, mark: &str, until: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO ar.meta (key, value) VALUES ($1, to_char($2::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
           ON CONFLICT (key) DO UPDATE SET value = excluded.value"#,
        mark,
        until
    )
    .execute(connection)
    .await
    .map(|_| ())
}
