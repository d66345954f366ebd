//! Supervision: beats, silence and probes. How an edge server is follows from them by `gis.edge_health`; all times
//! are the database's.

use std::time::Duration;

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::metrics::history::{MetricType, Sample};

/// What an edge server says of itself, by a `health_update` or a ping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Beat {
    /// The edge.
    pub(crate) edge_id: Uuid,
    /// Which of its sessions says so; none for a ping. One of an older session is void.
    pub(crate) generation: Option<i64>,
    /// CPU in use, per cent.
    pub(crate) cpu_usage: Option<f64>,
    /// Memory in use, per cent.
    pub(crate) memory_usage: Option<f64>,
    /// Connections it has.
    pub(crate) connections: Option<i32>,
    /// How far its clock is ahead of the database's.
    pub(crate) clock_skew_s: Option<f64>,
    /// Traffic.
    pub(crate) bandwidth_mbps: Option<f64>,
}

/// The measurements of beats, for their history.
pub(crate) fn samples(beats: &[Beat]) -> Vec<Sample> {
    let of = |beat: &Beat| {
        let values = [
            (MetricType::Cpu, beat.cpu_usage),
            (MetricType::Memory, beat.memory_usage),
            (MetricType::Connections, beat.connections.map(f64::from)),
            (MetricType::Bandwidth, beat.bandwidth_mbps),
            (MetricType::ClockSkew, beat.clock_skew_s),
        ];
        let edge_server_id = Some(beat.edge_id);
        values.into_iter().filter_map(move |(metric_type, value)| Some(Sample { edge_server_id, metric_type, value: value? }))
    };
    beats.iter().flat_map(of).collect()
}

/// Notes beats, at most one an edge, and tells all instances whose health changed.
pub(crate) async fn beat(executor: impl PgExecutor<'_>, beats: &[Beat], interval: Duration) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"WITH beat AS (
               SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::float8[], $4::float8[], $5::int[], $6::float8[])
                   AS b(id, generation, cpu, memory, connections, skew_s)
           ), locked AS MATERIALIZED (
               SELECT e.id, e.health_status AS was, e.good_beats, e.failed_probes, coalesce(b.cpu, e.cpu_usage) AS cpu,
                   coalesce(b.memory, e.memory_usage) AS memory, b.connections, coalesce(b.skew_s, e.clock_skew_s) AS skew_s
               FROM ar.edge_servers e JOIN beat b ON b.id = e.id
               WHERE e.deleted_at IS NULL
                 AND (b.generation IS NULL OR EXISTS (SELECT FROM ar.edge_sessions s WHERE s.edge_server_id = e.id AND s.generation = b.generation))
               ORDER BY e.id FOR NO KEY UPDATE OF e
           ), counted AS (
               SELECT l.*, CASE WHEN coalesce(cpu, 0) < 90 AND coalesce(memory, 0) < 90 AND failed_probes = 0 THEN least(good_beats + 1, 2) ELSE 0 END AS good
               FROM locked l
           ), judged AS MATERIALIZED (
               SELECT c.*, h.* FROM counted c
               CROSS JOIN LATERAL gis.edge_health(0, $7, c.cpu, c.memory, c.failed_probes, false, c.good, c.was) AS h
           ), written AS (
               UPDATE ar.edge_servers e SET last_ping = now(), cpu_usage = j.cpu, memory_usage = j.memory, clock_skew_s = j.skew_s, socket_lost = false,
                   good_beats = CASE WHEN j.was = 'healthy' AND j.health_status <> 'healthy' THEN 0 ELSE j.good END,
                   health_status = j.health_status, health_reason = j.health_reason
               FROM judged j WHERE e.id = j.id
           ), loads AS MATERIALIZED (
               SELECT l.edge_server_id, j.connections FROM ar.edge_load l JOIN judged j ON j.id = l.edge_server_id
               WHERE l.reported_connections <> j.connections ORDER BY l.edge_server_id FOR NO KEY UPDATE OF l
           ), loaded AS (
               UPDATE ar.edge_load l SET reported_connections = n.connections, updated_at = now() FROM loads n WHERE l.edge_server_id = n.edge_server_id
           )
           SELECT pg_notify('ar', 'edge:' || id) FROM judged WHERE was <> health_status"#,
        &beats.iter().map(|beat| beat.edge_id).collect::<Vec<_>>(),
        &beats.iter().map(|beat| beat.generation).collect::<Vec<_>>() as _,
        &beats.iter().map(|beat| beat.cpu_usage).collect::<Vec<_>>() as _,
        &beats.iter().map(|beat| beat.memory_usage).collect::<Vec<_>>() as _,
        &beats.iter().map(|beat| beat.connections).collect::<Vec<_>>() as _,
        &beats.iter().map(|beat| beat.clock_skew_s).collect::<Vec<_>>() as _,
        interval.as_secs_f64()
    )
    .fetch_all(executor)
    .await
    .map(|_| ())
}

/// Notes that edges and devices are watched. After a gap of more than 10 s, silence counts from now.
pub(super) async fn note_watch(executor: impl PgExecutor<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE ar.supervision SET watched_at = now(), watched_from = CASE WHEN watched_at < now() - interval '10 seconds' THEN now() ELSE watched_from END"
    )
    .execute(executor)
    .await
    .map(|_| ())
}

/// Judges everybody anew: who was silent falls. A session whose lease ran out was held by an instance that is gone:
/// its socket is lost. Edges are looked at without a lock first, and those that seem to have changed again under it,
/// so that no fresh beat is overruled.
pub(super) async fn sweep(executor: impl PgExecutor<'_>, interval: Duration, lease: Duration) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"WITH watched AS MATERIALIZED (
               SELECT watched_from, watched_from < now() - make_interval(secs => $2) AS long_enough FROM ar.supervision
           ), suspect AS MATERIALIZED (
               SELECT e.id FROM ar.edge_servers e CROSS JOIN watched w
               CROSS JOIN LATERAL gis.edge_health(extract(epoch FROM now() - greatest(e.last_ping, w.watched_from) )::float8, $1, e.cpu_usage, e.memory_usage,
                   e.failed_probes, e.socket_lost, e.good_beats, e.health_status) AS h
               WHERE e.deleted_at IS NULL AND e.last_ping IS NOT NULL
                 AND ((h.health_status = 'offline' AND e.health_status <> 'offline') OR (h.health_status = 'degraded' AND e.health_status = 'healthy')
                     OR (h.health_reason = 'late_beat' AND e.health_status = 'degraded' AND e.health_reason IS DISTINCT FROM 'late_beat'))
               UNION
               SELECT s.edge_server_id FROM ar.edge_sessions s CROSS JOIN watched w WHERE s.lease_until < now() AND w.long_enough
           ), locked AS MATERIALIZED (
               SELECT e.* FROM ar.edge_servers e
               WHERE e.id IN (SELECT id FROM suspect) AND e.deleted_at IS NULL
               ORDER BY e.id FOR NO KEY UPDATE SKIP LOCKED
           ), lapsing AS MATERIALIZED (
               SELECT s.edge_server_id, s.session_id FROM ar.edge_sessions s
               WHERE s.edge_server_id IN (SELECT id FROM locked) AND s.lease_until < now() AND (SELECT long_enough FROM watched)
               ORDER BY s.edge_server_id FOR UPDATE SKIP LOCKED
           ), lapsed AS (
               DELETE FROM ar.edge_sessions s USING lapsing l WHERE s.edge_server_id = l.edge_server_id AND s.session_id = l.session_id
           ), verdicts AS MATERIALIZED (
               SELECT l.id, l.health_status AS was, l.health_reason AS because, gone.edge_server_id IS NOT NULL AS is_gone, h.*
               FROM locked l CROSS JOIN watched w
               LEFT JOIN lapsing gone ON gone.edge_server_id = l.id
               CROSS JOIN LATERAL gis.edge_health(
                   CASE WHEN l.last_ping IS NOT NULL THEN extract(epoch FROM now() - greatest(l.last_ping, w.watched_from)) END::float8,
                   $1, l.cpu_usage, l.memory_usage, l.failed_probes, l.socket_lost OR gone.edge_server_id IS NOT NULL, l.good_beats, l.health_status) AS h
           ), judged AS MATERIALIZED (
               -- Silence only ever lets fall: what lets rise is a beat.
               SELECT v.*, (v.health_status = 'offline' AND v.was <> 'offline') OR (v.health_status = 'degraded' AND v.was = 'healthy')
                   OR (v.health_reason = 'late_beat' AND v.was = 'degraded' AND v.because IS DISTINCT FROM 'late_beat') AS falls
               FROM verdicts v
           ), written AS (
               UPDATE ar.edge_servers e SET
                   health_status = CASE WHEN j.falls THEN j.health_status ELSE e.health_status END,
                   health_reason = CASE WHEN j.falls THEN j.health_reason ELSE e.health_reason END,
                   socket_lost = e.socket_lost OR j.is_gone, good_beats = 0
               FROM judged j WHERE e.id = j.id AND (j.falls OR j.is_gone)
           )
           SELECT pg_notify('ar', 'edge:' || id) FROM judged WHERE falls OR is_gone"#,
        interval.as_secs_f64(),
        lease.as_secs_f64()
    )
    .fetch_all(executor)
    .await
    .map(|_| ())
}

/// An edge server that is due to be probed.
pub(super) struct Due {
    pub(super) id: Uuid,
    pub(super) url: String,
}

/// Takes edge servers that are due, so that no other instance probes them too.
pub(super) async fn take_due(executor: impl PgExecutor<'_>, interval: Duration, most: i64) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as!(
        Due,
        r#"UPDATE ar.edge_servers SET last_health_check = now()
           WHERE id IN (
               SELECT id FROM ar.edge_servers
               WHERE health_check_url IS NOT NULL AND is_active AND deleted_at IS NULL
                 AND (last_health_check IS NULL OR last_health_check < now() - make_interval(secs => $1))
               ORDER BY last_health_check NULLS FIRST LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
           )
           RETURNING id, health_check_url AS "url!""#,
        interval.as_secs_f64(),
        most
    )
    .fetch_all(executor)
    .await
}

/// Notes how a probe went, and judges its edge server anew.
pub(super) async fn probed(executor: impl PgExecutor<'_>, id: Uuid, good: bool, interval: Duration) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"WITH locked AS MATERIALIZED (
               SELECT e.*, CASE WHEN $2 THEN 0 ELSE e.failed_probes + 1 END AS failed
               FROM ar.edge_servers e WHERE e.id = $1 AND e.deleted_at IS NULL FOR NO KEY UPDATE
           ), judged AS MATERIALIZED (
               -- One that is offline is so until it beats.
               SELECT l.id, l.failed, l.health_status AS was,
                   CASE WHEN l.health_status = 'offline' THEN l.health_status ELSE h.health_status END AS health_status,
                   CASE WHEN l.health_status = 'offline' THEN l.health_reason ELSE h.health_reason END AS health_reason
               FROM locked l
               CROSS JOIN ar.supervision w
               CROSS JOIN LATERAL gis.edge_health(CASE WHEN l.last_ping IS NOT NULL THEN extract(epoch FROM now() - greatest(l.last_ping, w.watched_from)) END::float8, $3, l.cpu_usage, l.memory_usage, l.failed,
                   l.socket_lost, l.good_beats, l.health_status) AS h
           ), written AS (
               UPDATE ar.edge_servers e SET last_health_check = now(), failed_probes = j.failed, health_status = j.health_status,
                   health_reason = j.health_reason, good_beats = CASE WHEN NOT $2 OR j.health_reason IN ('late_beat', 'silent', 'socket_lost') THEN 0 ELSE e.good_beats END
               FROM judged j WHERE e.id = j.id
           )
           SELECT pg_notify('ar', 'edge:' || id) FROM judged WHERE was <> health_status"#,
        id,
        good,
        interval.as_secs_f64()
    )
    .fetch_all(executor)
    .await
    .map(|_| ())
}
