//! Bringing edges what is due: read for all sockets of this instance together, a little for each, so that an edge that
//! gets everything does not keep the others waiting.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::machine::{Act, Entry};
use super::session::{Session, Written};
use super::{repair, store};
use crate::db::within_deadline;
use crate::decorations::{self, Decoration};
use crate::hub::Closing;
use crate::state::AppState;
use crate::telemetry::meters;
use crate::telemetry::prometheus::Work;

/// How often what is late is looked for.
const TICK: Duration = Duration::from_millis(500);
/// Rest after the database failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How often what no notice told of is looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3);
/// Edges that are looked after at once, and decorations that are held for them meanwhile.
const EDGES_AT_ONCE: usize = 64;
const ROWS_AT_ONCE: usize = 4_000;
/// Bytes on their way to all edges together, beyond which nothing is added.
const MAX_BYTES_IN_FLIGHT: usize = 48 * 1024 * 1024;
/// Decorations that notices told of, beyond which all edges are looked after.
const MAX_TOLD: usize = 1_000;
/// Edges that are told to compare at once.
const CHECKS_AT_ONCE: usize = 30;

/// What notices told of.
#[derive(Default)]
pub(super) struct Told {
    decorations: HashSet<Uuid>,
    many: bool,
}

impl Told {
    /// Of one decoration, or of many.
    pub(super) fn decoration(&mut self, id: Option<Uuid>) {
        match id {
            Some(id) if self.decorations.len() < MAX_TOLD => {
                self.decorations.insert(id);
            }
            _ => self.many = true,
        }
    }
}

pub(super) async fn deliver_until(state: AppState) {
    let (sync, stopping) = (&state.sync, state.lifecycle.stopping());
    let work = Work::begin("delivery", TICK);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = sync.awake.notified() => {}
            _ = ticks.tick() => sync.wake(sync.sessions.all().iter().map(|session| session.edge_id)),
        }
        heed_told(&state).await;
        let hot = std::mem::take(&mut *sync.hot.lock().unwrap_or_else(PoisonError::into_inner));
        let sessions: Vec<_> = hot.into_iter().filter_map(|edge_id| sync.sessions.find(edge_id)).collect();
        if deliver(&state, &sessions).await {
            work.went_well();
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Wakes the edges that what notices told of is due at.
async fn heed_told(state: &AppState) {
    let sync = &state.sync;
    let Told { decorations, many } = std::mem::take(&mut *sync.told.lock().unwrap_or_else(PoisonError::into_inner));
    if many {
        return sync.rouse(sync.sessions.all());
    }
    if decorations.is_empty() || sync.sessions.is_empty() {
        return;
    }
    let ids: Vec<Uuid> = decorations.into_iter().collect();
    let finding = within_deadline(state.db.background(), "finding edges of decorations", async |connection| {
        store::edges_due_of(connection, &ids).await
    });
    match finding.await {
        Ok(edge_ids) => sync.rouse(edge_ids.into_iter().filter_map(|edge_id| sync.sessions.find(edge_id))),
        // The sweep finds them.
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "what changed is looked for later"),
    }
}

/// Does for each session what is to be done; false when the database failed.
async fn deliver(state: &AppState, sessions: &[Arc<Session>]) -> bool {
    let now_ms = state.sync.now_ms();
    let mut wishes: Vec<(Arc<Session>, usize)> = Vec::new();
    for session in sessions {
        wishes.extend(advance(state, session, now_ms).map(|most| (Arc::clone(session), most)));
    }
    if wishes.is_empty() {
        return true;
    }
    let mut succeeded = true;
    for wishes in wishes.chunks(EDGES_AT_ONCE) {
        if is_crowded(state) {
            // These are asked again at the next tick.
            for (session, _) in wishes {
                session.machine().not_found();
            }
            continue;
        }
        let reading =
            within_deadline(state.db.background(), "reading what is due", async |connection| read(state, connection, wishes).await);
        if let Err(error) = reading.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "{}: trying again", error.doing());
            for (session, _) in wishes {
                session.machine().not_found();
            }
            succeeded = false;
        }
        state.sync.wake(wishes.iter().map(|(session, _)| session.edge_id));
    }
    succeeded
}

/// Whether so much is on its way to all edges together that nothing is added.
fn is_crowded(state: &AppState) -> bool {
    state.sync.bytes_in_flight() > MAX_BYTES_IN_FLIGHT
}

/// Has the state machine say what is to be said, and the books mended; how many due rows it would look at, if any.
fn advance(state: &AppState, session: &Arc<Session>, now_ms: u64) -> Option<usize> {
    loop {
        let (act, late) = {
            let mut machine = session.machine();
            (machine.next(now_ms), machine.take_late())
        };
        meters().sync.resends.increment(late);
        let act = act?;
        match session.say(act) {
            None => {}
            Some(Act::Look { most }) => return Some(most),
            Some(Act::GiveUp(items)) => state.sync.gave_up(session, items),
            Some(act) => {
                state.lifecycle.spawn(repair::repair(state.clone(), Arc::clone(session), act));
                return None;
            }
        }
    }
}

/// An edge that something is due at: the rows that are news, and whether there are no others.
struct Dues {
    session: Arc<Session>,
    rows: Vec<store::Due>,
    all: bool,
}

/// Reads what is due at these edges, and sends it: first which rows, then, for some edges at a time, what is in them. A
/// decoration that several edges get is read once.
async fn read(state: &AppState, connection: &mut PgConnection, wishes: &[(Arc<Session>, usize)]) -> Result<(), sqlx::Error> {
    let edge_ids: Vec<Uuid> = wishes.iter().map(|(session, _)| session.edge_id).collect();
    let most: Vec<i64> = wishes.iter().map(|(_, most)| i64::try_from(*most).unwrap_or(i64::MAX)).collect();
    let mut due: HashMap<Uuid, Vec<store::Due>> = HashMap::new();
    for row in store::due(&mut *connection, &edge_ids, &most).await? {
        due.entry(row.edge_server_id).or_default().push(row);
    }
    let mut group: Vec<Dues> = Vec::new();
    for (session, most) in wishes {
        let rows = due.remove(&session.edge_id).unwrap_or_default();
        let all = rows.len() < *most;
        let rows = session.machine().news(rows, |row| (row.decoration_id, row.sync_version));
        if group.iter().map(|dues| dues.rows.len()).sum::<usize>() + rows.len() > ROWS_AT_ONCE {
            send(state, connection, std::mem::take(&mut group)).await?;
        }
        group.push(Dues { session: Arc::clone(session), rows, all });
    }
    send(state, connection, group).await
}

async fn send(state: &AppState, connection: &mut PgConnection, group: Vec<Dues>) -> Result<(), sqlx::Error> {
    let ids: HashSet<Uuid> = group.iter().flat_map(|dues| &dues.rows).filter(|row| row.put).map(|row| row.decoration_id).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let written = |decoration: Decoration| (decoration.id, Written::of(&decoration));
    let shown = if ids.is_empty() { Vec::new() } else { decorations::shown(connection, &ids, written).await? };
    let contents: HashMap<Uuid, Written> = shown.into_iter().collect();
    let entry = |row: store::Due| {
        // One that is shown no more has just got another number, by which it is removed.
        let content = if row.put { Some(contents.get(&row.decoration_id)?.clone()) } else { None };
        Some(Entry { id: row.decoration_id, number: row.sync_version, content })
    };
    for Dues { session, rows, all } in group {
        let entries: Vec<_> = rows.into_iter().filter_map(entry).collect();
        // When nothing of it is to be sent, there is nothing to look for before the sweep.
        let all = all || entries.is_empty();
        let batches = session.machine().found(entries, all, state.sync.now_ms());
        for batch in &batches {
            session.send(batch);
        }
    }
    Ok(())
}

/// Finds what no notice told of: rows whose next attempt is due, and what came while nobody listened. Has edges compare
/// now and then, and lets those go whose numbers are of another epoch.
pub(super) async fn sweep_until(state: AppState) {
    let stopping = state.lifecycle.stopping();
    let work = Work::begin("due_sweep", SWEEP_INTERVAL);
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let sessions = state.sync.sessions.all();
        if sessions.is_empty() {
            work.went_well();
            continue;
        }
        let sweeping = within_deadline(state.db.background(), "looking for what is due", async |connection| {
            sweep(&state, connection, &sessions).await
        });
        if let Err(error) = work.note(sweeping.await) {
            tracing::warn!(error = &error as &dyn std::error::Error, "{}: trying again", error.doing());
        }
    }
}

async fn sweep(state: &AppState, connection: &mut PgConnection, sessions: &[Arc<Session>]) -> Result<(), sqlx::Error> {
    let sync = &state.sync;
    let epoch = store::epoch(&mut *connection).await?;
    for session in sessions.iter().filter(|session| session.epoch != epoch) {
        session.close(Closing::stopping(state.hub.retry_after_ms()));
    }
    let edge_ids: Vec<Uuid> = sessions.iter().map(|session| session.edge_id).collect();
    let due = store::edges_with_due(&mut *connection, &edge_ids).await?;
    sync.rouse(due.into_iter().filter_map(|edge_id| sync.sessions.find(edge_id)));
    let (now_ms, interval_ms) = (sync.now_ms(), u64::try_from(state.supervision.sync_interval.as_millis()).unwrap_or(u64::MAX));
    let to_check = sessions.iter().filter(|session| session.machine().is_quiet() && session.is_to_check(now_ms, interval_ms));
    for session in to_check.take(CHECKS_AT_ONCE) {
        let books = store::books(&mut *connection, &[session.edge_id]).await?;
        books.get(&session.edge_id).into_iter().for_each(|books| session.machine().check(*books));
        session.was_checked(now_ms);
        sync.wake([session.edge_id]);
    }
    Ok(())
}
