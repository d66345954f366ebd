//! How the sockets of this instance are, and the system as it last saw it, in numbers for metrics: nothing is asked of
//! the database for them.

use std::sync::Arc;

use super::outbox::Outbox;
use super::{Hub, alerts};
use crate::edges::Health;
use crate::sync::SyncFigures;

/// Sockets of one kind.
#[derive(Default)]
pub(crate) struct SocketFigures {
    pub(crate) open: usize,
    /// Messages that wait to be written, of all of them.
    pub(crate) queued: usize,
    pub(crate) queued_bytes: usize,
    /// Most messages that wait at one.
    pub(crate) longest_queue: usize,
}

/// The whole system.
pub(crate) struct FleetFigures {
    /// Active edge servers: healthy, degraded, offline, unknown.
    pub(crate) by_health: [usize; 4],
    pub(crate) inactive: usize,
    pub(crate) connected: usize,
    /// Devices that the edge servers which can take some take together, and those that they have.
    pub(crate) places: f64,
    pub(crate) places_taken: f64,
    /// Share of places taken in the region where it is largest.
    pub(crate) fullest_region: f64,
    /// Largest difference between the clock of a connected edge server and the database's.
    pub(crate) clock_skew_s: f64,
    pub(crate) sync: SyncFigures,
    /// Age of the oldest change that a connected edge server waits for.
    pub(crate) sync_lag_s: f64,
}

impl SocketFigures {
    fn of(outboxes: impl Iterator<Item = Arc<Outbox>>) -> Self {
        outboxes.fold(Self::default(), |sum, outbox| {
            let (queued, bytes) = outbox.waiting_and_bytes();
            Self {
                open: sum.open + 1,
                queued: sum.queued + queued,
                queued_bytes: sum.queued_bytes + bytes,
                longest_queue: sum.longest_queue.max(queued),
            }
        })
    }
}

impl Hub {
    /// How the sockets here are, by who is at the other end.
    pub(crate) fn socket_figures(&self) -> [(&'static str, SocketFigures); 2] {
        let edges = self.registry.all().into_iter().map(|handle| Arc::clone(&handle.outbox));
        [("edge", SocketFigures::of(edges)), ("admin", SocketFigures::of(self.feed.outboxes().into_iter()))]
    }

    /// The system as it was last seen; none before it was.
    pub(crate) fn fleet_figures(&self) -> Option<FleetFigures> {
        let view = self.feed.known_view()?;
        let edges = || view.edges.values();
        let by_health = [Health::Healthy, Health::Degraded, Health::Offline, Health::Unknown]
            .map(|health| edges().filter(|edge| edge.is_active && edge.state.health_status == health).count());
        let regions = alerts::places_by_region(&view.edges);
        let skews = edges().filter(|edge| edge.connected).filter_map(|edge| edge.state.clock_skew_s);
        Some(FleetFigures {
            by_health,
            inactive: edges().filter(|edge| !edge.is_active).count(),
            connected: edges().filter(|edge| edge.connected).count(),
            places: regions.values().map(|region| region.places).sum(),
            places_taken: regions.values().map(|region| region.taken).sum(),
            fullest_region: regions.values().map(alerts::Places::share).fold(0.0, f64::max),
            clock_skew_s: skews.map(f64::abs).fold(0.0, f64::max),
            sync: view.sync.figures(),
            sync_lag_s: view.sync.lag_s.values().copied().fold(0.0, f64::max),
        })
    }
}
