//! What happened, counted by many tasks at once: counters, times, and whatever should not have happened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Longest time that is told apart, in µs; requests end before.
const MAX_LATENCY_US: u64 = 60_000_000;
/// Kinds of unexpected things that are told apart; the rest is one more kind.
const MAX_KINDS: usize = 40;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Locations that were answered 200.
    Locations,
    /// Questions for what is near that were answered 200.
    Nearby,
    /// Phones that were told of another edge server than before.
    Handovers,
    /// Newest locations that were answered `stale`.
    Stale,
    /// Old locations sent after newer ones, and answered `stale` as they should be.
    OldFixes,
    /// 429: the server limits the rate.
    Limited,
    /// 503: the server is busy or stopping.
    Unavailable,
    /// Updates that began more than a second late because this process had too many requests open.
    Late,
    /// Phones that were switched off.
    PhonesLeft,
    /// Phones that were switched on again, or are new.
    PhonesCame,
    /// `health_update` messages.
    Beats,
    /// `device_assigned` messages.
    Assigned,
    /// `device_released` messages.
    Released,
    /// Locations that edges reported.
    Reported,
    /// Messages of types that are not known here.
    OtherMessages,
    /// Sockets opened.
    Connections,
    /// Edges that closed their socket to come back.
    Reconnects,
    /// Edges that fell silent without closing.
    SilentDeaths,
    /// Edges that read slowly for a while.
    SlowReads,
    /// Edges that were drained and went.
    Drained,
    /// Sockets that the server closed with a time to come back.
    SentAway,
    /// Sockets that ended otherwise from the other side.
    SocketsLost,
    /// Bytes that edges were sent over their sockets.
    BytesHeard,
    /// `sync_decorations` messages.
    Batches,
    /// Decorations in them that were new, or newer.
    Puts,
    /// Decorations that edges held and do not any more.
    Removals,
    /// Decorations that edges refused.
    Refusals,
    /// Snapshots that were completed.
    Snapshots,
    /// Checkpoints that agreed with what the edge holds.
    Checkpoints,
    /// Checkpoints that did not, so that the edge asked for more.
    SyncRequests,
    /// `digest_request` messages: what is held was compared.
    Comparisons,
    /// Edges that lost what they held.
    Forgettings,
    /// Edges that went back to what they held before.
    Restorings,
    /// Edges that had no room for content for a while.
    FullDisks,
}

const COUNTS: usize = Count::FullDisks as usize + 1;

/// Where a phone stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Placement {
    /// It has an edge server.
    #[serde(skip)]
    Assigned,
    /// None, because a covering edge has no room.
    AllFull,
    /// None, because a covering edge is not well.
    NoneHealthy,
    /// None, because no area covers it and none is near.
    OutsideServiceAreas,
    /// None, because there are no edges.
    NoEdges,
}

impl Placement {
    pub(super) const UNASSIGNED: [(Self, &str); 4] = [
        (Self::AllFull, "all_full"),
        (Self::NoneHealthy, "none_healthy"),
        (Self::OutsideServiceAreas, "outside_service_areas"),
        (Self::NoEdges, "no_edges"),
    ];
}

const PLACEMENTS: usize = Placement::NoEdges as usize + 1;

/// Something that should not have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexpected {
    /// How often.
    pub count: u64,
    /// The first time, in words.
    pub example: String,
}

/// The counters, shared by all tasks.
pub(super) struct Tally {
    started: Instant,
    counts: [AtomicU64; COUNTS],
    placements: [AtomicI64; PLACEMENTS],
    most_assigned: AtomicI64,
    edges_connected: AtomicI64,
    most_edges_connected: AtomicI64,
    location: Mutex<Histogram<u64>>,
    nearby: Mutex<Histogram<u64>>,
    unexpected: Mutex<BTreeMap<String, Unexpected>>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            placements: std::array::from_fn(|_| AtomicI64::new(0)),
            most_assigned: AtomicI64::new(0),
            edges_connected: AtomicI64::new(0),
            most_edges_connected: AtomicI64::new(0),
            location: Mutex::new(latencies()),
            nearby: Mutex::new(latencies()),
            unexpected: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn add(&self, count: Count, n: u64) {
        self.counts[count as usize].fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn location_took(&self, time: Duration) {
        self.add(Count::Locations, 1);
        record(&self.location, time);
    }

    pub(super) fn nearby_took(&self, time: Duration) {
        self.add(Count::Nearby, 1);
        record(&self.nearby, time);
    }

    /// Notes that a phone stands otherwise than before; `None`: it is not there, or not answered yet.
    pub(super) fn placed(&self, before: Option<Placement>, now: Option<Placement>) {
        if before == now {
            return;
        }
        if let Some(before) = before {
            self.placements[before as usize].fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(now) = now {
            let phones = self.placements[now as usize].fetch_add(1, Ordering::Relaxed) + 1;
            if now == Placement::Assigned {
                self.most_assigned.fetch_max(phones, Ordering::Relaxed);
            }
        }
    }

    /// Notes that an edge is connected until the value is dropped.
    pub(super) fn connected(&self) -> Connected<'_> {
        self.add(Count::Connections, 1);
        let edges = self.edges_connected.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_edges_connected.fetch_max(edges, Ordering::Relaxed);
        Connected(self)
    }

    pub(super) fn edges_connected(&self) -> i64 {
        self.edges_connected.load(Ordering::Relaxed)
    }

    /// Notes what should not have happened: of which kind, and this time in words.
    pub(super) fn unexpected(&self, kind: String, example: impl std::fmt::Display) {
        let mut kinds = lock(&self.unexpected);
        let kind = if kinds.len() < MAX_KINDS || kinds.contains_key(&kind) { kind } else { "others".to_owned() };
        kinds.entry(kind).or_insert_with(|| Unexpected { count: 0, example: example.to_string() }).count += 1;
    }

    /// How it is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            elapsed: self.started.elapsed(),
            counts: std::array::from_fn(|count| self.counts[count].load(Ordering::Relaxed)),
            placements: std::array::from_fn(|placement| self.placements[placement].load(Ordering::Relaxed)),
            most_assigned: self.most_assigned.load(Ordering::Relaxed),
            edges_connected: self.edges_connected(),
            most_edges_connected: self.most_edges_connected.load(Ordering::Relaxed),
            location: lock(&self.location).clone(),
            nearby: lock(&self.nearby).clone(),
            unexpected: lock(&self.unexpected).clone(),
        }
    }
}

/// An edge that is connected.
pub(super) struct Connected<'a>(&'a Tally);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.edges_connected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The counters at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    elapsed: Duration,
    counts: [u64; COUNTS],
    placements: [i64; PLACEMENTS],
    most_assigned: i64,
    edges_connected: i64,
    most_edges_connected: i64,
    location: Histogram<u64>,
    nearby: Histogram<u64>,
    unexpected: BTreeMap<String, Unexpected>,
}

impl Snapshot {
    /// The same counts, with who was there and where as at another moment: before everybody left.
    pub(super) fn standing_as(self, then: &Self) -> Self {
        Self { elapsed: then.elapsed, placements: then.placements, edges_connected: then.edges_connected, ..self }
    }

    /// Time since the simulation began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How often something happened.
    #[must_use]
    pub fn count(&self, count: Count) -> u64 {
        self.counts[count as usize]
    }

    /// Phones with an edge server.
    #[must_use]
    pub fn assigned(&self) -> i64 {
        self.placements[Placement::Assigned as usize]
    }

    /// Most phones with an edge server at once, so far.
    #[must_use]
    pub fn most_assigned(&self) -> i64 {
        self.most_assigned
    }

    /// Phones without an edge server, by reason.
    pub fn unassigned(&self) -> impl Iterator<Item = (&'static str, i64)> {
        Placement::UNASSIGNED.into_iter().map(|(placement, name)| (name, self.placements[placement as usize]))
    }

    /// Edges with an open socket.
    #[must_use]
    pub fn edges_connected(&self) -> i64 {
        self.edges_connected
    }

    /// Most edges with an open socket at once, so far.
    #[must_use]
    pub fn most_edges_connected(&self) -> i64 {
        self.most_edges_connected
    }

    /// What should not have happened, by kind.
    #[must_use]
    pub fn unexpected(&self) -> &BTreeMap<String, Unexpected> {
        &self.unexpected
    }

    /// What happened between an earlier moment and this one.
    pub(super) fn since(&self, earlier: &Self) -> Flow {
        let elapsed = self.elapsed.saturating_sub(earlier.elapsed);
        let between = |now: &Histogram<u64>, before: &Histogram<u64>| {
            let mut between = now.clone();
            // The earlier one is a part of the later one; if it were not, the later one is still true.
            match between.subtract(before) {
                Ok(()) => between,
                Err(_) => now.clone(),
            }
        };
        Flow {
            location: Traffic::of(&between(&self.location, &earlier.location), elapsed),
            nearby: Traffic::of(&between(&self.nearby, &earlier.nearby), elapsed),
        }
    }

    /// What happened from the start on.
    pub(super) fn overall(&self) -> Flow {
        Flow { location: Traffic::of(&self.location, self.elapsed), nearby: Traffic::of(&self.nearby, self.elapsed) }
    }
}

/// The two kinds of requests over a stretch of time.
pub(super) struct Flow {
    pub(super) location: Traffic,
    pub(super) nearby: Traffic,
}

/// One kind of requests over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Traffic {
    pub(super) per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
}

impl Traffic {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn of(times: &Histogram<u64>, elapsed: Duration) -> Self {
        let quantile_ms = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            per_s: times.len() as f64 / elapsed.as_secs_f64().max(1e-3),
            p50_ms: quantile_ms(0.5),
            p95_ms: quantile_ms(0.95),
            p99_ms: quantile_ms(0.99),
        }
    }
}

/// Two digits of every time, in some 20 KiB.
fn latencies() -> Histogram<u64> {
    Histogram::new_with_max(MAX_LATENCY_US, 2).expect("two digits of 60 s fit a histogram")
}

fn record(times: &Mutex<Histogram<u64>>, time: Duration) {
    lock(times).saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_within_a_percent_and_of_their_own_stretch() {
        let tally = Tally::new();
        for ms in 1..=1000 {
            tally.location_took(Duration::from_millis(ms));
        }
        let first = tally.snapshot();
        let Traffic { p50_ms, p95_ms, p99_ms, .. } = first.overall().location;
        for (found, right) in [(p50_ms, 500.0), (p95_ms, 950.0), (p99_ms, 990.0)] {
            assert!((found / right - 1.0_f64).abs() < 0.01, "{found} ms for {right} ms");
        }
        for _ in 0..10 {
            tally.location_took(Duration::from_hours(1));
        }
        let second = tally.snapshot();
        assert!((second.since(&first).location.p50_ms / 60_000.0 - 1.0).abs() < 0.01);
        assert_eq!((second.count(Count::Locations), second.count(Count::Nearby)), (1010, 0));
    }

    #[test]
    fn phones_stand_in_one_place_at_a_time() {
        let tally = Tally::new();
        tally.placed(None, Some(Placement::Assigned));
        tally.placed(None, Some(Placement::Assigned));
        tally.placed(Some(Placement::Assigned), Some(Placement::AllFull));
        tally.placed(Some(Placement::AllFull), Some(Placement::AllFull));
        let snapshot = tally.snapshot();
        assert_eq!((snapshot.assigned(), snapshot.most_assigned()), (1, 2));
        assert_eq!(snapshot.unassigned().collect::<Vec<_>>()[0], ("all_full", 1));
        tally.placed(Some(Placement::AllFull), None);
        assert_eq!(tally.snapshot().unassigned().map(|(_, phones)| phones).sum::<i64>(), 0);
    }

    #[test]
    fn what_is_unexpected_keeps_its_first_example_and_a_bounded_number_of_kinds() {
        let tally = Tally::new();
        for n in 0..100 {
            tally.unexpected(format!("kind {}", n % 60), format!("example {n}"));
        }
        let unexpected = tally.snapshot().unexpected;
        assert_eq!(unexpected.len(), MAX_KINDS + 1);
        assert_eq!(unexpected["kind 1"], Unexpected { count: 2, example: "example 1".to_owned() });
        assert_eq!(unexpected.values().map(|kind| kind.count).sum::<u64>(), 100);
    }
}
