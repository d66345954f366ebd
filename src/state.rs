//! What every handler can reach.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::db::Db;
use crate::http::CursorKey;
use crate::lifecycle::Lifecycle;

/// Requests under way at once, beyond which new ones are shed.
const MAX_IN_FLIGHT: usize = 1024;

/// Shared by all requests; cheap to clone. Nothing in it could not be rebuilt by another instance.
#[derive(Clone)]
pub struct AppState {
    /// Connections to the database.
    pub db: Db,
    /// Seals cursors.
    pub cursor_key: CursorKey,
    /// Whether we are starting, serving or stopping.
    pub lifecycle: Lifecycle,
    /// Places for requests under way.
    pub(crate) in_flight: Arc<Semaphore>,
}

impl AppState {
    /// The state of a service on a database, with the key that seals its cursors.
    #[must_use]
    pub fn new(db: Db, cursor_key: CursorKey, lifecycle: Lifecycle) -> Self {
        Self { db, cursor_key, lifecycle, in_flight: Arc::new(Semaphore::new(MAX_IN_FLIGHT)) }
    }
}
