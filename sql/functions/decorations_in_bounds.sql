CREATE FUNCTION gis.decorations_in_bounds(
    min_lat_deg double precision, min_lng_deg double precision,
    max_lat_deg double precision, max_lng_deg double precision
) RETURNS SETOF gis.decorations
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT d.*
    FROM gis.decorations d
    -- At most five boxes for the index. Those that do not apply are NULL, which the planner drops when it
    -- knows the values (a custom plan; a forced generic one would not know how large the box is either).
    WHERE (d.geom && ST_MakeEnvelope(min_lng_deg, min_lat_deg, CASE WHEN min_lng_deg <= max_lng_deg THEN max_lng_deg ELSE 180 END, max_lat_deg, 4326)
        OR d.geom && CASE WHEN min_lng_deg > max_lng_deg THEN ST_MakeEnvelope(-180, min_lat_deg, max_lng_deg, max_lat_deg, 4326) END
        OR d.geom && CASE WHEN min_lng_deg = -180 THEN ST_MakeEnvelope(180, min_lat_deg, 180, max_lat_deg, 4326) END
        OR d.geom && CASE WHEN max_lat_deg = 90 THEN ST_SetSRID(ST_MakePoint(0, 90), 4326) END
        OR d.geom && CASE WHEN min_lat_deg = -90 THEN ST_SetSRID(ST_MakePoint(0, -90), 4326) END)
    -- The index compares boxes of 4-byte floats: the exact edge is decided here.
      AND gis.in_bounds(ST_Y(d.geom), ST_X(d.geom), min_lat_deg, min_lng_deg, max_lat_deg, max_lng_deg);
END;
COMMENT ON FUNCTION gis.decorations_in_bounds(double precision, double precision, double precision, double precision) IS 'Active decorations in a box of plain latitude and longitude intervals, its edges included; min_lng_deg > max_lng_deg crosses the antimeridian. Arguments: min_lat, min_lng, max_lat, max_lng in degrees.';
