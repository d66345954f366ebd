//! An admin's socket: who may look, and what he is sent.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;
use tracing::Instrument;

use super::feed::Subscription;
use super::outbox::{Closing, Outbox};
use super::socket::{Incoming, Talk, bounded};
use super::upgrade::{check_upgrade, no_upgrade, refuse};
use crate::accounts::{Identity, Role};
use crate::db::Notice;
use crate::http::{ApiError, forbidden, identify, is_own_origin, network_bucket};
use crate::state::AppState;
use crate::telemetry::{self, meters};

/// The one subprotocol.
pub(super) const SUBPROTOCOL: &str = "arsup.v1";
/// What a ticket stands behind, among the subprotocols: a browser can send it nowhere else.
pub(super) const TICKET: &str = "ticket.";
/// The path that a ticket is to be for.
pub(super) const PATH: &str = "/ws/admin";
/// How often an admin is asked for again when no notice told of a change.
const RECHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Who could not be asked for so long is sent away: he may be no admin any more.
const TRUST: Duration = Duration::from_secs(4);
/// How old the count of devices in a snapshot may be, if they can be counted.
const FRESH: Duration = Duration::from_secs(3);
/// Time between two looks whether there is a view of the system.
const FIRST_VIEW: Duration = Duration::from_millis(50);
/// Changes that are written together at most.
const MAX_CHANGES: usize = 200;
/// Messages that are borne: there is nothing to say.
pub(super) const MAX_MESSAGES: u32 = 10;
/// Most that is written at once: a snapshot with many edge servers.
const MAX_OUT_BYTES: usize = 64 * 1024 * 1024;

/// Lets an admin in, by his token or by a ticket, from our own pages or those of allowed origins.
pub(super) async fn upgrade(State(state): State<AppState>, request: Request) -> Response {
    match try_upgrade(state, request).await {
        Ok(response) => response,
        Err(error) => refuse(error),
    }
}

async fn try_upgrade(state: AppState, request: Request) -> Result<Response, ApiError> {
    let network = network_bucket(&request);
    if !is_own_origin(&request, &state.http.allowed_origins) {
        return Err(forbidden("pages of this origin may not look here; ALLOWED_ORIGINS names those that may"));
    }
    let identity = match ticket(request.headers()) {
        Some(ticket) => state.accounts.redeem_ticket(&state.db, ticket, PATH).await?,
        None => identify(&state, request.headers(), network).await?,
    };
    if identity.role != Role::Admin {
        return Err(forbidden("this is for admins"));
    }
    let place = check_upgrade(&state, &request)?;
    let (mut parts, _body) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(|rejection| no_upgrade(&rejection))?;
    let upgrade = bounded(upgrade, state.supervision.socket_buffers, MAX_OUT_BYTES).protocols([SUBPROTOCOL]);
    Ok(upgrade.on_upgrade(move |socket| {
        let tracker = state.hub.sockets.clone();
        let span = telemetry::admin_socket(identity.session_id);
        let life = async move {
            run(&state, &identity, socket).await;
            drop(place);
        };
        tracker.track_future(life.instrument(span))
    }))
}

/// The ticket among the subprotocols.
fn ticket(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).find_map(|protocol| protocol.trim().strip_prefix(TICKET))
}

/// The life of an admin's socket.
async fn run(state: &AppState, identity: &Identity, socket: WebSocket) {
    let outbox = Arc::new(Outbox::default());
    state.hub.feed.enter(&outbox);
    if state.lifecycle.stopping().is_cancelled() {
        outbox.close(Closing::stopping(state.hub.retry_after_ms()));
    }
    tracing::debug!(session = %identity.session_id, "an admin looks");
    tokio::select! {
        () = talk(socket, &outbox) => {}
        () = forward(state, &outbox) => {}
        () = recheck(state, identity, &outbox) => {}
    }
}

/// Writes what there is, and takes what little may come.
async fn talk(socket: WebSocket, outbox: &Outbox) {
    let mut talk = Talk::new(socket, outbox, &meters().sockets.admin);
    let mut messages = 0;
    while let Incoming::Text(_) = talk.next().await {
        messages += 1;
        if messages >= MAX_MESSAGES {
            outbox.close(Closing::policy("nothing_to_say"));
        }
    }
}

/// Hands over changes as the client takes them. One that falls behind misses some, and gets a new snapshot.
async fn forward(state: &AppState, outbox: &Outbox) {
    let _watcher = state.hub.feed.watcher();
    let mut feed = subscribe(state).await;
    outbox.put(feed.snapshot);
    loop {
        outbox.written().await;
        let first = feed.changes.recv().await.map_err(|error| matches!(error, RecvError::Lagged(_)));
        let behind = hand_over(&mut feed.changes, first, outbox);
        if behind {
            meters().sockets.feed_resets.increment(1);
            outbox.written().await;
            feed = subscribe(state).await;
            outbox.put(feed.snapshot);
        }
    }
}

/// Puts the changes that are there into the outbox; whether some were missed, or did not fit.
fn hand_over(changes: &mut Receiver<Utf8Bytes>, first: Result<Utf8Bytes, bool>, outbox: &Outbox) -> bool {
    let mut next = first;
    for _ in 0..MAX_CHANGES {
        match next {
            Ok(change) => {
                if !outbox.try_put(change) {
                    return true;
                }
            }
            Err(is_behind) => return is_behind,
        }
        next = changes.try_recv().map_err(|error| matches!(error, TryRecvError::Lagged(_)));
    }
    match next {
        // Taken already, so it goes with these.
        Ok(change) => !outbox.try_put(change),
        Err(is_behind) => is_behind,
    }
}

/// A place in the feed, once there is a view of the system in which devices were counted of late.
async fn subscribe(state: &AppState) -> Subscription {
    let asked = Instant::now();
    loop {
        let is_fresh = state.hub.feed.view().devices_at.is_some_and(|counted| counted + FRESH > asked);
        if (is_fresh || asked.elapsed() > FRESH)
            && let Some(subscription) = state.hub.feed.subscribe()
        {
            return subscription;
        }
        tokio::time::sleep(FIRST_VIEW).await;
    }
}

/// Sends away who is no admin any more, or whose session has ended.
async fn recheck(state: &AppState, identity: &Identity, outbox: &Outbox) {
    let mut rechecks = state.hub.feed.rechecks();
    let mut known = Instant::now();
    let mut next = known;
    loop {
        tokio::select! {
            told = rechecks.recv() => match told {
                Ok(Notice::Session(id)) if id == identity.session_id => {}
                Ok(Notice::User(id)) if id == identity.user_id => {}
                Err(RecvError::Lagged(_)) => {}
                Ok(_) => continue,
                Err(RecvError::Closed) => return,
            },
            () = tokio::time::sleep_until(next) => {}
        }
        let asked = Instant::now();
        next = asked + RECHECK_INTERVAL;
        match tokio::time::timeout(RECHECK_INTERVAL, state.accounts.role_now(&state.db, identity)).await {
            Ok(Ok(Some(Role::Admin))) => known = asked,
            Ok(Ok(_)) => outbox.close(Closing::policy("signed_out")),
            // The database does not answer.
            Ok(Err(_)) | Err(_) if known.elapsed() > TRUST => outbox.close(Closing { code: 1013, reason: "unavailable".to_owned() }),
            Ok(Err(_)) | Err(_) => {}
        }
    }
}
