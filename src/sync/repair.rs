//! Mending: what an edge holds is compared with the books, or everything is taken back. A few edges at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::comparison::Buckets;
use super::digest::{Sum, bucket};
use super::machine::{Act, Books};
use super::session::Session;
use super::store;
use crate::db::within_deadline;
use crate::state::AppState;

/// Rest after the database failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Does for a session what its state machine asks of the books. What fails is asked again.
pub(super) async fn repair(state: AppState, session: Arc<Session>, act: Act) {
    let stopping = state.lifecycle.stopping();
    tokio::select! {
        () = stopping.cancelled() => return,
        place = state.sync.repairs.acquire() => {
            let mending = within_deadline(state.db.background(), "mending what an edge holds", async |connection| {
                apply(connection, &session, &act).await
            });
            match mending.await {
                Ok(true) => {}
                // Its lease ran out, and it is put in again; or its socket ends. The next tick asks again.
                Ok(false) => return session.machine().failed(&act),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, edge = %session.edge_id, "{}: trying again", error.doing());
                    session.machine().failed(&act);
                    // All have to wait while the database fails.
                    tokio::time::sleep(PAUSE).await;
                }
            }
            drop(place);
        }
    }
    state.sync.wake([session.edge_id]);
}

/// False when the session is not the one of its edge, by the database.
async fn apply(connection: &mut PgConnection, session: &Session, act: &Act) -> Result<bool, sqlx::Error> {
    let (edge_id, session_id) = (session.edge_id, session.session_id);
    match act {
        Act::BeginSnapshot { renumber } => {
            let mut transaction = connection.begin().await?;
            let begun = store::begin_snapshot(&mut transaction, edge_id, session_id, *renumber).await?;
            if !begun {
                return Ok(false);
            }
            transaction.commit().await?;
            tracing::info!(edge = %edge_id, "edge {edge_id} gets a snapshot");
            session.machine().snapshot_begun();
        }
        Act::EndSnapshot => {
            if !store::end_snapshot(connection, edge_id, session_id).await? {
                return Ok(false);
            }
            session.machine().snapshot_ended();
        }
        Act::Compare { bits, theirs } => {
            let ours = store::held(&mut *connection, edge_id).await?;
            let books = of(connection, edge_id).await?;
            let differing = differing(*bits, theirs, ours);
            if !differing.is_empty() {
                tracing::info!(edge = %edge_id, buckets = differing.len(), "edge {edge_id} holds something else than was acknowledged");
            }
            session.machine().compared(books, differing);
        }
        Act::Mend(differences) => {
            let mut transaction = connection.begin().await?;
            let strays = store::mend(&mut transaction, edge_id, session_id, differences).await?;
            let books = of(&mut transaction, edge_id).await?;
            transaction.commit().await?;
            let Some(strays) = strays else { return Ok(false) };
            tracing::warn!(edge = %edge_id, decorations = differences.len(), strays = strays.len(), "what edge {edge_id} holds is mended");
            session.machine().mended(books, strays);
        }
        Act::Look { .. } | Act::SendLast { .. } | Act::SendCheckpoint { .. } | Act::AskDigests { .. } | Act::AskInventory { .. } => {}
    }
    Ok(true)
}

async fn of(connection: &mut PgConnection, edge_id: Uuid) -> Result<Books, sqlx::Error> {
    Ok(store::books(connection, &[edge_id]).await?.remove(&edge_id).unwrap_or_default())
}

/// Our items in every bucket of which they hold something else.
fn differing(bits: u8, theirs: &HashMap<u32, Sum>, ours: Vec<(Uuid, i64)>) -> Buckets {
    let mut buckets: HashMap<u32, (Sum, Vec<(Uuid, i64)>)> = HashMap::new();
    for (id, number) in ours {
        let (sum, items) = buckets.entry(bucket(id, bits)).or_default();
        sum.add(id, number);
        items.push((id, number));
    }
    let prefixes: HashSet<u32> = buckets.keys().chain(theirs.keys()).copied().collect();
    let differs = |prefix: u32| {
        let (sum, items) = buckets.remove(&prefix).unwrap_or_default();
        (theirs.get(&prefix).copied().unwrap_or_default() != sum).then_some((prefix, items))
    };
    prefixes.into_iter().filter_map(differs).collect()
}
