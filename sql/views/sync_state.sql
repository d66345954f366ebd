CREATE VIEW gis.sync_state AS
SELECT e.id AS edge_server_id, e.name, e.region, e.is_active,
       count(*) FILTER (WHERE s.sync_status = 'pending') AS pending,
       count(*) FILTER (WHERE s.sync_status = 'outdated') AS outdated,
       count(*) FILTER (WHERE s.sync_status = 'failed') AS failed,
       count(*) FILTER (WHERE s.sync_status = 'synced') AS synced,
       count(*) FILTER (WHERE s.wanted = 'put') AS wanted_count,
       count(s.synced_version) AS held_count,
       min(s.wanted_at) FILTER (WHERE s.sync_status IN ('pending', 'outdated')) AS oldest_due_at,
       max(s.last_sync_at) AS last_sync_at,
       coalesce(greatest(0, extract(epoch FROM now() - min(s.wanted_at) FILTER (WHERE s.sync_status IN ('pending', 'outdated')))), 0)::double precision AS lag_s,
       e.location::geometry(Point, 4326) AS geom, e.gid
FROM ar.edge_servers e
LEFT JOIN ar.decoration_sync s ON s.edge_server_id = e.id
WHERE e.deleted_at IS NULL
GROUP BY e.id;
COMMENT ON VIEW gis.sync_state IS 'For each edge server, the inactive ones included: its decorations by how far they are (`pending` never delivered, `outdated` an older state is held, `failed` refused too often, `synced` acknowledged), how many it should hold and holds by its acknowledgements, since when the oldest undelivered change waits, and its last acknowledgement. What is to be removed from an edge counts until that is acknowledged.';
COMMENT ON COLUMN gis.sync_state.edge_server_id IS 'The edge server.';
COMMENT ON COLUMN gis.sync_state.name IS 'Its name.';
COMMENT ON COLUMN gis.sync_state.region IS 'Its operator''s label.';
COMMENT ON COLUMN gis.sync_state.is_active IS 'False: set aside by an admin.';
COMMENT ON COLUMN gis.sync_state.pending IS 'Decorations never delivered.';
COMMENT ON COLUMN gis.sync_state.outdated IS 'Decorations of which an older state is held.';
COMMENT ON COLUMN gis.sync_state.failed IS 'Decorations refused too often, and set aside.';
COMMENT ON COLUMN gis.sync_state.synced IS 'Decorations whose newest state is acknowledged.';
COMMENT ON COLUMN gis.sync_state.wanted_count IS 'Decorations it should hold.';
COMMENT ON COLUMN gis.sync_state.held_count IS 'Decorations it holds by its acknowledgements.';
COMMENT ON COLUMN gis.sync_state.oldest_due_at IS 'Since when the oldest undelivered change waits; null when none does.';
COMMENT ON COLUMN gis.sync_state.last_sync_at IS 'Its last acknowledgement.';
COMMENT ON COLUMN gis.sync_state.lag_s IS 'For how long the oldest undelivered change has waited, in seconds; 0 when none does.';
COMMENT ON COLUMN gis.sync_state.geom IS 'Where the edge stands, EPSG:4326.';
COMMENT ON COLUMN gis.sync_state.gid IS 'Number of the edge server for GIS tools.';
