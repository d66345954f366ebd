//! The hub: sockets of edge servers and admins, what is said over them, and what instances tell each other about it.

use crate::db::Notice;
use crate::state::AppState;

/// The sockets of this instance.
pub struct Hub {}

impl Hub {
    /// Nothing yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {}
    }
}

/// Takes note of what happened on some instance.
pub(crate) fn heed(_state: &AppState, _notice: Notice) {}

/// Starts what goes on by itself; it ends with the service.
pub(crate) fn keep(_state: &AppState) {}
