//! What every handler can reach.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::db::Db;
use crate::http::CursorKey;
use crate::lifecycle::Lifecycle;

/// Requests under way at once, beyond which new ones are shed.
const MAX_IN_FLIGHT: usize = 1024;

/// Shared by all requests. One count to clone it, because axum does so several times a request.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// Nothing in it could not be rebuilt by another instance.
pub struct Shared {
    /// Connections to the database.
    pub db: Db,
    /// Seals cursors.
    pub cursor_key: CursorKey,
    /// Whether we are starting, serving or stopping.
    pub lifecycle: Lifecycle,
    /// Places for requests under way.
    pub(crate) in_flight: Semaphore,
}

impl AppState {
    /// The state of a service on a database, with the key that seals its cursors.
    #[must_use]
    pub fn new(db: Db, cursor_key: CursorKey, lifecycle: Lifecycle) -> Self {
        Self(Arc::new(Shared { db, cursor_key, lifecycle, in_flight: Semaphore::new(MAX_IN_FLIGHT) }))
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
