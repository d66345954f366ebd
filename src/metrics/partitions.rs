//! Daily partitions: made a week ahead, and dropped when nothing in them is to be kept any more.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use sqlx::{Connection, PgConnection, PgPool};

use super::store::take_turn;
use crate::config::SupervisionConfig;
use crate::db::{DbError, within_deadline};

/// How long presence is kept at least: a quarter-hour is published some minutes after its end.
const PRESENCE_LEAST: Duration = Duration::from_mins(30);
/// Time between two tries to be the one who makes partitions, and how often it is tried.
const TURN_RETRY: Duration = Duration::from_millis(50);
const TURN_TRIES: u32 = 60;
/// Who holds this makes or drops partitions.
const TURN: &str = "ar.daily_partitions";

/// A table that is partitioned by day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Daily {
    SystemMetrics,
    DecorationUsage,
    DevicePresence,
}

impl Daily {
    const ALL: [Self; 3] = [Self::SystemMetrics, Self::DecorationUsage, Self::DevicePresence];

    fn table(self) -> &'static str {
        match self {
            Self::SystemMetrics => "ar.system_metrics",
            Self::DecorationUsage => "ar.decoration_usage",
            Self::DevicePresence => "ar.device_presence",
        }
    }

    fn retention(self, config: &SupervisionConfig) -> Duration {
        match self {
            Self::SystemMetrics | Self::DecorationUsage => config.metrics_retention,
            Self::DevicePresence => config.location_retention.max(PRESENCE_LEAST),
        }
    }
}

/// Makes the partitions of today and the week ahead, and drops those past their time; how many it dropped. Another
/// instance that is at it does it for both.
///
/// # Errors
/// When the database fails.
pub async fn keep_partitions(pool: &PgPool, config: &SupervisionConfig) -> Result<i32, DbError> {
    let mut dropped = 0;
    for daily in Daily::ALL {
        let keep = daily.retention(config);
        // A transaction each: creating and dropping lock the table.
        let work = within_deadline(pool, "keeping daily partitions", async |connection| keep_one(connection, daily, keep).await);
        dropped += work.await?;
    }
    Ok(dropped)
}

async fn keep_one(connection: &mut PgConnection, daily: Daily, keep: Duration) -> Result<i32, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    if !take_turn(&mut transaction, TURN).await? {
        return Ok(0);
    }
    make(&mut transaction, daily).await?;
    let keep = PgInterval { months: 0, days: 0, microseconds: i64::try_from(keep.as_micros()).unwrap_or(i64::MAX) };
    let dropped = sqlx::query_scalar!(r#"SELECT ar.drop_daily_partitions($1::text::regclass, $2) AS "dropped!""#, daily.table(), keep);
    let dropped = dropped.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(dropped)
}

/// Makes the missing partitions of today and the week ahead, when nobody else does.
async fn make(connection: &mut PgConnection, daily: Daily) -> Result<(), sqlx::Error> {
    let last = sqlx::query_scalar!(
        r#"SELECT count(*) = 8 AS "all!" FROM generate_series(0, 7) AS i
           WHERE to_regclass($1 || to_char((now() AT TIME ZONE 'UTC')::date + i, '_YYYYMMDD')) IS NOT NULL"#,
        daily.table()
    );
    if last.fetch_one(&mut *connection).await? {
        return Ok(());
    }
    if daily == Daily::SystemMetrics {
        // A new partition's foreign key locks the edges. Whoever writes beats locks them first, and so do we.
        sqlx::query!("LOCK TABLE ar.edge_servers IN SHARE ROW EXCLUSIVE MODE").execute(&mut *connection).await?;
    }
    let made = sqlx::query_scalar!(r#"SELECT ar.make_daily_partitions($1::text::regclass, 7) AS "made!""#, daily.table());
    let made = made.fetch_one(connection).await?;
    tracing::debug!(made, table = daily.table(), "daily partitions made");
    Ok(())
}

/// Makes the partitions that a statement missed; inside the caller's transaction. Whoever is at it is waited for.
pub(super) async fn make_missing(connection: &mut PgConnection, daily: Daily) -> Result<(), sqlx::Error> {
    tracing::warn!(table = daily.table(), "a daily partition is missing; making it");
    for _ in 0..TURN_TRIES {
        if take_turn(connection, TURN).await? {
            return make(connection, daily).await;
        }
        tokio::time::sleep(TURN_RETRY).await;
    }
    Err(sqlx::Error::PoolTimedOut)
}

/// Whether an error says that a row's partition is missing. (A CHECK would be named.)
pub(super) fn is_missing(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("23514") && error.constraint().is_none())
}
