CREATE VIEW gis.coverage AS
SELECT e.id, e.name, e.region, e.health_status,
       -- Word for word the expression of index edge_servers_drawn_area_gist.
       CASE
           -- A ring around a pole is no polygon on a flat map: draw the cap.
           WHEN ST_DWithin(e.service_area, 'SRID=4326;POINT(0 90)'::geography, 0)
               THEN ST_Multi(ST_MakeEnvelope(-180, ST_YMin(e.service_area::geometry), 180, 90, 4326))
           WHEN ST_DWithin(e.service_area, 'SRID=4326;POINT(0 -90)'::geography, 0)
               THEN ST_Multi(ST_MakeEnvelope(-180, -90, 180, ST_YMax(e.service_area::geometry), 4326))
           ELSE e.service_area::geometry
       END::geometry(MultiPolygon, 4326) AS geom,
       e.gid
FROM ar.edge_servers e
WHERE e.is_active AND e.deleted_at IS NULL;
COMMENT ON VIEW gis.coverage IS 'Service areas of the active edge servers, to draw; a circle is drawn as the polygon around it.';
COMMENT ON COLUMN gis.coverage.id IS 'The edge server.';
COMMENT ON COLUMN gis.coverage.name IS 'Its name.';
COMMENT ON COLUMN gis.coverage.region IS 'Its operator''s label.';
COMMENT ON COLUMN gis.coverage.health_status IS '`healthy`, `degraded`, `offline` or `unknown`.';
COMMENT ON COLUMN gis.coverage.geom IS 'Its service area, EPSG:4326.';
COMMENT ON COLUMN gis.coverage.gid IS 'Number of the edge server for GIS tools.';
