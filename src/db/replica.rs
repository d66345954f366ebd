//! The replica that discovery reads: whether it is fit for that, and how much of what was written it has.
//!
//! Twice a second the primary is asked how far its log is and the replica how far it has replayed it. A position of the
//! primary was asked for at a moment of our own steady clock; once the replica has passed it, it has everything that
//! was committed before that moment. So lag is an age, no two machines' clocks are compared, and a database on which
//! nothing happens does not seem to lag. Whoever must see what was written at some moment reads the replica if it is
//! known to be past it, and the primary else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio::sync::Notify;

use super::error::DbError;
use super::{Db, within_deadline};
use crate::lifecycle::Lifecycle;
use crate::telemetry::meters;

/// Time between two looks, and while somebody waits for the replica to have what he wrote.
const INTERVAL: Duration = Duration::from_millis(500);
const INTERVAL_AWAITED: Duration = Duration::from_millis(25);
/// How long each of both may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Positions of the primary that are remembered; beyond, only the newest is replaced.
const MAX_POSITIONS: usize = 512;

/// How the replica stands, as this instance sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Standing {
    /// Not looked at yet.
    Unknown,
    /// Discovery reads it.
    InUse,
    /// It is further behind than it may be.
    Lagging,
    /// It does not answer.
    Unreachable,
    /// It is no replica: it was promoted, or is of another database.
    NoReplica,
}

impl Standing {
    const ALL: [Self; 5] = [Self::Unknown, Self::InUse, Self::Lagging, Self::Unreachable, Self::NoReplica];

    /// The wire's and the metrics' word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::InUse => "in_use",
            Self::Lagging => "lagging",
            Self::Unreachable => "unreachable",
            Self::NoReplica => "no_replica",
        }
    }
}

/// Why reads go to the primary instead of the replica, in the metrics' words.
pub(crate) const FALLBACK_REASONS: [&str; 6] = ["unknown", "lagging", "unreachable", "no_replica", "behind_a_write", "failed"];

/// Why a read does not go to the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotThere {
    /// By its standing.
    Unfit(Standing),
    /// It is not known to have what the read must see.
    Behind,
    /// The read failed there.
    Failed,
}

impl NotThere {
    /// Counts a read that goes to the primary instead.
    pub(super) fn count(self) {
        let reason = match self {
            Self::Unfit(Standing::Unknown | Standing::InUse) => 0,
            Self::Unfit(Standing::Lagging) => 1,
            Self::Unfit(Standing::Unreachable) => 2,
            Self::Unfit(Standing::NoReplica) => 3,
            Self::Behind => 4,
            Self::Failed => 5,
        };
        meters().db.read_fallback[reason].increment(1);
    }
}

/// A replica and what is known of it.
pub(crate) struct Replica {
    options: PgConnectOptions,
    max_lag: Duration,
    began: Instant,
    standing: AtomicU8,
    /// It has everything that was committed before this moment, in microseconds since `began`; 0: nobody knows.
    complete_until_us: AtomicU64,
    book: Mutex<Book>,
    /// Somebody has to know more, soon.
    awaited: Notify,
}

/// What was heard of both.
#[derive(Debug, Default)]
struct Book {
    /// Positions of the primary that the replica had not reached when it was last asked, oldest first.
    positions: VecDeque<Position>,
    lag: Duration,
    since: Option<Instant>,
}

/// How far the primary's log was.
#[derive(Clone, Debug)]
struct Position {
    asked: Instant,
    /// What was committed before `asked` ends before this, whether it is on disk already or not.
    inserted: i64,
    /// Up to here it is on disk, and goes to replicas.
    flushed: i64,
    epoch: Option<String>,
}

/// How far the replica is.
#[derive(Clone, Debug)]
struct Replayed {
    /// None: it replays nothing, so it is no replica.
    up_to: Option<i64>,
    epoch: Option<String>,
}

/// What a look came to.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    standing: Standing,
    lag: Duration,
    complete_until: Option<Instant>,
}

impl Book {
    /// Notes a position of the primary.
    fn heard(&mut self, position: Position) {
        if self.positions.len() >= MAX_POSITIONS {
            self.positions.pop_back();
        }
        self.positions.push_back(position);
    }

    /// Judges the replica by its answer. Where the primary does not answer, lag cannot be told and is none: nothing is
    /// written, and there is nowhere else to read.
    fn judge(&mut self, replayed: &Replayed, primary_answers: bool, was: Standing, max_lag: Duration, now: Instant) -> Verdict {
        let Some(up_to) = replayed.up_to else {
            return Verdict { standing: Standing::NoReplica, lag: Duration::ZERO, complete_until: None };
        };
        let epoch = self.positions.back().and_then(|position| position.epoch.clone());
        let complete_until = self.positions.iter().rev().find(|position| position.inserted <= up_to).map(|position| position.asked);
        // The newest stays, to know the epoch by.
        while self.positions.len() > 1 && self.positions.front().is_some_and(|position| position.inserted <= up_to) {
            self.positions.pop_front();
        }
        let behind = self.positions.iter().find(|position| position.flushed > up_to).map(|position| now.duration_since(position.asked));
        let lag = behind.filter(|_| primary_answers).unwrap_or_default();
        // What is over lies below what raises, so that nothing flickers.
        let limit = if was == Standing::InUse { max_lag } else { max_lag / 2 };
        let standing = match () {
            () if epoch.is_some() && replayed.epoch.is_some() && epoch != replayed.epoch => Standing::NoReplica,
            // Without a schema there is nothing to read.
            () if lag > limit || replayed.epoch.is_none() => Standing::Lagging,
            // Nobody knows how far it is behind.
            () if was != Standing::InUse && complete_until.is_none() && primary_answers => was,
            () => Standing::InUse,
        };
        Verdict { standing, lag, complete_until }
    }
}

impl Replica {
    pub(super) fn new(options: PgConnectOptions, max_lag: Duration) -> Self {
        Self {
            options: options.application_name("ar-supervisor replica"),
            max_lag,
            began: Instant::now(),
            standing: AtomicU8::new(Standing::Unknown as u8),
            complete_until_us: AtomicU64::new(0),
            book: Mutex::default(),
            awaited: Notify::new(),
        }
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> Standing {
        Standing::ALL[usize::from(self.standing.load(Ordering::Acquire))]
    }

    /// How far it was behind when it was last asked.
    pub(crate) fn lag(&self) -> Duration {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).lag
    }

    /// How long it has stood so.
    pub(crate) fn standing_for(&self) -> Duration {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).since.unwrap_or(self.began).elapsed()
    }

    /// Whether it has everything that was committed before a moment.
    pub(crate) fn has(&self, moment: Instant) -> bool {
        let us = |at: Instant| u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX);
        self.complete_until_us.load(Ordering::Acquire) > us(moment)
    }

    /// Whether a read may go there that must see what was committed before a moment.
    pub(super) fn may_serve(&self, as_of: Option<Instant>) -> Result<(), NotThere> {
        let standing = self.standing();
        if standing != Standing::InUse {
            return Err(NotThere::Unfit(standing));
        }
        if as_of.is_some_and(|moment| !self.has(moment)) {
            self.awaited.notify_one();
            return Err(NotThere::Behind);
        }
        Ok(())
    }

    /// A read found it gone: nobody else is to try before it was looked at again.
    pub(super) fn is_gone(&self, error: &(dyn std::error::Error + 'static)) {
        if self.change(Standing::Unreachable) {
            tracing::warn!(error, "the read replica does not answer: discovery reads the primary");
        }
        self.awaited.notify_one();
    }

    /// Takes on a standing; whether it is another one.
    fn change(&self, standing: Standing) -> bool {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = self.standing.swap(standing as u8, Ordering::AcqRel) != standing as u8;
        if changed {
            book.since = Some(Instant::now());
        }
        changed
    }

    /// Looks at both; whether the standing changed.
    async fn look(&self, primary: &PgPool, connection: &mut Option<PgConnection>) -> bool {
        let asking = within_deadline(primary, "reading how far the primary's log is", position);
        let (position, replayed) = tokio::join!(tokio::time::timeout(ANSWER_TIMEOUT, asking), self.ask(connection));
        let position = position.ok().and_then(Result::ok);
        let primary_answers = position.is_some();
        if let Some(position) = position {
            self.book.lock().unwrap_or_else(PoisonError::into_inner).heard(position);
        }
        let replayed = match replayed {
            Ok(replayed) => replayed,
            Err(error) => {
                let changed = self.change(Standing::Unreachable);
                if changed {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the read replica does not answer: discovery reads the primary"
                    );
                }
                return changed;
            }
        };
        let was = self.standing();
        let Verdict { standing, lag, complete_until } = {
            let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            let verdict = book.judge(&replayed, primary_answers, was, self.max_lag, Instant::now());
            book.lag = verdict.lag;
            verdict
        };
        let us = complete_until.map(|at| u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX));
        if let Some(us) = us {
            self.complete_until_us.fetch_max(us, Ordering::AcqRel);
        }
        let changed = self.change(standing);
        if changed {
            let lag_s = lag.as_secs_f64();
            match standing {
                Standing::InUse => tracing::info!("discovery reads the replica"),
                Standing::Lagging if replayed.epoch.is_some() => {
                    tracing::warn!(lag_s, "the read replica is {lag_s:.1} s behind: discovery reads the primary");
                }
                Standing::Lagging => tracing::warn!("the read replica has no schema yet: discovery reads the primary"),
                _ => tracing::warn!("DATABASE_READ_URL names no replica of this database: discovery reads the primary"),
            }
        }
        changed
    }

    /// Asks the replica how far it is, on a connection of its own: those for reads may all be taken.
    async fn ask(&self, connection: &mut Option<PgConnection>) -> Result<Replayed, DbError> {
        let doing = "reading how far the replica is";
        let asking = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => self.options.connect().await?,
            };
            let answer = replayed(&mut open).await?;
            // One that failed, or did not answer, is not kept.
            *connection = Some(open);
            Ok(answer)
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, asking).await;
        answer.map_err(|_elapsed| DbError::timed_out(doing))?.map_err(|error| DbError::new(doing, error))
    }
}

async fn position(connection: &mut PgConnection) -> Result<Position, sqlx::Error> {
    let asked = Instant::now();
    let row = sqlx::query!(
        r#"SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS "inserted!", (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint AS "flushed!",
               (SELECT value FROM ar.meta WHERE key = 'epoch') AS epoch"#
    );
    let row = row.fetch_one(connection).await?;
    Ok(Position { asked, inserted: row.inserted, flushed: row.flushed, epoch: row.epoch })
}

async fn replayed(connection: &mut PgConnection) -> Result<Replayed, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END AS up_to,
               to_regclass('ar.meta') IS NOT NULL AS "has_schema!""#
    );
    let row = row.fetch_one(&mut *connection).await?;
    let epoch = if row.has_schema {
        sqlx::query_scalar!("SELECT value FROM ar.meta WHERE key = 'epoch'").fetch_optional(connection).await?
    } else {
        None
    };
    Ok(Replayed { up_to: row.up_to, epoch })
}

/// Looks at the replica until the service stops. Without one there is nothing to do.
pub(crate) async fn watch_replica(db: Db, lifecycle: Lifecycle) {
    let Some(replica) = db.replica().cloned() else { return };
    let stopping = lifecycle.stopping();
    let mut connection = None;
    loop {
        if replica.standing() == Standing::Unreachable {
            // That an old connection lives does not say that new ones can be made.
            connection = None;
        }
        let looking = replica.look(db.background(), &mut connection);
        tokio::select! {
            () = stopping.cancelled() => return,
            changed = looking => if changed {
                db.reads_elsewhere();
            }
        }
        let interval = if replica.standing() == Standing::Unknown { INTERVAL_AWAITED } else { INTERVAL };
        tokio::select! {
            () = stopping.cancelled() => return,
            () = replica.awaited.notified() => tokio::time::sleep(INTERVAL_AWAITED).await,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(4);

    fn position(asked: Instant, inserted: i64, flushed: i64) -> Position {
        Position { asked, inserted, flushed, epoch: Some("one".to_owned()) }
    }

    fn at(up_to: i64) -> Replayed {
        Replayed { up_to: Some(up_to), epoch: Some("one".to_owned()) }
    }

    #[test]
    fn it_has_what_was_committed_before_the_newest_position_that_it_passed() {
        let (mut book, start) = (Book::default(), Instant::now());
        let after = |ms: u64| start + Duration::from_millis(ms);
        for (ms, inserted) in [(0, 100), (500, 200), (1000, 300)] {
            book.heard(position(after(ms), inserted, inserted));
        }
        let verdict = book.judge(&at(250), true, Standing::InUse, LIMIT, after(1500));
        assert_eq!((verdict.standing, verdict.complete_until), (Standing::InUse, Some(after(500))));
        assert_eq!(verdict.lag, Duration::from_millis(500), "since the position that it has not reached");
        let verdict = book.judge(&at(300), true, Standing::InUse, LIMIT, after(9000));
        assert_eq!((verdict.lag, verdict.complete_until), (Duration::ZERO, Some(after(1000))), "nothing happened since");
    }

    #[test]
    fn what_is_not_on_disk_yet_is_no_lag_but_not_there_either() {
        let (mut book, start) = (Book::default(), Instant::now());
        book.heard(position(start, 100, 100));
        book.heard(position(start + Duration::from_secs(1), 150, 100));
        let verdict = book.judge(&at(100), true, Standing::InUse, LIMIT, start + Duration::from_mins(1));
        assert_eq!(verdict, Verdict { standing: Standing::InUse, lag: Duration::ZERO, complete_until: Some(start) });
    }

    #[test]
    fn it_falls_beyond_the_limit_and_comes_back_well_below() {
        let (mut book, start) = (Book::default(), Instant::now());
        book.heard(position(start, 100, 100));
        let mut judge = |up_to, was, s| book.judge(&at(up_to), true, was, LIMIT, start + Duration::from_secs(s)).standing;
        assert_eq!(judge(90, Standing::InUse, 4), Standing::InUse);
        assert_eq!(judge(90, Standing::InUse, 5), Standing::Lagging);
        assert_eq!(judge(90, Standing::Lagging, 3), Standing::Lagging);
        assert_eq!(judge(100, Standing::Lagging, 6), Standing::InUse);
        assert_eq!(judge(100, Standing::Unreachable, 6), Standing::InUse);
    }

    #[test]
    fn without_the_primary_it_stays_as_it_is() {
        let (mut book, start) = (Book::default(), Instant::now());
        book.heard(position(start, 100, 100));
        let late = start + Duration::from_mins(1);
        assert_eq!(book.judge(&at(90), false, Standing::InUse, LIMIT, late).standing, Standing::InUse);
    }

    #[test]
    fn what_is_promoted_or_another_database_is_no_replica() {
        let (mut book, start) = (Book::default(), Instant::now());
        book.heard(position(start, 100, 100));
        let mut judge = |replayed: &Replayed| book.judge(replayed, true, Standing::InUse, LIMIT, start).standing;
        assert_eq!(judge(&Replayed { up_to: None, ..at(0) }), Standing::NoReplica);
        assert_eq!(judge(&Replayed { epoch: Some("two".to_owned()), ..at(100) }), Standing::NoReplica);
        assert_eq!(judge(&Replayed { epoch: None, ..at(100) }), Standing::Lagging, "its schema is still to come");
    }

    #[test]
    fn a_long_absence_takes_no_more_memory() {
        let (mut book, start) = (Book::default(), Instant::now());
        for n in 0..10_000 {
            book.heard(position(start + Duration::from_secs(n), 100 + i64::try_from(n).expect("small"), 100));
        }
        assert_eq!(book.positions.len(), MAX_POSITIONS);
        let verdict = book.judge(&at(50), true, Standing::InUse, LIMIT, start + Duration::from_secs(10_000));
        assert_eq!(verdict.lag, Duration::from_secs(10_000));
    }
}
