CREATE FUNCTION gis.regions_tile(tile_z integer, tile_x integer, tile_y integer) RETURNS TABLE (mvt bytea)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ST_AsMVT(drawn, 'regions', 4096, 'geom', 'gid')
    FROM (
        SELECT r.code, r.name, r.kind, r.parent_code, r.gid, gis.tile_area(tile_z, tile_x, tile_y, r.border) AS geom
        FROM gis.tile_bounds(tile_z, tile_x, tile_y, 1.0 / 64) AS t
        JOIN gis.regions r ON r.border && ST_MakeEnvelope(t.west_deg, t.south_deg, t.east_deg, t.north_deg, 4326)
        WHERE r.kind <> 'admin1' OR tile_z >= 4
    ) AS drawn;
END;
COMMENT ON FUNCTION gis.regions_tile(integer, integer, integer) IS 'The regions of a Web Mercator tile (zoom, column, row) as a Mapbox vector tile with the one layer regions: polygons with code, name, kind and parent_code, with as many corners as can be told apart; first-level divisions from zoom 4 on.';
