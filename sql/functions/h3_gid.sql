CREATE FUNCTION gis.h3_gid(cell bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- What a cell of resolution 7 or coarser does not have are the digits below: ones in all of them.
RETURN (cell >> 24) & 4294967295;
COMMENT ON FUNCTION gis.h3_gid(bigint) IS 'Number of an H3 cell (resolution 7 or coarser) for GIS tools: 32 bits that no other such cell has, so that every tool and JavaScript can hold it.';

CREATE FUNCTION gis.h3_gid(cell bigint, bucket_start timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (((extract(epoch FROM bucket_start)::bigint - 1577836800) / 900) << 32) | ((cell >> 24) & 4294967295);
COMMENT ON FUNCTION gis.h3_gid(bigint, timestamptz) IS 'Number of an H3 cell (resolution 7 or coarser) in a quarter-hour: 21 bits of quarter-hours since 2020 (they last until 2079) above the 32 of the cell, below 2^53 in all.';
