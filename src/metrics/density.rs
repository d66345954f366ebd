//! Publishes how many people were where. What is published is decided once, for a closed quarter-hour, and never
//! corrected: two versions of a number could be subtracted from each other to find one person.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use h3o::Resolution;
use sqlx::{Connection, PgConnection, PgPool};

use super::active_devices::LEAST_USERS;
use super::store::{note_published, take_turn};
use crate::db::{DbError, within_deadline};
use crate::geo::{Cell, ensure_outlines};

/// Length of what is published at once.
const QUARTER_HOUR: TimeDelta = TimeDelta::minutes(15);
/// Key in `ar.meta` of the end of the last one that was published.
const MARK: &str = "density_published_until";
/// Coarsest to finest resolution at which sums are drawn (`gis.device_density_sums`).
const SUMMED: [Resolution; 6] = [Resolution::Zero, Resolution::One, Resolution::Two, Resolution::Three, Resolution::Four, Resolution::Five];

/// Publishes the quarter-hours that ended two minutes ago or earlier and are not published yet; how many had somebody in
/// them. Who was reported later than that is left out. Another instance that is at it does it for both.
///
/// # Errors
/// When the database fails.
pub async fn publish_density(pool: &PgPool) -> Result<u32, DbError> {
    let mut published = 0;
    // One at a time, each a transaction of its own.
    while within_deadline(pool, "publishing device density", publish_next).await? {
        published += 1;
    }
    Ok(published)
}

/// Publishes one quarter-hour; false when there is none, or it is another instance's turn.
async fn publish_next(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    if !take_turn(&mut transaction, "ar.publish_density").await? {
        return Ok(false);
    }
    let times = sqlx::query!(
        r#"SELECT (SELECT value::timestamptz FROM ar.meta WHERE key = 'density_published_until') AS published_until,
               date_bin('15 minutes', now() - interval '2 minutes', 'epoch') AS "closed_until!""#
    );
    let times = times.fetch_one(&mut *transaction).await?;
    // Without a mark nobody knows what was published, so nothing before now is.
    let from = times.published_until.unwrap_or(times.closed_until);
    if times.published_until.is_some() && from >= times.closed_until {
        return Ok(false);
    }
    let next = sqlx::query_scalar!(
        r#"SELECT date_bin('15 minutes', min(bucket_start), 'epoch') FROM ar.device_presence WHERE bucket_start >= $1 AND bucket_start < $2"#,
        from,
        times.closed_until
    );
    let next = next.fetch_one(&mut *transaction).await?;
    match next {
        Some(start) => {
            publish(&mut transaction, start).await?;
            note_published(&mut transaction, MARK, start + QUARTER_HOUR).await?;
        }
        None => note_published(&mut transaction, MARK, times.closed_until).await?,
    }
    transaction.commit().await?;
    Ok(next.is_some())
}

async fn publish(connection: &mut PgConnection, start: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let cells = sqlx::query_scalar!(
        "INSERT INTO gis.device_density (bucket_start, cell, users)
         SELECT $1::timestamptz, h3_r7, count(DISTINCT user_id) FROM ar.device_presence
         WHERE bucket_start >= $1 AND bucket_start < $1 + interval '15 minutes'
         GROUP BY h3_r7 HAVING count(DISTINCT user_id) >= $2
         -- So that where a row stands in the table says nothing about those that are left out.
         ORDER BY h3_r7
         ON CONFLICT DO NOTHING RETURNING cell",
        start,
        LEAST_USERS
    );
    let cells: Vec<Cell> = cells.fetch_all(&mut *connection).await?.into_iter().filter_map(|cell| Cell::from_db(cell).ok()).collect();
    let drawn: HashSet<Cell> =
        cells.into_iter().flat_map(|cell| SUMMED.iter().filter_map(move |&resolution| cell.parent(resolution)).chain([cell])).collect();
    ensure_outlines(connection, &drawn).await
}
