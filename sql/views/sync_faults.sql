CREATE VIEW gis.sync_faults AS
SELECT s.edge_server_id, e.name AS edge_name, e.region, s.decoration_id, s.wanted, s.sync_status,
       CASE
           WHEN s.sync_status = 'failed' THEN 'refused'
           WHEN NOT EXISTS (SELECT FROM ar.edge_sessions c WHERE c.edge_server_id = e.id AND c.lease_until > now()) THEN 'not_connected'
           WHEN s.attempts > 0 THEN 'retrying'
           ELSE 'late'
       END AS reason,
       s.error_message, s.attempts, s.next_attempt_at, s.wanted_at, s.synced_version IS NOT NULL AS older_is_held,
       (SELECT d.location::geometry FROM ar.decorations d WHERE d.id = s.decoration_id)::geometry(Point, 4326) AS geom,
       -- 20 bits for the edge, 33 for the decoration: below 2^53.
       (e.gid << 33) | (SELECT d.gid FROM ar.decorations d WHERE d.id = s.decoration_id) AS gid
FROM ar.decoration_sync s
JOIN ar.edge_servers e ON e.id = s.edge_server_id
-- Word for word the conditions of the partial indexes.
WHERE e.deleted_at IS NULL
  AND (s.sync_status = 'failed'
       OR s.sync_status IN ('pending', 'outdated') AND (s.attempts > 0 OR s.wanted_at < now() - interval '1 minute'));
COMMENT ON VIEW gis.sync_faults IS 'What is not at an edge server as it should be, and why: `refused` too often and set aside, `not_connected` and so waiting for the edge, `retrying` after a refusal, `late` by more than a minute for no such reason. error_message is what the edge said when it refused.';
COMMENT ON COLUMN gis.sync_faults.edge_server_id IS 'The edge server.';
COMMENT ON COLUMN gis.sync_faults.edge_name IS 'Its name.';
COMMENT ON COLUMN gis.sync_faults.region IS 'Its operator''s label.';
COMMENT ON COLUMN gis.sync_faults.decoration_id IS 'The decoration.';
COMMENT ON COLUMN gis.sync_faults.wanted IS '`put`: the edge should hold it; `remove`: it should not.';
COMMENT ON COLUMN gis.sync_faults.sync_status IS '`pending`, `outdated` or `failed`.';
COMMENT ON COLUMN gis.sync_faults.reason IS '`refused`, `not_connected`, `retrying` or `late`.';
COMMENT ON COLUMN gis.sync_faults.error_message IS 'What the edge said when it refused.';
COMMENT ON COLUMN gis.sync_faults.attempts IS 'Refusals so far.';
COMMENT ON COLUMN gis.sync_faults.next_attempt_at IS 'Not before this time is it tried again.';
COMMENT ON COLUMN gis.sync_faults.wanted_at IS 'Since when it is wanted.';
COMMENT ON COLUMN gis.sync_faults.older_is_held IS 'True: the edge holds an older state of it.';
COMMENT ON COLUMN gis.sync_faults.geom IS 'Position of the decoration, also of a deleted one; EPSG:4326.';
COMMENT ON COLUMN gis.sync_faults.gid IS 'Number of this pair of edge and decoration for GIS tools.';
