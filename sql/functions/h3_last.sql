CREATE FUNCTION gis.h3_last(cell bigint, resolution integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (cell & ~(15::bigint << 52)) | (resolution::bigint << 52);
COMMENT ON FUNCTION gis.h3_last(bigint, integer) IS 'Greatest number that a descendant of an H3 cell can have at a finer resolution, or its own.';
