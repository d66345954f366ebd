CREATE VIEW gis.edges AS
SELECT e.id, e.name, e.region, e.api_url, e.websocket_url,
       e.location, e.location::geometry(Point, 4326) AS geom,
       e.service_radius_km, e.service_area, e.service_area_given,
       e.max_connections, gis.crowd(l.current_connections)::integer AS current_connections,
       gis.crowd(l.reported_connections)::integer AS reported_connections,
       gis.crowd(greatest(l.current_connections, l.reported_connections))::double precision / e.max_connections AS load,
       e.health_status, e.health_reason, e.draining, e.last_ping, e.cpu_usage, e.memory_usage, e.created_at, e.gid
FROM ar.edge_servers e
JOIN ar.edge_load l ON l.edge_server_id = e.id
WHERE e.is_active AND e.deleted_at IS NULL;
COMMENT ON VIEW gis.edges IS 'Active edge servers with their load (0 to 1 and beyond) and health. Connections stand for people: fewer than ten at an edge are told as none, and its load follows from what is told. (The service itself counts exactly.)';
COMMENT ON COLUMN gis.edges.id IS 'Identity.';
COMMENT ON COLUMN gis.edges.name IS 'Name shown to people.';
COMMENT ON COLUMN gis.edges.region IS 'Operator''s label, such as `eu-central`.';
COMMENT ON COLUMN gis.edges.api_url IS 'Where phones reach it over HTTP.';
COMMENT ON COLUMN gis.edges.websocket_url IS 'Where phones reach it over WebSocket.';
COMMENT ON COLUMN gis.edges.location IS 'Where it stands (geography): distances come in metres.';
COMMENT ON COLUMN gis.edges.geom IS 'Where it stands as longitude and latitude in degrees, EPSG:4326.';
COMMENT ON COLUMN gis.edges.service_radius_km IS 'Radius of its service area in kilometres, which decides when no area was given.';
COMMENT ON COLUMN gis.edges.service_area IS 'The area given (geography); else a polygon around the circle, which narrows a search.';
COMMENT ON COLUMN gis.edges.service_area_given IS 'True: the polygon decides. False: the circle does.';
COMMENT ON COLUMN gis.edges.max_connections IS 'Most devices it takes.';
COMMENT ON COLUMN gis.edges.current_connections IS 'Devices assigned to it; fewer than ten are told as 0.';
COMMENT ON COLUMN gis.edges.reported_connections IS 'Connections it says it has; fewer than ten are told as 0.';
COMMENT ON COLUMN gis.edges.load IS 'The greater of both as it is told, divided by max_connections: 0 to 1 and beyond.';
COMMENT ON COLUMN gis.edges.health_status IS '`healthy`, `degraded`, `offline` or `unknown`.';
COMMENT ON COLUMN gis.edges.health_reason IS 'Why it is so; null when it is healthy.';
COMMENT ON COLUMN gis.edges.draining IS 'True: gets no new devices and hands over those it has.';
COMMENT ON COLUMN gis.edges.last_ping IS 'When it was last heard.';
COMMENT ON COLUMN gis.edges.cpu_usage IS 'CPU in use at its last beat, per cent.';
COMMENT ON COLUMN gis.edges.memory_usage IS 'Memory in use at its last beat, per cent.';
COMMENT ON COLUMN gis.edges.created_at IS 'When it was registered.';
COMMENT ON COLUMN gis.edges.gid IS 'Number for GIS tools, never given twice.';
