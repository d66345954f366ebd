//! What goes on by itself: writing what was counted, sampling, publishing, and keeping the daily partitions.

use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior};
use tracing::Instrument;

use super::density::publish_density;
use super::partitions::keep_partitions;
use super::retention::forget_old;
use super::sampling::sample_system;
use super::usage_publication::publish_usage;
use crate::db::{DbError, Round, begin_round, within_deadline};
use crate::state::AppState;
use crate::telemetry;
use crate::telemetry::prometheus::Work;

/// How often answers that were counted are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);
/// How often the system is sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(30);
/// How often it is looked whether a quarter-hour or an hour can be published, in samples.
const PUBLISH_EVERY: u32 = 2;
/// How often partitions are looked after.
const PARTITIONS_INTERVAL: Duration = Duration::from_hours(1);

/// Starts it all; it ends with the service.
pub(crate) fn keep(state: &AppState) {
    state.lifecycle.spawn(write_until_drained(state.clone()));
    state.lifecycle.spawn(keep_until_stopped(state.clone()));
}

fn every(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Goes on until the last request has left its counts.
async fn write_until_drained(state: AppState) {
    let drained = state.lifecycle.drained();
    let work = Work::begin("usage_writing", WRITE_INTERVAL);
    let mut ticks = every(WRITE_INTERVAL);
    loop {
        let is_last = tokio::select! {
            () = drained.cancelled() => true,
            _ = ticks.tick() => false,
        };
        let writing = state.metrics.usage.write(state.db.background()).instrument(telemetry::work("writing counts of answers"));
        if let Err(error) = work.note(writing.await) {
            tracing::warn!(error = &error as &dyn std::error::Error, "counts of answers wait to be written");
        }
        if is_last {
            return;
        }
    }
}

async fn keep_until_stopped(state: AppState) {
    let stopping = state.lifecycle.stopping();
    tokio::select! {
        // What is cut off is rolled back, and done by another instance or after the next start.
        () = stopping.cancelled() => {}
        () = keep_house(&state) => {}
    }
}

async fn keep_house(state: &AppState) {
    let pool = state.db.write();
    let (keeping, forgetting) = (Work::begin("partition_keeping", PARTITIONS_INTERVAL), Work::begin("forgetting", PARTITIONS_INTERVAL));
    let (sampling, publish_interval) = (Work::begin("sampling", SAMPLE_INTERVAL), SAMPLE_INTERVAL * PUBLISH_EVERY);
    let (density, usage) = (Work::begin("density_publishing", publish_interval), Work::begin("usage_publishing", publish_interval));
    let mut ticks = every(SAMPLE_INTERVAL);
    let mut partitions_kept: Option<Instant> = None;
    for round in 0_u32.. {
        ticks.tick().await;
        if partitions_kept.is_none_or(|kept| kept.elapsed() >= PARTITIONS_INTERVAL) {
            match keeping.note(keep_partitions(pool, &state.supervision).await) {
                Ok(dropped) => {
                    partitions_kept = Some(Instant::now());
                    tracing::debug!(dropped, "daily partitions kept");
                }
                Err(error) => warn(&error),
            }
            let beginning = within_deadline(state.db.background(), "beginning to forget old metrics", async |connection| {
                begin_round(connection, Round::ForgetOld, PARTITIONS_INTERVAL, state.instance.id()).await
            });
            let outcome = match beginning.await {
                Ok(true) => forget_old(pool, &state.supervision).await.map(|_| ()),
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = forgetting.note(outcome) {
                warn(&error);
            }
        }
        if let Err(error) = sampling.note(sample_system(pool).await) {
            warn(&error);
        }
        if round % PUBLISH_EVERY == 0 {
            for outcome in [density.note(publish_density(pool).await), usage.note(publish_usage(pool).await)] {
                if let Err(error) = outcome {
                    warn(&error);
                }
            }
        }
    }
}

fn warn(error: &DbError) {
    tracing::warn!(error = error as &dyn std::error::Error, "{} failed; trying again soon", error.doing());
}
