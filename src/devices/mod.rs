//! Devices: where phones are, which edge server serves them, and how long they are remembered.
//!
//! A phone's journey: `routes` → `location_writer`, which writes what came meanwhile in one statement (`store`) and
//! has an edge chosen for those that need one (`places`); what edges report of their phones comes by `reports`. By
//! itself: `mover` for devices of edges that are lost, `sweeper` for devices that fell silent, `presence` for who
//! was where.
//!
//! **Order of locks, everywhere**: rows of devices in the order of their ids, then rows of `edge_load` in the order
//! of the edges' ids. Whoever follows it waits, but never in a circle.

mod batch;
mod grant;
mod location_writer;
mod model;
mod mover;
mod places;
mod presence;
mod reports;
mod routes;
mod store;
mod sweeper;

pub use location_writer::LocationUpdate;
pub use reports::Report;
pub(crate) use store::count_by_status;

use std::time::Duration;

use tokio::sync::mpsc;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use self::location_writer::Asked;
use self::presence::Presence;
use self::reports::{Frame, Ignored};
use crate::geo::LatLng;
use crate::lifecycle::Lifecycle;
use crate::state::AppState;

/// Where devices are: what is on its way to the database.
pub struct Devices {
    /// Positions that phones sent, to be written.
    locations: location_writer::Queue,
    /// What edges said of their phones, to be written.
    reports: reports::Queues,
    presence: Presence,
    ignored: Ignored,
}

impl Devices {
    /// Nothing on its way yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            locations: location_writer::Queue::new(),
            reports: reports::Queues::new(),
            presence: Presence::default(),
            ignored: Ignored::default(),
        }
    }

    /// An edge says that a device is connected to it: a sign of life, with a position perhaps. Waits while the
    /// writer is behind; `generation` is that of the edge's session, and an older one changes nothing.
    pub async fn reported_connected(&self, edge_id: Uuid, generation: i64, device_id: String, position: Option<LatLng>) {
        self.report(edge_id, generation, vec![Report::seen(device_id, position, None)]).await;
    }

    /// An edge says that a device left it: it is disconnected, and its place is free.
    pub async fn reported_disconnected(&self, edge_id: Uuid, generation: i64, device_id: String) {
        self.report(edge_id, generation, vec![Report::left(device_id)]).await;
    }

    /// An edge says where devices are; at most 500.
    pub async fn reported_locations(&self, edge_id: Uuid, generation: i64, reports: Vec<Report>) {
        self.report(edge_id, generation, reports).await;
    }

    async fn report(&self, edge_id: Uuid, generation: i64, reports: Vec<Report>) {
        self.reports.push(Frame { edge_id, generation, reports }).await;
    }

    /// What waits, and how much may, of positions that phones sent and of reports by edges.
    pub(crate) fn queues(&self) -> [(usize, usize); 2] {
        [self.locations.waiting(), self.reports.waiting()]
    }

    /// Reports so far that named a device which is not assigned to that edge, or came over an older session.
    #[must_use]
    pub fn ignored_reports(&self) -> u64 {
        self.ignored.count()
    }

    /// Writes who was where, as far as it is known here and not written yet; returns how many rows there were.
    ///
    /// # Errors
    /// When the database fails; nothing is lost then.
    pub async fn write_presence(&self, db: &crate::db::Db) -> Result<usize, crate::db::DbError> {
        self.presence.write(db).await
    }
}

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    routes::routes()
}

/// Starts what goes on by itself; it ends with the service. The writers go on until the last request was answered.
pub(crate) fn keep(state: &AppState) {
    let lifecycle = &state.lifecycle;
    let locations = state.devices.locations.reader().map(|queue| write_locations(state, queue));
    let reports = state.devices.reports.readers().into_iter().map(|queue| write_reports(state, queue));
    lifecycle.spawn(mover::run(state.clone()));
    lifecycle.spawn(sweeper::run(state.clone()));
    lifecycle.spawn(presence::run(state.clone(), locations.into_iter().chain(reports).collect()));
}

type Writer = tokio::task::JoinHandle<()>;

fn write_locations(state: &AppState, queue: mpsc::Receiver<Asked>) -> Writer {
    state.lifecycle.spawn_answering(location_writer::run(state.clone(), queue))
}

fn write_reports(state: &AppState, queue: mpsc::Receiver<Frame>) -> Writer {
    state.lifecycle.spawn_answering(reports::run(state.clone(), queue))
}

/// How long a transaction on devices may take; longer than any of its statements may.
const DEADLINE: Duration = Duration::from_secs(8);

/// Gives up work that hangs: a connection that is half open would stop its writer for all devices.
async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// The next thing of a queue. Once all requests were answered it takes no more, and what is in it is the rest.
async fn next<T>(queue: &mut mpsc::Receiver<T>, lifecycle: &Lifecycle) -> Option<T> {
    let drained = lifecycle.drained();
    loop {
        tokio::select! {
            biased;
            next = queue.recv() => return next,
            () = drained.cancelled(), if !queue.is_closed() => queue.close(),
        }
    }
}
