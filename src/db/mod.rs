//! The database: connections by purpose, the schema, and a private cluster for `dev` and the tests.
//!
//! Connections are kept by purpose because the best way to plan differs:
//! - *hot reads* (nearby, keyed reads): one generic plan for all values, which saves planning each time;
//! - *shaped reads* (boxes, regions, clusters): planned with the values, because the size of a box decides
//!   between the spatial index and the key;
//! - *writes*, and what admins read, on the primary: planned with the values, because lists have filters that
//!   may be left out; a transaction somebody abandoned is ended before the next borrower gets the connection.
//!
//! Reads of both sorts go to the replica, when there is one and it is fit (`replica`), unless their caller has just
//! written himself what he may look for (`own_writes`).

mod clock;
mod cluster;
mod deadline;
mod error;
mod migrate;
mod notices;
mod own_writes;
mod read_pool;
mod replica;
mod rounds;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool};
use std::sync::Arc;
use std::time::Duration;

pub use clock::DbClock;
pub(crate) use clock::own_ms;
pub use cluster::{ClusterError, ClusterSettings, PrivateCluster, reachable_dir};
pub(crate) use deadline::within_deadline;
pub use error::DbError;
pub(crate) use migrate::grant_rights;
pub use migrate::{MIGRATOR, MigrateFailure, Migrated, migrate, sql_layer_digest};
pub(crate) use notices::{Notice, hear};
pub use own_writes::OwnWrites;
pub(crate) use own_writes::reading_after;
pub use read_pool::{ReadPool, Reading};
pub(crate) use replica::{FALLBACK_REASONS, Replica, Standing, watch_replica};
pub(crate) use rounds::{Round, begin_round};

use crate::config::DatabaseConfig;
use crate::telemetry::{self, meters};

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections that are not for requests: one listens for notices, the others watch,
/// sweep and clean up.
const BACKGROUND_CONNECTIONS: u32 = 7;

/// How long a connection that is given back may take to be fit again.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Ends what somebody left open: a cancelled `begin` can leave a transaction (seen on sqlx 0.9.0). A connection that does
/// not answer is closed, so that it does not keep its place in the pool.
async fn end_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let ended = tokio::time::timeout(RELEASE_TIMEOUT, sqlx::raw_sql("ROLLBACK").execute(connection)).await;
    ended.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|_| true)
}

/// How a pool of connections is.
pub(crate) struct PoolFigures {
    pub(crate) max: usize,
    pub(crate) in_use: usize,
    pub(crate) idle: usize,
    /// Who waits for one, where the pool tells.
    pub(crate) waiting: Option<usize>,
}

/// All connections of this process; cheap to clone. Made without connecting: the service starts, and lives
/// on, without its database.
#[derive(Clone)]
pub struct Db {
    hot: ReadPool,
    shaped: ReadPool,
    write: PgPool,
    background: PgPool,
    replica: Option<Arc<Replica>>,
}

impl Db {
    /// Pools for a database that need not be there yet.
    #[must_use]
    pub fn new(config: &DatabaseConfig) -> Self {
        let primary = telemetry::told_of(config.primary.clone());
        let limits = [("statement_timeout", "5s"), ("lock_timeout", "2s"), ("idle_in_transaction_session_timeout", "10s")];
        let for_requests = config.max_connections.saturating_sub(BACKGROUND_CONNECTIONS).max(3);
        let each = for_requests / 3;
        // A second process for a statement of some hundred microseconds, or machine code, costs many times what it saves.
        let short = [("max_parallel_workers_per_gather", "0"), ("jit", "off")];
        let application = |purpose: &str| format!("ar-supervisor {purpose}");
        let hot = |server: &PgConnectOptions| {
            let options = server.clone().application_name(&application("hot")).options(limits).options(short);
            options.options([("plan_cache_mode", "force_generic_plan")])
        };
        let shaped = |server: &PgConnectOptions| {
            server.clone().application_name(&application("shaped")).options(limits).options([("plan_cache_mode", "force_custom_plan")])
        };
        // The release hook's ROLLBACK would warn each time that there was nothing to roll back.
        let write = primary
            .clone()
            .application_name(&application("write"))
            .options(limits)
            .options(short)
            .options([("client_min_messages", "error"), ("plan_cache_mode", "force_custom_plan")]);
        // Planned with what is there: a queue that was empty when its plan was kept may be long now.
        let background = primary
            .clone()
            .application_name(&application("background"))
            .options(limits)
            .options(short)
            .options([("client_min_messages", "error"), ("plan_cache_mode", "force_custom_plan")]);
        let replica = config.replica.clone().map(|options| {
            let options = telemetry::told_of(options);
            (options.clone(), Arc::new(Replica::new(options, config.replica_max_lag)))
        });
        // As many to the primary as without a replica: it has to do for both when that is away.
        let reads = |options: &dyn Fn(&PgConnectOptions) -> PgConnectOptions, max_connections, meters| {
            let from_replica = replica.as_ref().map(|(server, replica)| (options(server), Arc::clone(replica)));
            ReadPool::new(options(&primary), from_replica, max_connections, meters)
        };
        Self {
            background: PgPoolOptions::new()
                .max_connections(BACKGROUND_CONNECTIONS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .after_release(|connection, _| Box::pin(end_transaction(connection)))
                .connect_lazy_with(background),
            hot: reads(&hot, for_requests - 2 * each, &meters().db.hot),
            shaped: reads(&shaped, each, &meters().db.shaped),
            replica: replica.as_ref().map(|(_, replica)| Arc::clone(replica)),
            write: PgPoolOptions::new()
                .max_connections(each)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .test_before_acquire(false)
                .after_release(|connection, _| Box::pin(end_transaction(connection)))
                .connect_lazy_with(write),
        }
    }

    /// For short reads whose plan does not depend on the values.
    #[must_use]
    pub fn hot(&self) -> &ReadPool {
        &self.hot
    }

    /// For reads whose best plan depends on the values.
    #[must_use]
    pub fn shaped(&self) -> &ReadPool {
        &self.shaped
    }

    /// The replica that reads go to when it is fit.
    #[must_use]
    pub(crate) fn replica(&self) -> Option<&Arc<Replica>> {
        self.replica.as_ref()
    }

    /// Reads go to another server from now on: connections to the one before are given back.
    fn reads_elsewhere(&self) {
        let reads_replica = self.replica.as_ref().is_some_and(|replica| replica.may_serve(None).is_ok());
        self.hot.let_go(reads_replica);
        self.shaped.let_go(reads_replica);
    }

    /// For transactions that write, and for reads that must see what was just written.
    #[must_use]
    pub fn write(&self) -> &PgPool {
        &self.write
    }

    /// For listening, and for what must go on when all other connections are taken.
    #[must_use]
    pub(crate) fn background(&self) -> &PgPool {
        &self.background
    }

    /// A pool for one long job, such as loading the demo data: it sets no limits of time by itself.
    #[must_use]
    pub fn bulk(config: &DatabaseConfig) -> PgPool {
        // Tables grow under its statements: a plan made for the first rows would not do for the last.
        let planning = [("plan_cache_mode", "force_custom_plan")];
        let options = config.primary.clone().application_name("ar-supervisor bulk").options(planning).disable_statement_logging();
        PgPoolOptions::new().max_connections(2).connect_lazy_with(options)
    }

    /// Whether the primary answers within a second: without it nobody can sign in or write. A half-open connection hangs, hence the deadline.
    ///
    /// # Errors
    /// When it does not.
    pub async fn answers(&self) -> Result<(), DbError> {
        let asking = self.hot.run_on_primary("asking the database whether it is there", |connection| {
            Box::pin(async move { sqlx::raw_sql("SELECT").execute(connection).await })
        });
        match tokio::time::timeout(Duration::from_secs(1), asking).await {
            Ok(answer) => answer.map(|_| ()),
            Err(_elapsed) => Err(DbError::timed_out("asking the database whether it is there")),
        }
    }

    /// How the pools are, by name.
    pub(crate) fn pools(&self) -> [(&'static str, PoolFigures); 4] {
        let of = |pool: &PgPool| {
            let (open, idle) = (pool.size() as usize, pool.num_idle());
            let max = pool.options().get_max_connections() as usize;
            PoolFigures { max, in_use: open.saturating_sub(idle), idle, waiting: None }
        };
        [("hot", self.hot.figures()), ("shaped", self.shaped.figures()), ("write", of(&self.write)), ("background", of(&self.background))]
    }

    /// Closes all connections; the last step of a stop.
    pub async fn close(&self) {
        self.hot.close();
        self.shaped.close();
        self.write.close().await;
        self.background.close().await;
    }
}
