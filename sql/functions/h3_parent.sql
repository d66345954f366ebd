CREATE FUNCTION gis.h3_parent(cell bigint, resolution integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Set the resolution, and fill the digits below it with ones.
RETURN (cell & ~(15::bigint << 52)) | (resolution::bigint << 52) | ((1::bigint << (3 * (15 - resolution))) - 1);
COMMENT ON FUNCTION gis.h3_parent(bigint, integer) IS 'Ancestor of an H3 cell at a coarser resolution. Cells do not nest exactly: the ancestor of a position''s r9 cell need not be the position''s own cell at that resolution.';
