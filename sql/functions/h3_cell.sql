CREATE FUNCTION gis.h3_cell(hex text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('x' || lpad(hex, 16, '0'))::bit(64)::bigint;
COMMENT ON FUNCTION gis.h3_cell(text) IS 'H3 cell of its hexadecimal form: the inverse of h3_hex.';
