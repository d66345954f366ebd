//! Sync: every edge holds exactly the decorations of its area, at their latest version.

mod digest;
mod model;
mod resend;
mod routes;
mod status;
mod totals;
mod wanted;

use tokio::sync::Notify;

pub(crate) use digest::{Digest, MAX_BITS, bucket};
pub(crate) use routes::routes;
pub(crate) use totals::{SyncFigures, figures, lags, waiting};
pub(crate) use wanted::mark_for_edges;

use crate::state::AppState;

/// What wakes the synchronisation of this instance.
pub(crate) struct Sync {
    /// Edges are to be sent all of their content anew.
    resends: Notify,
}

impl Sync {
    /// Nothing to do yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { resends: Notify::new() }
    }
}

/// Starts what goes on by itself; it ends with the service.
pub(crate) fn keep(state: &AppState) {
    state.lifecycle.spawn(resend::resend_until(state.clone()));
}
