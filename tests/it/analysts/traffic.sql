-- A day of traffic on whatever decorations and edge servers there are, the same every time, so that every view has rows:
-- for the tests of what analysts read, and for opening the QGIS project. The service's own statements would take a day.
DO $$
DECLARE
    day date := (now() AT TIME ZONE 'UTC')::date - 1;
BEGIN
    EXECUTE format('CREATE TABLE IF NOT EXISTS ar.system_metrics_%s PARTITION OF ar.system_metrics FOR VALUES FROM (%L) TO (%L)',
        to_char(day, 'YYYYMMDD'), day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
END $$;
-- Twenty edges beat; the fifth is nearly empty, and the sixth crowded.
INSERT INTO ar.system_metrics (edge_server_id, metric_type, metric_value, recorded_at)
SELECT e.id, m.metric_type, m.value, now() - t.n * interval '10 minutes'
FROM (SELECT id, row_number() OVER (ORDER BY gid) AS n FROM ar.edge_servers ORDER BY gid LIMIT 20) AS e
CROSS JOIN generate_series(1, 130) AS t (n)
CROSS JOIN LATERAL (VALUES
    ('cpu', 20 + (e.n * 7 + t.n) % 60), ('memory', 30 + (e.n * 5 + t.n) % 50), ('clock_skew', 0.01 * e.n),
    ('connections', CASE e.n WHEN 5 THEN 3 WHEN 6 THEN 400 ELSE e.n * 5 END), ('bandwidth', e.n * 3 + t.n % 5),
    ('sync_due', (e.n * t.n) % 40), ('sync_lag', (e.n * t.n) % 40 * 2.5)
) AS m (metric_type, value)
WHERE now() - t.n * interval '10 minutes' >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '1 day';
INSERT INTO ar.system_metrics (metric_type, metric_value, recorded_at)
SELECT m.metric_type, m.value, now() - t.n * interval '10 minutes'
FROM generate_series(1, 130) AS t (n)
CROSS JOIN LATERAL (VALUES ('devices_connected', 900 + t.n), ('edges_healthy', 17), ('edges_degraded', 2), ('edges_offline', 1), ('decorations', 3400), ('sync_due', t.n)) AS m (metric_type, value)
WHERE now() - t.n * interval '10 minutes' >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '1 day';
UPDATE ar.edge_servers e SET last_ping = now(), cpu_usage = 20 + n.n % 60, memory_usage = 30 + n.n % 50,
    health_status = CASE n.n WHEN 3 THEN 'degraded' WHEN 4 THEN 'offline' ELSE 'healthy' END,
    health_reason = CASE n.n WHEN 3 THEN 'cpu_high' WHEN 4 THEN 'silent' END
FROM (SELECT id, row_number() OVER (ORDER BY gid) AS n FROM ar.edge_servers) AS n WHERE n.id = e.id AND n.n <= 20;
UPDATE ar.edge_load l SET current_connections = CASE n.n WHEN 5 THEN 3 WHEN 6 THEN 400 ELSE n.n * 5 END,
    reported_connections = CASE n.n WHEN 5 THEN 3 WHEN 6 THEN 400 ELSE n.n * 5 END
FROM (SELECT id, row_number() OVER (ORDER BY gid) AS n FROM ar.edge_servers) AS n WHERE n.id = l.edge_server_id AND n.n <= 20;
-- Two of them were ill before.
INSERT INTO ar.edge_health_changes (edge_server_id, changed_at, was, health_status, health_reason)
SELECT e.id, now() - h.ago, h.was, h.health_status, h.health_reason
FROM (SELECT id FROM ar.edge_servers ORDER BY gid LIMIT 2) AS e
CROSS JOIN (VALUES (interval '20 hours', 'healthy', 'offline', 'silent'), (interval '19 hours', 'offline', 'degraded', 'recovering'),
    (interval '18 hours', 'degraded', 'healthy', NULL)) AS h (ago, was, health_status, health_reason);
-- What edges should hold: some holds, some waits, and the first edge refuses some.
INSERT INTO ar.decoration_sync (edge_server_id, decoration_id, sync_status)
SELECT h.edge_server_id, h.decoration_id, 'pending'
FROM gis.edges_holding((SELECT array_agg(id) FROM ar.decorations), 500) AS h
ON CONFLICT DO NOTHING;
UPDATE ar.decoration_sync s SET synced_version = sync_version, sync_status = 'synced', last_sync_at = now()
FROM ar.decorations d WHERE d.id = s.decoration_id AND d.gid % 3 > 0;
UPDATE ar.decoration_sync s SET sync_status = 'failed', attempts = 5, error_message = 'no room', wanted_at = now() - interval '1 hour'
FROM ar.decorations d WHERE d.id = s.decoration_id AND s.sync_status = 'pending' AND d.gid % 2 = 0;
UPDATE ar.decoration_sync SET wanted_at = now() - interval '10 minutes' WHERE sync_status = 'pending';
-- Crowds in the cells of some decorations, in the last three hours.
INSERT INTO gis.device_density (bucket_start, cell, users)
SELECT date_bin('15 minutes', now(), 'epoch') - t.n * interval '15 minutes', c.h3_r7, 10 + (c.n * 7 + t.n * 3) % 90
FROM (SELECT h3_r7, row_number() OVER (ORDER BY min(gid)) AS n FROM ar.decorations WHERE is_active AND deleted_at IS NULL GROUP BY h3_r7 ORDER BY min(gid) LIMIT 60) AS c
CROSS JOIN generate_series(1, 12) AS t (n)
ON CONFLICT DO NOTHING;
-- And what they were answered.
INSERT INTO ar.published_usage (hour, decoration_id, h3_r7, answers)
SELECT date_trunc('hour', now()) - t.n * interval '1 hour', d.id, d.h3_r7, 10 + (d.gid * 13 + t.n) % 500
FROM (SELECT id, h3_r7, gid FROM ar.decorations WHERE is_active AND deleted_at IS NULL ORDER BY gid LIMIT 40) AS d
CROSS JOIN generate_series(1, 20) AS t (n)
ON CONFLICT DO NOTHING;
INSERT INTO ar.audit_log (id, at, action, object_kind, object_id, detail)
SELECT gen_random_uuid(), now() - t.n * interval '1 hour', a.action, a.object_kind, a.object_id, '{"version": 2}'
FROM generate_series(1, 12) AS t (n)
CROSS JOIN LATERAL (
    SELECT 'decoration.replace', 'decoration', (SELECT id::text FROM ar.decorations ORDER BY gid OFFSET t.n LIMIT 1)
    UNION ALL SELECT 'edge_server.drain', 'edge_server', (SELECT id::text FROM ar.edge_servers ORDER BY gid OFFSET t.n LIMIT 1)
) AS a (action, object_kind, object_id);
INSERT INTO ar.regions (code, name, kind, border) VALUES ('FESTIVAL', 'Festival ground', 'custom', ST_Multi(ST_MakeEnvelope(5, 45, 11, 48, 4326))) ON CONFLICT DO NOTHING;
ANALYZE;
