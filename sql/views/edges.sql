CREATE VIEW gis.edges AS
SELECT e.id, e.name, e.region, e.api_url, e.websocket_url,
       e.location, e.location::geometry(Point, 4326) AS geom,
       e.service_radius_km, e.service_area, e.service_area_given,
       e.max_connections, l.current_connections, l.reported_connections,
       greatest(l.current_connections, l.reported_connections)::double precision / e.max_connections AS load,
       e.health_status, e.health_reason, e.draining, e.last_ping, e.cpu_usage, e.memory_usage, e.created_at, e.gid
FROM ar.edge_servers e
JOIN ar.edge_load l ON l.edge_server_id = e.id
WHERE e.is_active AND e.deleted_at IS NULL;
COMMENT ON VIEW gis.edges IS 'Active edge servers with their load (0 to 1 and beyond) and health.';
