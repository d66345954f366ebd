CREATE VIEW gis.decoration_cells AS
SELECT n.cell, gis.h3_hex(n.cell) AS hex, n.resolution, n.n, c.boundary
FROM (
    SELECT c.resolution, c.cell, sum(c.n)::bigint AS n FROM ar.decoration_counts c WHERE c.n > 0 GROUP BY 1, 2
) AS n
JOIN ar.h3_cells c USING (cell);
COMMENT ON VIEW gis.decoration_cells IS 'Active decorations by H3 cell as hexagons to draw: filter by resolution (0 to 5).';
