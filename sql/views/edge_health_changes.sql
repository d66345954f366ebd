CREATE VIEW gis.edge_health_changes AS
SELECT h.edge_server_id, e.name, e.region, h.changed_at, h.was, h.health_status, h.health_reason,
       lead(h.changed_at) OVER next_of_edge AS until,
       extract(epoch FROM coalesce(lead(h.changed_at) OVER next_of_edge, now()) - h.changed_at)::double precision AS lasted_s,
       e.location::geometry(Point, 4326) AS geom, h.gid
FROM ar.edge_health_changes h
JOIN ar.edge_servers e ON e.id = h.edge_server_id
WINDOW next_of_edge AS (PARTITION BY h.edge_server_id ORDER BY h.changed_at, h.gid);
COMMENT ON VIEW gis.edge_health_changes IS 'How each edge server was, from when until when, and why: one row for every change of its health, deleted edges included; kept as long as metrics are (METRICS_RETENTION).';
COMMENT ON COLUMN gis.edge_health_changes.edge_server_id IS 'The edge server.';
COMMENT ON COLUMN gis.edge_health_changes.name IS 'Its name.';
COMMENT ON COLUMN gis.edge_health_changes.region IS 'Its operator''s label.';
COMMENT ON COLUMN gis.edge_health_changes.changed_at IS 'When it became so.';
COMMENT ON COLUMN gis.edge_health_changes.was IS 'What it was before; null when that is not known.';
COMMENT ON COLUMN gis.edge_health_changes.health_status IS '`healthy`, `degraded`, `offline` or `unknown`.';
COMMENT ON COLUMN gis.edge_health_changes.health_reason IS 'Why it became so; null when it became healthy.';
COMMENT ON COLUMN gis.edge_health_changes.until IS 'When it changed again; null when it is so still.';
COMMENT ON COLUMN gis.edge_health_changes.lasted_s IS 'How long it was so, until now at the most, in seconds.';
COMMENT ON COLUMN gis.edge_health_changes.geom IS 'Where the edge stands, EPSG:4326.';
COMMENT ON COLUMN gis.edge_health_changes.gid IS 'Number of the change for GIS tools, never given twice.';
