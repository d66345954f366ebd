//! The series that the service counts into as it works, made once: counting is then an addition to a number, without
//! looking anything up. What is only looked at when somebody scrapes is in `scrape`, and what the database is asked for
//! in `fleet`.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use metrics::{Counter, Gauge, Histogram};

use super::catalogue::{self as names, Named};
use super::requests::Requests;
use crate::db::{FALLBACK_REASONS, own_ms};

/// All of them.
pub(crate) struct Meters {
    pub(crate) http: HttpMeters,
    pub(crate) db: DbMeters,
    pub(crate) sockets: SocketMeters,
    pub(crate) sync: SyncMeters,
    pub(crate) edges: EdgeMeters,
    pub(crate) devices: DeviceMeters,
    pub(crate) accounts: AccountMeters,
    pub(crate) tiles: Looks,
}

impl Meters {
    /// Makes them at the recorder in charge.
    pub(super) fn new() -> Self {
        // Counted elsewhere, and seldom: there from the start, so that a rate sees the first one.
        names::PANICS.with(&[]).increment(0);
        Self {
            http: HttpMeters {
                requests: Requests::new(),
                shed: names::HTTP_SHED.with(&[]),
                rate_limited: each(&names::HTTP_RATE_LIMITED, "class", crate::http::CLASSES),
                connections: names::HTTP_CONNECTIONS.with(&[]),
                connections_refused: names::HTTP_CONNECTIONS_REFUSED.with(&[]),
                accept_failures: names::HTTP_ACCEPT_FAILURES.with(&[]),
            },
            db: DbMeters {
                hot: PoolMeters::new("hot"),
                shaped: PoolMeters::new("shaped"),
                primary: PoolMeters::new("primary"),
                connections_lost: names::DB_CONNECTIONS_LOST.with(&[]),
                out_of: each(&names::DB_OUT_OF, "what", ["disk", "memory", "connections"]),
                read_fallback: each(&names::DB_READ_FALLBACK, "reason", FALLBACK_REASONS),
                listening: names::NOTICES_CONNECTED.with(&[]),
            },
            sockets: SocketMeters {
                edge: TalkMeters::new("edge"),
                admin: TalkMeters::new("admin"),
                bad_messages: names::SOCKET_BAD_MESSAGES.with(&[]),
                dropped: names::SOCKET_DROPPED.with(&[]),
                feed_resets: names::FEED_RESETS.with(&[]),
            },
            sync: SyncMeters {
                batches: names::SYNC_BATCHES.with(&[]),
                items: names::SYNC_ITEMS.with(&[]),
                acks: names::SYNC_ACKS.with(&[]),
                refusals: names::SYNC_REFUSALS.with(&[]),
                resends: names::SYNC_RESENDS.with(&[]),
                snapshots: names::SYNC_SNAPSHOTS.with(&[]),
                mended: names::SYNC_MENDED.with(&[]),
                reconciled: names::SYNC_RECONCILED.with(&[]),
            },
            edges: EdgeMeters {
                best: SelectionMeters::new("best"),
                by_phone: SelectionMeters::new("phone"),
                moved: SelectionMeters::new("moved"),
                probes_good: names::EDGE_PROBES.with(&[("outcome", "good")]),
                probes_bad: names::EDGE_PROBES.with(&[("outcome", "bad")]),
            },
            devices: DeviceMeters {
                updates: each(&names::LOCATION_UPDATES, "outcome", ["written", "stale", "in_use", "unavailable", "failed"]),
                batch_devices: names::LOCATION_BATCH.with(&[]),
                batch_seconds: names::LOCATION_SECONDS.with(&[]),
                reports: names::DEVICE_REPORTS.with(&[]),
                reports_ignored: names::DEVICE_REPORTS_IGNORED.with(&[]),
            },
            accounts: AccountMeters {
                logins: Outcomes::new(&names::LOGINS),
                refreshes: Outcomes::new(&names::TOKEN_REFRESHES),
                tokens: Looks::new(&names::TOKEN_CHECKS),
                hashes: names::HASHES.with(&[]),
                hash_seconds: names::HASH_SECONDS.with(&[]),
                hashes_refused: names::HASHES_REFUSED.with(&[]),
            },
            tiles: Looks::new(&names::TILES),
        }
    }
}

/// One series for each value of a label.
fn each<const COUNT: usize>(name: &Named<Counter>, label: &'static str, values: [&'static str; COUNT]) -> [Counter; COUNT] {
    values.map(|value| name.with(&[(label, value)]))
}

pub(crate) struct HttpMeters {
    pub(crate) requests: Requests,
    pub(crate) shed: Counter,
    /// In the order of the classes.
    pub(crate) rate_limited: [Counter; crate::http::CLASSES.len()],
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) accept_failures: Counter,
}

pub(crate) struct DbMeters {
    pub(crate) hot: PoolMeters,
    pub(crate) shaped: PoolMeters,
    /// Writes, and work of the service's own.
    pub(crate) primary: PoolMeters,
    pub(crate) connections_lost: Counter,
    out_of: [Counter; 3],
    /// In the order of the reasons.
    pub(crate) read_fallback: [Counter; FALLBACK_REASONS.len()],
    /// Whether we hear notices.
    pub(crate) listening: Gauge,
}

impl DbMeters {
    /// The database refused something for want of a resource, by its `SQLSTATE`.
    pub(crate) fn refused(&self, code: &str) {
        let place = match code {
            "53100" => 0,
            "53200" => 1,
            "53300" => 2,
            _ => return,
        };
        self.out_of[place].increment(1);
    }
}

pub(crate) struct PoolMeters {
    pub(crate) acquire_seconds: Histogram,
    pub(crate) timeouts: Counter,
}

impl PoolMeters {
    fn new(pool: &'static str) -> Self {
        let of = &[("pool", pool)];
        Self { acquire_seconds: names::DB_ACQUIRE_SECONDS.with(of), timeouts: names::DB_TIMEOUTS.with(of) }
    }
}

pub(crate) struct SocketMeters {
    pub(crate) edge: TalkMeters,
    pub(crate) admin: TalkMeters,
    pub(crate) bad_messages: Counter,
    pub(crate) dropped: Counter,
    pub(crate) feed_resets: Counter,
}

/// Sockets of one kind.
pub(crate) struct TalkMeters {
    kind: &'static str,
    pub(crate) received: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) sent: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) slow: Counter,
}

/// Close codes that are told apart; others are clients' inventions.
const CLOSE_CODES: [(u16, &str); 14] = [
    (1000, "1000"),
    (1001, "1001"),
    (1002, "1002"),
    (1003, "1003"),
    (1005, "1005"),
    (1006, "1006"),
    (1007, "1007"),
    (1008, "1008"),
    (1009, "1009"),
    (1010, "1010"),
    (1011, "1011"),
    (1012, "1012"),
    (1013, "1013"),
    (1014, "1014"),
];

impl TalkMeters {
    fn new(kind: &'static str) -> Self {
        let of = &[("kind", kind)];
        Self {
            kind,
            received: names::SOCKET_MESSAGES_RECEIVED.with(of),
            received_bytes: names::SOCKET_BYTES_RECEIVED.with(of),
            sent: names::SOCKET_MESSAGES_SENT.with(of),
            sent_bytes: names::SOCKET_BYTES_SENT.with(of),
            slow: names::SOCKET_SLOW.with(of),
        }
    }

    /// A socket ended, by us or by its peer, with this code.
    pub(crate) fn closed(&self, by_us: bool, code: u16) {
        let code = CLOSE_CODES.iter().find(|(known, _)| *known == code).map_or("other", |(_, text)| text);
        let by = if by_us { "us" } else { "peer" };
        names::SOCKET_CLOSED.with(&[("kind", self.kind), ("by", by), ("code", code)]).increment(1);
    }
}

pub(crate) struct SyncMeters {
    pub(crate) batches: Counter,
    pub(crate) items: Counter,
    pub(crate) acks: Counter,
    pub(crate) refusals: Counter,
    pub(crate) resends: Counter,
    pub(crate) snapshots: Counter,
    pub(crate) mended: Counter,
    pub(crate) reconciled: Counter,
}

pub(crate) struct EdgeMeters {
    pub(crate) best: SelectionMeters,
    pub(crate) by_phone: SelectionMeters,
    pub(crate) moved: SelectionMeters,
    pub(crate) probes_good: Counter,
    pub(crate) probes_bad: Counter,
}

/// How choices of an edge server ended.
pub(crate) struct SelectionMeters([(&'static str, Counter); 5]);

impl SelectionMeters {
    fn new(by: &'static str) -> Self {
        let reasons = ["covered", "all_full", "none_healthy", "outside_service_areas", "no_edges"];
        Self(reasons.map(|reason| (reason, names::EDGE_SELECTION.with(&[("by", by), ("reason", reason)]))))
    }

    /// Counts a choice; none: the first choice covers the place.
    pub(crate) fn ended(&self, reason: Option<&str>) {
        let reason = reason.unwrap_or("covered");
        if let Some((_, count)) = self.0.iter().find(|(known, _)| *known == reason) {
            count.increment(1);
        }
    }
}

pub(crate) struct DeviceMeters {
    updates: [Counter; 5],
    pub(crate) batch_devices: Histogram,
    pub(crate) batch_seconds: Histogram,
    pub(crate) reports: Counter,
    pub(crate) reports_ignored: Counter,
}

/// What became of a position.
#[derive(Clone, Copy)]
pub(crate) enum Update {
    Written,
    Stale,
    InUse,
    Unavailable,
    Failed,
}

impl DeviceMeters {
    pub(crate) fn update(&self, became: Update) {
        self.updates[became as usize].increment(1);
    }
}

pub(crate) struct AccountMeters {
    pub(crate) logins: Outcomes,
    pub(crate) refreshes: Outcomes,
    pub(crate) tokens: Looks,
    pub(crate) hashes: Counter,
    pub(crate) hash_seconds: Histogram,
    pub(crate) hashes_refused: Counter,
}

/// How something that is asked for ended.
pub(crate) struct Outcomes([Counter; 6]);

impl Outcomes {
    fn new(name: &Named<Counter>) -> Self {
        Self(each(name, "outcome", ["good", "refused", "throttled", "unreadable", "unavailable", "failed"]))
    }

    /// Counts an outcome by the status that it is answered with.
    pub(crate) fn ended(&self, status: StatusCode) {
        let outcome = match status.as_u16() {
            200..=299 => 0,
            401 | 403 => 1,
            429 => 2,
            400..=499 => 3,
            503 => 4,
            _ => 5,
        };
        self.0[outcome].increment(1);
    }
}

/// Looks into what is kept in memory.
pub(crate) struct Looks {
    pub(crate) hit: Counter,
    pub(crate) miss: Counter,
}

impl Looks {
    fn new(name: &Named<Counter>) -> Self {
        Self { hit: name.with(&[("outcome", "hit")]), miss: name.with(&[("outcome", "miss")]) }
    }
}

/// Work of the service's own that is done again and again.
pub(crate) struct Work {
    succeeded: Gauge,
}

impl Work {
    /// It begins now, and is to go well about so often.
    pub(crate) fn begin(work: &'static str, interval: Duration) -> Self {
        let of = &[("work", work)];
        names::BACKGROUND_INTERVAL.with(of).set(interval.as_secs_f64());
        let work = Self { succeeded: names::BACKGROUND_SUCCESS.with(of) };
        work.went_well();
        work
    }

    /// It went well, or there was nothing to do.
    pub(crate) fn went_well(&self) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
        self.succeeded.set(own_ms() as f64 / 1000.0);
    }

    /// Notes how it went, and hands that on.
    pub(crate) fn note<T, E>(&self, outcome: Result<T, E>) -> Result<T, E> {
        if outcome.is_ok() {
            self.went_well();
        }
        outcome
    }
}

/// Records the time since then.
pub(crate) fn elapsed(seconds: &Histogram, since: Instant) {
    seconds.record(since.elapsed());
}
