//! The database's time without asking it each time. Tokens expire by it, so that instances whose own clocks
//! differ agree.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// How far the database's clock is ahead of ours, as last measured.
#[derive(Debug, Default)]
pub struct DbClock {
    ahead_ms: AtomicI64,
}

impl DbClock {
    /// The database's time in whole seconds since 1970.
    #[must_use]
    pub fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// The database's time in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        own_ms() + self.ahead_ms.load(Ordering::Relaxed)
    }

    /// The database's time.
    #[must_use]
    pub(crate) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.now_ms()).unwrap_or_default()
    }

    /// How far the database's clock is ahead of ours, in seconds.
    #[must_use]
    pub(crate) fn ahead_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of some thousand years fit")]
        let ahead_s = self.ahead_ms.load(Ordering::Relaxed) as f64 / 1000.0;
        ahead_s
    }

    /// Takes a reading of the database's clock, made between `asked_ms` and now.
    pub(crate) fn set(&self, theirs: DateTime<Utc>, asked_ms: i64) {
        // In the middle between question and answer.
        let ours = i64::midpoint(asked_ms, own_ms());
        self.ahead_ms.store(theirs.timestamp_millis() - ours, Ordering::Relaxed);
    }
}

/// Our own clock, in milliseconds since 1970.
pub(crate) fn own_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn it_goes_as_the_databases_clock_goes() {
        let clock = DbClock::default();
        let own = DateTime::from_timestamp_millis(own_ms()).expect("a time");
        clock.set(own + TimeDelta::minutes(10), own_ms());
        assert!((clock.now_s() - own.timestamp() - 600).abs() <= 1);
        clock.set(own - TimeDelta::minutes(10), own_ms());
        assert!((clock.now_s() - own.timestamp() + 600).abs() <= 1);
    }
}
