//! The database's time without asking it each time. Tokens expire by it, so that instances whose own clocks
//! differ agree. Between two readings it goes on by the machine's steady clock: somebody who sets the machine's
//! time does not set ours.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// How long the question for a reading may have taken: the answer may be wrong by half of it.
const MAX_READING: Duration = Duration::from_secs(1);

/// The database's clock, as last read.
#[derive(Debug)]
pub struct DbClock {
    began: Instant,
    /// Its time at `began`, in milliseconds since 1970.
    at_beginning_ms: AtomicI64,
    /// How far it is ahead of the machine's own clock.
    ahead_ms: AtomicI64,
}

impl Default for DbClock {
    /// The machine's own, until the first reading.
    fn default() -> Self {
        Self { began: Instant::now(), at_beginning_ms: AtomicI64::new(own_ms()), ahead_ms: AtomicI64::new(0) }
    }
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
        self.at_beginning_ms.load(Ordering::Relaxed) + ms(self.began.elapsed())
    }

    /// The database's time.
    #[must_use]
    pub(crate) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.now_ms()).unwrap_or_default()
    }

    /// How far the database's clock is ahead of the machine's own, in seconds.
    #[must_use]
    pub(crate) fn ahead_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of some thousand years fit")]
        let ahead_s = self.ahead_ms.load(Ordering::Relaxed) as f64 / 1000.0;
        ahead_s
    }

    /// Takes a reading of the database's clock, made between `asked` and now. One that took long is left out: we may
    /// have been stopped in between.
    pub(crate) fn set(&self, theirs: DateTime<Utc>, asked: Instant) {
        let took = asked.elapsed();
        if took > MAX_READING {
            return;
        }
        // In the middle between question and answer.
        let now_ms = theirs.timestamp_millis() + ms(took / 2);
        self.at_beginning_ms.store(now_ms - ms(self.began.elapsed()), Ordering::Relaxed);
        self.ahead_ms.store(now_ms - own_ms(), Ordering::Relaxed);
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The machine's own clock, in milliseconds since 1970.
pub(crate) fn own_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn it_goes_as_the_databases_clock_goes() {
        let clock = DbClock::default();
        let own = DateTime::from_timestamp_millis(own_ms()).expect("a time");
        for (minutes, ahead_s) in [(10, 600.0), (-10, -600.0)] {
            clock.set(own + TimeDelta::minutes(minutes), Instant::now());
            assert!((clock.now_s() - own.timestamp() - 60 * minutes).abs() <= 1);
            assert!((clock.ahead_s() - ahead_s).abs() < 1.0, "{}", clock.ahead_s());
        }
    }

    #[test]
    fn a_reading_that_took_long_tells_nothing() {
        let clock = DbClock::default();
        if let Some(long_ago) = Instant::now().checked_sub(2 * MAX_READING) {
            clock.set(DateTime::from_timestamp_millis(own_ms()).expect("a time") + TimeDelta::minutes(10), long_ago);
            assert!(clock.ahead_s().abs() < 1.0);
        }
    }
}
