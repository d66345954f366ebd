CREATE FUNCTION gis.coverage_tile(tile_z integer, tile_x integer, tile_y integer) RETURNS TABLE (mvt bytea)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ST_AsMVT(drawn, 'coverage', 4096, 'geom', 'gid')
    FROM (
        SELECT e.id::text AS id, e.name, e.region, e.health_status, e.draining, e.gid,
               gis.tile_area(tile_z, tile_x, tile_y, CASE
                   -- Whether a pole is in it takes longer to find out than all the rest.
                   WHEN ST_YMax(e.service_area::geometry) > 70 OR ST_YMin(e.service_area::geometry) < -70 THEN (SELECT c.geom FROM gis.coverage c WHERE c.id = e.id)
                   ELSE e.service_area::geometry
               END) AS geom
        FROM gis.tile_bounds(tile_z, tile_x, tile_y, 1.0 / 32) AS t
        JOIN gis.edges e
            ON tile_z < 3 AND e.service_area::geometry && ST_MakeEnvelope(t.west_deg, t.south_deg, t.east_deg, t.north_deg, 4326)
            -- The box of a geography is that of great circles: along a parallel it takes many corners.
            OR e.service_area && CASE WHEN tile_z >= 3 THEN ST_Segmentize(
                ST_MakeEnvelope(greatest(t.west_deg, -180), t.south_deg, least(t.east_deg, 180), t.north_deg, 4326), 11.25 / (1 << tile_z))::geography END
        -- As wide as a pixel of a 512-pixel tile, at least.
        WHERE e.service_area_given OR e.service_radius_km * 2000 >= cos(radians(ST_Y(e.geom))) * 40075016.69 / 512 / (1 << tile_z)
    ) AS drawn;
END;
COMMENT ON FUNCTION gis.coverage_tile(integer, integer, integer) IS 'The service areas of the active edge servers in a Web Mercator tile (zoom, column, row) as a Mapbox vector tile with the one layer coverage: polygons with id, name, region, health_status and draining of their edge; circles of less than a pixel are left out.';
