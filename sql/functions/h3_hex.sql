CREATE FUNCTION gis.h3_hex(cell bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_hex(cell);
COMMENT ON FUNCTION gis.h3_hex(bigint) IS 'Usual hexadecimal form of an H3 cell, such as 8928308280fffff.';
