//! An edge's socket: it says who it is, gets a session, beats, and tells of its devices.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::Response;
use sqlx::Connection;
use tracing::Instrument;
use uuid::Uuid;

use super::outbox::{Closing, Outbox};
use super::protocol::{
    DeviceLocation, DeviceLocations, Drain, FromEdge, HealthUpdate, Hello, Mode, PROTOCOL, SocketError, ToEdge, Welcome,
};
use super::registry::{self, EdgeHandle};
use super::session;
use super::socket::{End, Incoming, Talk, bounded};
use super::upgrade::{check_upgrade, no_upgrade, refuse};
use crate::db::{DbError, within_deadline};
use crate::devices::Report;
use crate::edges::{Beat, EdgeIdentity, is_edge_key};
use crate::http::{ApiError, bearer, forbidden, identify, identify_edge, network_bucket};
use crate::state::AppState;
use crate::sync;
use crate::telemetry::{self, meters};

/// Time for the first message.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a report waits for the writer; what is dropped is reported again.
const REPORT_TIMEOUT: Duration = Duration::from_secs(1);
/// Bad messages that are borne.
pub(super) const MAX_BAD_MESSAGES: u32 = 10;
/// Most that is written at once: what an outbox holds, and frames.
const MAX_OUT_BYTES: usize = 2 * 1024 * 1024;

/// Lets an edge in whose key is good, to the path of its own.
pub(super) async fn upgrade(State(state): State<AppState>, Path(edge_id): Path<String>, request: Request) -> Response {
    match try_upgrade(state, &edge_id, request).await {
        Ok(response) => response,
        Err(error) => refuse(error),
    }
}

async fn try_upgrade(state: AppState, edge_id: &str, request: Request) -> Result<Response, ApiError> {
    let network = network_bucket(&request);
    if bearer(request.headers()).is_some_and(|token| !is_edge_key(token)) {
        // A person who may be here or not: never as an edge.
        identify(&state, request.headers(), network).await?;
        return Err(forbidden("this is for the edge server itself, with its key"));
    }
    let edge = identify_edge(&state, request.headers(), network).await?;
    if Uuid::try_parse(edge_id).ok() != Some(edge.edge_id) {
        return Err(forbidden("this key is another edge server's"));
    }
    let place = check_upgrade(&state, &request)?;
    let (mut parts, _body) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(|rejection| no_upgrade(&rejection))?;
    let upgrade = bounded(upgrade, state.supervision.socket_buffers, MAX_OUT_BYTES);
    Ok(upgrade.on_upgrade(move |socket| {
        let tracker = state.hub.sockets.clone();
        let span = telemetry::edge_socket(edge.edge_id);
        let life = async move {
            run(state, edge, socket).await;
            drop(place);
        };
        tracker.track_future(life.instrument(span))
    }))
}

/// The life of an edge's socket.
async fn run(state: AppState, edge: EdgeIdentity, socket: WebSocket) {
    let outbox = Arc::new(Outbox::default());
    let mut talk = Talk::new(socket, &outbox, &meters().sockets.edge);
    let hello = match tokio::time::timeout(HELLO_TIMEOUT, hello(&mut talk, &outbox)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(None)) => return,
        Ok(Err(Some(closing))) => {
            outbox.close(closing);
            while let Incoming::Text(_) = talk.next().await {}
            return;
        }
        Err(_elapsed) => return talk.close(&Closing::policy("no_hello")).await,
    };
    // Beginning and end are done in a box: in place, they would hold many times the room of all the rest for as long as
    // the socket lives.
    let handle = match Box::pin(enter(&state, edge, &hello, &outbox)).await {
        Ok(Some(handle)) => handle,
        Ok(None) => return talk.close(&Closing::policy("key_revoked")).await,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, edge = %edge.edge_id, "edge {} gets no session", edge.edge_id);
            return talk.close(&Closing { code: 1013, reason: "unavailable".to_owned() }).await;
        }
    };
    tracing::info!(edge = %handle.edge_id, session = %handle.session_id, agent = hello.agent, "edge {} connected", handle.edge_id);
    let end = listen(&state, &handle, &mut talk).await;
    drop(talk);
    tracing::info!(edge = %handle.edge_id, session = %handle.session_id, ?end, "edge {} disconnected", handle.edge_id);
    state.sync.leave(&handle.sync);
    state.hub.registry.leave(&handle);
    let _place = state.hub.sessions.acquire().await;
    let ending = within_deadline(state.db.write(), "ending a session", async |connection| {
        session::end(connection, handle.edge_id, handle.session_id, end == End::ByPeer).await
    });
    if let Err(error) = Box::pin(ending).await {
        // Nobody renews it any more: its lease runs out.
        tracing::warn!(error = &error as &dyn std::error::Error, edge = %handle.edge_id, "the session of edge {} ends by itself", handle.edge_id);
    }
}

/// The first message; else why the socket is to be closed, or nothing when it is gone.
async fn hello(talk: &mut Talk<'_>, outbox: &Outbox) -> Result<Hello, Option<Closing>> {
    let text = match talk.next().await {
        Incoming::Text(text) => text,
        Incoming::Ended(_) => return Err(None),
    };
    match FromEdge::read(&text) {
        Ok(FromEdge::Hello(hello)) if hello.protocol == PROTOCOL => Ok(hello),
        Ok(FromEdge::Hello(_)) => Err(Some(Closing::policy("unsupported_protocol"))),
        Ok(_) => Err(Some(Closing::policy("hello_expected"))),
        Err(error) => {
            outbox.put(registry::text(&ToEdge::Error(error)));
            Err(Some(Closing::policy("hello_expected")))
        }
    }
}

/// Claims the edge's session; none when it may not have one any more.
async fn enter(state: &AppState, edge: EdgeIdentity, hello: &Hello, outbox: &Arc<Outbox>) -> Result<Option<Arc<EdgeHandle>>, DbError> {
    let session_id = Uuid::now_v7();
    let _place = state.hub.sessions.acquire().await;
    let claiming = within_deadline(state.db.write(), "claiming a session", async |connection| {
        let mut transaction = connection.begin().await?;
        let claimed = session::claim(&mut transaction, edge.edge_id, edge.key_id, session_id, state.instance.id()).await?;
        transaction.commit().await?;
        // Nobody else writes them from now on.
        let books = sync::books(connection, &[edge.edge_id]).await?.remove(&edge.edge_id).unwrap_or_default();
        Ok(claimed.map(|claimed| (claimed, books)))
    });
    let Some((claimed, books)) = claiming.await? else { return Ok(None) };
    let machine = sync::Machine::begin(hello.epoch.as_ref() == Some(&claimed.epoch), hello.held.sum().unwrap_or_default(), books);
    let mode = if machine.is_snapshot() { Mode::Snapshot } else { Mode::Delta };
    let (epoch, server_time) = (claimed.epoch, claimed.server_time);
    let number = (session_id, claimed.generation);
    let content = sync::Session::new(edge.edge_id, number, epoch.clone(), Arc::clone(outbox), machine, state.sync.now_ms());
    let handle = EdgeHandle::new(edge, session_id, claimed.generation, Arc::clone(outbox), Arc::new(content));
    let heartbeat_seconds = state.supervision.health_interval.as_secs();
    handle.send(&ToEdge::Welcome(Welcome { session_id, epoch, server_time, heartbeat_seconds, mode }));
    if let Some(deadline) = claimed.drain_deadline.filter(|deadline| handle.is_news(*deadline)) {
        handle.send(&ToEdge::Drain(Drain { deadline }));
    }
    let handle = Arc::new(handle);
    state.hub.registry.enter(Arc::clone(&handle));
    state.sync.enter(Arc::clone(&handle.sync));
    if state.lifecycle.stopping().is_cancelled() {
        // Whoever closes the sockets may have been here before.
        handle.outbox.close(Closing::stopping(state.hub.retry_after_ms()));
    }
    Ok(Some(handle))
}

/// Takes messages until the socket ends.
async fn listen(state: &AppState, handle: &EdgeHandle, talk: &mut Talk<'_>) -> End {
    let mut bad = 0;
    loop {
        let text = match talk.next().await {
            Incoming::Text(text) => text,
            Incoming::Ended(end) => return end,
        };
        let taken = match FromEdge::read(&text) {
            Ok(message) => take(state, handle, message).await,
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            bad += 1;
            meters().sockets.bad_messages.increment(1);
            tracing::debug!(edge = %handle.edge_id, code = error.code, "a bad message from edge {}", handle.edge_id);
            handle.send(&ToEdge::Error(error));
            if bad >= MAX_BAD_MESSAGES {
                handle.outbox.close(Closing::policy("too_many_bad_messages"));
            }
        }
    }
}

async fn take(state: &AppState, handle: &EdgeHandle, message: FromEdge) -> Result<(), SocketError> {
    let (edge_id, generation) = (handle.edge_id, handle.generation);
    let reporting: Pin<Box<dyn Future<Output = ()> + Send>> = match message {
        FromEdge::Hello(_) => return Err(SocketError::new("unexpected", "hello comes once, as the first message")),
        FromEdge::HealthUpdate(update) => {
            state.hub.beats.put(beat(state, handle, &update));
            return Ok(());
        }
        FromEdge::SyncAck(ack) => {
            // It knows by itself how long to wait, and to have sent again what it drops.
            Box::pin(state.sync.acknowledged(&handle.sync, ack)).await;
            return Ok(());
        }
        FromEdge::SyncRequest(request) => {
            state.sync.requested(&handle.sync, request);
            return Ok(());
        }
        FromEdge::Digests(digests) => {
            state.sync.digests(&handle.sync, digests);
            return Ok(());
        }
        FromEdge::Inventory(inventory) => {
            state.sync.inventory(&handle.sync, inventory);
            return Ok(());
        }
        FromEdge::DeviceConnected(device) => {
            let position = device.position();
            Box::pin(state.devices.reported_connected(edge_id, generation, device.device_id, position))
        }
        FromEdge::DeviceDisconnected(device) => Box::pin(state.devices.reported_disconnected(edge_id, generation, device.device_id)),
        FromEdge::DeviceLocations(DeviceLocations { locations }) => {
            let report = |location: DeviceLocation| {
                let position = location.position();
                Report::seen(location.device_id, Some(position), Some(location.recorded_at))
            };
            Box::pin(state.devices.reported_locations(edge_id, generation, locations.into_iter().map(report).collect()))
        }
    };
    // A writer that is behind slows the edge down, but never keeps it from beating.
    if tokio::time::timeout(REPORT_TIMEOUT, reporting).await.is_err() {
        tracing::debug!(edge = %edge_id, "a report of edge {edge_id} is dropped: the writer is behind");
    }
    Ok(())
}

fn beat(state: &AppState, handle: &EdgeHandle, update: &HealthUpdate) -> Beat {
    Beat {
        edge_id: handle.edge_id,
        generation: Some(handle.generation),
        cpu_usage: Some(update.cpu_usage),
        memory_usage: Some(update.memory_usage),
        connections: i32::try_from(update.active_connections).ok(),
        clock_skew_s: update.skew_s(state.clock.now()),
        bandwidth_mbps: update.bandwidth_mbps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what a function of three arguments answers.
    fn bytes_of_answer<A, B, C, T>(_function: fn(A, B, C) -> T) -> usize {
        size_of::<T>()
    }

    /// There are thousands of them, and each holds the room of the largest thing that it ever does in place.
    #[test]
    fn a_socket_takes_little_room() {
        let bytes = bytes_of_answer(run);
        assert!(bytes < 3 * 1024, "{bytes}");
    }
}
