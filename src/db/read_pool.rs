//! A pool of autocommit connections for reads. Not sqlx's own: that one sends a message to the server and
//! waits for it whenever a connection is given back, which a read that takes 200 µs feels.

use std::time::Instant;

use deadpool::Status;
use deadpool::managed::{self, Metrics, Object, PoolError, RecycleResult};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::ACQUIRE_TIMEOUT;
use super::PoolFigures;
use super::error::{DbError, breaks_connection, is_stale_plan};
use crate::telemetry::meters;
use crate::telemetry::prometheus::{PoolMeters, elapsed};

/// A future of a read that borrows its connection.
pub type Reading<'c, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'c>>;

/// Connections for reads; cheap to clone.
#[derive(Clone)]
pub struct ReadPool {
    pool: managed::Pool<Connector>,
    meters: &'static PoolMeters,
}

/// Opens connections for the pool.
pub(super) struct Connector(PgConnectOptions);

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

impl ReadPool {
    pub(super) fn new(options: PgConnectOptions, max_connections: u32, meters: &'static PoolMeters) -> Self {
        let timeout = Some(ACQUIRE_TIMEOUT);
        let pool = managed::Pool::builder(Connector(options))
            .max_size(max_connections as usize)
            .runtime(deadpool::Runtime::Tokio1)
            .wait_timeout(timeout)
            .create_timeout(timeout)
            .build();
        Self { pool: pool.expect("timeouts have their runtime"), meters }
    }

    /// Runs a read. When its connection turns out to be dead, or its plan outdated by a migration, it is run
    /// once more on a fresh one: a read can be repeated.
    ///
    /// # Errors
    /// When there is no connection in time, or the statement fails.
    pub async fn run<T>(&self, doing: &'static str, read: impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T>) -> Result<T, DbError> {
        let mut connection = self.acquire(doing).await?;
        match read(&mut connection).await {
            Err(error) if is_stale_plan(&error) => {
                connection.clear_cached_statements().await.map_err(|error| DbError::new(doing, error))?;
                read(&mut connection).await.map_err(|error| DbError::new(doing, error))
            }
            Err(error) if breaks_connection(&error) => {
                meters().db.connections_lost.increment(1);
                tracing::info!(error = &error as &dyn std::error::Error, "database connection lost; trying a fresh one");
                drop(Object::take(connection));
                // The others were opened to the same server.
                self.pool.retain(|_, _| false);
                let mut connection = self.acquire(doing).await?;
                let answer = read(&mut connection).await;
                if answer.as_ref().is_err_and(breaks_connection) {
                    drop(Object::take(connection));
                }
                answer.map_err(|error| DbError::new(doing, error))
            }
            answer => answer.map_err(|error| DbError::new(doing, error)),
        }
    }

    async fn acquire(&self, doing: &'static str) -> Result<Object<Connector>, DbError> {
        let asked = Instant::now();
        let acquired = self.pool.get().await;
        elapsed(&self.meters.acquire_seconds, asked);
        acquired.map_err(|error| match error {
            PoolError::Backend(error) => DbError::new(doing, error),
            PoolError::Closed => DbError::new(doing, sqlx::Error::PoolClosed),
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                self.meters.timeouts.increment(1);
                DbError::timed_out(doing)
            }
        })
    }

    pub(super) fn figures(&self) -> PoolFigures {
        let Status { max_size, size, available, waiting } = self.pool.status();
        PoolFigures { max: max_size, in_use: size.saturating_sub(available), idle: available, waiting: Some(waiting) }
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }
}
