//! Pools of autocommit connections for reads. Not sqlx's own: that one sends a message to the server and
//! waits for it whenever a connection is given back, which a read that takes 200 µs feels.
//!
//! With a replica there are two of them, and each read goes to the one that has what it must see: see `replica`.

use std::sync::Arc;
use std::time::Instant;

use deadpool::Status;
use deadpool::managed::{self, Metrics, Object, PoolError, RecycleResult, TimeoutType};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::ACQUIRE_TIMEOUT;
use super::PoolFigures;
use super::error::{DbError, breaks_connection, is_stale_plan};
use super::own_writes::own_write;
use super::replica::{NotThere, Replica};
use crate::telemetry::meters;
use crate::telemetry::prometheus::{PoolMeters, elapsed};

/// A future of a read that borrows its connection.
pub type Reading<'c, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'c>>;

/// Connections for reads; cheap to clone.
#[derive(Clone)]
pub struct ReadPool {
    primary: Connections,
    replica: Option<(Connections, Arc<Replica>)>,
}

/// Connections to one server.
#[derive(Clone)]
struct Connections {
    pool: managed::Pool<Connector>,
    meters: &'static PoolMeters,
}

/// Opens connections for the pool.
struct Connector(PgConnectOptions);

impl managed::Manager for Connector {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.0.connect().await?;
        // The first spatial call on a connection loads PostGIS: 20 to 50 ms that no request should pay.
        sqlx::raw_sql("SELECT ST_DWithin('POINT(0 0)'::geography, 'POINT(0 0)'::geography, 1)").execute(&mut connection).await?;
        Ok(connection)
    }

    async fn recycle(&self, _: &mut PgConnection, _: &Metrics) -> RecycleResult<sqlx::Error> {
        // A broken one was taken out when it broke; one whose reader left early finishes reading first.
        Ok(())
    }
}

/// How a read failed.
enum Failure {
    /// All connections were taken, and none was given back in time.
    Busy,
    /// No new connection could be made in time.
    Silent,
    /// No new connection could be made.
    Unreachable(sqlx::Error),
    /// The connection turned out to be dead, or broke.
    Gone(sqlx::Error),
    /// The server refused the statement, or gave it up.
    Refused(sqlx::Error),
}

impl Failure {
    fn into_error(self, doing: &'static str) -> DbError {
        match self {
            Self::Busy | Self::Silent => DbError::timed_out(doing),
            Self::Unreachable(error) | Self::Gone(error) | Self::Refused(error) => DbError::new(doing, error),
        }
    }
}

impl Connections {
    fn new(options: PgConnectOptions, max_connections: u32, meters: &'static PoolMeters) -> Self {
        let timeout = Some(ACQUIRE_TIMEOUT);
        let pool = managed::Pool::builder(Connector(options))
            .max_size(max_connections as usize)
            .runtime(deadpool::Runtime::Tokio1)
            .wait_timeout(timeout)
            .create_timeout(timeout)
            .build();
        Self { pool: pool.expect("timeouts have their runtime"), meters }
    }

    /// Runs a read; once more, on a fresh connection, when its own turns out to be dead.
    async fn run_again<T>(&self, read: &impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T>) -> Result<T, Failure> {
        match self.run(read).await {
            Err(Failure::Gone(error)) => {
                meters().db.connections_lost.increment(1);
                tracing::info!(error = &error as &dyn std::error::Error, "database connection lost; trying a fresh one");
                self.run(read).await
            }
            answer => answer,
        }
    }

    /// Runs a read; once more when its plan turns out to be outdated by a migration.
    async fn run<T>(&self, read: &impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T>) -> Result<T, Failure> {
        let mut connection = self.acquire().await?;
        let mut answer = read(&mut connection).await;
        if answer.as_ref().is_err_and(is_stale_plan) {
            answer = match connection.clear_cached_statements().await {
                Ok(()) => read(&mut connection).await,
                Err(error) => Err(error),
            };
        }
        answer.map_err(|error| {
            if !breaks_connection(&error) {
                return Failure::Refused(error);
            }
            drop(Object::take(connection));
            // The others were opened to the same server.
            self.let_go();
            Failure::Gone(error)
        })
    }

    async fn acquire(&self) -> Result<Object<Connector>, Failure> {
        let asked = Instant::now();
        let acquired = self.pool.get().await;
        elapsed(&self.meters.acquire_seconds, asked);
        acquired.map_err(|error| match error {
            PoolError::Backend(error) => Failure::Unreachable(error),
            PoolError::Closed => Failure::Refused(sqlx::Error::PoolClosed),
            PoolError::Timeout(kind) => {
                self.meters.timeouts.increment(1);
                if matches!(kind, TimeoutType::Create) { Failure::Silent } else { Failure::Busy }
            }
            PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => Failure::Busy,
        })
    }

    /// Closes those that nobody uses.
    fn let_go(&self) {
        self.pool.retain(|_, _| false);
    }
}

impl ReadPool {
    pub(super) fn new(
        primary: PgConnectOptions,
        replica: Option<(PgConnectOptions, Arc<Replica>)>,
        max_connections: u32,
        meters: &'static PoolMeters,
    ) -> Self {
        let connections = |options| Connections::new(options, max_connections, meters);
        Self { primary: connections(primary), replica: replica.map(|(options, replica)| (connections(options), replica)) }
    }

    /// Runs a read that sees at least what its caller wrote. When its connection turns out to be dead, or its plan
    /// outdated by a migration, it is run once more, and when the replica fails it on the primary: a read can be repeated.
    ///
    /// # Errors
    /// When there is no connection in time, or the statement fails.
    pub async fn run<T>(&self, doing: &'static str, read: impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T>) -> Result<T, DbError> {
        self.run_as_of(doing, None, read).await
    }

    /// The same for a read that sees at least what was committed before a moment.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn run_as_of<T>(
        &self,
        doing: &'static str,
        as_of: Option<Instant>,
        read: impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T>,
    ) -> Result<T, DbError> {
        if let Some((connections, replica)) = &self.replica {
            let not_there = match replica.may_serve(as_of.max(own_write())) {
                Err(not_there) => not_there,
                Ok(()) => match connections.run_again(&read).await {
                    Ok(answer) => return Ok(answer),
                    // The primary is no place for what the replica is too busy for.
                    Err(failure @ Failure::Busy) => return Err(failure.into_error(doing)),
                    Err(Failure::Refused(error)) if takes_too_long(&error) => return Err(DbError::new(doing, error)),
                    // It may be a migration behind, or have given up the read for what it replays.
                    Err(Failure::Refused(error)) => {
                        let error = DbError::new(doing, error);
                        tracing::debug!(error = &error as &dyn std::error::Error, "the replica failed a read: asking the primary");
                        NotThere::Failed
                    }
                    Err(failure) => {
                        replica.is_gone(&failure.into_error(doing));
                        NotThere::Failed
                    }
                },
            };
            not_there.count();
        }
        self.run_on_primary(doing, read).await
    }

    /// The same wherever others read.
    ///
    /// # Errors
    /// The same.
    pub(super) async fn run_on_primary<T>(
        &self,
        doing: &'static str,
        read: impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T>,
    ) -> Result<T, DbError> {
        self.primary.run_again(&read).await.map_err(|failure| failure.into_error(doing))
    }

    /// Closes connections to the server that is not read for now.
    pub(super) fn let_go(&self, reads_replica: bool) {
        if let Some((replica, _)) = &self.replica {
            if reads_replica { self.primary.let_go() } else { replica.let_go() }
        }
    }

    pub(super) fn figures(&self) -> PoolFigures {
        let pools = std::iter::once(&self.primary).chain(self.replica.as_ref().map(|(replica, _)| replica));
        let mut sum = PoolFigures { max: 0, in_use: 0, idle: 0, waiting: Some(0) };
        for Status { max_size, size, available, waiting } in pools.map(|connections| connections.pool.status()) {
            // Each may have all of them: it is one or the other that is read.
            sum.max = sum.max.max(max_size);
            sum.in_use += size.saturating_sub(available);
            sum.idle += available;
            sum.waiting = sum.waiting.map(|sum| sum + waiting);
        }
        sum
    }

    pub(super) fn close(&self) {
        self.primary.pool.close();
        if let Some((replica, _)) = &self.replica {
            replica.pool.close();
        }
    }
}

/// Whether a statement was ended because it took too long: it would take as long elsewhere.
fn takes_too_long(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("57014"))
}
