CREATE FUNCTION gis.decoration_clusters(
    min_lat_deg double precision, min_lng_deg double precision,
    max_lat_deg double precision, max_lng_deg double precision,
    resolution integer, category text DEFAULT NULL, asset_type text DEFAULT NULL
) RETURNS TABLE (cell bigint, n bigint)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH counted AS (
        SELECT t.cell, t.n, t.min_lat_deg AS south, t.max_lat_deg AS north, t.min_lng_deg AS west, t.max_lng_deg AS east
        FROM gis.decoration_totals t
        WHERE t.resolution = decoration_clusters.resolution
          AND decoration_clusters.category IS NULL AND decoration_clusters.asset_type IS NULL
        UNION ALL
        SELECT c.cell, sum(c.n) AS n, min(c.min_lat_deg) AS south, max(c.max_lat_deg) AS north,
               min(c.min_lng_deg) AS west, max(c.max_lng_deg) AS east
        FROM gis.decoration_counts c
        WHERE c.resolution = decoration_clusters.resolution
          AND NOT (decoration_clusters.category IS NULL AND decoration_clusters.asset_type IS NULL)
          AND (decoration_clusters.category IS NULL OR c.category = decoration_clusters.category)
          AND (decoration_clusters.asset_type IS NULL OR c.asset_type = decoration_clusters.asset_type)
        GROUP BY c.cell
    ), placed AS (
        SELECT counted.cell, counted.n,
               south >= min_lat_deg AND north <= max_lat_deg
               AND CASE WHEN min_lng_deg <= max_lng_deg THEN west >= min_lng_deg AND east <= max_lng_deg
                        ELSE west >= min_lng_deg OR east <= max_lng_deg END AS inside
        FROM counted
        WHERE south <= max_lat_deg AND north >= min_lat_deg
          AND (CASE WHEN min_lng_deg <= max_lng_deg THEN west <= max_lng_deg AND east >= min_lng_deg
                    ELSE east >= min_lng_deg OR west <= max_lng_deg END
               -- One place with two longitudes, or with all of them.
               OR east = 180 OR north = 90 OR south = -90)
    )
    SELECT placed.cell, placed.n::bigint FROM placed WHERE inside
    UNION ALL
    -- A cell that the box's edge runs through is counted from its decorations: one range of h3_r9.
    SELECT placed.cell, count(*)
    FROM placed
    JOIN gis.decorations d ON d.h3_r9 BETWEEN gis.h3_first_r9(placed.cell) AND gis.h3_last_r9(placed.cell)
    WHERE NOT inside
      AND gis.in_bounds(ST_Y(d.geom), ST_X(d.geom), min_lat_deg, min_lng_deg, max_lat_deg, max_lng_deg)
      AND (decoration_clusters.category IS NULL OR d.category = decoration_clusters.category)
      AND (decoration_clusters.asset_type IS NULL OR d.asset_type = decoration_clusters.asset_type)
    GROUP BY placed.cell
    UNION ALL
    -- Finer than what is counted ahead: from the decorations of the box.
    SELECT gis.h3_parent(d.h3_r9, decoration_clusters.resolution), count(*)
    FROM gis.decorations_in_bounds(min_lat_deg, min_lng_deg, max_lat_deg, max_lng_deg) d
    WHERE decoration_clusters.resolution > 5
      AND (decoration_clusters.category IS NULL OR d.category = decoration_clusters.category)
      AND (decoration_clusters.asset_type IS NULL OR d.asset_type = decoration_clusters.asset_type)
    GROUP BY 1;
END;
COMMENT ON FUNCTION gis.decoration_clusters(double precision, double precision, double precision, double precision, integer, text, text) IS 'Active decorations of a box counted by H3 cell (ancestors of their r9 cells), resolution 0 to 9. Up to resolution 5 from counts that may be some seconds behind. Arguments: min_lat, min_lng, max_lat, max_lng in degrees, resolution, and a category and asset type or NULL.';
