//! Sync: every edge holds exactly the decorations of its area, at their latest version, whatever fails in between.
//!
//! A change's journey: `wanted` marks it in `ar.decoration_sync` (the books) in its own transaction → a notice wakes
//! `delivery`, which reads what is due at the edges whose sockets are here → `machine` says what goes out → the edge
//! acknowledges, and `acks` writes that into the books. When an edge holds something else than the books say, `repair`
//! compares digests. `session` is one socket's part in it; the wire is in `hub`. What
//! admins see of it and do to it: `routes`, `status`, `resend`; figures for others: `totals`. `margin` is how far beyond its
//! area an edge holds; `reconcile` compares the books with what should stand in them.

mod acks;
mod comparison;
mod delivery;
mod digest;
mod machine;
mod margin;
mod model;
mod reconcile;
mod repair;
mod resend;
mod routes;
mod session;
#[cfg(test)]
mod simulation;
mod standing;
mod status;
mod store;
mod totals;
mod wanted;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use digest::{Digest, MAX_BITS, Sum, bucket};
#[cfg(test)]
pub(crate) use machine::Books;
pub(crate) use machine::Machine;
pub(crate) use reconcile::compare;
pub(crate) use routes::routes;
pub(crate) use session::Session;
pub(crate) use standing::{Standing, begin_epoch, standing};
pub(crate) use store::books;
pub(crate) use store::epoch;
pub(crate) use totals::{SyncFigures, figures, lags, waiting};
pub(crate) use wanted::{change_areas, hold_areas, margin, mark_edge, mark_for_edges};

use crate::db::Notice;
use crate::hub::protocol::{Digests, Inventory, SyncAck, SyncRequest};
use crate::state::AppState;
use crate::telemetry::meters;

/// Edges whose content is compared, or taken back, at once.
const REPAIRS_AT_ONCE: usize = 2;
/// How long an acknowledgement waits for the books; what is dropped is sent again.
const ACK_TIMEOUT: Duration = Duration::from_secs(1);
/// `reason` of a request for what differs.
const CHECKPOINT_DIFFERS: &str = "checkpoint_differs";

/// The sync of this instance.
pub(crate) struct Sync {
    began: Instant,
    sessions: session::Sessions,
    /// Sessions that something is to be done for.
    hot: Mutex<HashSet<Uuid>>,
    told: Mutex<delivery::Told>,
    awake: Notify,
    acks: mpsc::Sender<acks::Acknowledged>,
    /// For the one who writes them.
    acks_taken: Mutex<Option<mpsc::Receiver<acks::Acknowledged>>>,
    repairs: Semaphore,
    /// Edges are to be sent all of their content anew.
    resends: Notify,
}

impl Sync {
    /// No session yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        let (acks, acks_taken) = mpsc::channel(acks::MAX_WAITING);
        Self {
            began: Instant::now(),
            sessions: session::Sessions::default(),
            hot: Mutex::default(),
            told: Mutex::default(),
            awake: Notify::new(),
            acks,
            acks_taken: Mutex::new(Some(acks_taken)),
            repairs: Semaphore::new(REPAIRS_AT_ONCE),
            resends: Notify::new(),
        }
    }

    /// Acknowledgements that wait for the books, and how many may.
    pub(crate) fn ack_queue(&self) -> (usize, usize) {
        (acks::MAX_WAITING.saturating_sub(self.acks.capacity()), acks::MAX_WAITING)
    }

    /// Bytes on their way to all edges together.
    pub(crate) fn bytes_in_flight(&self) -> usize {
        self.sessions.all().iter().map(|session| session.machine().bytes_in_flight()).sum()
    }

    /// Milliseconds since the service began.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A session begins.
    pub(crate) fn enter(&self, session: Arc<Session>) {
        let edge_id = session.edge_id;
        self.sessions.enter(session);
        self.wake([edge_id]);
    }

    /// A session ended.
    pub(crate) fn leave(&self, session: &Session) {
        self.sessions.leave(session);
    }

    /// Has edges looked after.
    fn wake(&self, edge_ids: impl IntoIterator<Item = Uuid>) {
        self.hot.lock().unwrap_or_else(PoisonError::into_inner).extend(edge_ids);
        self.awake.notify_one();
    }

    /// Has it looked what is due at edges.
    fn rouse(&self, sessions: impl IntoIterator<Item = Arc<Session>>) {
        let rouse = |session: Arc<Session>| {
            session.machine().wake();
            session.edge_id
        };
        self.wake(sessions.into_iter().map(rouse).collect::<Vec<_>>());
    }

    /// An edge said what became of a batch. Waits while the books are behind, but not for ever.
    pub(crate) async fn acknowledged(&self, session: &Arc<Session>, ack: SyncAck) {
        meters().sync.acks.increment(1);
        let batch_id = ack.batch_id;
        let (acknowledged, awaited) = acks::Acknowledged::by(session, ack);
        if !awaited && self.acks.capacity() < acks::MAX_WAITING / 2 {
            // One that nobody waits for keeps nobody else's waiting.
            return;
        }
        if self.acks.send_timeout(acknowledged, ACK_TIMEOUT).await.is_err() {
            tracing::debug!(edge = %session.edge_id, "an acknowledgement of edge {} is dropped: the books are behind", session.edge_id);
            session.machine().not_recorded(batch_id);
        }
    }

    /// An edge gives no answer to what it is sent: that is noted as a refusal, when the books have time.
    fn gave_up(&self, session: &Arc<Session>, items: Vec<(Uuid, i64)>) {
        if self.acks.try_send(acks::Acknowledged::missing(session, items)).is_err() {
            tracing::debug!(edge = %session.edge_id, "no answer of edge {} is not noted: the books are behind", session.edge_id);
        }
    }

    /// An edge asks for its content.
    pub(crate) fn requested(&self, session: &Session, SyncRequest { reason }: SyncRequest) {
        tracing::info!(edge = %session.edge_id, reason, "edge {} asks for its content", session.edge_id);
        session.machine().requested(reason == CHECKPOINT_DIFFERS, self.now_ms());
        self.wake([session.edge_id]);
    }

    /// An edge said what it holds, by buckets.
    pub(crate) fn digests(&self, session: &Session, Digests { bits, buckets, last }: Digests) {
        let sums = buckets.iter().filter_map(|bucket| Some((bucket.prefix, bucket.held.sum()?)));
        session.machine().digests(bits, sums, last, self.now_ms());
        self.wake([session.edge_id]);
    }

    /// An edge said what it holds of a bucket.
    pub(crate) fn inventory(&self, session: &Session, Inventory { bits, prefix, items }: Inventory) {
        let items = items.into_iter().map(|item| (item.id, item.sync_version)).collect();
        session.machine().inventory(bits, prefix, items, self.now_ms());
        self.wake([session.edge_id]);
    }
}

/// Takes note of what happened on some instance.
pub(crate) fn heed(state: &AppState, notice: Notice) {
    let sync = &state.sync;
    match notice {
        Notice::Decoration(id) => {
            sync.told.lock().unwrap_or_else(PoisonError::into_inner).decoration(id);
            sync.awake.notify_one();
        }
        Notice::Missed => {
            sync.told.lock().unwrap_or_else(PoisonError::into_inner).decoration(None);
            sync.awake.notify_one();
        }
        Notice::Sync(edge_id) => {
            if let Some(session) = sync.sessions.find(edge_id) {
                sync.rouse([session]);
            }
        }
        Notice::Session(_)
        | Notice::User(_)
        | Notice::Edge(_)
        | Notice::Devices
        | Notice::Placed(_)
        | Notice::Counted(_)
        | Notice::Regions
        | Notice::Density
        | Notice::Wrote(_)
        | Notice::LogLevel => {}
    }
}

/// Starts what goes on by itself; it ends with the service.
pub(crate) fn keep(state: &AppState) {
    let lifecycle = &state.lifecycle;
    lifecycle.spawn(delivery::deliver_until(state.clone()));
    lifecycle.spawn(delivery::sweep_until(state.clone()));
    lifecycle.spawn(acks::write_until(state.clone()));
    lifecycle.spawn(resend::resend_until(state.clone()));
    lifecycle.spawn(hold_right(state.clone()));
}

/// Brings the margin into force, and then sees to it that nothing went past the marks.
async fn hold_right(state: AppState) {
    margin::bring_into_force(&state).await;
    reconcile::run(&state).await;
}
