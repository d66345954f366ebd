CREATE VIEW gis.sync_faults AS
SELECT s.edge_server_id, e.name AS edge_name, e.region, s.decoration_id, s.wanted, s.sync_status,
       CASE
           WHEN s.sync_status = 'failed' THEN 'refused'
           WHEN NOT EXISTS (SELECT FROM ar.edge_sessions c WHERE c.edge_server_id = e.id AND c.lease_until > now()) THEN 'not_connected'
           WHEN s.attempts > 0 THEN 'retrying'
           ELSE 'late'
       END AS reason,
       s.error_message, s.attempts, s.next_attempt_at, s.wanted_at, s.synced_version IS NOT NULL AS older_is_held
FROM ar.decoration_sync s
JOIN ar.edge_servers e ON e.id = s.edge_server_id
-- Word for word the conditions of the partial indexes.
WHERE e.deleted_at IS NULL
  AND (s.sync_status = 'failed'
       OR s.sync_status IN ('pending', 'outdated') AND (s.attempts > 0 OR s.wanted_at < now() - interval '1 minute'));
COMMENT ON VIEW gis.sync_faults IS 'What is not at an edge server as it should be, and why: `refused` too often and set aside, `not_connected` and so waiting for the edge, `retrying` after a refusal, `late` by more than a minute for no such reason. error_message is what the edge said when it refused.';
