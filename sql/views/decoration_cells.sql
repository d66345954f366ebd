CREATE VIEW gis.decoration_cells AS
SELECT n.cell, gis.h3_hex(n.cell) AS hex, n.resolution, n.n, c.boundary
FROM ar.decoration_counts n
JOIN ar.h3_cells c USING (cell, resolution)
WHERE n.n > 0 AND n.category = '' AND n.asset_type = '';
COMMENT ON VIEW gis.decoration_cells IS 'Active decorations by H3 cell as hexagons to draw: filter by resolution (0 to 5).';
