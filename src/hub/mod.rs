//! The hub: sockets of edge servers and admins, what is said over them, and what instances tell each other about it.
//!
//! An edge's journey: `edge_socket` (key, hello) → `session` (who holds its socket, fenced by generations) →
//! `registry`; its beats go through `beats`, its devices' reports to `devices`. An admin's:
//! `admin_socket` (token or ticket, origin) → `feed`, which `watch` fills from the database.

mod admin_socket;
mod alerts;
mod asyncapi;
mod beats;
mod edge_socket;
mod feed;
mod figures;
mod keeping;
mod outbox;
pub(crate) mod protocol;
mod registry;
mod session;
mod socket;
mod upgrade;
mod view;
mod watch;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::get;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) use figures::{FleetFigures, SocketFigures};
pub(crate) use outbox::{Closing, Outbox};
pub(crate) use registry::text;
pub(crate) use session::LEASE;

use crate::db::Notice;
use crate::keys;
use crate::state::AppState;

/// Sockets at once; one more is refused.
pub(crate) const MAX_SOCKETS: usize = 16_384;

/// Sessions that begin or end at once.
const SESSIONS_AT_ONCE: usize = 2;

/// The sockets of this instance.
pub struct Hub {
    registry: registry::Registry,
    beats: beats::Beats,
    feed: feed::Feed,
    changes: watch::Changes,
    /// Edge servers are to be told of devices.
    devices_changed: Notify,
    /// Edge servers with a socket here that notices told of.
    edges_told_of: Mutex<HashSet<Uuid>>,
    edges_changed: Notify,
    /// Places for sessions that begin or end: a herd waits here, and not before the connections that others need.
    sessions: Semaphore,
    sockets: TaskTracker,
    places: Arc<Semaphore>,
}

impl Hub {
    /// No socket yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            registry: registry::Registry::default(),
            beats: beats::Beats::default(),
            feed: feed::Feed::new(),
            changes: watch::Changes::default(),
            devices_changed: Notify::new(),
            edges_told_of: Mutex::default(),
            edges_changed: Notify::new(),
            sessions: Semaphore::new(SESSIONS_AT_ONCE),
            sockets: TaskTracker::new(),
            places: Arc::new(Semaphore::new(MAX_SOCKETS)),
        }
    }

    /// Sockets there are now.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Sockets of edges.
    pub(crate) fn edge_sockets(&self) -> usize {
        self.registry.len()
    }

    /// Sockets of admins.
    pub(crate) fn admin_sockets(&self) -> usize {
        self.feed.outboxes().len()
    }

    /// Waits for the end of the last socket, once the service stops.
    pub(crate) async fn ended(&self) {
        self.sockets.wait().await;
    }

    /// When somebody whose socket we close may come back: spread, so that not all come at once, and the longer the more
    /// there are.
    pub(crate) fn retry_after_ms(&self) -> u64 {
        let most = 1_000 + 10 * u64::try_from(self.sockets()).unwrap_or(u64::MAX).min(3_000);
        500 + u64::from(u32::from_be_bytes(keys::random())) % most
    }
}

/// The sockets' routes, at the root.
pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/ws/edge/{edge_id}", get(edge_socket::upgrade)).route("/ws/admin", get(admin_socket::upgrade))
}

/// The document of the sockets, and the page that shows it.
pub(crate) fn pages() -> Router {
    asyncapi::pages()
}

/// What is said over sockets, as AsyncAPI 3.0: what is served, and what `ar-supervisor asyncapi` prints.
#[must_use]
pub fn asyncapi() -> serde_json::Value {
    asyncapi::document()
}

/// Takes note of what happened on some instance.
pub(crate) fn heed(state: &AppState, notice: Notice) {
    let hub = &state.hub;
    match notice {
        Notice::Edge(id) => {
            hub.changes.edge();
            if hub.registry.find(id).is_some() {
                hub.edges_told_of.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
                hub.edges_changed.notify_one();
            }
        }
        Notice::Decoration(id) => hub.changes.decoration(id),
        Notice::Devices => hub.devices_changed.notify_one(),
        Notice::Missed => {
            hub.changes.edge();
            hub.devices_changed.notify_one();
        }
        Notice::Sync(_)
        | Notice::Placed(_)
        | Notice::Counted(_)
        | Notice::Regions
        | Notice::Density
        | Notice::Wrote(_)
        | Notice::LogLevel => {}
        Notice::Session(_) | Notice::User(_) => hub.feed.recheck(notice),
    }
}

/// Starts what goes on by itself; it ends with the service.
pub(crate) fn keep(state: &AppState) {
    let lifecycle = &state.lifecycle;
    lifecycle.spawn(beats::write_until(state.clone()));
    lifecycle.spawn(keeping::renew_until(state.clone()));
    lifecycle.spawn(keeping::heed_until(state.clone()));
    lifecycle.spawn(keeping::tell_until(state.clone()));
    lifecycle.spawn(keeping::close_at_stop(state.clone()));
    lifecycle.spawn(watch::watch_until(state.clone()));
}
