CREATE VIEW gis.load_by_region AS
SELECT e.region, count(*) AS edges,
       count(*) FILTER (WHERE e.health_status = 'healthy') AS edges_healthy,
       count(*) FILTER (WHERE e.draining) AS edges_draining,
       sum(e.max_connections) AS max_connections, sum(e.current_connections) AS current_connections,
       sum(e.current_connections)::double precision / sum(e.max_connections) AS load,
       max(e.load) AS load_max,
       sum(e.max_connections)::double precision / sum(sum(e.max_connections)) OVER () AS share_of_capacity,
       sum(e.current_connections)::double precision / nullif(sum(sum(e.current_connections)) OVER (), 0) AS share_of_devices,
       ST_Multi(ST_Collect(e.geom))::geometry(MultiPoint, 4326) AS geom, min(e.gid) AS gid
FROM gis.edges e
GROUP BY e.region;
COMMENT ON VIEW gis.load_by_region IS 'The same by the operator''s label of the edge servers: sums of what is told of each.';
COMMENT ON COLUMN gis.load_by_region.region IS 'Operator''s label, such as `eu-central`.';
COMMENT ON COLUMN gis.load_by_region.edges IS 'Active edge servers.';
COMMENT ON COLUMN gis.load_by_region.edges_healthy IS 'Those that are healthy.';
COMMENT ON COLUMN gis.load_by_region.edges_draining IS 'Those that drain.';
COMMENT ON COLUMN gis.load_by_region.max_connections IS 'Most devices they take together.';
COMMENT ON COLUMN gis.load_by_region.current_connections IS 'Devices assigned to them, of each edge with ten or more.';
COMMENT ON COLUMN gis.load_by_region.load IS 'current_connections divided by max_connections.';
COMMENT ON COLUMN gis.load_by_region.load_max IS 'Load of the fullest.';
COMMENT ON COLUMN gis.load_by_region.share_of_capacity IS 'Their part of what all take together, 0 to 1.';
COMMENT ON COLUMN gis.load_by_region.share_of_devices IS 'Their part of all devices that are told, 0 to 1; null when there are none.';
COMMENT ON COLUMN gis.load_by_region.geom IS 'Where they stand, EPSG:4326.';
COMMENT ON COLUMN gis.load_by_region.gid IS 'Number for GIS tools: that of the first of them.';
