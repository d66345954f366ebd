//! Who was in which cell in which quarter-hour: noted in memory as positions are written, and written itself every
//! ten seconds, each once. Private: what is published of it is counted, and small counts are left out before.
//!
//! Bounded: what does not fit is left out, which makes a crowd look smaller and never a person visible.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::Instrument;
use uuid::Uuid;

use crate::db::{Db, DbError};
use crate::state::AppState;
use crate::telemetry;
use crate::telemetry::prometheus::Work;

/// Time between two writings.
const INTERVAL: Duration = Duration::from_secs(10);
/// Length of a bucket in seconds.
const BUCKET_S: i64 = 15 * 60;
/// Most entries kept of each kind, some 50 MB in all.
const MAX_ENTRIES: usize = 500_000;
/// Rows of one statement.
const PIECE: usize = 5_000;

/// A user in a cell in a quarter-hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Seen {
    bucket_start_s: i64,
    h3_r7: i64,
    user_id: Uuid,
}

impl Seen {
    /// At a time of the database's.
    pub(super) fn at(now: DateTime<Utc>, h3_r7: i64, user_id: Uuid) -> Self {
        Self { bucket_start_s: now.timestamp().div_euclid(BUCKET_S) * BUCKET_S, h3_r7, user_id }
    }
}

/// What is known here.
#[derive(Default)]
pub(super) struct Presence(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    waiting: HashSet<Seen>,
    /// Of the newest bucket only: they need not be written again.
    written: HashSet<Seen>,
    newest_bucket_s: i64,
    left_out: usize,
}

impl Presence {
    /// Notes who was seen.
    pub(super) fn note(&self, seen: impl IntoIterator<Item = Seen>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for seen in seen {
            if seen.bucket_start_s > entries.newest_bucket_s {
                entries.newest_bucket_s = seen.bucket_start_s;
                entries.written.clear();
            }
            if entries.written.contains(&seen) {
                continue;
            }
            if entries.waiting.len() < MAX_ENTRIES {
                entries.waiting.insert(seen);
            } else {
                entries.left_out += 1;
            }
        }
    }

    fn take(&self) -> (Vec<Seen>, usize) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting: Vec<Seen> = entries.waiting.drain().collect();
        // Instances that write at the same time take the rows in one order.
        waiting.sort_unstable();
        (waiting, std::mem::take(&mut entries.left_out))
    }

    fn written(&self, piece: &[Seen]) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = entries.newest_bucket_s;
        for seen in piece.iter().filter(|seen| seen.bucket_start_s == newest) {
            if entries.written.len() < MAX_ENTRIES {
                entries.written.insert(*seen);
            }
        }
    }

    /// Writes what is not written yet; returns how many rows there were.
    pub(super) async fn write(&self, db: &Db) -> Result<usize, DbError> {
        let (waiting, left_out) = self.take();
        if left_out > 0 {
            tracing::warn!(left_out, "too many people are about: some are left out of the counts by cell");
        }
        let mut rest = waiting.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(PIECE));
            if let Err(error) = insert(db, piece).await {
                self.note(rest.iter().copied());
                return Err(DbError::new("noting who was where", error));
            }
            self.written(piece);
            rest = after;
        }
        Ok(waiting.len())
    }
}

async fn insert(db: &Db, piece: &[Seen]) -> Result<(), sqlx::Error> {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    let buckets: Vec<f64> = piece.iter().map(|seen| seen.bucket_start_s as f64).collect();
    sqlx::query!(
        "INSERT INTO ar.device_presence (bucket_start, h3_r7, user_id)
         SELECT to_timestamp(p.bucket_start_s), p.h3_r7, p.user_id
         FROM unnest($1::float8[], $2::bigint[], $3::uuid[]) AS p(bucket_start_s, h3_r7, user_id)
         ON CONFLICT DO NOTHING",
        &buckets,
        &piece.iter().map(|seen| seen.h3_r7).collect::<Vec<_>>(),
        &piece.iter().map(|seen| seen.user_id).collect::<Vec<_>>()
    )
    .execute(db.write())
    .await
    .map(|_| ())
}

/// Writes every ten seconds, and once more after the writers of positions have ended.
pub(super) async fn run(state: AppState, writers: Vec<JoinHandle<()>>) {
    let work = Work::begin("presence_writing", INTERVAL);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = futures_util::future::join_all(writers);
    tokio::pin!(ended);
    loop {
        let is_last = tokio::select! {
            _ = &mut ended => true,
            _ = ticks.tick() => false,
        };
        let writing = state.devices.write_presence(&state.db).instrument(telemetry::work("noting who was where"));
        if let Err(error) = work.note(writing.await) {
            tracing::warn!(error = &error as &dyn std::error::Error, "who was where is noted later");
        }
        if is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(second: i64, user: u128) -> Seen {
        Seen::at(DateTime::from_timestamp(second, 0).expect("a time"), 7, Uuid::from_u128(user))
    }

    #[test]
    fn each_is_written_once_a_quarter_hour() {
        let presence = Presence::default();
        presence.note([seen(899, 1), seen(0, 1), seen(900, 1), seen(901, 2)]);
        let (waiting, left_out) = presence.take();
        assert_eq!((waiting.as_slice(), left_out), ([seen(0, 1), seen(900, 1), seen(900, 2)].as_slice(), 0));
        presence.written(&waiting);
        presence.note([seen(1000, 1), seen(1799, 2)]);
        assert!(presence.take().0.is_empty());
        presence.note([seen(1800, 1)]);
        assert_eq!(presence.take().0, [seen(1800, 1)]);
    }
}
