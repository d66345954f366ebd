CREATE FUNCTION gis.edges_tile(tile_z integer, tile_x integer, tile_y integer) RETURNS TABLE (mvt bytea)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ST_AsMVT(drawn, 'edges', 4096, 'geom', 'gid')
    FROM (
        SELECT e.id::text AS id, e.name, e.region, e.health_status, e.draining, e.gid, gis.tile_point(tile_z, tile_x, tile_y, e.geom) AS geom
        FROM gis.tile_bounds(tile_z, tile_x, tile_y, 1.0 / 64) AS t
        JOIN gis.edges e
            ON e.geom && ST_MakeEnvelope(greatest(t.west_deg, -180), t.south_deg, least(t.east_deg, 180), t.north_deg, 4326)
            OR e.geom && CASE WHEN t.west_deg < -180 THEN ST_MakeEnvelope(t.west_deg + 360, t.south_deg, 180, t.north_deg, 4326) END
            OR e.geom && CASE WHEN t.east_deg > 180 THEN ST_MakeEnvelope(-180, t.south_deg, t.east_deg - 360, t.north_deg, 4326) END
    ) AS drawn;
END;
COMMENT ON FUNCTION gis.edges_tile(integer, integer, integer) IS 'The active edge servers of a Web Mercator tile (zoom, column, row) as a Mapbox vector tile with the one layer edges: points with id, name, region, health_status and draining.';
