//! What every handler can reach.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::accounts::Accounts;
use crate::config::{ContentConfig, HttpConfig, ServerConfig, SupervisionConfig};
use crate::db::{Db, DbClock, OwnWrites};
use crate::devices::Devices;
use crate::edges::Edges;
use crate::http::{ApiError, CursorKey, Places, Throttle};
use crate::hub::Hub;
use crate::instances::Instance;
use crate::lifecycle::Lifecycle;
use crate::maps::Tiles;
use crate::metrics::Metrics;
use crate::sync::Sync;
use crate::telemetry::{LogLevel, prometheus};

/// Requests under way at once, beyond which new ones are shed: so many that all connections to the database have work,
/// and so few that the last one is answered long before it gets no connection in time.
pub(crate) const MAX_IN_FLIGHT: usize = 256;

/// Imports under way at once: each has a thread, and a connection for writes while it writes a batch.
const MAX_IMPORTS: usize = 2;

/// Shared by all requests. One count to clone it, because axum does so several times a request.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// Nothing in it could not be rebuilt by another instance.
pub struct Shared {
    /// This run of this process.
    pub instance: Instance,
    /// Connections to the database.
    pub db: Db,
    /// Who wrote of late.
    pub own_writes: OwnWrites,
    /// The database's time.
    pub clock: Arc<DbClock>,
    /// Seals cursors.
    pub cursor_key: CursorKey,
    /// Who is signed in, and how to sign in.
    pub accounts: Accounts,
    /// What callers may still ask.
    pub throttle: Throttle,
    /// What is asked of a request before it is looked at.
    pub http: HttpConfig,
    /// Rules for decorations.
    pub content: ContentConfig,
    /// How edge servers and devices are watched.
    pub supervision: SupervisionConfig,
    /// Dials edge servers from our side.
    pub edges: Edges,
    /// Sockets of edges and admins.
    pub hub: Hub,
    /// What edges hold, and are to hold.
    pub(crate) sync: Sync,
    /// Where devices are.
    pub devices: Devices,
    /// Map tiles that were made already.
    pub(crate) tiles: Tiles,
    /// What is counted in memory until it is written.
    pub metrics: Metrics,
    /// Which log lines are written.
    pub(crate) log_level: LogLevel,
    /// Whether we are starting, serving or stopping.
    pub lifecycle: Lifecycle,
    /// Places for requests under way.
    pub(crate) places: Arc<Places>,
    /// Places for imports under way.
    pub(crate) imports: Semaphore,
}

impl AppState {
    /// The state of a service on a database.
    #[must_use]
    pub fn new(db: Db, config: &ServerConfig, lifecycle: Lifecycle) -> Self {
        // Whatever is counted from here on is recorded.
        prometheus::install();
        let clock = Arc::<DbClock>::default();
        Self(Arc::new(Shared {
            instance: Instance::new(),
            tiles: Tiles::new(),
            db,
            own_writes: OwnWrites::new(&config.tokens.secret),
            clock: Arc::clone(&clock),
            cursor_key: CursorKey::derive(&config.tokens.secret),
            accounts: Accounts::new(&config.tokens, clock),
            throttle: Throttle::new(config.http.rate_limits),
            http: config.http.clone(),
            content: config.content.clone(),
            supervision: config.supervision.clone(),
            edges: Edges::new(&config.supervision),
            hub: Hub::new(),
            sync: Sync::new(),
            devices: Devices::new(),
            metrics: Metrics::new(),
            log_level: LogLevel::default(),
            lifecycle,
            places: Arc::new(Places::new(MAX_IN_FLIGHT)),
            imports: Semaphore::new(MAX_IMPORTS),
        }))
    }

    /// Requests under way.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        self.places.taken()
    }

    /// Does what must not be left half done: it goes on when the client leaves, and a stop waits for it.
    ///
    /// # Errors
    /// 500 when the work panicked.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.lifecycle.spawn_answering(work).await.unwrap_or_else(|error| {
            tracing::error!(%error, "work that was to be finished broke off");
            Err(ApiError::internal())
        })
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
