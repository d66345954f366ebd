//! Work of the service's own that must not hang: a connection that is half open would let it wait for ever, and keep
//! its place in the pool.

use std::time::{Duration, Instant};

use sqlx::{PgConnection, PgPool};
use tracing::{Instrument, Span};

use super::DbError;
use crate::telemetry::prometheus::elapsed;
use crate::telemetry::{self, meters};

/// How long a piece of work may take; longer than any of its statements may.
const DEADLINE: Duration = Duration::from_secs(7);

/// Does a piece of work on a connection of its own, within the deadline. A connection on which it did not end is
/// closed: given back, it would be asked whether it lives, and wait for that. It has a span of its own, unless it is
/// part of a request, or of a socket.
pub(crate) async fn within_deadline<T>(
    pool: &PgPool,
    doing: &'static str,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, DbError> {
    let span = if Span::current().is_none() { telemetry::work(doing) } else { Span::none() };
    within(pool, doing, work).instrument(span).await
}

async fn within<T>(
    pool: &PgPool,
    doing: &'static str,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, DbError> {
    let asked = Instant::now();
    let acquired = pool.acquire().await;
    elapsed(&meters().db.primary.acquire_seconds, asked);
    let mut connection = acquired.map_err(|error| DbError::new(doing, error))?;
    match tokio::time::timeout(DEADLINE, work(&mut connection)).await {
        Ok(outcome) => outcome.map_err(|error| DbError::new(doing, error)),
        Err(_elapsed) => {
            meters().db.primary.timeouts.increment(1);
            connection.close_on_drop();
            Err(DbError::timed_out(doing))
        }
    }
}
