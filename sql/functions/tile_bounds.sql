CREATE FUNCTION gis.tile_bounds(tile_z integer, tile_x integer, tile_y integer, margin double precision)
RETURNS TABLE (west_deg double precision, south_deg double precision, east_deg double precision, north_deg double precision)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (tile_x - margin) * 360 / (1 << tile_z) - 180,
           CASE WHEN tile_y + 1 + margin >= 1 << tile_z THEN -90 ELSE gis.tile_lat(tile_z, tile_y + 1 + margin) END,
           (tile_x + 1 + margin) * 360 / (1 << tile_z) - 180,
           CASE WHEN tile_y - margin <= 0 THEN 90 ELSE gis.tile_lat(tile_z, tile_y - margin) END;
END;
COMMENT ON FUNCTION gis.tile_bounds(integer, integer, integer, double precision) IS 'Where a Web Mercator tile lies, with a margin of so many widths of a tile around it, in degrees. The rows at the map''s edge reach to the poles; west and east of a tile at the antimeridian go beyond 180.';
