CREATE FUNCTION gis.h3_last_r9(cell bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (cell & ~(15::bigint << 52)) | (9::bigint << 52);
COMMENT ON FUNCTION gis.h3_last_r9(bigint) IS 'Greatest number an r9 descendant of an H3 cell (resolution 9 or coarser) can have.';
