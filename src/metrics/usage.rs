//! How often each decoration was in an answer of `nearby`, by hour and by its own r7 cell. From where was asked is not
//! kept, and from whom only so far that many can be told from one: each network sets one of 64 bits. What analysts may
//! read of it is `usage_publication`.
//!
//! Counted in memory and written every 10 s, so that a read stays a read. The counters are bounded: what would need
//! one more is dropped, counted, and told of once a write. A crash loses what was counted since the last write.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest;
use chrono::DateTime;
use dashmap::{DashMap, Entry};
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::partitions::{self, Daily};
use crate::db::DbError;
use crate::geo::Cell;

/// Counters at once.
const MAX_COUNTERS: usize = 262_144;
/// Counters written by one statement.
const CHUNK: usize = 8_192;
/// How long a statement may take.
const DEADLINE: Duration = Duration::from_secs(4);
const DOING: &str = "writing how often decorations were answered";

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    /// Start of the hour, in seconds since 1970.
    hour_s: i64,
    decoration_id: Uuid,
    h3_r7: Cell,
}

/// What is counted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    answers: i64,
    /// A bit for each network that asked; several may share one.
    askers: u64,
}

/// Answers counted since the last write.
pub struct Usage {
    answers: DashMap<Key, Count>,
    counters: AtomicUsize,
    dropped: AtomicU64,
}

impl Usage {
    pub(super) fn new() -> Self {
        Self { answers: DashMap::new(), counters: AtomicUsize::new(0), dropped: AtomicU64::new(0) }
    }

    /// Counts decorations, with their r7 cells, that are in an answer given to a network at `now_s` seconds since 1970.
    pub fn answered(&self, now_s: i64, network: IpAddr, decorations: impl Iterator<Item = (Uuid, Cell)>) {
        let hour_s = now_s - now_s.rem_euclid(3600);
        let count = Count { answers: 1, askers: asker(network, hour_s) };
        for (decoration_id, h3_r7) in decorations {
            self.count(Key { hour_s, decoration_id, h3_r7 }, count);
        }
    }

    fn count(&self, key: Key, count: Count) {
        match self.answers.entry(key) {
            Entry::Occupied(mut counter) => {
                let counter = counter.get_mut();
                counter.answers += count.answers;
                counter.askers |= count.askers;
            }
            Entry::Vacant(place) => {
                // Those who come at once may go over the bound by one each.
                if self.counters.load(Ordering::Relaxed) < MAX_COUNTERS {
                    self.counters.fetch_add(1, Ordering::Relaxed);
                    place.insert(count);
                } else {
                    self.dropped.fetch_add(count.answers.unsigned_abs(), Ordering::Relaxed);
                }
            }
        }
    }

    /// Takes all counters, in the order of their keys.
    fn take(&self) -> Vec<(Key, Count)> {
        let mut taken = Vec::with_capacity(self.counters.load(Ordering::Relaxed));
        self.answers.retain(|key, count| {
            taken.push((*key, *count));
            false
        });
        self.counters.fetch_sub(taken.len(), Ordering::Relaxed);
        taken.sort_unstable_by_key(|(key, _)| *key);
        taken
    }

    /// Writes what was counted; how many counters. What could not be written is counted on, unless it cannot be known
    /// whether it was: that is dropped, so that nothing is counted twice.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write(&self, pool: &PgPool) -> Result<usize, DbError> {
        let taken = self.take();
        let mut written = 0;
        let mut outcome = Ok(());
        for chunk in taken.chunks(CHUNK) {
            if outcome.is_ok() {
                outcome = self.write_chunk(pool, chunk).await;
                written += if outcome.is_ok() { chunk.len() } else { 0 };
            } else {
                self.put_back(chunk);
            }
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "{dropped} answers with decorations were not counted");
        }
        outcome.map(|()| written)
    }

    async fn write_chunk(&self, pool: &PgPool, chunk: &[(Key, Count)]) -> Result<(), DbError> {
        let mut connection = match pool.acquire().await {
            Ok(connection) => connection,
            Err(error) => {
                self.put_back(chunk);
                return Err(DbError::new(DOING, error));
            }
        };
        match tokio::time::timeout(DEADLINE, upsert_where_it_belongs(&mut connection, chunk)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                // Nobody said whether it was committed; or the hours are so old that their days are gone.
                let is_open = matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed);
                if is_open || partitions::is_missing(&error) {
                    self.give_up(chunk);
                } else {
                    self.put_back(chunk);
                }
                Err(DbError::new(DOING, error))
            }
            Err(_elapsed) => {
                connection.close_on_drop();
                self.give_up(chunk);
                Err(DbError::timed_out(DOING))
            }
        }
    }

    fn put_back(&self, chunk: &[(Key, Count)]) {
        for (key, count) in chunk {
            self.count(*key, *count);
        }
    }

    fn give_up(&self, chunk: &[(Key, Count)]) {
        let answers = chunk.iter().map(|(_, count)| count.answers.unsigned_abs()).sum();
        self.dropped.fetch_add(answers, Ordering::Relaxed);
    }
}

/// The bit of a network in an hour: the same at every instance, so that one that asks two of them is still one.
fn asker(network: IpAddr, hour_s: i64) -> u64 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&hour_s.to_be_bytes());
    match network {
        IpAddr::V4(address) => context.update(&address.octets()),
        IpAddr::V6(address) => context.update(&address.octets()),
    }
    1 << (context.finish().as_ref()[0] & 63)
}

/// Adds to what is there; when the day's partition is missing, once more after it was made.
async fn upsert_where_it_belongs(connection: &mut PgConnection, counted: &[(Key, Count)]) -> Result<(), sqlx::Error> {
    match upsert(connection, counted).await {
        Err(error) if partitions::is_missing(&error) => {
            let mut transaction = connection.begin().await?;
            partitions::make_missing(&mut transaction, Daily::DecorationUsage).await?;
            upsert(&mut transaction, counted).await?;
            transaction.commit().await
        }
        outcome => outcome,
    }
}

async fn upsert(connection: &mut PgConnection, counted: &[(Key, Count)]) -> Result<(), sqlx::Error> {
    let hours = counted.iter().map(|(key, _)| DateTime::from_timestamp(key.hour_s, 0).unwrap_or_default());
    // Instances that write at the same time take the rows in one order.
    sqlx::query!(
        "INSERT INTO ar.decoration_usage AS u (hour, decoration_id, h3_r7, answers, askers)
         SELECT hour, decoration_id, h3_r7, answers, askers::bit(64)
         FROM unnest($1::timestamptz[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[]) AS c (hour, decoration_id, h3_r7, answers, askers)
         ORDER BY hour, decoration_id, h3_r7
         ON CONFLICT (hour, decoration_id, h3_r7) DO UPDATE SET answers = u.answers + excluded.answers, askers = u.askers | excluded.askers",
        &hours.collect::<Vec<_>>(),
        &counted.iter().map(|(key, _)| key.decoration_id).collect::<Vec<_>>(),
        &counted.iter().map(|(key, _)| key.h3_r7.to_db()).collect::<Vec<_>>(),
        &counted.iter().map(|(_, count)| count.answers).collect::<Vec<_>>(),
        &counted.iter().map(|(_, count)| count.askers.cast_signed()).collect::<Vec<_>>()
    )
    .execute(connection)
    .await
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::{Cells, LatLng};

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn cell(lat_deg: f64) -> Cell {
        Cells::of(LatLng::new(lat_deg, 11.0).expect("on Earth")).r7
    }

    #[test]
    fn many_networks_are_told_from_one_that_asks_often() {
        let usage = Usage::new();
        let ask = |network: [u8; 4]| usage.answered(0, IpAddr::from(network), std::iter::once((Uuid::nil(), cell(48.0))));
        (0..100).for_each(|_| ask([192, 0, 2, 1]));
        let one = usage.take()[0].1;
        assert_eq!((one.answers, one.askers.count_ones()), (100, 1));
        (0..30).for_each(|n| ask([192, 0, 2, n]));
        let many = usage.take()[0].1;
        assert!(many.answers == 30 && (10..=30).contains(&many.askers.count_ones()), "{many:?}");
        // Which bit it is says nothing from one hour to the next.
        assert!((0..20).map(|hour| asker(HERE, hour * 3600)).collect::<std::collections::HashSet<_>>().len() > 5);
    }

    #[test]
    fn answers_are_counted_by_hour_decoration_and_cell() {
        let usage = Usage::new();
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        usage.answered(7_199, HERE, [(a, cell(48.0)), (b, cell(48.0))].into_iter());
        usage.answered(7_200, HERE, [(a, cell(48.0))].into_iter());
        usage.answered(7_201, HERE, [(a, cell(48.0)), (a, cell(49.0))].into_iter());
        let key = |hour_s, decoration_id, lat_deg| Key { hour_s, decoration_id, h3_r7: cell(lat_deg) };
        let mut expected = vec![(key(3600, a, 48.0), 1), (key(3600, b, 48.0), 1), (key(7200, a, 48.0), 2), (key(7200, a, 49.0), 1)];
        expected.sort_unstable();
        let taken: Vec<(Key, i64)> = usage.take().into_iter().map(|(key, count)| (key, count.answers)).collect();
        assert_eq!(taken, expected);
        assert_eq!(usage.take(), []);
    }

    #[test]
    fn counters_are_bounded_and_those_that_are_there_go_on() {
        let usage = Usage::new();
        let ids = |from: usize, to: usize| (from..to).map(|n| (Uuid::from_u128(n as u128), cell(48.0)));
        usage.answered(0, HERE, ids(0, MAX_COUNTERS + 100));
        usage.answered(0, HERE, ids(0, 10));
        assert_eq!(usage.dropped.load(Ordering::Relaxed), 100);
        let taken = usage.take();
        assert_eq!(taken.len(), MAX_COUNTERS);
        assert_eq!(taken.iter().map(|(_, count)| count.answers).sum::<i64>(), 262_154);
        // There is room again.
        usage.answered(0, HERE, ids(MAX_COUNTERS, MAX_COUNTERS + 5));
        assert_eq!(usage.take().len(), 5);
    }
}
