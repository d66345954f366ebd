//! What keeps sockets true: leases are renewed, who was taken over or locked out is closed, edges are told of their
//! devices, and at a stop everybody is sent away in order.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::beats;
use super::outbox::Closing;
use super::protocol::{DeviceNamed, Drain, ToEdge};
use super::registry::{EdgeHandle, superseded};
use super::session;
use crate::db::{DbError, within_deadline};
use crate::state::AppState;
use crate::telemetry::prometheus::Work;

/// Time between two renewals. One that is revoked is closed within 5 s also when its notice is lost.
const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// How often edges are told of devices when no notice woke us.
const TELL_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two rounds when there is more to tell, and when somebody is behind.
const TELL_PAUSE: Duration = Duration::from_millis(20);
const TELL_BEHIND: Duration = Duration::from_millis(200);
/// How long notices of edges are gathered.
const HEED_PAUSE: Duration = Duration::from_millis(20);
/// Time between two closes at a stop, and for all of them.
const CLOSE_STEP: Duration = Duration::from_millis(4);
const CLOSE_SPREAD: Duration = Duration::from_secs(10);

/// Renews the leases of open sockets, and has those looked after whose session is not to live.
pub(super) async fn renew_until(state: AppState) {
    let stopping = state.lifecycle.stopping();
    let work = Work::begin("lease_renewal", RENEW_INTERVAL);
    let mut ticks = tokio::time::interval(RENEW_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // Taken before the question: whoever comes after it is not asked about.
        let handles = state.hub.registry.all();
        if handles.is_empty() {
            work.went_well();
            continue;
        }
        let renewing = within_deadline(state.db.background(), "renewing leases", async |connection| {
            session::renew(connection, state.instance.id(), &handles).await
        });
        let Some(live) = or_again(renewing).await else { continue };
        work.went_well();
        let live: HashSet<_> = live.into_iter().collect();
        let ended: Vec<_> = handles.into_iter().filter(|handle| !live.contains(&handle.session_id)).collect();
        look_after(&state, ended).await;
    }
}

/// What a piece of work gives; none when it failed: it is done again.
async fn or_again<T>(work: impl Future<Output = Result<T, DbError>>) -> Option<T> {
    let error = match work.await {
        Ok(outcome) => return Some(outcome),
        Err(error) => error,
    };
    tracing::warn!(error = &error as &dyn std::error::Error, "{}: trying again", error.doing());
    None
}

/// Looks after the sockets of edges that notices told of, many of them with one question.
pub(super) async fn heed_until(state: AppState) {
    let stopping = state.lifecycle.stopping();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = state.hub.edges_changed.notified() => {}
        }
        tokio::time::sleep(HEED_PAUSE).await;
        let told = std::mem::take(&mut *state.hub.edges_told_of.lock().unwrap_or_else(PoisonError::into_inner));
        let handles: Vec<_> = told.into_iter().filter_map(|edge_id| state.hub.registry.find(edge_id)).collect();
        look_after(&state, handles).await;
    }
}

/// Looks whether sockets are to live on, and tells of drains.
async fn look_after(state: &AppState, handles: Vec<Arc<EdgeHandle>>) {
    if handles.is_empty() {
        return;
    }
    let asking =
        within_deadline(state.db.background(), "looking after sockets", async |connection| session::standings(connection, &handles).await);
    let Some(standings) = or_again(asking).await else { return };
    let standings: HashMap<_, _> = standings.into_iter().map(|standing| (standing.edge_server_id, standing)).collect();
    for handle in handles {
        match standings.get(&handle.edge_id) {
            None => handle.outbox.close(Closing::policy("key_revoked")),
            Some(standing) if standing.session_id.is_some_and(|holder| holder != handle.session_id) => handle.outbox.close(superseded()),
            Some(standing) => {
                if let Some(deadline) = standing.drain_deadline.filter(|deadline| handle.is_news(*deadline)) {
                    handle.send(&ToEdge::Drain(Drain { deadline }));
                }
            }
        }
    }
}

/// Tells edges of devices that came and went, as soon as a notice wakes us and at an interval else.
pub(super) async fn tell_until(state: AppState) {
    let stopping = state.lifecycle.stopping();
    let work = Work::begin("device_notices", TELL_INTERVAL);
    let mut pause = TELL_INTERVAL;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = state.hub.devices_changed.notified() => tokio::time::sleep(TELL_PAUSE).await,
            () = tokio::time::sleep(pause) => {}
        }
        if state.hub.registry.len() > 0 {
            let telling =
                within_deadline(state.db.background(), "telling edges of their devices", async |connection| tell(&state, connection).await);
            let told = or_again(telling).await;
            if told.is_some() {
                work.went_well();
            }
            pause = told.unwrap_or(TELL_INTERVAL);
        } else {
            work.went_well();
        }
    }
}

/// One round; when the next is due if no notice comes before.
async fn tell(state: &AppState, connection: &mut PgConnection) -> Result<Duration, sqlx::Error> {
    let registry = &state.hub.registry;
    let behind: Vec<Uuid> = registry.all().iter().filter(|handle| handle.outbox.waiting() > 0).map(|handle| handle.edge_id).collect();
    let notices = session::device_notices(&mut *connection, state.instance.id(), &behind).await?;
    let mut told: HashMap<Uuid, i64> = HashMap::new();
    let mut numbers = Vec::with_capacity(notices.len());
    for notice in notices {
        *told.entry(notice.edge_server_id).or_default() += 1;
        numbers.push(notice.number);
        // One that is gone reads the list of its devices when it comes back.
        let Some(handle) = registry.find(notice.edge_server_id) else { continue };
        let device = DeviceNamed { device_id: notice.device_id };
        handle.send(&if notice.assigned { ToEdge::DeviceAssigned(device) } else { ToEdge::DeviceReleased(device) });
    }
    if !numbers.is_empty() {
        session::forget_device_notices(connection, &numbers).await?;
    }
    Ok(match () {
        () if told.values().any(|told| *told >= session::NOTICES_OF_AN_EDGE) => TELL_PAUSE,
        () if !behind.is_empty() => TELL_BEHIND,
        () => TELL_INTERVAL,
    })
}

/// At a stop, sends everybody away, a little apart, so that they do not all come to the others at once.
pub(super) async fn close_at_stop(state: AppState) {
    state.lifecycle.stopping().cancelled().await;
    beats::write(&state).await;
    let hub = &state.hub;
    let outboxes: Vec<_> = hub.registry.all().into_iter().map(|handle| Arc::clone(&handle.outbox)).chain(hub.feed.outboxes()).collect();
    let step = CLOSE_STEP.min(CLOSE_SPREAD / u32::try_from(outboxes.len()).unwrap_or(u32::MAX).max(1));
    let mut ticks = tokio::time::interval(step.max(Duration::from_micros(100)));
    for outbox in outboxes {
        ticks.tick().await;
        outbox.close(Closing::stopping(hub.retry_after_ms()));
    }
    hub.sockets.close();
    hub.sockets.wait().await;
}
