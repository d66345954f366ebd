//! What goes on by itself: hearing of sessions that ended elsewhere, noting uses, and throwing away what is over.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tracing::Instrument;
use uuid::Uuid;

use crate::db::{DbError, Notice, Round, begin_round, within_deadline};
use crate::lifecycle::Lifecycle;
use crate::state::AppState;
use crate::telemetry;
use crate::telemetry::prometheus::Work;

/// Time between two tries to read the database's clock for the first time.
const FIRST_CLOCK_RETRY: Duration = Duration::from_millis(500);
/// How often changes are looked for that no notice told of.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);
/// How far back a sweep looks: longer than any transaction takes, so that none slips through between two.
const SWEEP_WINDOW: Duration = Duration::from_mins(1);
/// How often uses are written, in sweeps.
const NOTE_USES_EVERY: u32 = 5;
/// How long a sweep may take, and a note. A connection that is half open would let it wait for ever.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(3);
/// How often what is over is thrown away.
const CLEAN_INTERVAL: Duration = Duration::from_mins(10);

/// Starts it all; it ends with the service.
pub(crate) fn keep(state: &AppState) {
    let lifecycle = &state.lifecycle;
    lifecycle.spawn(sweep_until(state.clone(), lifecycle.clone()));
    lifecycle.spawn(clean_until(state.clone(), lifecycle.clone()));
}

/// Takes note of what happened on some instance.
pub(crate) fn heed(state: &AppState, notice: Notice) {
    let live = &state.accounts.live;
    match notice {
        Notice::Session(id) => live.forget_session(id),
        Notice::User(id) => live.forget_user(id),
        // When some were missed, the sweep finds it, and nothing is trusted for longer than until then.
        _ => {}
    }
}

/// Reads the database's clock before the first token is made: ours may be wrong by any time. Tries until it is there, or
/// the service stops.
pub(crate) async fn read_clock_first(state: &AppState) {
    let stopping = state.lifecycle.stopping();
    let mut ticks = tokio::time::interval(FIRST_CLOCK_RETRY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = false;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Err(error) = sweep(state, Instant::now()).await else { return };
        if !std::mem::replace(&mut told, true) {
            let error = DbError::new("reading the database's clock", error);
            tracing::warn!(error = &error as &dyn std::error::Error, "nobody is served before the database's clock was read; trying again");
        }
    }
}

async fn sweep_until(state: AppState, lifecycle: Lifecycle) {
    let stopping = lifecycle.stopping();
    let work = Work::begin("session_sweep", SWEEP_INTERVAL);
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last_good: Option<Instant> = None;
    for round in 0_u32.. {
        tokio::select! {
            () = stopping.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let asked = Instant::now();
        if last_good.is_some_and(|good| asked.duration_since(good) > SWEEP_WINDOW / 2) {
            // What happened between no sweep can tell any more.
            state.accounts.live.forget_all();
        }
        match work.note(sweep(&state, asked).instrument(telemetry::work("looking for sessions that ended")).await) {
            Ok(()) => last_good = Some(asked),
            Err(error) => {
                let error = DbError::new("looking for sessions that ended", error);
                tracing::warn!(error = &error as &dyn std::error::Error, "tokens are checked one by one until the database answers");
            }
        }
        if round % NOTE_USES_EVERY == NOTE_USES_EVERY - 1 {
            note_uses(&state).instrument(telemetry::work("noting uses of sessions")).await;
        }
    }
    note_uses(&state).instrument(telemetry::work("noting uses of sessions")).await;
}

async fn clean_until(state: AppState, lifecycle: Lifecycle) {
    let stopping = lifecycle.stopping();
    let work = Work::begin("account_cleaning", CLEAN_INTERVAL);
    let mut ticks = tokio::time::interval(CLEAN_INTERVAL);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        state.throttle.forget_full();
        let cleaning = within_deadline(state.db.background(), "throwing away what is over", async |connection| {
            if begin_round(connection, Round::CleanAccounts, CLEAN_INTERVAL, state.instance.id()).await? {
                clean(connection).await
            } else {
                Ok(())
            }
        });
        if let Err(error) = work.note(cleaning.await) {
            tracing::warn!(error = &error as &dyn std::error::Error, "old sessions stay a while longer");
        }
    }
}

/// Asks what changed of late, and what time it is.
async fn sweep(state: &AppState, asked: Instant) -> Result<(), sqlx::Error> {
    let accounts = &state.accounts;
    let mut connection = state.db.background().acquire().await?;
    let clock_asked = Instant::now();
    let Ok(answer) = tokio::time::timeout(SWEEP_TIMEOUT, changes(&mut connection)).await else {
        // Given back, it would be asked whether it lives, and wait for that.
        connection.close_on_drop();
        return Err(sqlx::Error::PoolTimedOut);
    };
    let (now, changed) = answer?;
    accounts.clock.set(now, clock_asked);
    for id in changed {
        accounts.live.forget_session(id);
    }
    accounts.live.swept(asked);
    Ok(())
}

async fn changes(connection: &mut PgConnection) -> Result<(DateTime<Utc>, Vec<Uuid>), sqlx::Error> {
    let window_s = SWEEP_WINDOW.as_secs_f64();
    let row = sqlx::query!(
        r#"SELECT clock_timestamp() AS "now!",
               ARRAY(SELECT id FROM ar.user_sessions WHERE access_changed_at > now() - make_interval(secs => $1)) AS "changed!""#,
        window_s
    )
    .fetch_one(connection)
    .await?;
    Ok((row.now, row.changed))
}

async fn note_uses(state: &AppState) {
    let mut used = state.accounts.live.take_used();
    if used.is_empty() {
        return;
    }
    // Instances that write at the same time take the rows in one order.
    used.sort_unstable();
    let noted = sqlx::query!(
        "WITH used AS (SELECT id FROM ar.user_sessions WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE ar.user_sessions s SET last_used = now() FROM used WHERE s.id = used.id",
        &used
    );
    let noting = async {
        let mut connection = state.db.background().acquire().await?;
        let Ok(noted) = tokio::time::timeout(SWEEP_TIMEOUT, noted.execute(&mut *connection)).await else {
            connection.close_on_drop();
            return Err(sqlx::Error::PoolTimedOut);
        };
        noted
    };
    if let Err(error) = noting.await {
        let error = DbError::new("noting uses of sessions", error);
        tracing::warn!(error = &error as &dyn std::error::Error, "last uses are not noted");
    }
}

/// Sessions are kept for 30 days beyond their end: an owner is known by the networks he signed in from.
async fn clean(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM ar.user_sessions WHERE expires_at < now() - interval '30 days'").execute(&mut *connection).await?;
    sqlx::query!("DELETE FROM ar.ws_tickets WHERE expires_at < now()").execute(&mut *connection).await?;
    sqlx::query!("DELETE FROM ar.password_resets WHERE expires_at < now()").execute(&mut *connection).await?;
    sqlx::query!("DELETE FROM ar.idempotency_keys WHERE expires_at < now()").execute(connection).await?;
    Ok(())
}
