CREATE FUNCTION gis.tile_lat(tile_z integer, tile_y double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN degrees(atan(sinh(pi() * (1 - 2 * tile_y / (1 << tile_z)))));
COMMENT ON FUNCTION gis.tile_lat(integer, double precision) IS 'Latitude in degrees of the northern edge of a row of Web Mercator tiles; fractions of a row are places within it.';
