//! Every metric there is: its kind, name, unit, and what it says. Nothing is published that does not stand here, but for
//! `process_*`, which the crate `metrics-process` brings with its own descriptions.
//!
//! Labels have few values, all of them known here: a route's template and never its path, a health and never an edge
//! server, a reason and never a person. What begins with `ar_fleet_` is a number of the whole system, as every instance
//! reads it from the database: the same from each, so it is to be aggregated by `max`, not by `sum`.

use std::marker::PhantomData;

use metrics::{Counter, Gauge, Histogram, Label, Unit};

/// Seconds of requests, and of whatever they wait for.
const REQUEST_S: &[f64] = &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Seconds of statements.
const STATEMENT_S: &[f64] = &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Seconds of password hashes.
const HASH_S: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Devices written together.
const DEVICES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// A metric whose series are made by naming its labels.
pub(super) struct Named<K> {
    name: &'static str,
    kind: PhantomData<K>,
}

/// A metric as it is described.
struct Entry {
    kind: Kind,
    name: &'static str,
    unit: Unit,
    /// Upper bounds, of a histogram.
    buckets: &'static [f64],
    help: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! catalogue {
    ($($kind:ident $id:ident $name:literal, $unit:ident [$($buckets:ident)?]: $help:literal;)*) => {
        $(pub(super) const $id: Named<$kind> = Named { name: $name, kind: PhantomData };)*
        const ALL: &[Entry] = &[
            $(Entry { kind: Kind::$kind, name: $name, unit: Unit::$unit, buckets: catalogue!(@ $($buckets)?), help: $help },)*
        ];
    };
    (@) => { &[] };
    (@ $buckets:ident) => { $buckets };
}

catalogue! {
    // HTTP
    Counter HTTP_REQUESTS "ar_http_requests_total", Count []: "Requests answered, by the template of their route (`unmatched`: there is none), method and status.";
    Histogram HTTP_SECONDS "ar_http_request_seconds", Seconds [REQUEST_S]: "Time from the head of a request to the head of its answer, by the template of its route.";
    Gauge HTTP_IN_FLIGHT "ar_http_requests_in_flight", Count []: "Requests under way; those that wait for their body are not counted.";
    Gauge HTTP_IN_FLIGHT_MAX "ar_http_requests_in_flight_max", Count []: "Requests under way beyond which new ones are shed.";
    Counter HTTP_SHED "ar_http_requests_shed_total", Count []: "Requests answered 503 at once, because too many were under way.";
    Counter HTTP_RATE_LIMITED "ar_http_rate_limited_total", Count []: "Requests and password guesses answered 429, by the class of limits.";
    Gauge HTTP_CONNECTIONS "ar_http_connections", Count []: "Connections on which this process speaks HTTP, the scraper's own among them; sockets are counted apart.";
    Counter HTTP_CONNECTIONS_REFUSED "ar_http_connections_refused_total", Count []: "Connections closed at once, because there were too many.";
    Counter HTTP_ACCEPT_FAILURES "ar_http_accept_failures_total", Count []: "Connections that could not be accepted: the process is out of file descriptors, mostly.";
    Counter PANICS "ar_panics_total", Count []: "Panics of any thread or task. Each is a bug; whoever asked was answered 500.";

    // The database
    Gauge DB_REACHABLE "ar_database_reachable", Count []: "1 when the primary answered when last asked (every 5 s), else 0.";
    Gauge DB_CONNECTIONS "ar_db_connections", Count []: "Connections to the database by pool, and by whether they are in use.";
    Gauge DB_CONNECTIONS_MAX "ar_db_connections_max", Count []: "Most connections of a pool.";
    Gauge DB_WAITING "ar_db_waiting", Count []: "Readers that wait for a connection, by pool (hot and shaped; the others do not tell).";
    Histogram DB_ACQUIRE_SECONDS "ar_db_acquire_seconds", Seconds [STATEMENT_S]: "Time a reader, or work of the service's own (`primary`), waited for a connection, by pool.";
    Counter DB_TIMEOUTS "ar_db_timeouts_total", Count []: "Times that no connection was to be had in time, by pool; `primary`, of writes and of work of the service's own, also counts statements that were given up.";
    Counter DB_CONNECTIONS_LOST "ar_db_connections_lost_total", Count []: "Reads whose connection turned out to be dead, and which were run again on a fresh one.";
    Counter DB_OUT_OF "ar_db_out_of_resources_total", Count []: "Statements and connections that the database refused because it was out of disk, memory or connections.";
    Histogram DB_STATEMENT_SECONDS "ar_db_statement_seconds", Seconds [STATEMENT_S]: "Time of database statements by their name.";
    Counter DB_READ_FALLBACK "ar_db_read_fallback_total", Count []: "Reads that went to the primary instead of the replica, by reason.";
    Gauge DB_READS_REPLICA "ar_db_reads_replica", Count []: "1 while reads go to the replica, 0 when there is none (DATABASE_READ_URL) or it is away or too far behind.";
    Gauge NOTICES_CONNECTED "ar_notice_listener_connected", Count []: "1 while this instance hears what others tell it (LISTEN), else 0.";

    // Sockets
    Gauge SOCKETS_OPEN "ar_sockets_open", Count []: "Sockets open here, by who is at the other end.";
    Gauge SOCKETS_MAX "ar_sockets_max", Count []: "Sockets beyond which one more is refused.";
    Counter SOCKET_MESSAGES_RECEIVED "ar_socket_messages_received_total", Count []: "Text messages that came over sockets.";
    Counter SOCKET_BYTES_RECEIVED "ar_socket_received_bytes_total", Bytes []: "Bytes of text messages that came over sockets.";
    Counter SOCKET_MESSAGES_SENT "ar_socket_messages_sent_total", Count []: "Text messages written to sockets.";
    Counter SOCKET_BYTES_SENT "ar_socket_sent_bytes_total", Bytes []: "Bytes of text messages written to sockets.";
    Counter SOCKET_BAD_MESSAGES "ar_socket_bad_messages_total", Count []: "Messages of edge servers that were answered with an error.";
    Gauge SOCKET_QUEUED "ar_socket_queued_messages", Count []: "Messages that wait to be written, of all sockets together.";
    Gauge SOCKET_QUEUED_BYTES "ar_socket_queued_bytes", Bytes []: "Bytes of messages that wait to be written, of all sockets together.";
    Gauge SOCKET_QUEUE_LONGEST "ar_socket_queue_longest_messages", Count []: "Messages that wait at the socket where most do; at 256 it is closed.";
    Counter SOCKET_DROPPED "ar_socket_dropped_messages_total", Count []: "Messages dropped with the socket of a reader that was too slow.";
    Counter SOCKET_SLOW "ar_socket_slow_consumers_total", Count []: "Sockets closed because their reader was too slow.";
    Counter SOCKET_CLOSED "ar_socket_closed_total", Count []: "Sockets that ended, by who ended them and the close code (1006: without one).";
    Counter FEED_RESETS "ar_admin_feed_resets_total", Count []: "New snapshots for admins who fell behind the live feed.";

    // Sync
    Gauge FLEET_SYNC_LAG "ar_fleet_sync_lag_seconds", Seconds []: "Age of the oldest change that a connected edge server has not acknowledged. Of the whole system: aggregate by max.";
    Gauge FLEET_SYNC_PAIRS "ar_fleet_sync_pairs", Count []: "Pairs of edge server and decoration by status: pending, outdated, failed (set aside), synced. Of the whole system: aggregate by max.";
    Counter SYNC_BATCHES "ar_sync_batches_total", Count []: "Batches of content sent to edge servers.";
    Counter SYNC_ITEMS "ar_sync_items_total", Count []: "Decorations and removals in those batches.";
    Counter SYNC_ACKS "ar_sync_acks_total", Count []: "Acknowledgements of batches that came.";
    Counter SYNC_REFUSALS "ar_sync_refusals_total", Count []: "Items that edge servers refused, or gave no answer to when each was sent alone.";
    Counter SYNC_RESENDS "ar_sync_resends_total", Count []: "Batches that were due again, because they were not acknowledged in time or that could not be written.";
    Counter SYNC_SNAPSHOTS "ar_sync_snapshots_total", Count []: "Snapshots begun: an edge server is sent everything.";
    Counter SYNC_MENDED "ar_sync_mended_total", Count []: "Items that an edge server held otherwise than was acknowledged, and that were mended.";
    Counter SYNC_RECONCILED "ar_sync_reconciled_total", Count []: "Pairs that reconciliation had to put right. Each is a bug somewhere.";
    Gauge SYNC_IN_FLIGHT_BYTES "ar_sync_in_flight_bytes", Bytes []: "Content on its way to edge servers; beyond 48 MiB nothing is added.";
    Gauge QUEUE_LENGTH "ar_queue_length", Count []: "What waits in the bounded queues of this process: positions of phones, reports of edge servers, acknowledgements, password hashes.";
    Gauge QUEUE_CAPACITY "ar_queue_capacity", Count []: "What fits into them.";

    // Edge servers
    Gauge FLEET_EDGES "ar_fleet_edges", Count []: "Active edge servers by health. Of the whole system: aggregate by max.";
    Gauge FLEET_EDGES_INACTIVE "ar_fleet_edges_inactive", Count []: "Edge servers that an admin set aside. Of the whole system: aggregate by max.";
    Gauge FLEET_EDGES_CONNECTED "ar_fleet_edges_connected", Count []: "Edge servers with a socket to any instance. Of the whole system: aggregate by max.";
    Gauge FLEET_PLACES "ar_fleet_places", Count []: "Devices that the active edge servers which are not offline can take together. Of the whole system: aggregate by max.";
    Gauge FLEET_PLACES_TAKEN "ar_fleet_places_taken", Count []: "Of these places, those that are taken. Of the whole system: aggregate by max.";
    Gauge FLEET_FULLEST "ar_fleet_fullest_region_ratio", Count []: "Share of places taken in the region where it is largest. Of the whole system: aggregate by max.";
    Gauge FLEET_EDGE_SKEW "ar_fleet_edge_clock_skew_seconds", Seconds []: "Largest difference between the clock of a connected edge server and the database's. Of the whole system: aggregate by max.";
    Counter EDGE_SELECTION "ar_edge_selection_total", Count []: "Choices of an edge server by who asked (GET best, a phone, or we, who moved it) and how it ended; `covered`: the first choice covers the place.";
    Counter EDGE_PROBES "ar_edge_probes_total", Count []: "Periodic health checks of edge servers by outcome.";

    // Devices
    Gauge FLEET_DEVICES "ar_fleet_devices", Count []: "Devices by status. Of the whole system: aggregate by max.";
    Counter LOCATION_UPDATES "ar_location_updates_total", Count []: "Positions that phones sent, by what became of them.";
    Histogram LOCATION_BATCH "ar_location_batch_devices", Count [DEVICES]: "Devices of which positions were written in one transaction.";
    Histogram LOCATION_SECONDS "ar_location_batch_seconds", Seconds [REQUEST_S]: "Time to write such a batch, and to place the devices in it.";
    Counter DEVICE_REPORTS "ar_device_reports_total", Count []: "Reports of edge servers on their devices that were written.";
    Counter DEVICE_REPORTS_IGNORED "ar_device_reports_ignored_total", Count []: "Reports on devices that are not assigned to that edge server, or of an older session.";

    // Signing in
    Counter LOGINS "ar_logins_total", Count []: "Sign-ins by outcome.";
    Counter TOKEN_REFRESHES "ar_token_refreshes_total", Count []: "Refreshes of tokens by outcome.";
    Counter TOKEN_CHECKS "ar_token_checks_total", Count []: "Access tokens by whether they were known from before (hit), which costs no SQL.";
    Counter HASHES "ar_password_hashes_total", Count []: "Passwords hashed.";
    Histogram HASH_SECONDS "ar_password_hash_seconds", Seconds [HASH_S]: "Time that hashing a password took, without waiting for it.";
    Counter HASHES_REFUSED "ar_password_hashes_refused_total", Count []: "Sign-ins and new passwords answered 503, because too many waited to be hashed.";

    // Map tiles
    Counter TILES "ar_tiles_total", Count []: "Tiles by whether they were in memory (hit).";
    Gauge TILES_KEPT "ar_tiles_kept", Count []: "Tiles in memory.";
    Gauge TILES_KEPT_BYTES "ar_tiles_kept_bytes", Bytes []: "Memory that they take; 64 MiB at most.";

    // What goes on by itself
    Gauge BACKGROUND_SUCCESS "ar_background_last_success_timestamp_seconds", Seconds []: "When work of the service's own last went well, by work; its start, before it ever did.";
    Gauge BACKGROUND_INTERVAL "ar_background_interval_seconds", Seconds []: "How often that work is done.";

    // The process
    Gauge BUILD_INFO "ar_build_info", Count []: "1, with the program's version, commit, compiler and features.";
    Gauge INSTANCE_INFO "ar_instance_info", Count []: "1, with the id that this run of the process has in the database and in logs.";
    Gauge STATE "ar_instance_state", Count []: "1 for the state that this instance is in: starting, serving or stopping; else 0.";
    Gauge CLOCK_BEHIND "ar_clock_behind_seconds", Seconds []: "How far this machine's clock is behind the database's.";
    Gauge TASKS "ar_runtime_tasks", Count []: "Tasks that are alive in the async runtime.";
    Gauge TASKS_QUEUED "ar_runtime_queued_tasks", Count []: "Tasks that wait in the runtime's global queue for a thread.";
}

/// Labels of a series.
pub(super) type Labels<'l> = &'l [(&'static str, &'l str)];

fn labels(labels: Labels<'_>) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}

impl Named<Counter> {
    /// The series with these labels, of the recorder in charge.
    pub(super) fn with(&self, of: Labels<'_>) -> Counter {
        metrics::counter!(self.name, labels(of))
    }
}

impl Named<Gauge> {
    /// The series with these labels, of the recorder in charge.
    pub(super) fn with(&self, of: Labels<'_>) -> Gauge {
        metrics::gauge!(self.name, labels(of))
    }
}

impl Named<Histogram> {
    /// The series with these labels, of the recorder in charge.
    pub(super) fn with(&self, of: Labels<'_>) -> Histogram {
        metrics::histogram!(self.name, labels(of))
    }
}

/// Tells the recorder in charge what each metric is.
pub(super) fn describe() {
    for Entry { kind, name, unit, help, .. } in ALL {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *unit, *help),
            Kind::Gauge => metrics::describe_gauge!(*name, *unit, *help),
            Kind::Histogram => metrics::describe_histogram!(*name, *unit, *help),
        }
    }
}

/// The histograms and the upper bounds of their buckets.
pub(super) fn buckets() -> impl Iterator<Item = (&'static str, &'static [f64])> {
    ALL.iter().filter(|entry| entry.kind == Kind::Histogram).map(|entry| (entry.name, entry.buckets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let mut names = HashSet::new();
        for Entry { kind, name, unit, buckets, help } in ALL {
            assert!(names.insert(*name), "{name} stands there once");
            assert!(name.starts_with("ar_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(*kind == Kind::Histogram, buckets.len() > 1, "{name}");
            assert!(buckets.is_sorted_by(|a, b| a < b), "{name}");
            let base = name.trim_end_matches("_total");
            assert_eq!(*unit == Unit::Seconds, base.ends_with("_seconds"), "{name}");
            assert_eq!(*unit == Unit::Bytes, base.ends_with("_bytes"), "{name}");
            assert!(help.ends_with('.'), "{name}");
            assert_eq!(name.starts_with("ar_fleet_"), help.contains("aggregate by max"), "{name}");
        }
    }
}
