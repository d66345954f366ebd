CREATE VIEW gis.load_by_edge AS
SELECT e.id AS edge_server_id, e.name, e.region, e.health_status, e.draining,
       e.max_connections, e.current_connections, e.reported_connections, e.load,
       e.max_connections::double precision / sum(e.max_connections) OVER () AS share_of_capacity,
       e.current_connections::double precision / nullif(sum(e.current_connections) OVER (), 0) AS share_of_devices,
       e.load - avg(e.load) OVER () AS load_above_mean, e.geom, e.gid
FROM gis.edges e;
COMMENT ON VIEW gis.load_by_edge IS 'How devices are spread over the active edge servers, as far as they are told (ten or more at an edge; fewer as none), beside what each could take.';
COMMENT ON COLUMN gis.load_by_edge.edge_server_id IS 'The edge server.';
COMMENT ON COLUMN gis.load_by_edge.name IS 'Its name.';
COMMENT ON COLUMN gis.load_by_edge.region IS 'Its operator''s label.';
COMMENT ON COLUMN gis.load_by_edge.health_status IS '`healthy`, `degraded`, `offline` or `unknown`.';
COMMENT ON COLUMN gis.load_by_edge.draining IS 'True: gets no new devices.';
COMMENT ON COLUMN gis.load_by_edge.max_connections IS 'Most devices it takes.';
COMMENT ON COLUMN gis.load_by_edge.current_connections IS 'Devices assigned to it; fewer than ten are told as 0.';
COMMENT ON COLUMN gis.load_by_edge.reported_connections IS 'Connections it says it has; fewer than ten are told as 0.';
COMMENT ON COLUMN gis.load_by_edge.load IS 'The greater of both, divided by max_connections: 0 to 1 and beyond.';
COMMENT ON COLUMN gis.load_by_edge.share_of_capacity IS 'Its part of what all take together, 0 to 1.';
COMMENT ON COLUMN gis.load_by_edge.share_of_devices IS 'Its part of all devices that are told, 0 to 1; null when there are none.';
COMMENT ON COLUMN gis.load_by_edge.load_above_mean IS 'Its load less the mean of all loads.';
COMMENT ON COLUMN gis.load_by_edge.geom IS 'Where it stands, EPSG:4326.';
COMMENT ON COLUMN gis.load_by_edge.gid IS 'Number of the edge server for GIS tools.';
