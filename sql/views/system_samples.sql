CREATE VIEW gis.system_samples AS
SELECT m.recorded_at,
       gis.crowd((max(m.metric_value) FILTER (WHERE m.metric_type = 'devices_connected'))::bigint) AS devices_connected,
       (max(m.metric_value) FILTER (WHERE m.metric_type = 'edges_healthy'))::bigint AS edges_healthy,
       (max(m.metric_value) FILTER (WHERE m.metric_type = 'edges_degraded'))::bigint AS edges_degraded,
       (max(m.metric_value) FILTER (WHERE m.metric_type = 'edges_offline'))::bigint AS edges_offline,
       (max(m.metric_value) FILTER (WHERE m.metric_type = 'decorations'))::bigint AS decorations,
       (max(m.metric_value) FILTER (WHERE m.metric_type = 'sync_due'))::bigint AS sync_due
FROM ar.system_metrics m
WHERE m.edge_server_id IS NULL
GROUP BY m.recorded_at;
COMMENT ON VIEW gis.system_samples IS 'The system as a whole over time: a row every 30 s while a service runs.';
COMMENT ON COLUMN gis.system_samples.recorded_at IS 'When, by the database''s clock.';
COMMENT ON COLUMN gis.system_samples.devices_connected IS 'Devices connected in the whole system; fewer than ten are told as 0.';
COMMENT ON COLUMN gis.system_samples.edges_healthy IS 'Active edge servers that were healthy.';
COMMENT ON COLUMN gis.system_samples.edges_degraded IS 'Active edge servers that were degraded.';
COMMENT ON COLUMN gis.system_samples.edges_offline IS 'Active edge servers that were offline.';
COMMENT ON COLUMN gis.system_samples.decorations IS 'Active decorations.';
COMMENT ON COLUMN gis.system_samples.sync_due IS 'Pairs of edge and decoration that waited to be delivered.';
