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
use super::store::{self, TakenBack};
use crate::db::within_deadline;
use crate::state::AppState;
use crate::telemetry::meters;

/// Rest after the database failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How far a piece of work came.
enum Progress {
    Done,
    /// There is more, after this decoration.
    More(Uuid),
    /// The session is not the one of its edge, by the database.
    Over,
}

/// Does for a session what its state machine asks of the books, a piece after the other. What fails is asked again.
pub(super) async fn repair(state: AppState, session: Arc<Session>, act: Act) {
    // The end of a snapshot is one row; it does not wait for others' thousands.
    let place = if act == Act::EndSnapshot { None } else { state.sync.repairs.acquire().await.ok() };
    let (stopping, mut after) = (state.lifecycle.stopping(), Uuid::nil());
    while !stopping.is_cancelled() {
        let mending = within_deadline(state.db.background(), "mending what an edge holds", async |connection| {
            apply(connection, &session, &act, after).await
        });
        match mending.await {
            Ok(Progress::More(last)) => after = last,
            Ok(Progress::Done) => break,
            // Its lease ran out, and it is put in again; or its socket ends. The next tick asks again.
            Ok(Progress::Over) => return session.machine().failed(&act),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, edge = %session.edge_id, "{}: trying again", error.doing());
                session.machine().failed(&act);
                // All have to wait while the database fails.
                tokio::time::sleep(PAUSE).await;
                break;
            }
        }
    }
    drop(place);
    state.sync.wake([session.edge_id]);
}

async fn apply(connection: &mut PgConnection, session: &Session, act: &Act, after: Uuid) -> Result<Progress, sqlx::Error> {
    let (edge_id, session_id) = (session.edge_id, session.session_id);
    match act {
        Act::BeginSnapshot { renumber } => {
            if after.is_nil() {
                store::want_snapshot(&mut *connection, edge_id).await?;
            }
            let mut transaction = connection.begin().await?;
            let taken_back = store::take_back(&mut transaction, (edge_id, session_id), *renumber, after).await?;
            transaction.commit().await?;
            match taken_back {
                TakenBack::UpTo(last) => return Ok(Progress::More(last)),
                TakenBack::Over => return Ok(Progress::Over),
                TakenBack::All => {
                    meters().sync.snapshots.increment(1);
                    tracing::info!(edge = %edge_id, "edge {edge_id} gets a snapshot");
                    session.machine().snapshot_begun();
                }
            }
        }
        Act::EndSnapshot => {
            if !store::end_snapshot(connection, edge_id, session_id).await? {
                return Ok(Progress::Over);
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
            let Some(strays) = strays else { return Ok(Progress::Over) };
            meters().sync.mended.increment(differences.len() as u64);
            tracing::warn!(edge = %edge_id, decorations = differences.len(), strays = strays.len(), "what edge {edge_id} holds is mended");
            session.machine().mended(books, strays);
        }
        Act::Look { .. }
        | Act::GiveUp(_)
        | Act::SendLast { .. }
        | Act::SendCheckpoint { .. }
        | Act::AskDigests { .. }
        | Act::AskInventory { .. } => {}
    }
    Ok(Progress::Done)
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
