//! Stretches of time that are asked about, and how they are cut into buckets.

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::types::PgInterval;

use crate::http::ApiError;
use crate::input::Faults;

/// Most points of a series.
const MAX_POINTS: i64 = 2_000;
/// Most points of a series when nobody says how long a bucket is.
const DEFAULT_POINTS: i64 = 120;
const DAY_S: i64 = 86_400;
/// Lengths of buckets that people read easily, in seconds; beyond them whole days.
const EASY_S: [i64; 14] = [1, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600];

/// A stretch of time, the second end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
}

/// How long a bucket is. Buckets begin at whole multiples of it since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) seconds: i64,
}

impl Range {
    /// What was asked for; up to now and `length` long where that was left open.
    ///
    /// # Errors
    /// 422 when it ends before it begins.
    pub(super) fn of([from, to]: [Option<DateTime<Utc>>; 2], now: DateTime<Utc>, length: TimeDelta) -> Result<Self, ApiError> {
        let to = to.unwrap_or(now);
        let from = from.unwrap_or_else(|| to.checked_sub_signed(length).unwrap_or(to));
        if from >= to {
            let mut faults = Faults::default();
            faults.out_of_domain("from", "out_of_order", "is not before to, which is now when it is left out");
            return Err(faults.into());
        }
        Ok(Self { from, to })
    }
}

impl Bucket {
    /// The length asked for, or one that gives 120 points at most.
    ///
    /// # Errors
    /// 422 `too_many_points` when it cuts the range into more than 2,000.
    pub(super) fn of(asked_s: Option<i64>, range: Range) -> Result<Self, ApiError> {
        let Some(seconds) = asked_s else { return Ok(Self::fitting(range)) };
        let bucket = Self { seconds };
        if bucket.points(range) > MAX_POINTS {
            let least_s = Self::fitting(range).seconds;
            let detail =
                format!("that is more than {MAX_POINTS} points a series; take longer buckets, such as {least_s}s, or a shorter time");
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_points", detail));
        }
        Ok(bucket)
    }

    fn fitting(range: Range) -> Self {
        let fits = |bucket: &Self| bucket.points(range) <= DEFAULT_POINTS;
        let easy = EASY_S.into_iter().chain([DAY_S]).map(|seconds| Self { seconds }).find(fits);
        // One less, because the first and the last bucket may be cut.
        let days = (range.to - range.from).num_seconds() / ((DEFAULT_POINTS - 1) * DAY_S) + 1;
        easy.unwrap_or(Self { seconds: days * DAY_S })
    }

    /// How many buckets touch a range.
    fn points(self, range: Range) -> i64 {
        let length_us = self.seconds * 1_000_000;
        let first = range.from.timestamp_micros().div_euclid(length_us);
        let last = (range.to.timestamp_micros() - 1).div_euclid(length_us);
        last - first + 1
    }

    pub(super) fn interval(self) -> PgInterval {
        PgInterval { months: 0, days: 0, microseconds: self.seconds * 1_000_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn range(from: &str, to: &str) -> Range {
        let read = |text: &str| crate::input::read_time(text).expect("a time");
        Range { from: read(from), to: read(to) }
    }

    #[rstest]
    #[case("2026-11-25T12:00:00Z", "2026-11-25T12:00:00.000001Z", 1)]
    #[case("2026-11-25T12:00:00Z", "2026-11-25T12:02:00Z", 1)]
    #[case("2026-11-25T12:00:00Z", "2026-11-25T13:00:00Z", 30)]
    #[case("2026-11-25T12:00:01Z", "2026-11-25T13:00:01Z", 60)]
    #[case("2026-11-24T12:00:00Z", "2026-11-25T12:00:00Z", 900)]
    #[case("2026-10-26T00:00:00Z", "2026-11-25T00:00:00Z", 6 * 3600)]
    #[case("2026-01-01T00:00:00Z", "2026-11-25T00:00:00Z", 3 * 86_400)]
    fn without_a_length_there_are_at_most_120_points(#[case] from: &str, #[case] to: &str, #[case] expected_s: i64) {
        let range = range(from, to);
        let bucket = Bucket::of(None, range).expect("fits");
        assert_eq!(bucket.seconds, expected_s);
        assert!(bucket.points(range) <= DEFAULT_POINTS);
    }

    #[test]
    fn the_longest_range_that_can_be_asked_for_fits_too() {
        let range = range("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z");
        assert!(Bucket::of(None, range).expect("fits").points(range) <= DEFAULT_POINTS);
    }

    #[test]
    fn two_thousand_points_are_not_too_many_and_one_more_is() {
        let exact = range("2026-11-25T00:00:00Z", "2026-11-25T00:33:20Z");
        assert_eq!(Bucket { seconds: 1 }.points(exact), 2_000);
        assert!(Bucket::of(Some(1), exact).is_ok());
        let longer = range("2026-11-25T00:00:00Z", "2026-11-25T00:33:20.000001Z");
        assert!(Bucket::of(Some(1), longer).is_err());
    }
}
