CREATE VIEW gis.coverage AS
SELECT e.id, e.name, e.region, e.health_status,
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
