CREATE FUNCTION gis.circle_area(centre geography, radius_m double precision) RETURNS geography
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH ring AS (
        -- 128 corners so far out that the sides do not cut the circle; 0.1 % more for what the spheroid does to a side.
        SELECT ST_MakePolygon(ST_AddPoint(line, ST_StartPoint(line))) AS polygon
        FROM (
            SELECT ST_MakeLine(ST_Project(centre, radius_m * 1.001 / cos(pi() / 128), 2 * pi() * corner / 128)::geometry ORDER BY corner) AS line
            FROM generate_series(0, 127) AS corner
        ) AS corners
    )
    SELECT ST_Multi(CASE
        -- Around a pole the ring is right on the sphere as it is, and nothing can be split.
        WHEN ST_DWithin(centre, 'SRID=4326;POINT(0 90)'::geography, radius_m * 1.002)
          OR ST_DWithin(centre, 'SRID=4326;POINT(0 -90)'::geography, radius_m * 1.002) THEN polygon
        WHEN ST_XMax(polygon) - ST_XMin(polygon) > 180 THEN ST_WrapX(ST_ShiftLongitude(polygon), 180, -360)
        ELSE polygon
    END)::geography
    FROM ring;
END;
COMMENT ON FUNCTION gis.circle_area(geography, double precision) IS 'A polygon around the circle of radius_m metres on the spheroid, split at the antimeridian: it narrows a search, the circle itself is ST_DWithin.';
