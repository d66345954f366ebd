CREATE FUNCTION gis.in_bounds(
    lat_deg double precision, lng_deg double precision,
    min_lat_deg double precision, min_lng_deg double precision,
    max_lat_deg double precision, max_lng_deg double precision
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- One CASE, which the planner takes for half of the rows. The bare intervals it would take for so many
-- filters that nothing is left of any box, and read the whole table for it.
RETURN CASE
    WHEN NOT lat_deg BETWEEN min_lat_deg AND max_lat_deg THEN false
    WHEN abs(lat_deg) = 90 THEN true
    WHEN min_lng_deg <= max_lng_deg THEN lng_deg BETWEEN min_lng_deg AND max_lng_deg OR (min_lng_deg = -180 AND lng_deg = 180)
    ELSE lng_deg >= min_lng_deg OR lng_deg <= max_lng_deg
END;
COMMENT ON FUNCTION gis.in_bounds(double precision, double precision, double precision, double precision, double precision, double precision) IS 'Whether a position lies in a box of plain latitude and longitude intervals, its edges included. min_lng_deg > max_lng_deg crosses the antimeridian; -180 and 180 are one meridian; a pole is in every box that touches it.';
