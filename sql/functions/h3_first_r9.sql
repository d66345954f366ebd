CREATE FUNCTION gis.h3_first_r9(cell bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Resolution 9, and zeros in the digits between the cell's own resolution and 9.
RETURN ((cell & ~(15::bigint << 52)) | (9::bigint << 52))
    & ~(((1::bigint << (3 * (15 - ((cell >> 52)::integer & 15)))) - 1) & ~((1::bigint << 18) - 1));
COMMENT ON FUNCTION gis.h3_first_r9(bigint) IS 'Least number an r9 descendant of an H3 cell (resolution 9 or coarser) can have: with h3_last_r9, the descendants are one range of an index on h3_r9.';
