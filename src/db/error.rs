//! What can go wrong with the database, told apart by whether trying again can help.

use crate::telemetry::meters;

/// A failed statement, or no connection for it.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct DbError {
    doing: &'static str,
    source: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Statement(sqlx::Error),
    #[error("no answer in time")]
    TimedOut,
}

impl DbError {
    /// Wraps a driver error with what was being done.
    #[must_use]
    pub fn new(doing: &'static str, source: sqlx::Error) -> Self {
        match &source {
            sqlx::Error::PoolTimedOut => meters().db.primary.timeouts.increment(1),
            sqlx::Error::Database(error) => error.code().into_iter().for_each(|code| meters().db.refused(&code)),
            _ => {}
        }
        Self { doing, source: Cause::Statement(source) }
    }

    /// No connection, or no answer, in time.
    #[must_use]
    pub(crate) fn timed_out(doing: &'static str) -> Self {
        Self { doing, source: Cause::TimedOut }
    }

    /// What was being done, such as "finding decorations near a point".
    #[must_use]
    pub fn doing(&self) -> &'static str {
        self.doing
    }

    /// Whether it did not end in time, so that it may have been done.
    #[must_use]
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self.source, Cause::TimedOut)
    }

    /// Whether the database was away or too busy, so that the same may succeed later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match &self.source {
            Cause::TimedOut => true,
            Cause::Statement(error) => Self::means_unavailable(error),
        }
    }

    /// The same of a driver error; also whether another instance was changing what is asked for.
    pub(crate) fn means_unavailable(error: &sqlx::Error) -> bool {
        is_away(error) || is_stale_plan(error)
    }
}

/// Whether the database was not there, or too busy.
pub(super) fn is_away(error: &sqlx::Error) -> bool {
    breaks_connection(error) || is_busy(error)
}

/// Whether a connection that gave this error is of no more use.
pub(super) fn breaks_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed | sqlx::Error::PoolClosed => true,
        // 08 connection exception; 57P01 to 57P05 shutdown, crash, starting, dropped, idle too long; 25P03 idle in transaction.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P") || code == "25P03")
        }
        _ => false,
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        // 53 out of connections, memory or disk; 57014 statement timeout; 55P03 lock timeout; 40 serialization or
        // deadlock; 25006 read-only while a standby is promoted.
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("53") || code.starts_with("40") || ["57014", "55P03", "25006"].contains(&&*code)),
        _ => false,
    }
}

/// Whether views or functions changed under a statement: another instance has migrated meanwhile.
pub(super) fn is_stale_plan(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match error.code().as_deref() {
        // What it was planned with has gone between its planning and its run.
        Some("XX000") => ["cache lookup failed", "could not open relation with OID"].iter().any(|text| error.message().starts_with(text)),
        // The shape of its result is another one.
        Some("0A000") => error.message().contains("cached plan"),
        // A function, a table or a view was not there for a moment.
        Some(code) => ["42883", "42P01"].contains(&code),
        None => false,
    }
}
