//! Looks at the database again and again, and tells admins what changed since. Notices make it look sooner; what a lost
//! notice did not tell, the next look finds. Every instance looks for itself, and numbers its own changes.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::alerts::Judged;
use super::feed::{AlertChange, Change, DecorationNamed, EdgeChange, EdgeHealthChange, EdgeHealthItem, EdgeNamed};
use super::view::{self, View};
use crate::db::{DbError, within_deadline};
use crate::instances;
use crate::state::AppState;
use crate::telemetry::prometheus::Work;

/// Time between two looks while somebody watches; and while nobody does, for the alerts in the log.
const WATCHED: Duration = Duration::from_secs(1);
const UNWATCHED: Duration = Duration::from_secs(5);
/// Least time between two looks, however many notices come.
const LEAST: Duration = Duration::from_millis(200);
/// Least time between two looks at what edges hold, which is a large table.
const SYNC_LEAST: Duration = Duration::from_secs(5);
/// What is counted again only after so many times as long as it took: it may be large.
const COUNT_REST: u32 = 10;
/// Decorations that are told of one by one.
const MAX_DECORATIONS: usize = 500;
/// Edge servers in one message.
const MAX_EDGES: usize = 500;

/// What notices told of since the last look.
#[derive(Default)]
pub(super) struct Changes {
    decorations: Mutex<Decorations>,
    news: Notify,
}

#[derive(Default)]
struct Decorations {
    some: BTreeSet<Uuid>,
    many: bool,
}

impl Changes {
    /// An edge server changed.
    pub(super) fn edge(&self) {
        self.news.notify_one();
    }

    /// A decoration changed, or many.
    pub(super) fn decoration(&self, id: Option<Uuid>) {
        let mut decorations = self.decorations.lock().unwrap_or_else(PoisonError::into_inner);
        match id {
            Some(id) if decorations.some.len() < MAX_DECORATIONS => {
                decorations.some.insert(id);
            }
            _ => decorations.many = true,
        }
        drop(decorations);
        self.news.notify_one();
    }

    fn take_decorations(&self) -> Vec<Change> {
        let Decorations { some, many } = std::mem::take(&mut *self.decorations.lock().unwrap_or_else(PoisonError::into_inner));
        let ids = if many { vec![None] } else { some.into_iter().map(Some).collect() };
        ids.into_iter().map(|decoration_id| Change::DecorationChanged(DecorationNamed { decoration_id })).collect()
    }
}

/// When something may be counted again.
struct Rest(Instant);

impl Rest {
    fn is_over(&self) -> bool {
        Instant::now() >= self.0
    }

    fn after(&mut self, started: Instant, least: Duration) {
        self.0 = Instant::now() + (started.elapsed() * COUNT_REST).max(least);
    }
}

/// Looks until the service stops.
pub(super) async fn watch_until(state: AppState) {
    let stopping = state.lifecycle.stopping();
    let work = Work::begin("system_watch", UNWATCHED);
    let (mut devices, mut sync) = (Rest(Instant::now()), Rest(Instant::now()));
    loop {
        let interval = if state.hub.feed.is_watched() { WATCHED } else { UNWATCHED };
        if let Err(error) = work.note(look(&state, &mut devices, &mut sync).await) {
            warn(&error);
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(LEAST) => {}
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = state.hub.changes.news.notified() => {}
            () = state.hub.feed.watched(), if interval == UNWATCHED => {}
            () = tokio::time::sleep(interval.saturating_sub(LEAST)) => {}
        }
    }
}

fn warn(error: &DbError) {
    tracing::warn!(error = error as &dyn std::error::Error, "{}: trying again", error.doing());
}

async fn look(state: &AppState, devices: &mut Rest, sync: &mut Rest) -> Result<(), DbError> {
    let hub = &state.hub;
    let pool: &PgPool = state.db.background();
    let before = hub.feed.view();
    let looking = within_deadline(pool, "looking at edge servers", async |connection| {
        Ok((view::edges(&mut *connection).await?, instances::lost(connection).await?))
    });
    let (edges, lost_instances) = looking.await?;
    let mut after = View { edges, lost_instances, ..(*before).clone() };
    // A count that fails, or takes too long, leaves the one before; what edges are is told all the same.
    if hub.feed.is_watched()
        && devices.is_over()
        && let Some(counted) = count(devices, WATCHED, within_deadline(pool, "counting devices for admins", view::devices)).await
    {
        (after.devices, after.devices_at) = (counted, Some(Instant::now()));
    }
    if sync.is_over()
        && let Some(counted) = count(sync, SYNC_LEAST, within_deadline(pool, "counting what edges hold", view::sync)).await
    {
        after.sync = counted;
    }
    let judged = Judged {
        edges: &after.edges,
        sync: &after.sync,
        own_clock_behind_s: state.clock.ahead_s(),
        lost_instances: &after.lost_instances,
        sync_interval: state.supervision.sync_interval,
        now: state.clock.now(),
    };
    after.alerts = judged.alerts(&before.alerts);
    let mut changes = changes(&before, &after);
    changes.extend(hub.changes.take_decorations());
    log(&changes);
    hub.feed.publish(after, &changes);
    Ok(())
}

/// Counts what may be large, and lets it rest after.
async fn count<T>(rest: &mut Rest, least: Duration, counting: impl Future<Output = Result<T, DbError>>) -> Option<T> {
    let started = Instant::now();
    let counted = counting.await;
    rest.after(started, least);
    counted.inspect_err(warn).ok()
}

/// What is different.
fn changes(before: &View, after: &View) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut beats = Vec::new();
    for (id, edge) in &after.edges {
        let id = *id;
        let Some(known) = before.edges.get(&id) else {
            changes.push(Change::EdgeChanged(EdgeChange { id, edge_server: Some(edge.clone()) }));
            continue;
        };
        if known.connected != edge.connected {
            let named = EdgeNamed { id };
            changes.push(if edge.connected { Change::EdgeConnected(named) } else { Change::EdgeDisconnected(named) });
        }
        if (known.version, known.draining) != (edge.version, edge.draining) {
            changes.push(Change::EdgeChanged(EdgeChange { id, edge_server: Some(edge.clone()) }));
        } else if known.state != edge.state {
            beats.push(EdgeHealthItem { id, state: edge.state.clone() });
        }
    }
    let gone = before.edges.keys().filter(|id| !after.edges.contains_key(id));
    changes.extend(gone.map(|id| Change::EdgeChanged(EdgeChange { id: *id, edge_server: None })));
    changes.extend(beats.chunks(MAX_EDGES).map(|edges| Change::EdgeHealth(EdgeHealthChange { edge_servers: edges.to_vec() })));
    if before.devices != after.devices {
        changes.push(Change::Devices(after.devices.since(&before.devices)));
    }
    let counts = |view: &View| [view.sync.pending, view.sync.outdated, view.sync.failed, view.sync.synced];
    if counts(before) != counts(after) {
        changes.push(Change::SyncProgress(after.sync.clone()));
    }
    let raised = after.alerts.values().filter(|alert| !before.alerts.contains_key(&alert.id));
    changes.extend(raised.map(|alert| Change::Alert(AlertChange { state: "raised", alert: alert.clone() })));
    let cleared = before.alerts.values().filter(|alert| !after.alerts.contains_key(&alert.id));
    changes.extend(cleared.map(|alert| Change::Alert(AlertChange { state: "cleared", alert: alert.clone() })));
    changes
}

/// Alerts stand in the log too.
fn log(changes: &[Change]) {
    for change in changes {
        if let Change::Alert(AlertChange { state, alert }) = change {
            if *state == "raised" {
                tracing::warn!(alert = alert.id, subject = alert.subject, "alert: {}", alert.message);
            } else {
                tracing::info!(alert = alert.id, subject = alert.subject, "over: {}", alert.message);
            }
        }
    }
}
