//! The edge sockets of this instance, by edge. Sharded, so that sockets do not wait for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::extract::ws::Utf8Bytes;
use chrono::{DateTime, Utc};
use dashmap::{DashMap, Entry};
use uuid::Uuid;

use super::outbox::{Closing, Outbox};
use super::protocol::ToEdge;
use crate::edges::EdgeIdentity;
use crate::sync;

/// One edge's socket.
pub(super) struct EdgeHandle {
    pub(super) edge_id: Uuid,
    /// The key that opened it.
    pub(super) key_id: Uuid,
    pub(super) session_id: Uuid,
    /// Rises at every takeover.
    pub(super) generation: i64,
    pub(super) outbox: Arc<Outbox>,
    /// What goes out of content, and what came back.
    pub(super) sync: Arc<sync::Session>,
    /// Deadline of the drain that it was told of, in milliseconds since 1970; 0 when of none.
    told_drain_ms: AtomicI64,
}

impl EdgeHandle {
    pub(super) fn new(edge: EdgeIdentity, session_id: Uuid, generation: i64, outbox: Arc<Outbox>, sync: Arc<sync::Session>) -> Self {
        let EdgeIdentity { edge_id, key_id } = edge;
        Self { edge_id, key_id, session_id, generation, outbox, sync, told_drain_ms: AtomicI64::new(0) }
    }

    /// Whether it was not told yet of a drain with this deadline; from now on it was.
    pub(super) fn is_news(&self, deadline: DateTime<Utc>) -> bool {
        let deadline_ms = deadline.timestamp_millis();
        self.told_drain_ms.swap(deadline_ms, Ordering::AcqRel) != deadline_ms
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &ToEdge) {
        self.outbox.put(text(message));
    }
}

/// A message as it is written.
pub(crate) fn text(message: &impl serde::Serialize) -> Utf8Bytes {
    serde_json::to_string(message).expect("messages have text keys and finite numbers").into()
}

/// The sockets of edges.
#[derive(Default)]
pub(super) struct Registry(DashMap<Uuid, Arc<EdgeHandle>>);

impl Registry {
    /// Puts in a socket whose session is the newest of its edge; the one before it ends.
    pub(super) fn enter(&self, handle: Arc<EdgeHandle>) {
        match self.0.entry(handle.edge_id) {
            Entry::Vacant(place) => {
                place.insert(handle);
            }
            // Two at once: the database has said which came later.
            Entry::Occupied(place) if place.get().generation > handle.generation => handle.outbox.close(superseded()),
            Entry::Occupied(mut place) => place.insert(handle).outbox.close(superseded()),
        }
    }

    /// Takes out a socket, if it is still the one of its edge.
    pub(super) fn leave(&self, handle: &EdgeHandle) {
        self.0.remove_if(&handle.edge_id, |_, known| known.session_id == handle.session_id);
    }

    /// The socket of an edge.
    pub(super) fn find(&self, edge_id: Uuid) -> Option<Arc<EdgeHandle>> {
        self.0.get(&edge_id).map(|handle| Arc::clone(&handle))
    }

    /// All sockets there are now.
    pub(super) fn all(&self) -> Vec<Arc<EdgeHandle>> {
        self.0.iter().map(|handle| Arc::clone(&handle)).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Another socket of the same edge came later.
pub(super) fn superseded() -> Closing {
    Closing::policy("superseded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(edge_id: Uuid, generation: i64) -> Arc<EdgeHandle> {
        let (session_id, outbox) = (Uuid::now_v7(), Arc::<Outbox>::default());
        let machine = sync::Machine::begin(true, sync::Sum::default(), sync::Books::default());
        let session = sync::Session::new(edge_id, (session_id, generation), "epoch".to_owned(), Arc::clone(&outbox), machine, 0);
        Arc::new(EdgeHandle::new(EdgeIdentity { edge_id, key_id: Uuid::now_v7() }, session_id, generation, outbox, Arc::new(session)))
    }

    #[tokio::test]
    async fn the_newest_session_stays_whoever_comes_first() {
        let (registry, edge_id) = (Registry::default(), Uuid::now_v7());
        let (first, second) = (handle(edge_id, 1), handle(edge_id, 2));
        registry.enter(Arc::clone(&second));
        registry.enter(Arc::clone(&first));
        assert_eq!(first.outbox.next().await.closing, Some(superseded()));
        registry.leave(&first);
        assert_eq!(registry.find(edge_id).map(|found| found.session_id), Some(second.session_id));
        let third = handle(edge_id, 3);
        registry.enter(third);
        assert_eq!(second.outbox.next().await.closing, Some(superseded()));
        assert_eq!(registry.len(), 1);
    }
}
