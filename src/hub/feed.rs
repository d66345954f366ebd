//! What admins are sent: a snapshot, then every change with its number. Who falls behind gets a new snapshot, and never
//! an ever longer queue.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use utoipa::ToSchema;
use uuid::Uuid;

use super::alerts::Alert;
use super::outbox::Outbox;
use super::registry::text;
use super::view::{DeviceCounts, EdgeState, EdgeSummary, SyncCounts, View};
use crate::db::Notice;

/// Changes that are kept for those who are a little behind.
const KEPT: usize = 1024;

/// A change, as it is told.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Change {
    /// Edge servers beat, or their health or load changed.
    EdgeHealth(EdgeHealthChange),
    /// An edge server has a socket now.
    EdgeConnected(EdgeNamed),
    /// An edge server has no socket any more.
    EdgeDisconnected(EdgeNamed),
    /// An admin changed an edge server; without `edge_server` it is gone.
    EdgeChanged(EdgeChange),
    /// Where devices are, as far as that changed; at most once a second.
    Devices(DeviceCounts),
    /// How far edges are with what they should hold.
    SyncProgress(SyncCounts),
    /// A decoration changed; without `decoration_id` many did.
    DecorationChanged(DecorationNamed),
    /// Something to look at, or no longer.
    Alert(AlertChange),
}

/// Edge servers that beat, or whose health or load changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EdgeHealthChange {
    /// At most 500.
    pub(crate) edge_servers: Vec<EdgeHealthItem>,
}

/// How an edge server is now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EdgeHealthItem {
    /// The edge server.
    pub(crate) id: Uuid,
    #[serde(flatten)]
    #[schema(inline)]
    pub(super) state: EdgeState,
}

/// An edge server by its id.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EdgeNamed {
    /// The edge server.
    pub(crate) id: Uuid,
}

/// An edge server as it is now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EdgeChange {
    /// The edge server.
    pub(crate) id: Uuid,
    /// As it is now; null when it is gone.
    #[schema(required)]
    pub(crate) edge_server: Option<EdgeSummary>,
}

/// A decoration by its id.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DecorationNamed {
    /// The decoration; null: many.
    #[schema(required)]
    pub(crate) decoration_id: Option<Uuid>,
}

/// An alert that is raised or cleared.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AlertChange {
    /// `raised` or `cleared`.
    #[schema(example = "raised")]
    pub(crate) state: &'static str,
    #[serde(flatten)]
    pub(super) alert: Alert,
}

/// The first message, and the one after a client fell behind.
#[derive(Serialize, ToSchema)]
pub(crate) struct Snapshot<'v> {
    /// All edge servers.
    pub(crate) edge_servers: Vec<&'v EdgeSummary>,
    /// Connected devices.
    pub(crate) devices: &'v DeviceCounts,
    /// Decorations at edges.
    pub(crate) sync: &'v SyncCounts,
    /// Alerts that stand.
    pub(crate) alerts: Vec<&'v Alert>,
    /// Changes with a higher number are not in it.
    pub(crate) seq: u64,
}

#[derive(Serialize)]
struct Numbered<'c> {
    seq: u64,
    #[serde(flatten)]
    change: &'c Change,
}

#[derive(Serialize)]
struct SnapshotMessage<'v> {
    #[serde(rename = "type")]
    kind: &'static str,
    seq: u64,
    data: Snapshot<'v>,
}

/// The changes of this instance's view.
pub(super) struct Feed {
    now: Mutex<Now>,
    changes: broadcast::Sender<Utf8Bytes>,
    /// Sessions and accounts that changed: their admins are to be asked for again.
    rechecks: broadcast::Sender<Notice>,
    /// Admins that look, or are about to.
    watchers: watch::Sender<usize>,
    /// The outboxes of admins, for the stop.
    outboxes: Mutex<Vec<std::sync::Weak<Outbox>>>,
}

#[derive(Default)]
struct Now {
    /// None before the first look.
    view: Option<Arc<View>>,
    seq: u64,
}

/// Somebody who looks.
pub(super) struct Watcher<'f>(&'f Feed);

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.0.watchers.send_modify(|count| *count -= 1);
    }
}

/// An admin's place in the feed.
pub(super) struct Subscription {
    pub(super) snapshot: Utf8Bytes,
    pub(super) changes: broadcast::Receiver<Utf8Bytes>,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self {
            now: Mutex::default(),
            changes: broadcast::Sender::new(KEPT),
            rechecks: broadcast::Sender::new(KEPT),
            watchers: watch::Sender::new(0),
            outboxes: Mutex::default(),
        }
    }

    /// Whether anybody looks.
    pub(super) fn is_watched(&self) -> bool {
        *self.watchers.borrow() > 0
    }

    /// Counts somebody who looks, as long as what this gives is kept.
    pub(super) fn watcher(&self) -> Watcher<'_> {
        self.watchers.send_modify(|count| *count += 1);
        Watcher(self)
    }

    /// Waits until nobody looked and somebody does.
    pub(super) async fn watched(&self) {
        let mut watchers = self.watchers.subscribe();
        // It ends with the feed only.
        drop(watchers.wait_for(|count| *count > 0).await);
    }

    /// The view as it was last told; none before the first look at the database.
    pub(super) fn known_view(&self) -> Option<Arc<View>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).view.clone()
    }

    /// The view as it was last told.
    pub(super) fn view(&self) -> Arc<View> {
        self.known_view().unwrap_or_default()
    }

    /// Takes a new view, and tells what changed.
    pub(super) fn publish(&self, view: View, changes: &[Change]) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            now.seq += 1;
            // Nobody may be there to hear it.
            drop(self.changes.send(text(&Numbered { seq: now.seq, change })));
        }
        now.view = Some(Arc::new(view));
    }

    /// A snapshot and what changes after it; none before the first look at the database.
    pub(super) fn subscribe(&self) -> Option<Subscription> {
        let (view, seq, changes) = {
            let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            (now.view.clone()?, now.seq, self.changes.subscribe())
        };
        let data = Snapshot {
            edge_servers: view.edges.values().collect(),
            devices: &view.devices,
            sync: &view.sync,
            alerts: view.alerts.values().collect(),
            seq,
        };
        Some(Subscription { snapshot: text(&SnapshotMessage { kind: "snapshot", seq, data }), changes })
    }

    /// A session or an account changed: its admins are asked for again.
    pub(super) fn recheck(&self, notice: Notice) {
        // Nobody may look.
        drop(self.rechecks.send(notice));
    }

    /// Told of sessions and accounts that change.
    pub(super) fn rechecks(&self) -> broadcast::Receiver<Notice> {
        self.rechecks.subscribe()
    }

    /// Notes an admin's outbox.
    pub(super) fn enter(&self, outbox: &Arc<Outbox>) {
        let mut outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        outboxes.retain(|known| known.strong_count() > 0);
        outboxes.push(Arc::downgrade(outbox));
    }

    /// The outboxes of the admins that are here.
    pub(super) fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(std::sync::Weak::upgrade).collect()
    }
}
