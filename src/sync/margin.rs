//! The sync margin of the configuration comes into force: `EDGE_SYNC_MARGIN_METERS` is written into `ar.meta`, from
//! where all instances have it, and every edge is covered and marked for it.
//!
//! Edge by edge, in transactions of their own, so that nobody waits long; whoever takes over after a crash goes on from
//! what is written. At every moment the cells of all edges reach as far as the margin in force, or farther: they grow
//! before a larger margin comes into force and shrink after a smaller one did.

use std::time::Duration;

use uuid::Uuid;

use super::wanted::{change_areas, margin, mark_edge};
use crate::db::DbError;
use crate::edges::{self, Uneven};
use crate::geo::Metres;
use crate::state::AppState;

/// Edges that are looked for at once.
const PAGE: i64 = 100;

/// Time before another attempt.
const RETRY: Duration = Duration::from_secs(1);

/// Does it, as often as it takes, unless the service stops before.
pub(super) async fn bring_into_force(state: &AppState) {
    let stopping = state.lifecycle.stopping();
    loop {
        let outcome = tokio::select! {
            () = stopping.cancelled() => return,
            outcome = attempt(state) => outcome,
        };
        let Err(error) = outcome else { return };
        let error = DbError::new("bringing the sync margin into force", error);
        tracing::warn!(error = &error as &dyn std::error::Error, "the sync margin is not in force yet; trying again");
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn attempt(state: &AppState) -> Result<(), sqlx::Error> {
    let wanted = state.supervision.sync_margin;
    if margin(state.db.write()).await? != wanted {
        let before = put_in_force(state, wanted).await?;
        tracing::info!(before_m = before.0, now_m = wanted.0, "the sync margin is {} m from now on, after {} m", wanted.0, before.0);
    }
    let marked_m = sqlx::query_scalar!(r#"SELECT value::float8 AS "value!" FROM ar.meta WHERE key = 'sync_margin_marked_m'"#);
    if Metres(marked_m.fetch_one(state.db.write()).await?) != wanted {
        mark_all(state, wanted).await?;
    }
    shrink(state, wanted).await
}

/// Grows the cells of all edges as far as needed, and then writes the margin; what it was before.
async fn put_in_force(state: &AppState, wanted: Metres) -> Result<Metres, sqlx::Error> {
    loop {
        for edge in edges::uneven(state.db.write(), wanted, true, PAGE).await? {
            let (edge, covered) = cover(edge, wanted).await?;
            let mut transaction = state.db.write().begin().await?;
            // One that was changed meanwhile is found again.
            edges::cover_anew(&mut transaction, &edge, &covered).await?;
            transaction.commit().await?;
        }
        let mut transaction = state.db.write().begin().await?;
        let before = change_areas(&mut transaction).await?;
        if !edges::uneven(&mut *transaction, wanted, true, 1).await?.is_empty() {
            continue;
        }
        note(&mut transaction, "sync_margin_m", wanted).await?;
        transaction.commit().await?;
        return Ok(before);
    }
}

/// The cells of an edge for a margin: too much work for the threads that serve sockets.
async fn cover(edge: Uneven, margin: Metres) -> Result<(Uneven, edges::Covered), sqlx::Error> {
    let covering = tokio::task::spawn_blocking(move || {
        let covered = edge.reach.cover(margin);
        (edge, covered)
    });
    covering.await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))
}

/// Marks what every edge is to hold, now that the margin is another.
async fn mark_all(state: &AppState, wanted: Metres) -> Result<(), sqlx::Error> {
    let (mut after, mut put, mut removed, mut edges) = (Uuid::nil(), 0, 0, 0_usize);
    loop {
        let page = edges::ids(state.db.write(), after, PAGE).await?;
        let Some(&last) = page.last() else { break };
        after = last;
        for id in page {
            let mut transaction = state.db.write().begin().await?;
            change_areas(&mut transaction).await?;
            let marked = mark_edge(&mut transaction, id).await?;
            transaction.commit().await?;
            (put, removed, edges) = (put + marked.put, removed + marked.removed, edges + 1);
        }
    }
    let mut transaction = state.db.write().begin().await?;
    // Where another instance brought another margin into force meanwhile, marking all for that is left to it.
    if change_areas(&mut transaction).await? == wanted {
        note(&mut transaction, "sync_margin_marked_m", wanted).await?;
        transaction.commit().await?;
        tracing::info!(edges, put, removed, "{edges} edges were marked for the sync margin: {put} decorations more, {removed} fewer");
    }
    Ok(())
}

/// Takes away cells that a larger margin left.
async fn shrink(state: &AppState, wanted: Metres) -> Result<(), sqlx::Error> {
    loop {
        let page = edges::uneven(state.db.write(), wanted, false, PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        for edge in page {
            let (edge, covered) = cover(edge, wanted).await?;
            let mut transaction = state.db.write().begin().await?;
            if change_areas(&mut transaction).await? != wanted {
                return Ok(());
            }
            edges::cover_anew(&mut transaction, &edge, &covered).await?;
            transaction.commit().await?;
        }
    }
}

async fn note(connection: &mut sqlx::PgConnection, key: &str, margin: Metres) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE ar.meta SET value = $2 WHERE key = $1", key, margin.0.to_string()).execute(connection).await.map(|_| ())
}
