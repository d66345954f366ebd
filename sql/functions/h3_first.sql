CREATE FUNCTION gis.h3_first(cell bigint, resolution integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- The resolution, and zeros in the digits between the cell's own and it.
RETURN ((cell & ~(15::bigint << 52)) | (resolution::bigint << 52))
    & ~(((1::bigint << (3 * (15 - ((cell >> 52)::integer & 15)))) - 1) & ~((1::bigint << (3 * (15 - resolution))) - 1));
COMMENT ON FUNCTION gis.h3_first(bigint, integer) IS 'Least number that a descendant of an H3 cell can have at a finer resolution, or its own: with h3_last, the descendants are one range.';
