CREATE VIEW gis.sync_state AS
SELECT e.id AS edge_server_id, e.name, e.region, e.is_active,
       count(*) FILTER (WHERE s.sync_status = 'pending') AS pending,
       count(*) FILTER (WHERE s.sync_status = 'outdated') AS outdated,
       count(*) FILTER (WHERE s.sync_status = 'failed') AS failed,
       count(*) FILTER (WHERE s.sync_status = 'synced') AS synced,
       count(*) FILTER (WHERE s.wanted = 'put') AS wanted_count,
       count(s.synced_version) AS held_count,
       min(s.wanted_at) FILTER (WHERE s.sync_status IN ('pending', 'outdated')) AS oldest_due_at,
       max(s.last_sync_at) AS last_sync_at
FROM ar.edge_servers e
LEFT JOIN ar.decoration_sync s ON s.edge_server_id = e.id
WHERE e.deleted_at IS NULL
GROUP BY e.id;
COMMENT ON VIEW gis.sync_state IS 'For each edge server, the inactive ones included: its decorations by how far they are (`pending` never delivered, `outdated` an older state is held, `failed` refused too often, `synced` acknowledged), how many it should hold and holds by its acknowledgements, since when the oldest undelivered change waits, and its last acknowledgement. What is to be removed from an edge counts until that is acknowledged.';
