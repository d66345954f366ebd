CREATE FUNCTION gis.tile_point(tile_z integer, tile_x integer, tile_y integer, place geometry) RETURNS geometry
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ST_AsMVTGeom(
    ST_Translate(
        ST_Transform(
            -- The map ends at 85.05 degrees: what is beyond is drawn on its last line, so that nothing is lost.
            ST_SetSRID(ST_MakePoint(ST_X(place), least(greatest(ST_Y(place), gis.tile_lat(tile_z, (1 << tile_z) - 1.0 / 4096)), gis.tile_lat(tile_z, 0))), 4326),
            3857),
        -- Who lies beyond the antimeridian is seen from here at the other end of the map. A tile's eastern edge is no
        -- part of it, so what is rounded to longitude 180 is at -180 where both are the same tile's.
        40075016.6855784861 * CASE
            WHEN tile_z = 0 THEN CASE WHEN ST_X(place) >= 180 - 180.0 / 4096 THEN -1 ELSE 0 END
            WHEN ST_X(place) > (tile_x + 1.5) * 360 / (1 << tile_z) - 180 AND tile_x = 0 THEN -1
            WHEN ST_X(place) < (tile_x - 0.5) * 360 / (1 << tile_z) - 180 AND tile_x = (1 << tile_z) - 1 THEN 1
            ELSE 0 END,
        0),
    ST_TileEnvelope(tile_z, tile_x, tile_y), 4096, 64);
COMMENT ON FUNCTION gis.tile_point(integer, integer, integer, geometry) IS 'A point (EPSG:4326) in the coordinates of a tile of 4096 units, for ST_AsMVT; null when it is more than 64 units outside. Beyond the map''s edge at 85.05 degrees it is drawn on the edge.';
