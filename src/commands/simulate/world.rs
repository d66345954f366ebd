//! What all edges and phones of a simulation share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use dashmap::DashMap;
use reqwest::StatusCode;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::account::Account;
use super::api::{Api, Failure};
use super::tally::{Count, Tally};
use super::trip::Site;
use crate::geo::LatLng;

/// Pause after a request that went wrong.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What edges and phones share.
pub(super) struct World {
    pub(super) settings: Arc<Settings>,
    pub(super) api: Arc<Api>,
    pub(super) tally: Arc<Tally>,
    /// Phones go, and edges come to rest.
    pub(super) ending: CancellationToken,
    /// Edges go too.
    pub(super) leaving: CancellationToken,
    /// What the names of all devices and edges begin with.
    pub(super) prefix: String,
    /// Surroundings of the edges, never empty.
    pub(super) sites: Vec<Site>,
    /// Where the phones are that are switched on, for edges to report.
    pub(super) board: DashMap<String, Fix>,
    /// Accounts that are signed in; more come while it runs.
    pub(super) owners: watch::Receiver<Vec<Arc<Account>>>,
    /// Devices that the server may know of, and whose they are.
    pub(super) devices: Mutex<Vec<(Arc<Account>, String)>>,
}

/// Where a phone is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fix {
    pub(super) place: LatLng,
    /// The time of the fix, once the server has answered it.
    pub(super) answered: Option<DateTime<Utc>>,
}

impl World {
    /// Waits; false when the simulation ends before.
    pub(super) async fn sleep(&self, time: Duration) -> bool {
        self.sleep_until(Instant::now() + time).await
    }

    /// Waits until then; false when the simulation ends before.
    pub(super) async fn sleep_until(&self, time: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.ending.cancelled() => false,
            () = tokio::time::sleep_until(time) => true,
        }
    }

    /// The account of a phone, one of those that are signed in by now; `None` when the simulation ends before.
    pub(super) async fn owner(&self, number: usize) -> Option<Arc<Account>> {
        let mut owners = self.owners.clone();
        let owners = tokio::select! {
            () = self.ending.cancelled() => return None,
            owners = owners.wait_for(|owners| !owners.is_empty()) => owners.ok()?,
        };
        Some(Arc::clone(&owners[number % owners.len()]))
    }

    /// Whether a device is one of ours, and switched off.
    pub(super) fn has_left(&self, device_id: &str) -> bool {
        device_id.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('-')) && !self.board.contains_key(device_id)
    }

    /// Notes that the server may soon know of a device.
    pub(super) fn note_device(&self, owner: &Arc<Account>, device_id: &str) {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).push((Arc::clone(owner), device_id.to_owned()));
    }

    /// Counts a request that did not succeed; returns the pause it asks for.
    pub(super) fn failed(&self, failure: &Failure) -> Duration {
        if let Failure::Busy { status, retry_after, .. } = failure {
            let limited = *status == StatusCode::TOO_MANY_REQUESTS;
            self.tally.add(if limited { Count::Limited } else { Count::Unavailable }, 1);
            return *retry_after;
        }
        self.tally.unexpected(failure.kind(), failure);
        AFTER_FAILURE
    }
}
