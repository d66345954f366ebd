CREATE FUNCTION gis.tile_fine_counts(tile_z integer, tile_x integer, tile_y integer)
RETURNS TABLE (cell bigint, n bigint, lng_deg double precision, lat_deg double precision)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.cell, c.n, CASE WHEN c.east - c.west > 180 THEN 180 ELSE (c.west + c.east) / 2 END, (c.south + c.north) / 2
    FROM (
        SELECT gis.h3_parent(d.h3_r9, t.resolution) AS cell, count(*) AS n,
               min(ST_X(d.geom)) AS west, min(ST_Y(d.geom)) AS south, max(ST_X(d.geom)) AS east, max(ST_Y(d.geom)) AS north
        FROM (
            SELECT CASE WHEN tile_z = 9 THEN 6 ELSE 7 END AS resolution,
                   t.south_deg - r.reach_deg AS south, t.north_deg + r.reach_deg AS north, t.west_deg - s.stretch_deg AS west, t.east_deg + s.stretch_deg AS east
            FROM gis.tile_bounds(tile_z, tile_x, tile_y, 1.0 / 64) AS t,
                -- So far around the tile that a cell whose middle lies in it is whole: no cell is wider.
                LATERAL (SELECT CASE WHEN tile_z = 9 THEN 12000 ELSE 4800 END / 110574.0 AS reach_deg) AS r,
                LATERAL (SELECT greatest(abs(t.south_deg), abs(t.north_deg)) + r.reach_deg AS farthest_deg) AS l,
                LATERAL (SELECT CASE WHEN l.farthest_deg < 89.9 THEN r.reach_deg / cos(radians(l.farthest_deg)) ELSE 360 END AS stretch_deg) AS s
        ) AS t
        JOIN gis.decorations d
            ON d.geom && ST_MakeEnvelope(greatest(t.west, -180), t.south, least(t.east, 180), t.north, 4326)
            OR d.geom && CASE WHEN t.west < -180 THEN ST_MakeEnvelope(t.west + 360, t.south, 180, t.north, 4326) END
            OR d.geom && CASE WHEN t.east > 180 THEN ST_MakeEnvelope(-180, t.south, t.east - 360, t.north, 4326) END
        GROUP BY 1
    ) AS c;
END;
COMMENT ON FUNCTION gis.tile_fine_counts(integer, integer, integer) IS 'The same for zoom 9 (H3 resolution 6), 10 and 11 (resolution 7), counted from the decorations. Cells of which a part is too far away to be counted lie outside of the tile.';
