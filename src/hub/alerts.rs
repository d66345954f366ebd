//! What an operator should look at: raised once, cleared once it is over. What is over lies a little below what
//! raises, so that nothing flickers.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::view::{EdgeSummary, SyncCounts};
use crate::edges::Health;

/// Sort of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlertKind {
    /// An active edge server is silent.
    EdgeOffline,
    /// A connected edge server does not get what it should hold.
    SyncLag,
    /// The edge servers of a region are nearly full together.
    Capacity,
    /// A clock differs from the database's.
    ClockSkew,
    /// An instance of ours is gone without a word.
    InstanceLost,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Alert {
    /// The same when it is raised and when it is cleared.
    #[schema(example = "capacity:eu-central")]
    pub(crate) id: String,
    /// Sort of it.
    pub(crate) kind: AlertKind,
    /// The edge server, the region, the instance of ours that is lost, or `supervisor` for the one that speaks.
    #[schema(example = "eu-central")]
    pub(crate) subject: String,
    /// For people.
    #[schema(example = "the edge servers of region eu-central are at 93 % of their capacity")]
    pub(crate) message: String,
    /// Since when.
    pub(crate) at: DateTime<Utc>,
}

/// A limit that raises, and a lower one that clears.
struct Limit {
    raise: f64,
    clear: f64,
}

/// Share of a region's places that are taken.
const CAPACITY: Limit = Limit { raise: 0.9, clear: 0.85 };
/// Seconds between two clocks.
const CLOCK_S: Limit = Limit { raise: 10.0, clear: 5.0 };

impl Limit {
    fn is_over(&self, value: f64, raised: bool) -> bool {
        value > if raised { self.clear } else { self.raise }
    }
}

/// What is judged.
pub(super) struct Judged<'v> {
    pub(super) edges: &'v BTreeMap<Uuid, EdgeSummary>,
    pub(super) sync: &'v SyncCounts,
    /// How far this instance's clock is behind the database's.
    pub(super) own_clock_behind_s: f64,
    pub(super) lost_instances: &'v [(Uuid, String)],
    pub(super) sync_interval: Duration,
    pub(super) now: DateTime<Utc>,
}

impl Judged<'_> {
    /// The alerts that stand now, given those that stood before.
    pub(super) fn alerts(&self, before: &BTreeMap<String, Alert>) -> BTreeMap<String, Alert> {
        let mut standing = BTreeMap::new();
        let mut raise = |kind: AlertKind, name: &str, subject: String, over: &dyn Fn(bool) -> Option<String>| {
            let id = format!("{name}:{subject}");
            let raised = before.get(&id);
            if let Some(message) = over(raised.is_some()) {
                let at = raised.map_or(self.now, |alert| alert.at);
                standing.insert(id.clone(), Alert { id, kind, subject, message, at });
            }
        };
        for edge in self.edges.values().filter(|edge| edge.is_active) {
            raise(AlertKind::EdgeOffline, "edge_offline", edge.id.to_string(), &|_| {
                (edge.state.health_status == Health::Offline).then(|| format!("edge server {} is silent", edge.name))
            });
            let skew_s = edge.state.clock_skew_s.filter(|_| edge.connected).unwrap_or(0.0);
            raise(AlertKind::ClockSkew, "clock_skew", edge.id.to_string(), &|raised| {
                CLOCK_S.is_over(skew_s.abs(), raised).then(|| format!("the clock of edge server {} differs by {skew_s:.0} s", edge.name))
            });
        }
        let lag = Limit { raise: 2.0 * self.sync_interval.as_secs_f64(), clear: self.sync_interval.as_secs_f64() };
        for (id, lag_s) in &self.sync.lag_s {
            let Some(edge) = self.edges.get(id) else { continue };
            raise(AlertKind::SyncLag, "sync_lag", id.to_string(), &|raised| {
                lag.is_over(*lag_s, raised).then(|| format!("edge server {} has waited {lag_s:.0} s for a change", edge.name))
            });
        }
        for (region, places) in places_by_region(self.edges) {
            let share = places.share();
            raise(AlertKind::Capacity, "capacity", region.to_owned(), &|raised| {
                let per_cent = share * 100.0;
                CAPACITY
                    .is_over(share, raised)
                    .then(|| format!("the edge servers of region {region} are at {per_cent:.0} % of their capacity"))
            });
        }
        raise(AlertKind::ClockSkew, "clock_skew", "supervisor".to_owned(), &|raised| {
            let behind_s = self.own_clock_behind_s;
            CLOCK_S
                .is_over(behind_s.abs(), raised)
                .then(|| format!("the clock of a supervisor instance differs by {behind_s:.0} s from the database's"))
        });
        for (id, place) in self.lost_instances {
            raise(AlertKind::InstanceLost, "instance_lost", id.to_string(), &|_| {
                Some(format!("the supervisor instance at {place} is gone without a word"))
            });
        }
        standing
    }
}

/// Places for devices, and those of them that are taken.
#[derive(Clone, Copy, Default)]
pub(super) struct Places {
    pub(super) places: f64,
    pub(super) taken: f64,
}

impl Places {
    /// Share that is taken.
    pub(super) fn share(&self) -> f64 {
        if self.places > 0.0 { self.taken / self.places } else { 0.0 }
    }
}

/// Places by region, of the edge servers that could take devices.
pub(super) fn places_by_region(edges: &BTreeMap<Uuid, EdgeSummary>) -> BTreeMap<&str, Places> {
    let mut regions: BTreeMap<&str, Places> = BTreeMap::new();
    for edge in edges.values().filter(|edge| edge.is_active && edge.state.health_status != Health::Offline) {
        let region = regions.entry(&edge.region).or_default();
        region.taken += f64::from(edge.state.current_connections.max(edge.state.reported_connections).min(edge.max_connections));
        region.places += f64::from(edge.max_connections);
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::view::EdgeState;

    fn edge(region: &str, health_status: Health, connections: i32) -> EdgeSummary {
        EdgeSummary {
            id: Uuid::now_v7(),
            name: "Alpha".to_owned(),
            region: region.to_owned(),
            lat: 0.0,
            lng: 0.0,
            service_radius_km: 5.0,
            max_connections: 100,
            version: 1,
            draining: false,
            is_active: true,
            connected: true,
            state: EdgeState {
                health_status,
                health_reason: None,
                current_connections: connections,
                reported_connections: 0,
                cpu_usage: None,
                memory_usage: None,
                last_ping: None,
                clock_skew_s: None,
            },
        }
    }

    fn ids(edges: &[EdgeSummary], lag_s: &[f64], own_clock_behind_s: f64, before: &BTreeMap<String, Alert>) -> BTreeMap<String, Alert> {
        let edges: BTreeMap<_, _> = edges.iter().map(|edge| (edge.id, edge.clone())).collect();
        let lag_s = edges.keys().copied().zip(lag_s.iter().copied()).collect();
        let sync = SyncCounts { lag_s, ..SyncCounts::default() };
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let sync_interval = Duration::from_mins(5);
        Judged { edges: &edges, sync: &sync, own_clock_behind_s, lost_instances: &[], sync_interval, now }.alerts(before)
    }

    #[test]
    fn an_offline_edge_is_told_of_as_long_as_it_is_active() {
        let mut edge = edge("r", Health::Offline, 0);
        let raised = ids(std::slice::from_ref(&edge), &[], 0.0, &BTreeMap::new());
        assert_eq!(raised.keys().map(String::as_str).collect::<Vec<_>>(), [format!("edge_offline:{}", edge.id)]);
        edge.is_active = false;
        assert_eq!(ids(&[edge], &[], 0.0, &raised), BTreeMap::new());
    }

    #[test]
    fn what_is_raised_stays_until_it_is_well_below() {
        let none = BTreeMap::new();
        let region = |taken| [edge("r", Health::Healthy, taken), edge("r", Health::Healthy, taken)];
        assert_eq!(ids(&region(90), &[], 0.0, &none), none);
        let raised = ids(&region(91), &[], 0.0, &none);
        assert_eq!(raised["capacity:r"].message, "the edge servers of region r are at 91 % of their capacity");
        assert!(ids(&region(86), &[], 0.0, &raised).contains_key("capacity:r"));
        assert_eq!(ids(&region(85), &[], 0.0, &raised), none);
    }

    #[test]
    fn clocks_and_waiting_edges_are_told_of() {
        let none = BTreeMap::new();
        let mut skewed = edge("r", Health::Healthy, 0);
        skewed.state.clock_skew_s = Some(-11.0);
        let kinds = |alerts: BTreeMap<String, Alert>| alerts.into_values().map(|alert| alert.kind).collect::<Vec<_>>();
        assert_eq!(kinds(ids(&[skewed.clone()], &[601.0], 0.0, &none)), [AlertKind::ClockSkew, AlertKind::SyncLag]);
        assert_eq!(kinds(ids(&[], &[], -30.0, &none)), [AlertKind::ClockSkew]);
        skewed.connected = false;
        assert_eq!(kinds(ids(&[skewed], &[600.0], 0.0, &none)), []);
    }
}
