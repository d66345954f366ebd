CREATE FUNCTION gis.tile_counts(tile_z integer, tile_x integer, tile_y integer)
RETURNS TABLE (cell bigint, n bigint, lng_deg double precision, lat_deg double precision)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.cell, c.n,
           CASE WHEN c.max_lng_deg - c.min_lng_deg > 180 THEN 180 ELSE (c.min_lng_deg + c.max_lng_deg) / 2 END,
           (c.min_lat_deg + c.max_lat_deg) / 2
    FROM (SELECT t.*, (ARRAY[0, 0, 1, 2, 2, 3, 4, 4, 5])[tile_z + 1] AS resolution FROM gis.tile_bounds(tile_z, tile_x, tile_y, 1.0 / 64) AS t) AS t
    -- Down the tree of cells, by one range of the key a step: what lies in a cell lies within the extent of each of
    -- its ancestors; one wider than half the Earth, at the antimeridian or a pole, is taken to lie anywhere.
    -- OFFSET 0, because the planner would rather read a whole resolution than look up a few ranges.
    JOIN gis.decoration_totals a ON a.resolution = least(t.resolution, 1)
        AND a.min_lat_deg <= t.north_deg AND a.max_lat_deg >= t.south_deg
        AND (a.min_lng_deg <= t.east_deg AND a.max_lng_deg >= t.west_deg OR a.max_lng_deg >= t.west_deg + 360 OR a.min_lng_deg <= t.east_deg - 360
             OR a.max_lng_deg - a.min_lng_deg > 180)
    CROSS JOIN LATERAL (
        SELECT b.cell FROM gis.decoration_totals b
        WHERE b.resolution = least(t.resolution, 3)
          AND b.cell BETWEEN gis.h3_first(a.cell, least(t.resolution, 3)) AND gis.h3_last(a.cell, least(t.resolution, 3))
          AND b.min_lat_deg <= t.north_deg AND b.max_lat_deg >= t.south_deg
          AND (b.min_lng_deg <= t.east_deg AND b.max_lng_deg >= t.west_deg OR b.max_lng_deg >= t.west_deg + 360 OR b.min_lng_deg <= t.east_deg - 360
             OR b.max_lng_deg - b.min_lng_deg > 180)
        OFFSET 0
    ) AS b
    CROSS JOIN LATERAL (
        SELECT c.* FROM gis.decoration_totals c
        WHERE c.resolution = t.resolution AND c.cell BETWEEN gis.h3_first(b.cell, t.resolution) AND gis.h3_last(b.cell, t.resolution)
        OFFSET 0
    ) AS c;
END;
COMMENT ON FUNCTION gis.tile_counts(integer, integer, integer) IS 'Kept counts that may belong to a Web Mercator tile of zoom 0 to 8 (zoom, column, row), with the middle of the extent of each cell''s decorations; longitude 180 where that crosses the antimeridian. Some of them lie outside: gis.tile_clusters leaves them out.';
