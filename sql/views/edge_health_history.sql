CREATE VIEW gis.edge_health_history AS
SELECT h.edge_server_id, e.name, e.region, h.at, h.samples, h.cpu_pct, h.cpu_max_pct, h.memory_pct, h.memory_max_pct,
       h.connections, h.connections_max, h.bandwidth_mbps, h.clock_skew_s, h.sync_due_max, h.sync_lag_max_s,
       (SELECT c.health_status FROM ar.edge_health_changes c
        WHERE c.edge_server_id = e.id AND c.changed_at < h.at + interval '1 hour' ORDER BY c.changed_at DESC, c.gid DESC LIMIT 1) AS health_status,
       e.location::geometry(Point, 4326) AS geom,
       -- 33 bits for the edge under 20 of hours since 2020.
       (((extract(epoch FROM h.at)::bigint - 1577836800) / 3600) << 33) | e.gid AS gid
FROM gis.edge_history(now() - interval '1 day', now(), interval '1 hour') AS h
JOIN ar.edge_servers e ON e.id = h.edge_server_id;
COMMENT ON VIEW gis.edge_health_history IS 'Health of every edge server in the last day, by hour, to draw and to chart; hours without a sample have no row. gis.edge_history asks about other times.';
COMMENT ON COLUMN gis.edge_health_history.edge_server_id IS 'The edge server.';
COMMENT ON COLUMN gis.edge_health_history.name IS 'Its name.';
COMMENT ON COLUMN gis.edge_health_history.region IS 'Its operator''s label.';
COMMENT ON COLUMN gis.edge_health_history.at IS 'Start of the hour; the first one is not whole.';
COMMENT ON COLUMN gis.edge_health_history.samples IS 'Moments at which something was measured.';
COMMENT ON COLUMN gis.edge_health_history.cpu_pct IS 'Mean of the CPU in use, per cent.';
COMMENT ON COLUMN gis.edge_health_history.cpu_max_pct IS 'Most CPU in use, per cent.';
COMMENT ON COLUMN gis.edge_health_history.memory_pct IS 'Mean of the memory in use, per cent.';
COMMENT ON COLUMN gis.edge_health_history.memory_max_pct IS 'Most memory in use, per cent.';
COMMENT ON COLUMN gis.edge_health_history.connections IS 'Mean of the connections it said it had, of which fewer than ten count as 0.';
COMMENT ON COLUMN gis.edge_health_history.connections_max IS 'Most connections it said it had; fewer than ten are told as 0.';
COMMENT ON COLUMN gis.edge_health_history.bandwidth_mbps IS 'Mean traffic in Mbit/s while there were ten connections or more; null when there never were.';
COMMENT ON COLUMN gis.edge_health_history.clock_skew_s IS 'Farthest that its clock was ahead of the database''s, in seconds.';
COMMENT ON COLUMN gis.edge_health_history.sync_due_max IS 'Most decorations that waited to be delivered.';
COMMENT ON COLUMN gis.edge_health_history.sync_lag_max_s IS 'Longest that one of them had waited, in seconds.';
COMMENT ON COLUMN gis.edge_health_history.health_status IS 'How it was at the end of the hour (now, in the running one); null when that is not known.';
COMMENT ON COLUMN gis.edge_health_history.geom IS 'Where the edge stands, EPSG:4326.';
COMMENT ON COLUMN gis.edge_health_history.gid IS 'Number of this edge in this hour for GIS tools.';
