CREATE VIEW gis.edge_samples AS
SELECT m.edge_server_id, m.recorded_at,
       max(m.metric_value) FILTER (WHERE m.metric_type = 'cpu') AS cpu_pct,
       max(m.metric_value) FILTER (WHERE m.metric_type = 'memory') AS memory_pct,
       gis.crowd((max(m.metric_value) FILTER (WHERE m.metric_type = 'connections'))::bigint)::integer AS connections,
       -- Traffic of one phone alone tells of that phone.
       CASE WHEN gis.crowd((max(m.metric_value) FILTER (WHERE m.metric_type = 'connections'))::bigint) > 0
            THEN max(m.metric_value) FILTER (WHERE m.metric_type = 'bandwidth') END AS bandwidth_mbps,
       max(m.metric_value) FILTER (WHERE m.metric_type = 'clock_skew') AS clock_skew_s,
       (max(m.metric_value) FILTER (WHERE m.metric_type = 'sync_due'))::bigint AS sync_due,
       max(m.metric_value) FILTER (WHERE m.metric_type = 'sync_lag') AS sync_lag_s
FROM ar.system_metrics m
WHERE m.edge_server_id IS NOT NULL
GROUP BY m.edge_server_id, m.recorded_at;
COMMENT ON VIEW gis.edge_samples IS 'What was measured at edge servers: a row for each moment, with null for what was not measured then. Beats tell CPU, memory, connections, bandwidth and clock; how far the sync is behind is sampled every 30 s while an edge is connected. Large: ask for a time (recorded_at) or an edge. gis.edge_history puts them into buckets.';
COMMENT ON COLUMN gis.edge_samples.edge_server_id IS 'The edge server.';
COMMENT ON COLUMN gis.edge_samples.recorded_at IS 'When, by the database''s clock.';
COMMENT ON COLUMN gis.edge_samples.cpu_pct IS 'CPU in use, per cent.';
COMMENT ON COLUMN gis.edge_samples.memory_pct IS 'Memory in use, per cent.';
COMMENT ON COLUMN gis.edge_samples.connections IS 'Connections it said it had; fewer than ten are told as 0.';
COMMENT ON COLUMN gis.edge_samples.bandwidth_mbps IS 'Traffic in Mbit/s; null while there were fewer than ten connections.';
COMMENT ON COLUMN gis.edge_samples.clock_skew_s IS 'How far its clock was ahead of the database''s, in seconds.';
COMMENT ON COLUMN gis.edge_samples.sync_due IS 'Decorations that waited to be delivered.';
COMMENT ON COLUMN gis.edge_samples.sync_lag_s IS 'For how long the oldest of them had waited, in seconds.';
