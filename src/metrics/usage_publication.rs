//! Publishes how often decorations were answered, for analysts. A decoration that one phone alone was answered tells where
//! that phone is; so only those are published that at least ten networks were answered, and only when the hour is over,
//! because who looks every second sees a single answer come. Decided once and never corrected, like the density.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection, PgPool};

use super::active_devices::LEAST_USERS;
use super::store::{note_published, take_turn};
use crate::db::{DbError, within_deadline};

/// Key in `ar.meta` of the end of the last hour that was published.
const MARK: &str = "usage_published_until";

/// Publishes the hours that ended two minutes ago or earlier and are not published yet; how many had answers in them.
/// Another instance that is at it does it for both.
///
/// # Errors
/// When the database fails.
pub async fn publish_usage(pool: &PgPool) -> Result<u32, DbError> {
    let mut published = 0;
    // One at a time, each a transaction of its own.
    while within_deadline(pool, "publishing how often decorations were answered", publish_next).await? {
        published += 1;
    }
    Ok(published)
}

/// Publishes one hour; false when there is none, or it is another instance's turn.
async fn publish_next(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    if !take_turn(&mut transaction, "ar.publish_usage").await? {
        return Ok(false);
    }
    let times = sqlx::query!(
        r#"SELECT (SELECT value::timestamptz FROM ar.meta WHERE key = $1) AS published_until,
               date_bin('1 hour', now() - interval '2 minutes', 'epoch') AS "closed_until!""#,
        MARK
    );
    let times = times.fetch_one(&mut *transaction).await?;
    // Without a mark nobody knows what was published, so nothing before now is.
    let from = times.published_until.unwrap_or(times.closed_until);
    if times.published_until.is_some() && from >= times.closed_until {
        return Ok(false);
    }
    let next = sqlx::query_scalar!("SELECT min(hour) FROM ar.decoration_usage WHERE hour >= $1 AND hour < $2", from, times.closed_until);
    let next: Option<DateTime<Utc>> = next.fetch_one(&mut *transaction).await?;
    if let Some(hour) = next {
        sqlx::query!(
            "INSERT INTO ar.published_usage (hour, decoration_id, h3_r7, answers)
             SELECT hour, decoration_id, h3_r7, answers FROM ar.decoration_usage WHERE hour = $1 AND bit_count(askers) >= $2
             ORDER BY decoration_id, h3_r7
             ON CONFLICT DO NOTHING",
            hour,
            LEAST_USERS
        )
        .execute(&mut *transaction)
        .await?;
    }
    note_published(&mut transaction, MARK, next.map_or(times.closed_until, |hour| hour + TimeDelta::hours(1))).await?;
    transaction.commit().await?;
    Ok(next.is_some())
}
