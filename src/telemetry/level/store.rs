//! The filter that was asked for, in the database. Callers own the transaction.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// A filter that was asked for, and is in force.
pub(super) struct Asked {
    pub(super) filter: String,
    pub(super) until: DateTime<Utc>,
    /// How long still, by the database's clock.
    pub(super) left_s: f64,
}

/// What was asked for, if that is not over.
pub(super) async fn asked(executor: impl PgExecutor<'_>) -> Result<Option<Asked>, sqlx::Error> {
    sqlx::query_as!(
        Asked,
        r#"SELECT filter, until, extract(epoch FROM until - now())::float8 AS "left_s!" FROM ar.log_level WHERE until > now()"#
    )
    .fetch_optional(executor)
    .await
}

/// Asks for a filter, in place of one that was asked for before, and tells every instance once the transaction is committed;
/// until when it is in force.
pub(super) async fn ask(executor: impl PgExecutor<'_>, filter: &str, for_s: i64) -> Result<DateTime<Utc>, sqlx::Error> {
    #[expect(clippy::cast_precision_loss, reason = "a day in seconds fits")]
    let for_s = for_s as f64;
    sqlx::query_scalar!(
        r#"WITH asked AS (
               INSERT INTO ar.log_level (filter, until) VALUES ($1, now() + make_interval(secs => $2))
               ON CONFLICT (only_row) DO UPDATE SET filter = excluded.filter, until = excluded.until RETURNING until
           )
           SELECT until AS "until!" FROM asked, pg_notify('ar', 'log_level:all')"#,
        filter,
        for_s
    )
    .fetch_one(executor)
    .await
}

/// Takes back what was asked for, and tells every instance once the transaction is committed; false: nothing was.
pub(super) async fn take_back(executor: impl PgExecutor<'_>) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query_scalar!(
        r#"WITH taken AS (DELETE FROM ar.log_level RETURNING until)
           SELECT until > now() AS "was_in_force!" FROM taken, pg_notify('ar', 'log_level:all')"#
    );
    Ok(taken.fetch_optional(executor).await?.unwrap_or(false))
}
