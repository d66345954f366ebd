//! Whoever wrote sees it in what he reads next, though it may be a replica that is read.
//!
//! A caller is known by his network, because discovery is asked without a token, and in the form of a hash. Each
//! instance remembers for a while when a caller last changed something; others hear of it by a notice that is sent before
//! the caller has his answer. Not promised: that somebody who writes on one instance and reads on another sees it within
//! the milliseconds that the notice takes, or from another network; he sees it as soon as all do. Tiles that are kept follow
//! the notice of the change itself, also for whoever wrote it.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use secrecy::SecretString;

use super::{Db, DbError, within_deadline};
use crate::keys;

/// How long a write is remembered: longer than a replica in use may lag.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Callers that are remembered. So many do not write within a minute; where they do, the last ones read like all others.
const MAX_CALLERS: usize = 4_096;

tokio::task_local! {
    static OWN_WRITE: Option<Instant>;
}

/// When the caller whom this task works for wrote last, if he did of late.
pub(super) fn own_write() -> Option<Instant> {
    OWN_WRITE.try_with(|written| *written).ok().flatten()
}

/// Does work for a caller who wrote at that time: what he reads is not older.
pub(crate) fn reading_after<F: Future>(written: Option<Instant>, work: F) -> impl Future<Output = F::Output> {
    OWN_WRITE.scope(written, work)
}

/// Who wrote of late.
pub struct OwnWrites {
    /// So that nobody learns addresses from notices.
    key: [u8; 32],
    callers: DashMap<u64, Instant>,
    /// All of them, when notices were missed.
    everybody: Mutex<Option<Instant>>,
}

impl OwnWrites {
    /// Nobody yet. Instances with the same secret know each other's callers.
    pub(crate) fn new(secret: &SecretString) -> Self {
        Self { key: keys::derive(secret, "callers"), callers: DashMap::new(), everybody: Mutex::default() }
    }

    fn name(&self, network: IpAddr) -> u64 {
        let address = match network {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let hash = keys::sha256(&[self.key.as_slice(), &address.octets()].concat());
        u64::from_be_bytes(hash[..8].try_into().expect("8 of 32 bytes"))
    }

    /// When a caller wrote last, if he did of late.
    pub(crate) fn of(&self, network: IpAddr) -> Option<Instant> {
        let everybody = *self.everybody.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.callers.get(&self.name(network)).map(|at| *at);
        own.max(everybody).filter(|at| at.elapsed() < REMEMBERED)
    }

    /// Notes that a caller wrote, here and on all instances, when reads may go to a replica.
    pub(crate) async fn written(&self, db: &Db, network: IpAddr) {
        if db.replica().is_none() {
            return;
        }
        let caller = self.name(network);
        self.note(caller);
        if let Err(error) = tell(db, caller).await {
            // The write itself is done; elsewhere he sees it as soon as all do.
            tracing::debug!(error = &error as &dyn std::error::Error, "other instances do not know who wrote");
        }
    }

    /// A caller wrote, on some instance.
    pub(crate) fn note(&self, caller: u64) {
        if self.callers.len() >= MAX_CALLERS {
            self.callers.retain(|_, at| at.elapsed() < REMEMBERED);
        }
        if self.callers.len() < MAX_CALLERS || self.callers.contains_key(&caller) {
            self.callers.insert(caller, Instant::now());
        }
    }

    /// Notices were missed: anybody may have written.
    pub(crate) fn note_everybody(&self) {
        *self.everybody.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

async fn tell(db: &Db, caller: u64) -> Result<(), DbError> {
    let telling = within_deadline(db.write(), "telling who wrote", async |connection| {
        sqlx::query!("SELECT pg_notify('ar', 'wrote:' || $1::text)", caller.to_string()).execute(connection).await
    });
    telling.await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_caller_is_known_by_his_network_and_by_nothing_else() {
        let writes = OwnWrites::new(&"one".to_owned().into());
        assert_eq!(writes.of(network("192.0.2.1")), None);
        writes.note(writes.name(network("192.0.2.1")));
        assert!(writes.of(network("192.0.2.1")).is_some());
        assert_eq!(writes.of(network("192.0.2.2")), None);
        let (same, other) = (OwnWrites::new(&"one".to_owned().into()), OwnWrites::new(&"two".to_owned().into()));
        assert_eq!(writes.name(network("2001:db8::")), same.name(network("2001:db8::")));
        assert_ne!(writes.name(network("2001:db8::")), other.name(network("2001:db8::")));
        writes.note_everybody();
        assert!(writes.of(network("192.0.2.2")).is_some());
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let writes = OwnWrites::new(&"one".to_owned().into());
        for caller in 0..10_000 {
            writes.note(caller);
        }
        assert_eq!(writes.callers.len(), MAX_CALLERS);
        writes.note(3);
        assert_eq!(writes.callers.len(), MAX_CALLERS);
    }

    #[tokio::test]
    async fn what_a_task_reads_for_is_known_in_it_alone() {
        let at = Some(Instant::now());
        assert_eq!(own_write(), None);
        assert_eq!(reading_after(at, async { own_write() }).await, at);
        assert_eq!(own_write(), None);
    }
}
