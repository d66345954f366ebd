//! Watching edge servers: who was silent falls, who has a URL to probe is probed, old keys go.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tracing::Instrument;

use super::health::{self, Due};
use super::keys;
use super::probe::Outcome;
use crate::db::{DbError, Round, begin_round, within_deadline};
use crate::hub::LEASE;
use crate::state::AppState;
use crate::telemetry::prometheus::Work;
use crate::telemetry::{self, meters};

/// How often edge servers that are due are looked for.
const PROBE_TICK: Duration = Duration::from_secs(1);
/// Probes under way at once.
const PROBES_AT_ONCE: usize = 16;
/// How often old keys are thrown away.
const CLEAN_INTERVAL: Duration = Duration::from_hours(1);

/// Starts it all; it ends with the service.
pub(crate) fn keep(state: &AppState) {
    let lifecycle = &state.lifecycle;
    let interval = state.supervision.health_interval;
    // Soon enough that nobody is judged late by more than a tenth of an interval.
    let tick = (interval / 10).clamp(Duration::from_millis(200), Duration::from_secs(3));
    let instance_id = state.instance.id();
    lifecycle.spawn(every(state.clone(), tick, ("edge_judging", "judging edge servers"), async move |connection| {
        if begin_round(&mut *connection, Round::JudgeEdges, tick, instance_id).await? {
            health::note_watch(&mut *connection).await?;
            health::sweep(connection, interval, LEASE).await?;
        }
        Ok(())
    }));
    lifecycle.spawn(probe_until(state.clone()));
    lifecycle.spawn(every(
        state.clone(),
        CLEAN_INTERVAL,
        ("key_cleaning", "throwing away old keys"),
        async move |connection: &mut PgConnection| {
            if begin_round(&mut *connection, Round::CleanKeys, CLEAN_INTERVAL, instance_id).await? {
                keys::clean(connection).await
            } else {
                Ok(())
            }
        },
    ));
}

/// Does something again and again until the service stops. What fails is done again next time.
async fn every(
    state: AppState,
    interval: Duration,
    (name, doing): (&'static str, &'static str),
    task: impl AsyncFn(&mut PgConnection) -> Result<(), sqlx::Error> + Send,
) {
    let stopping = state.lifecycle.stopping();
    let work = Work::begin(name, interval);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = work.note(within_deadline(state.db.background(), doing, &task).await) {
            tracing::warn!(error = &error as &dyn std::error::Error, "{doing}: trying again");
        }
    }
}

/// Probes who is due, as many at once as there are places, until the service stops.
async fn probe_until(state: AppState) {
    let (stopping, interval) = (state.lifecycle.stopping(), state.supervision.health_interval);
    let places = Arc::new(Semaphore::new(PROBES_AT_ONCE));
    let work = Work::begin("edge_probing", PROBE_TICK);
    loop {
        // One place at least, so that there is something to look for.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        drop(place);
        let free = places.available_permits();
        let looking = within_deadline(state.db.background(), "looking for edge servers to probe", async |connection| {
            health::take_due(connection, interval, i64::try_from(free).unwrap_or(1)).await
        });
        // What fails is looked for again, soon.
        let due = work.note(looking.await).unwrap_or_default();
        let may_be_more = due.len() >= free;
        for due in due {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (state, stopping) = (state.clone(), stopping.clone());
            let lifecycle = state.lifecycle.clone();
            lifecycle.spawn(async move {
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = probe(state, due, interval).instrument(telemetry::work("probing an edge server")) => {}
                }
                drop(place);
            });
        }
        let pause = if may_be_more { Duration::ZERO } else { PROBE_TICK };
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Probes an edge server and notes how it went.
async fn probe(state: AppState, Due { id, url }: Due, interval: Duration) {
    let probe = state.edges.prober.probe_stored(&url).await;
    let is_good = probe.outcome == Outcome::Good;
    let meters = &meters().edges;
    if is_good { &meters.probes_good } else { &meters.probes_bad }.increment(1);
    if let Err(error) = health::probed(state.db.write(), id, is_good, interval).await {
        let error = DbError::new("noting a probe", error);
        tracing::warn!(error = &error as &dyn std::error::Error, edge = %id, "a probe of edge {id} is lost");
    }
}
