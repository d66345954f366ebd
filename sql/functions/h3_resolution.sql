CREATE FUNCTION gis.h3_resolution(cell bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (cell >> 52)::integer & 15;
COMMENT ON FUNCTION gis.h3_resolution(bigint) IS 'Resolution of an H3 cell, 0 to 15.';
